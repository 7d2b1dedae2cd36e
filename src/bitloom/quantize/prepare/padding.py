"""Zeros around images that a convolution behind them can add itself."""

from __future__ import annotations

import numpy as np

from bitloom.ir.float_graph import FloatGraph, FloatNode
from bitloom.quantize.prepare.rewrite import rebuilt, renamed, replaced, with_attributes


def fold_padding(graph: FloatGraph) -> FloatGraph:
    """PAD in front of a convolution without padding goes away where it is what ``SAME`` adds."""
    changes: dict[int, FloatNode | None] = {}
    for node in graph.nodes:
        if node.kind not in ("CONV_2D", "DEPTHWISE_CONV_2D") or node.attributes.get("padding") != "VALID":
            continue
        pad = graph.producer(node.read[0])
        if pad is None or pad.kind != "PAD" or not graph.tensor(pad.read[1]).is_constant:
            continue
        if np.array_equal(graph.tensor(pad.read[1]).constant, _same(graph, node, graph.tensor(pad.read[0]).shape)):
            changes[id(node)] = with_attributes(renamed(node, {node.read[0]: pad.read[0]}), padding="SAME")
    return rebuilt(graph, replaced(graph.nodes, changes)) if changes else graph


def _same(graph: FloatGraph, node: FloatNode, shape: tuple[int, ...]) -> list[tuple[int, int]]:
    """The paddings of every axis that ``SAME`` means."""
    kernel = graph.tensor(node.read[1]).shape[1:3]
    paddings = [(0, 0)]
    for axis, letter in enumerate("hw"):
        stride = int(node.attributes.get(f"stride_{letter}", 1))
        taps = (kernel[axis] - 1) * int(node.attributes.get(f"dilation_{letter}_factor", 1)) + 1
        size = shape[axis + 1]
        total = max((-(-size // stride) - 1) * stride + taps - size, 0)
        paddings.append((total // 2, total - total // 2))
    return [*paddings, (0, 0)]
