"""Building and synthesising a design, as rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.commands import bitloom, outcome
from benchmarks.rows import Row
from benchmarks.synthesis import synthesize as run_synthesis

XC7_NAMES = {"lut": "LUT", "ff": "flip-flops", "dsp": "DSP48E1", "bram36": "RAMB36E1"}
"""Keys of what synthesis reports, and what they are."""


@dataclass(frozen=True)
class Design:
    """A design to measure.

    Attributes:
        name: in front of the rows' names.
        model: of the network.
        folder: to build in.
        target: flags of `bitloom build`.
        wanted: by key of report.json and of what synthesis reports, see `Row.wanted`.
        peer: likewise.
    """

    name: str
    model: Path
    folder: Path
    target: tuple[str, ...]
    wanted: dict[str, str] = field(default_factory=dict)
    peer: dict[str, str] = field(default_factory=dict)

    def row(self, key: str, name: str, value: float | None, unit: str, command: str) -> Row:
        """A row with what is wanted of it and what the peer reaches."""
        return Row(f"{self.name}: {name}", value, unit, command, self.wanted.get(key, ""), self.peer.get(key, ""))


def measure(design: Design, *, synthesize: bool = True, place: bool = True, reuse: bool = False) -> list[Row]:
    """Build, synthesise for xc7, synthesise and place for ecp5.

    Args:
        design: to measure.
        synthesize: whether to.
        place: whether to place and route, which takes minutes.
        reuse: whether to take what synthesis found before for the same Verilog.
    """
    built = bitloom("build", design.model, "-o", design.folder, *design.target, "--random", 16).text
    report = outcome(design.folder / "report.json")
    rows = [
        design.row(key, name, report[key], "cycles", built)
        for key, name in (("interval_cycles", "interval"), ("latency_cycles", "latency"))
    ]
    rows.append(design.row("multipliers", "multipliers", report["totals"]["multipliers"], "", built))
    useful = report["totals"]["utilisation"]
    rows.append(design.row("utilisation", "useful products per slice and cycle", useful, "", built))
    if synthesize:
        ran = run_synthesis(design.folder, "xc7", reuse=reuse)
        command, used = f"{built} && {ran.command}", ran.found["used"]
        rows += [design.row(key, f"xc7 {name}", used[key], "", command) for key, name in XC7_NAMES.items()]
    if synthesize and place:
        # Built for that board: no products share a multiplier there, so that the interval can be another.
        folder = design.folder.with_name(f"{design.folder.name}-ecp5")
        target = (*design.target, "--board", "ulx3s-85f", "--random", 16)
        for_board = bitloom("build", design.model, "-o", folder, *target).text
        interval = outcome(folder / "report.json")["interval_cycles"]
        ran = run_synthesis(folder, "ecp5", place=True, reuse=reuse)
        command, fmax = f"{for_board} && {ran.command}", ran.found["fmax_mhz"]
        rows += [
            design.row("ecp5_interval", "ECP5-85k interval", interval, "cycles", for_board),
            design.row("fmax_mhz", "ECP5-85k clock", fmax, "MHz", command),
            design.row("inferences", "inferences at that clock", fmax * 1e6 / interval, "1/s", command),
        ]
    return rows
