"""Write the lock files: what pip chooses today for the versions pyproject.toml pins, with everything those need.

    python requirements/lock.py

Each file is the freeze of a clean environment made by the Python that runs this. A file holds all of the one it
builds on, so that one `pip install -r` is enough:

| file | builds on | adds |
|---|---|---|
| runtime.txt | | dependencies of the package, its build backend |
| synth.txt | runtime.txt | the extra `synth` |
| dev.txt | synth.txt | the dependency group `dev`: tests, linters, documentation |

With ``--check`` nothing is written; the exit status is 1 if a file would change. Run that with each Python the
package supports: one set of files serves them all.
"""

from __future__ import annotations

import argparse
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


def wanted() -> dict[str, list[str]]:
    """The requirements each lock file adds, from pyproject.toml."""
    with (FOLDER.parent / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)
    return {
        "runtime": [*project["project"]["dependencies"], *project["build-system"]["requires"]],
        "synth": project["project"]["optional-dependencies"]["synth"],
        "dev": project["dependency-groups"]["dev"],
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
        versions = pip(python, "list", "--format=freeze").splitlines()
        kept = sorted((line for line in versions if line.split("==")[0] not in NOT_LOCKED), key=str.lower)
        texts[name] = HEADER + "".join(f"{line}\n" for line in kept)
    return texts


def main() -> int:
    """Write or check the files; the exit status."""
    parser = argparse.ArgumentParser(description="Write the lock files from pyproject.toml.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a file would change")
    check = parser.parse_args().check
    stale = 0
    with tempfile.TemporaryDirectory() as folder:
        for name, text in locked(Path(folder)).items():
            path = FOLDER / f"{name}.txt"
            if path.exists() and path.read_text() == text:
                continue
            stale += 1
            print(f"{path.name} {'is out of date' if check else 'written'}")
            if not check:
                path.write_text(text)
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
