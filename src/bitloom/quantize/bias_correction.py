"""Biases that take back what rounding adds to every output on average.

Source: Nagel et al. 2019 (arXiv 1906.04721), section 4.2, with means from calibration samples instead of batch
normalization: ``bias + w . mean(x) - w_q . mean(x_q)``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from bitloom.ir.float_graph import FloatGraph, FloatNode, FloatTensor
from bitloom.quantize.moments import LayerMoments, rows_of_weights
from bitloom.quantize.prepare.rewrite import fresh_name
from bitloom.quantize.weights import LayerWeights, weights_rule


def correct_biases(
    graph: FloatGraph, weights: Mapping[str, LayerWeights], moments: Mapping[str, LayerMoments]
) -> FloatGraph:
    """The graph with corrected biases; layers without a bias get one.

    Args:
        graph: prepared.
        weights: integers of its layers.
        moments: of the layers' inputs.
    """
    for node in graph.nodes:
        if weights_rule(node) is not None:
            graph = _corrected(graph, node, weights[node.outputs[0]], moments[node.outputs[0]])
    return graph


def _corrected(graph: FloatGraph, node: FloatNode, weights: LayerWeights, moments: LayerMoments) -> FloatGraph:
    channels = graph.tensor(node.read[0]).shape[-1]
    real = rows_of_weights(node, graph.tensor(node.read[1]).constant.astype(np.float64), channels)
    integers = rows_of_weights(node, weights.real, channels)
    wanted = np.einsum("got,gt->go", real, moments.mean)
    found = np.einsum("got,gt->go", integers, moments.quantized_mean)
    shift = (wanted - found).reshape(-1)
    has_bias = len(node.inputs) > 2 and node.inputs[2] is not None
    bias = graph.tensor(node.read[2]).constant.reshape(-1).astype(np.float64) if has_bias else np.zeros(len(shift))
    name = fresh_name(graph, f"{node.outputs[0]}/corrected_bias")
    tensor = FloatTensor(name, bias.shape, bias + shift)
    changed = replace(node, inputs=(*node.inputs[:2], name))
    nodes = tuple(changed if each is node else each for each in graph.nodes)
    read = {each for one in nodes for each in one.read}
    kept = tuple(each for each in graph.tensors if not each.is_constant or each.name in read)
    return replace(graph, tensors=(*kept, tensor), nodes=nodes)
