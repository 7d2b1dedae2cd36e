"""Running `bitloom` commands as a user does, in processes of their own, and reading what they write."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WORK = Path("build") / "benchmarks"
"""Models, builds and outcomes, relative to the folder the benchmark is started in."""


@dataclass(frozen=True)
class Ran:
    """A command that ended well.

    Attributes:
        text: the command, as a user types it.
        seconds: from start to end, starting Python and reading data included.
    """

    text: str
    seconds: float


def bitloom(*arguments: object) -> Ran:
    """Run a command.

    Raises:
        SystemExit: it failed; results that differ are no failure.
    """
    words = [str(argument) for argument in arguments]
    text = shlex.join(["bitloom", *words])
    print(f"$ {text}", flush=True)
    start = time.perf_counter()
    ended = subprocess.run([sys.executable, "-m", "bitloom", *words], stdout=subprocess.DEVNULL, check=False)
    seconds = time.perf_counter() - start
    if ended.returncode not in (0, 1):
        raise SystemExit(f"{text}: exit status {ended.returncode}")
    print(f"  {seconds:.1f} s", flush=True)
    return Ran(text, seconds)


def outcome(path: Path) -> dict[str, Any]:
    """The JSON that a command wrote."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def mismatches(verified: dict[str, Any]) -> int:
    """Elements that differ, over all tensors and executors, of what `bitloom verify --json` wrote."""
    return sum(sum(tensor["mismatches"].values()) for tensor in verified["tensors"])
