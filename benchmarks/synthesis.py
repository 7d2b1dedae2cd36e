"""Synthesising designs, and remembering what came out: the same Verilog and the same programs give the same netlist."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.commands import WORK, bitloom, outcome

_REMEMBERED = WORK / "synthesis"


@dataclass(frozen=True)
class Synthesized:
    """What came out.

    Attributes:
        command: that gives it again.
        found: the family's entry of report.json.
    """

    command: str
    found: dict[str, Any]


def synthesize(folder: Path, family: str, *, place: bool = False, reuse: bool = False) -> Synthesized:
    """Run ``bitloom synth``.

    Args:
        folder: that ``bitloom build`` wrote.
        family: of FPGA.
        place: whether to place and route.
        reuse: whether what came out for exactly this Verilog before will do.
    """
    arguments = ("synth", folder, "--family", family, *(("--place",) if place else ()))
    command = " ".join(map(str, ("bitloom", *arguments)))
    kept = _REMEMBERED / f"{_digest(folder)}-{family}{'-placed' if place else ''}.json"
    if reuse and kept.exists():
        print(f"$ {command}\n  the same Verilog as in {kept}", flush=True)
        return Synthesized(command, outcome(kept))
    bitloom(*arguments)
    found: dict[str, Any] = outcome(folder / "report.json")["resources"][family]
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    return Synthesized(command, found)


def _digest(folder: Path) -> str:
    """Of the Verilog."""
    top = outcome(folder / "report.json")["top"]
    return hashlib.sha256((folder / f"{top}.v").read_bytes()).hexdigest()[:24]
