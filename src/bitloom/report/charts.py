"""What layers take and when they work, as bars."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bitloom.report import svg

_NAME, _BAR, _ROW, _TOP = 190, 150, 20, 34
_CHART = 640


@dataclass(frozen=True)
class _Column:
    """One quantity of every layer.

    Attributes:
        title: of the column.
        values: by layer.
        full: what a full bar is; the largest value if 0.
    """

    title: str
    values: Sequence[float]
    full: float = 0

    @property
    def whole(self) -> float:
        """What a full bar stands for."""
        return self.full or max(self.values, default=0)


def _columns(report: Mapping[str, Any]) -> list[_Column]:
    layers = report["layers"]
    # Two products may share a multiplier.
    most_useful = 1 + any(layer["folding"]["packed"] for layer in layers)
    return [
        _Column("cycles", [layer["cycles"] for layer in layers], report["interval_cycles"]),
        _Column("multipliers", [layer["multipliers"] + layer["other_multipliers"] for layer in layers]),
        _Column("useful products per slice", [layer["utilisation"] or 0 for layer in layers], most_useful),
        _Column("18-kbit memories, about", [layer["ram_blocks"] for layer in layers]),
        _Column("look-up tables, about", [layer["logic"] for layer in layers]),
    ]


def resource_bars(report: Mapping[str, Any]) -> str:
    """A row per layer, a bar per resource; a full bar of cycles is the interval.

    Args:
        report: see `bitloom.report.design`.
    """
    shapes = []
    columns = _columns(report)
    for index, column in enumerate(columns):
        shapes.append(svg.text(_NAME + index * (_BAR + 14), 18, column.title, style="head"))
    for row, layer in enumerate(report["layers"]):
        y = _TOP + row * _ROW
        shapes.append(svg.text(0, y + 12, _short(layer["name"]), style="name"))
        for index, column in enumerate(columns):
            x, amount = _NAME + index * (_BAR + 14), column.values[row]
            share = min(amount / column.whole, 1) if column.whole else 0
            held = "bar held" if index == 0 and layer["name"] == report["bottleneck"]["what"] else "bar"
            shapes.append(svg.rectangle(x, y + 2, _BAR, 13, style="rail"))
            shapes.append(svg.rectangle(x, y + 2, share * _BAR, 13, style=held))
            shapes.append(svg.text(x + 4, y + 12, _number(amount), style="value"))
    width = _NAME + len(columns) * (_BAR + 14)
    return svg.picture(width, _TOP + len(report["layers"]) * _ROW + 6, shapes, label="what each layer takes")


def schedule_chart(report: Mapping[str, Any]) -> str:
    """When each layer gives its results: one inference, and the ones behind it at the interval.

    Args:
        report: see `bitloom.report.design`.
    """
    interval = report["interval_cycles"]
    end = max([layer["schedule"]["last"] for layer in report["layers"]] + [interval]) + 1
    scale = _CHART / end
    height = _TOP + len(report["layers"]) * _ROW
    shapes = []
    step = _round_step(end / 8)
    for mark in range(0, end, step):
        x = _NAME + mark * scale
        shapes += [svg.line(x, _TOP - 6, x, height, style="grid"), svg.text(x, 18, f"{mark:,}", style="small")]
    for row, layer in enumerate(report["layers"]):
        y = _TOP + row * _ROW
        first, last = layer["schedule"]["first"], layer["schedule"]["last"]
        shapes.append(svg.text(0, y + 12, _short(layer["name"]), style="name"))
        for number in range(math.ceil((end - first) / interval)):
            start = first + number * interval
            width = min(last - first + 1, end - start) * scale
            title = f"{layer['name']}: cycles {start:,} to {start + last - first:,} of inference {number}"
            style = "bar" if number == 0 else "bar later"
            shapes.append(svg.rectangle(_NAME + start * scale, y + 2, max(width, 1), 13, style=style, title=title))
    return svg.picture(_NAME + _CHART + 20, height + 8, shapes, label="when each layer gives its results")


def _round_step(step: float) -> int:
    """The next of 1, 2, 5, 10, 20, ... cycles.

    >>> [_round_step(step) for step in (0.3, 3, 70, 1100)]
    [1, 5, 100, 2000]
    """
    magnitude = 10 ** math.floor(math.log10(max(step, 1)))
    return int(next(part * magnitude for part in (1, 2, 5, 10) if part * magnitude >= step))


def _short(name: str) -> str:
    return name if len(name) <= 28 else f"{name[:27]}…"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) or value >= 100 else f"{value:.2f}"
