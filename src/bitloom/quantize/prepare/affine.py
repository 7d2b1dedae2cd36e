"""Factors and terms of channels (batch normalization, scales, biases of their own) folded into weights and biases."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bitloom.ir.float_graph import FloatGraph, FloatNode, FloatTensor
from bitloom.quantize.prepare.rewrite import (
    WEIGHTED,
    constant_operand,
    fresh_name,
    fused,
    only_reader,
    per_channel,
    rebuilt,
    repeated,
    replaced,
    with_attributes,
)
from bitloom.quantize.statistics import Float64Array


def fold_affine(graph: FloatGraph) -> FloatGraph:
    """Every MUL, ADD or SUB with a constant per channel, behind a layer with weights, goes into that layer."""
    return repeated(graph, _first)


def _first(graph: FloatGraph) -> FloatGraph | None:
    """One layer takes one of them."""
    for node in graph.nodes:
        change = affine(graph, node)
        if change is None:
            continue
        name, factors, terms = change
        layer = graph.producer(name)
        if (
            layer is None
            or layer.kind not in WEIGHTED
            or fused(layer) != "NONE"
            or not only_reader(graph, name, node)
            or not all(graph.tensor(operand).is_constant for operand in layer.read[1:])
        ):
            continue
        return _folded(graph, layer, node, factors, terms)
    return None


def affine(graph: FloatGraph, node: FloatNode) -> tuple[str, Float64Array, Float64Array] | None:
    """``factors * x + terms`` that a node computes, one of each per channel, and the name of x; None if it is other."""
    found = constant_operand(graph, node) if node.kind in ("MUL", "ADD", "SUB") else None
    if found is None:
        return None
    name, constant, position = found
    shape = graph.tensor(name).shape
    if not shape or shape != graph.tensor(node.outputs[0]).shape:
        return None
    numbers = per_channel(constant, shape[-1])
    if numbers is None:
        return None
    ones, zeros = np.ones(shape[-1]), np.zeros(shape[-1])
    match node.kind, position:
        case "MUL", _:
            return name, numbers, zeros
        case "ADD", _:
            return name, ones, numbers
        case "SUB", 1:
            return name, ones, -numbers
        case _:
            return name, -ones, numbers


def _folded(
    graph: FloatGraph,
    layer: FloatNode,
    node: FloatNode,
    factors: Float64Array,
    terms: Float64Array,
) -> FloatGraph:
    weights = graph.tensor(layer.read[1])
    bias = graph.tensor(layer.read[2]).constant.reshape(-1).astype(np.float64) if len(layer.read) > 2 else 0.0
    along = factors if layer.kind == "DEPTHWISE_CONV_2D" else factors.reshape(-1, *(1,) * (len(weights.shape) - 1))
    made = node.outputs[0]
    new_weights = FloatTensor(
        fresh_name(graph, f"{made}/weights"), weights.shape, (weights.constant * along).astype(np.float32)
    )
    new_bias = FloatTensor(
        fresh_name(graph, f"{made}/bias"), factors.shape, (factors * bias + terms).astype(np.float32)
    )
    folded = replace(layer, inputs=(layer.read[0], new_weights.name, new_bias.name), outputs=node.outputs)
    folded = with_attributes(folded, fused_activation_function=fused(node))
    return rebuilt(graph, replaced(graph.nodes, {id(layer): None, id(node): folded}), (new_weights, new_bias))
