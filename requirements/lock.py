"""Write the lock files: what pip chooses today for the versions pyproject.toml pins, with everything those need.

    python requirements/lock.py

Each file is the freeze of a clean environment of the oldest Python the package supports: what installs there
installs on newer ones, but not the other way round. A file holds all of the one it builds on, so that one
`pip install -r` is enough:

| file | builds on | adds |
|---|---|---|
| runtime.txt | | dependencies of the package, its build backend |
| synth.txt | runtime.txt | the extra `synth` |
| dev.txt | synth.txt | the dependency group `dev`: tests, linters, documentation |
| torch.txt | dev.txt | the dependency group `torch`: PyTorch, for the tests that need it |
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import tomllib
import venv
from pathlib import Path

FOLDER = Path(__file__).parent
HEADER = "# Written by requirements/lock.py from pyproject.toml; `make lock` writes it again.\n"
# Python brings its own pip, and the package itself is installed from the working tree.
NOT_LOCKED = ("pip", "bitloom")
OLDEST_PYTHON = (3, 11)


def wanted() -> dict[str, list[str]]:
    """The requirements each lock file adds, from pyproject.toml."""
    with (FOLDER.parent / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)
    return {
        "runtime": [*project["project"]["dependencies"], *project["build-system"]["requires"]],
        "synth": project["project"]["optional-dependencies"]["synth"],
        "dev": project["dependency-groups"]["dev"],
        "torch": project["dependency-groups"]["torch"],
    }


def pip(python: Path, *arguments: str) -> str:
    """Run pip and return what it prints; its errors go to the terminal."""
    command = [str(python), "-m", "pip", "--disable-pip-version-check", *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def locked(folder: Path) -> dict[str, str]:
    """The text of every lock file, from one environment that grows."""
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    texts = {}
    for name, requirements in wanted().items():
        pip(python, "install", "--quiet", *requirements)
        # A local version (+cpu) says how a wheel was built, not what it is.
        versions = [line.split("+")[0] for line in pip(python, "list", "--format=freeze").splitlines()]
        kept = sorted((line for line in versions if line.split("==")[0] not in NOT_LOCKED), key=str.lower)
        texts[name] = HEADER + "".join(f"{line}\n" for line in kept)
    return texts


def main() -> None:
    """Write the files."""
    if sys.version_info[:2] != OLDEST_PYTHON:
        sys.exit(f"lock with Python {OLDEST_PYTHON[0]}.{OLDEST_PYTHON[1]}, not {sys.version.split()[0]}")
    with tempfile.TemporaryDirectory() as folder:
        for name, text in locked(Path(folder)).items():
            (FOLDER / f"{name}.txt").write_text(text)


if __name__ == "__main__":
    main()
