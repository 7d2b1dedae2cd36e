"""MAXIMUM and MINIMUM with the bounds of RELU and its kin."""

from __future__ import annotations

from dataclasses import replace

from bitloom.ir.float_graph import FloatGraph, FloatNode
from bitloom.quantize.prepare.rewrite import constant_operand, only_reader, rebuilt, replaced

_UPPER = {(0.0, 6.0): "RELU6", (-1.0, 1.0): "RELU_N1_TO_1"}


def name_activations(graph: FloatGraph) -> FloatGraph:
    """``max(x, 0)`` is RELU; ``min(max(x, 0), 6)`` is RELU6; ``min(max(x, -1), 1)`` is RELU_N1_TO_1."""
    changes: dict[int, FloatNode | None] = {}
    for node in graph.nodes:
        bound = _bound(graph, node, "MAXIMUM")
        if bound is not None and bound[1] == 0.0:
            changes[id(node)] = replace(node, kind="RELU", inputs=(bound[0],), attributes={})
            continue
        upper = _bound(graph, node, "MINIMUM")
        inner = graph.producer(upper[0]) if upper is not None else None
        if upper is None or inner is None or not only_reader(graph, upper[0], node):
            continue
        lower = (inner.read[0], 0.0) if inner.kind == "RELU" else _bound(graph, inner, "MAXIMUM")
        kind = _UPPER.get((lower[1], upper[1])) if lower is not None else None
        if lower is not None and kind is not None:
            changes[id(node)] = replace(node, kind=kind, inputs=(lower[0],), attributes={})
    return rebuilt(graph, replaced(graph.nodes, changes)) if changes else graph


def _bound(graph: FloatGraph, node: FloatNode, kind: str) -> tuple[str, float] | None:
    """The computed operand and the one number that a node of a kind compares it with."""
    found = constant_operand(graph, node) if node.kind == kind else None
    if found is None or not (found[1] == found[1].flat[0]).all():
        return None
    same_shape = graph.tensor(found[0]).shape == graph.tensor(node.outputs[0]).shape
    return (found[0], float(found[1].flat[0])) if same_shape else None
