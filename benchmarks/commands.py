"""Running `bitloom` commands as a user does, in processes of their own, and reading what they write."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WORK = Path("build") / "benchmarks"
"""Models, builds and outcomes, relative to the folder the benchmark is started in."""

# Of the memory that `os.wait4` reports: macOS counts bytes, others KiB.
_PEAK_UNIT = 1 if sys.platform == "darwin" else 1024


@dataclass(frozen=True)
class Ran:
    """A command that ended well.

    Attributes:
        text: the command, as a user types it.
        seconds: from start to end, starting Python and reading data included.
        processor_seconds: of all its threads, and of the programs it ran.
        peak_bytes: memory that it, or the largest program it ran, had at most.
    """

    text: str
    seconds: float
    processor_seconds: float
    peak_bytes: int


def bitloom(*arguments: object) -> Ran:
    """Run a command.

    Raises:
        SystemExit: it failed; results that differ are no failure.
    """
    words = [str(argument) for argument in arguments]
    text = shlex.join(["bitloom", *words])
    print(f"$ {text}", flush=True)
    start = time.perf_counter()
    started = subprocess.Popen([sys.executable, "-m", "bitloom", *words], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(started.pid, 0)
    started.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - start
    if started.returncode not in (0, 1):
        raise SystemExit(f"{text}: exit status {started.returncode}")
    peak = usage.ru_maxrss * _PEAK_UNIT
    busy = usage.ru_utime + usage.ru_stime
    print(f"  {seconds:.1f} s, {busy:.1f} s of processors, {peak / 1e9:.2f} GB", flush=True)
    return Ran(text, seconds, busy, peak)


def outcome(path: Path) -> dict[str, Any]:
    """The JSON that a command wrote."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def mismatches(verified: dict[str, Any]) -> int:
    """Elements that differ, over all tensors and executors, of what `bitloom verify --json` wrote."""
    return sum(sum(tensor["mismatches"].values()) for tensor in verified["tensors"])
