"""What people read first is true: the README's commands, pages that run, versions that agree, nothing private."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from bitloom.cli.main import COMMANDS

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PAGES = [path for path in DOCS.rglob("*.md") if not {"_build", "generated"} & set(path.relative_to(DOCS).parts)]
BY_PAGE = pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(DOCS)))


def tracked_files() -> list[Path]:
    """The files of the repository; of an unpacked archive, what would be."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("this is no git checkout")
    return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def make_targets() -> set[str]:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z-]+):", text, re.MULTILINE))


def test_the_readme_opens_with_the_two_commands() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = re.findall(r"^make (\w+)", text.split("```")[1], re.MULTILINE)
    assert commands == ["demo", "test"]
    assert re.fullmatch(r"# bitloom\s*", text.split("```")[0])


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "docs/index.md"])
def test_named_commands_exist(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert set(re.findall(r"\bmake ([a-z][a-z-]+)(?=`|\s+#|\n)", text)) <= make_targets()
    assert set(re.findall(r"\.venv/bin/bitloom ([a-z]+)", text)) <= set(COMMANDS)


def test_the_readme_shows_the_results_that_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """`python -m benchmarks.mlperf_tiny --table` writes them into it."""
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks.mlperf_table import markdown_table

    assert markdown_table() in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_linked_files_exist(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)\)|src=\"([^\"]+)\"", text):
        link = "".join(target)
        assert link.startswith("https://") or (ROOT / link).exists(), link


@BY_PAGE
def test_python_on_a_page_is_run(page: Path) -> None:
    """Only the directive makes Sphinx run a block; a plain fence would just look like an example."""
    text = page.read_text(encoding="utf-8")
    assert not re.findall(r"^```(python|pycon|py)\b", text, re.MULTILINE)
    inside_directives = re.sub(r"^```\{doctest\}.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    assert ">>>" not in inside_directives


def test_every_page_is_reachable() -> None:
    index = (DOCS / "index.md").read_text(encoding="utf-8")
    for page in PAGES:
        name = str(page.relative_to(DOCS).with_suffix(""))
        assert name == "index" or re.search(rf"^{re.escape(name)}$", index, re.MULTILINE), name


def test_lock_files_hold_the_pinned_versions() -> None:
    parts = {
        "runtime": PROJECT["project"]["dependencies"],
        "synth": PROJECT["project"]["optional-dependencies"]["synth"],
        "dev": PROJECT["dependency-groups"]["dev"],
        "torch": PROJECT["dependency-groups"]["torch"],
    }
    pinned: set[str] = set()
    for name, requirements in parts.items():
        pinned |= {requirement.lower() for requirement in requirements}
        lines = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8").splitlines()
        locked = {line.lower() for line in lines if not line.startswith("#")}
        assert pinned <= locked
        assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in locked)


def test_the_changelog_has_the_form_of_keep_a_changelog() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = re.findall(r"^## \[(.+?)\]", text, re.MULTILINE)
    assert versions[0] == "Unreleased"
    kinds = set(re.findall(r"^### (\w+)", text, re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_no_file_names_a_machine() -> None:
    """A path into somebody's home or workspace is of no use to anybody else."""
    private = re.compile(r"(?<![\w.~$/-])/(home|root|work|Users)/\w")
    found = []
    for path in tracked_files():
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            continue
        found += [f"{path.relative_to(ROOT)}:{number}" for number, line in enumerate(lines, 1) if private.search(line)]
    assert not found
