"""Cross-layer equalization: scales move between neighbouring layers so that their channels have ranges alike.

Source: Nagel et al. 2019 (arXiv 1906.04721), section 4.1. Behind a rectifier (or nothing) a channel can be divided by
any positive number and the weights that read it multiplied by it: the network computes the same. With
``s = sqrt(r1 / r2)``, r1 and r2 being the largest weights that make and that read the channel, both become
``sqrt(r1 * r2)``. It pays where weights have one scale for all channels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from bitloom.ir.float_graph import FloatGraph, FloatNode, FloatTensor
from bitloom.quantize.prepare.rewrite import WEIGHTED, fused, only_reader
from bitloom.quantize.statistics import Float64Array

_ROUNDS = 20
_SETTLED = 1e-3
# A channel whose weights are all 0 on one side keeps its scale; so do extreme quotients.
_SMALLEST, _LARGEST = 1e-4, 1e4
_HOMOGENEOUS = ("NONE", "RELU")


def equalize(graph: FloatGraph) -> FloatGraph:
    """The same function with weights equalized over all pairs of neighbouring layers, until nothing moves any more.

    A pair is a layer whose only reader is another layer, with a rectifier or nothing between, or a max pool.
    """
    for _ in range(_ROUNDS):
        moved = 1.0
        for first, second in list(_pairs(graph)):
            factors = _factors(graph, first, second)
            moved = max(moved, float(np.exp(np.abs(np.log(factors)).max())))
            graph = _scaled(graph, first, second, factors)
        if moved - 1.0 < _SETTLED:
            break
    return graph


def _pairs(graph: FloatGraph) -> Iterator[tuple[str, str]]:
    """Names of what the layers of each pair make."""
    for second in graph.nodes:
        if second.kind not in WEIGHTED:
            continue
        name, reader = second.read[0], second
        while (first := graph.producer(name)) is not None and only_reader(graph, name, reader):
            if first.kind in WEIGHTED and fused(first) in _HOMOGENEOUS:
                if _matching(graph, first, second):
                    yield first.outputs[0], second.outputs[0]
                break
            if not (first.kind in ("MAX_POOL_2D", "RELU") and fused(first) in _HOMOGENEOUS):
                break
            name, reader = first.read[0], first


def _matching(graph: FloatGraph, first: FloatNode, second: FloatNode) -> bool:
    """Whether each output channel of one is read as one input channel of the other, by constant weights."""
    constant = all(graph.tensor(name).is_constant for node in (first, second) for name in node.read[1:])
    if not constant:
        return False
    made = graph.tensor(first.outputs[0]).shape[-1]
    weights = graph.tensor(second.read[1]).shape
    if second.kind == "DEPTHWISE_CONV_2D":
        return weights[3] == made  # a multiplier of 1
    # Groups other than one read only some of the channels.
    return weights[-1] == made and graph.tensor(second.read[0]).shape[-1] == made


def _making(node: FloatNode, weights: Float64Array) -> Float64Array:
    """The largest weight of each output channel."""
    axis = 3 if node.kind == "DEPTHWISE_CONV_2D" else 0
    largest: Float64Array = np.abs(np.moveaxis(weights, axis, 0).reshape(weights.shape[axis], -1)).max(axis=1)
    return largest


def _reading(weights: Float64Array) -> Float64Array:
    """The largest weight of each input channel: the last axis of all layouts."""
    largest: Float64Array = np.abs(weights.reshape(-1, weights.shape[-1])).max(axis=0)
    return largest


def _factors(graph: FloatGraph, first: str, second: str) -> Float64Array:
    """What each channel is divided by."""
    makes, reads = _making(*_weights(graph, first)), _reading(_weights(graph, second)[1])
    usable = (makes > 0) & (reads > 0)
    quotients = np.sqrt(makes / np.where(usable, reads, 1.0), where=usable, out=np.ones_like(makes))
    return np.clip(quotients, _SMALLEST, _LARGEST)


def _weights(graph: FloatGraph, made: str) -> tuple[FloatNode, Float64Array]:
    node = graph.producer(made)
    assert node is not None, "pairs are layers"
    return node, graph.tensor(node.read[1]).constant.astype(np.float64)


def _scaled(graph: FloatGraph, first: str, second: str, factors: Float64Array) -> FloatGraph:
    """One pair with its factors moved."""
    (maker, made), (reader, read) = _weights(graph, first), _weights(graph, second)
    divided = made / factors if maker.kind == "DEPTHWISE_CONV_2D" else (made.T / factors).T
    graph = _with_constants(graph, maker, {1: divided})
    if len(maker.read) > 2:
        bias = graph.tensor(maker.read[2]).constant.astype(np.float64)
        maker = _weights(graph, first)[0]
        graph = _with_constants(graph, maker, {2: bias / factors})
    return _with_constants(graph, reader, {1: read * factors})


def _with_constants(graph: FloatGraph, node: FloatNode, constants: dict[int, npt.NDArray[np.float64]]) -> FloatGraph:
    """A node with other constants; those of other nodes stay."""
    inputs, tensors = list(node.inputs), {tensor.name: tensor for tensor in graph.tensors}
    for position, data in constants.items():
        name = node.inputs[position]
        assert name is not None, "constants that change are there"
        if len(graph.readers(name)) > 1:
            name = f"{node.outputs[0]}/{position}"
            while name in tensors:
                name += "_"
        inputs[position] = name
        tensors[name] = FloatTensor(name, data.shape, data)
    changed = replace(node, inputs=tuple(inputs))
    nodes = tuple(changed if each is node else each for each in graph.nodes)
    return replace(graph, tensors=tuple(tensors.values()), nodes=nodes)
