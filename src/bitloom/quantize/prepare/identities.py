"""Nodes whose result is their operand."""

from __future__ import annotations

import numpy as np

from bitloom.ir.float_graph import FloatGraph, FloatNode
from bitloom.quantize.prepare.rewrite import constant_operand, fused, rebuilt, renamed, repeated

_NEUTRAL = {"MUL": 1.0, "ADD": 0.0, "SUB": 0.0}


def remove_identities(graph: FloatGraph) -> FloatGraph:
    """Without reshapes, transpositions and paddings that change nothing, factors of 1 and terms of 0.

    A node between an input and an output, or between two outputs, stays: both names must.
    """
    return repeated(graph, _first)


def _first(graph: FloatGraph) -> FloatGraph | None:
    """Without the first one."""
    for node in graph.nodes:
        name = _unchanged(graph, node)
        if name is None:
            continue
        made = node.outputs[0]
        if made not in graph.outputs:
            names = {made: name}
        elif graph.producer(name) is not None and name not in graph.outputs:
            names = {name: made}
        else:
            continue
        rest = [renamed(each, names) for each in graph.nodes if each is not node]
        return rebuilt(graph, rest)
    return None


def _unchanged(graph: FloatGraph, node: FloatNode) -> str | None:
    """The operand that the node's only result equals."""
    name = node.inputs[0] if node.inputs else None
    if name is None or len(node.outputs) != 1 or fused(node) != "NONE":
        return None
    if node.kind in _NEUTRAL:
        found = constant_operand(graph, node)
        if found is None or (node.kind == "SUB" and found[2] == 0) or not (found[1] == _NEUTRAL[node.kind]).all():
            return None
        name = found[0]
    same_shape = graph.tensor(name).shape == graph.tensor(node.outputs[0]).shape
    if not same_shape or graph.tensor(name).is_constant:
        return None
    match node.kind:
        case "RESHAPE" | "SQUEEZE" | "EXPAND_DIMS" | "PAD" | "PADV2" | "MIRROR_PAD" | "MUL" | "ADD" | "SUB":
            return name
        case "CONCATENATION" if len(node.inputs) == 1:
            return name
        case "TRANSPOSE" if _in_order(graph, node):
            return name
    return None


def _in_order(graph: FloatGraph, node: FloatNode) -> bool:
    permutation = graph.tensor(node.read[1])
    return permutation.is_constant and np.array_equal(permutation.constant, np.arange(permutation.constant.size))
