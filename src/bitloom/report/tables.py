"""A report as text: tables for a terminal or a README."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bitloom.plan import BOARDS

NOTHING = "-"


def text_table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns aligned: numbers to the right, words to the left; whole numbers get thousands separators.

    >>> print(text_table(["layer", "cycles"], [["dense", 12345], ["relu", None]]))
    layer  cycles
    dense  12,345
    relu        -
    """
    cells = [[_cell(value) for value in row] for row in rows]
    is_number = [
        all(value is None or isinstance(value, int | float) for value in column)
        for column in (list(zip(*rows, strict=True)) or [() for _ in head])
    ]
    widths = [max(map(len, column)) for column in zip(head, *cells, strict=True)]
    lines = []
    for row in [list(head), *cells]:
        placed = [
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, is_number, strict=True)
        ]
        lines.append("  ".join(placed).rstrip())
    return "\n".join(lines)


def design_tables(report: Mapping[str, Any]) -> str:
    """What build made: the design in a few lines, then a row per layer.

    Args:
        report: see `bitloom.report.design`.
    """
    held = report["bottleneck"]
    totals = report["totals"]
    lines = [
        f"{printable(report['model'])}: {report['organisation']}, {report['bus']} bus, "
        f"{report['macs']:,} MACs per inference",
        f"latency {report['latency_cycles']:,} cycles, interval {report['interval_cycles']:,} cycles "
        + (f"(planned {report['planned_interval_cycles']:,}, " if report["measured"] else "(planned, not measured; ")
        + f"held by {printable(held['what'])})",
        f"{totals['multipliers']:,} multipliers, those of arrays with {_ratio(totals['utilisation'])} useful products "
        "a cycle; "
        f"{totals['memory_bits']:,} bits of constants",
    ]
    head, rows = layer_table(report)
    notes = [f"{printable(layer['name'])}: {'; '.join(layer['notes'])}" for layer in report["layers"] if layer["notes"]]
    return "\n".join([*lines, "", text_table(head, rows), *([""] if notes else []), *notes]) + "\n"


def layer_table(report: Mapping[str, Any]) -> tuple[list[str], list[list[object]]]:
    """A row per layer: what it computes, how, and what that takes.

    Args:
        report: see `bitloom.report.design`.
    """
    head = ["layer", "operator", "MACs", "pe x simd", "results", "cycles", "multipliers", "MACs/cycle", "constant bits"]
    rows: list[list[object]] = [
        [
            layer["name"],
            layer["operator"],
            layer["macs"],
            f"{layer['folding']['pe']} x {layer['folding']['simd']}",
            layer["folding"]["results"],
            layer["cycles"],
            layer["multipliers"] + layer["other_multipliers"],
            _ratio(layer["utilisation"]),
            layer["memory_bits"],
        ]
        for layer in report["layers"]
    ]
    return head, rows


def resource_tables(report: Mapping[str, Any], family: str) -> str:
    """What synthesis found: a row per resource, with its share of the target's board if that is of the family.

    Args:
        report: see `bitloom.report.design`, synthesised for the family.
        family: of FPGA.
    """
    found = report["resources"][family]
    board = next((b for b in BOARDS if b.name == report["target"]["board"] and b.family == family), None)
    limits = dict(zip(found["used"], (board.lut, board.ff, board.dsp, board.bram), strict=True)) if board else {}
    head = ["resource", "used"] + ([f"of {board.name}", "share"] if board else [])
    rows: list[list[object]] = []
    for name, used in found["used"].items():
        rows.append([name, used] + ([limits[name], _percent(used / limits[name])] if board else []))
    lines = [text_table(head, rows)]
    if found["fmax_mhz"] is not None:
        lines += ["", f"clock {found['fmax_mhz']} MHz on {found['place']['device']}", *_path(found["place"])]
    elif report["totals"]["multipliers"] and family == "ecp5":
        lines += ["", "clock: not placed; add --place"]
    return "\n".join(lines) + "\n"


def _path(place: Mapping[str, Any]) -> list[str]:
    path = place["critical_path"]
    if path is None:
        return []
    return [
        f"slowest path {path['delay_ns']} ns ({path['logic_ns']} logic, {path['routing_ns']} routing): "
        f"{path['from']} to {path['to']}"
    ]


def _ratio(utilisation: float | None) -> str:
    return NOTHING if utilisation is None else f"{utilisation:.2f}"


def _percent(share: float | None) -> str:
    return NOTHING if share is None else f"{100 * share:.1f} %"


def _cell(value: object) -> str:
    if value is None:
        return NOTHING
    if isinstance(value, int):
        return f"{value:,}"
    return printable(str(value))


def printable(text: str) -> str:
    r"""Text from a file, on one line and without characters that could steer a terminal.

    >>> printable("dense\x1b[31m")
    'dense?[31m'
    """
    return "".join(character if character.isprintable() else "?" for character in text)
