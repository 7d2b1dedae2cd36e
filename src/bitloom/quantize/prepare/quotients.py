"""Divisions by constants."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bitloom.ir.float_graph import FloatGraph, FloatNode, FloatTensor
from bitloom.quantize.prepare.rewrite import constant_operand, fresh_name, rebuilt, replaced


def multiply_by_reciprocals(graph: FloatGraph) -> FloatGraph:
    """``x / c`` becomes ``x * (1 / c)``, which other passes and the integer operators know; c is nowhere 0."""
    changes: dict[int, FloatNode | None] = {}
    tensors: list[FloatTensor] = []
    for node in graph.nodes:
        found = constant_operand(graph, node) if node.kind == "DIV" else None
        if found is None or found[2] == 0 or not found[1].all():
            continue
        reciprocal = (1.0 / found[1].astype(np.float64)).astype(np.float32)
        if not np.isfinite(reciprocal).all():
            continue
        name = fresh_name(graph, f"{node.outputs[0]}/reciprocal")
        tensors.append(FloatTensor(name, reciprocal.shape, reciprocal))
        changes[id(node)] = replace(node, kind="MUL", inputs=(found[0], name))
    return rebuilt(graph, replaced(graph.nodes, changes), tensors) if changes else graph
