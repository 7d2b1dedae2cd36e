"""Activations that operators have inside."""

from __future__ import annotations

from dataclasses import replace

from bitloom.ir.float_graph import FloatGraph
from bitloom.quantize.prepare.rewrite import WEIGHTED, fused, only_reader, rebuilt, repeated, replaced, with_attributes

_ACTIVATIONS = ("RELU", "RELU6", "RELU_N1_TO_1")
_HOSTS = (*WEIGHTED, "ADD", "SUB", "MUL")


def fuse_activations(graph: FloatGraph) -> FloatGraph:
    """RELU and its kin go into the layer in front of them, if nothing else reads it."""
    return repeated(graph, _first)


def _first(graph: FloatGraph) -> FloatGraph | None:
    """One layer takes one of them."""
    for node in graph.nodes:
        layer = graph.producer(node.read[0]) if node.kind in _ACTIVATIONS else None
        if layer is None or layer.kind not in _HOSTS or not only_reader(graph, node.read[0], node):
            continue
        if fused(layer) != "NONE":
            continue
        host = with_attributes(replace(layer, outputs=node.outputs), fused_activation_function=node.kind)
        return rebuilt(graph, replaced(graph.nodes, {id(layer): None, id(node): host}))
    return None
