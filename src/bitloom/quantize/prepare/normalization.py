"""A factor and a term per channel that no layer in front can take: a depthwise convolution of one pixel."""

from __future__ import annotations

import numpy as np

from bitloom.ir.float_graph import FloatGraph, FloatNode, FloatTensor
from bitloom.quantize.prepare.affine import affine
from bitloom.quantize.prepare.rewrite import fresh_name, fused, only_reader, rebuilt, repeated, replaced


def scale_channels(graph: FloatGraph) -> FloatGraph:
    """``x * factors + terms`` of images, as two nodes, become one: rounded once, with a scale per channel."""
    return repeated(graph, _first)


def _first(graph: FloatGraph) -> FloatGraph | None:
    """One of them."""
    for node in graph.nodes:
        outer = affine(graph, node)
        inner_node = graph.producer(outer[0]) if outer is not None else None
        if outer is None or inner_node is None or fused(inner_node) != "NONE":
            continue
        inner = affine(graph, inner_node)
        if inner is None or not only_reader(graph, outer[0], node) or len(graph.tensor(inner[0]).shape) != 4:
            continue
        factors, terms = outer[1] * inner[1], outer[2] + outer[1] * inner[2]
        made, channels = node.outputs[0], factors.size
        weights = FloatTensor(
            fresh_name(graph, f"{made}/weights"),
            (1, 1, 1, channels),
            factors.astype(np.float32).reshape(1, 1, 1, channels),
        )
        bias = FloatTensor(fresh_name(graph, f"{made}/bias"), (channels,), terms.astype(np.float32))
        attributes = {
            "padding": "VALID",
            "stride_h": 1,
            "stride_w": 1,
            "dilation_h_factor": 1,
            "dilation_w_factor": 1,
            "depth_multiplier": 1,
            "fused_activation_function": fused(node),
        }
        layer = FloatNode(
            "DEPTHWISE_CONV_2D", (inner[0], weights.name, bias.name), node.outputs, attributes, source=node.where
        )
        changes = {id(inner_node): None, id(node): layer}
        return rebuilt(graph, replaced(graph.nodes, changes), (weights, bias))
    return None
