"""The network as a picture: nodes in the order in which data reaches them, branches side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bitloom.report import svg

_WIDTH, _HEIGHT, _ACROSS, _DOWN, _EDGE = 250, 34, 300, 58, 12
# Beside the last column: the arrows around boxes, and what is written beside these.
_NOTE = 120


@dataclass(frozen=True)
class _Place:
    """Where a box is.

    Attributes:
        rank: how many boxes the longest way from an input to it has.
        column: beside the others of its rank.
    """

    rank: int
    column: int

    @property
    def x(self) -> float:
        """Left edge."""
        return _EDGE + self.column * _ACROSS

    @property
    def y(self) -> float:
        """Upper edge."""
        return _EDGE + self.rank * _DOWN


def network_picture(report: Mapping[str, Any]) -> str:
    """A box per node with what it makes, an arrow per tensor.

    Args:
        report: see `bitloom.report.design`.
    """
    boxes = _boxes(report)
    places = _places(boxes)
    layers = {layer["name"]: layer for layer in report["layers"]}
    depths = {(branch["node"], branch["tensor"]): branch["depth"] for branch in report["branches"]}
    shapes = []
    makers = {name: box["name"] for box in boxes for name in box["makes"]}
    for box in boxes:
        for tensor in box["reads"]:
            depth = depths.get((box["name"], tensor), 0)
            shapes += _arrow(places[makers[tensor]], places[box["name"]], f"FIFO {depth}" if depth else "")
    for box in boxes:
        shapes += _box(places[box["name"]], box, layers.get(box["name"]))
    width = 2 * _EDGE + max(place.column for place in places.values()) * _ACROSS + _WIDTH + _NOTE
    height = 2 * _EDGE + max(place.rank for place in places.values()) * _DOWN + _HEIGHT
    return svg.picture(width, height, shapes, label="the network")


def _boxes(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Inputs, nodes, outputs, alike."""
    boxes = []
    for port in report["ports"]:
        if port["direction"] == "input":
            box = {"name": port["name"], "operator": "input", "reads": [], "makes": [port["tensor"]]}
            boxes.append({**box, "shape": port["shape"]})
    boxes += [dict(node) for node in report["network"]]
    for port in report["ports"]:
        if port["direction"] == "output":
            box = {"name": port["name"], "operator": "output", "reads": [port["tensor"]], "makes": []}
            boxes.append({**box, "shape": port["shape"]})
    return boxes


def _places(boxes: Sequence[Mapping[str, Any]]) -> dict[str, _Place]:
    """Each box below all that it reads; in the column of the first of them if that is free."""
    makers = {name: box["name"] for box in boxes for name in box["makes"]}
    ranks: dict[str, int] = {}
    places: dict[str, _Place] = {}
    taken: set[tuple[int, int]] = set()
    for box in boxes:
        sources = [makers[tensor] for tensor in box["reads"]]
        ranks[box["name"]] = rank = max((ranks[name] + 1 for name in sources), default=0)
        column = min((places[name].column for name in sources), default=0)
        while (rank, column) in taken:
            column += 1
        taken.add((rank, column))
        places[box["name"]] = _Place(rank, column)
    return places


def _box(place: _Place, box: Mapping[str, Any], layer: Mapping[str, Any] | None) -> list[str]:
    folding = f"{layer['folding']['pe']} x {layer['folding']['simd']}" if layer and layer["multipliers"] else ""
    shape = "x".join(str(size) for size in box["shape"])
    kind = "end" if box["operator"] in ("input", "output") else ("circuit" if layer else "wires")
    title = f"{box['name']}: {box['operator']} to {shape}" + (f", {layer['cycles']:,} cycles" if layer else "")
    return [
        svg.rectangle(place.x, place.y, _WIDTH, _HEIGHT, style=kind, title=title, round_by=5),
        svg.text(place.x + 8, place.y + 14, _short(box["name"], 34), style="name"),
        svg.text(place.x + 8, place.y + 27, shape, style="small"),
        svg.text(place.x + _WIDTH - 8, place.y + 27, folding, style="small", anchor="end"),
    ]


def _arrow(start: _Place, end: _Place, note: str) -> list[str]:
    """Straight down to the next rank; around the right side of what lies between otherwise."""
    x1, y1 = start.x + _WIDTH / 2, start.y + _HEIGHT
    x2, y2 = end.x + _WIDTH / 2, end.y
    if end.rank - start.rank == 1:
        path = f"M{x1:g},{y1:g} C{x1:g},{y1 + 14:g} {x2:g},{y2 - 14:g} {x2:g},{y2:g}"
        label = svg.text((x1 + x2) / 2 + 6, (y1 + y2) / 2 + 4, note, style="small")
    else:
        x1, y1, x2, y2 = start.x + _WIDTH, start.y + _HEIGHT / 2, end.x + _WIDTH, end.y + _HEIGHT / 2
        away = max(x1, x2) + 44
        path = f"M{x1:g},{y1:g} C{away:g},{y1:g} {away:g},{y2:g} {x2:g},{y2:g}"
        label = svg.text(away - 8, (y1 + y2) / 2, note, style="small")
    return [svg.curve(path, style="arrow"), *([label] if note else [])]


def _short(name: str, most: int) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"
