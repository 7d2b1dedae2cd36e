"""Rounding weights one after the other, each time making up for the error with those that are still to come.

Source: GPTQ (Frantar et al. 2022, arXiv 2210.17323), equations 2 and 3: with the second moments H of a layer's inputs
the squared error of its outputs is ``(w - q) H (w - q)``. When column i is rounded, the columns behind it take
``-(w_i - q_i) / [inv(H)]_ii * [inv(H)]_i,``, which is what keeps the error least. The search for the nearest integers
(AdaRound, Nagel et al. 2020, arXiv 2004.10568) minimises the same error; this one needs no training and is exact
linear algebra.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from bitloom.ir.float_graph import FloatGraph, FloatNode
from bitloom.quantize.moments import LayerMoments, rows_of_weights, weights_of_rows
from bitloom.quantize.statistics import Float64Array
from bitloom.quantize.weights import LayerWeights, weights_rule

# Of the mean of the diagonal, added to it: so that inputs that hardly vary do not take all corrections.
_DAMPING = 0.01


def round_adaptively(
    graph: FloatGraph, weights: Mapping[str, LayerWeights], moments: Mapping[str, LayerMoments]
) -> dict[str, LayerWeights]:
    """Weights of the same types with less error in the layers' outputs.

    A row of weights keeps its nearest integers where they are better, and a layer without second moments all of them.

    Args:
        graph: prepared.
        weights: nearest integers.
        moments: of the layers' inputs.
    """
    found = dict(weights)
    for node in graph.nodes:
        name = node.outputs[0]
        if weights_rule(node) is None or moments[name].second is None:
            continue
        found[name] = _layer(graph, node, weights[name], moments[name])
    return found


def _layer(graph: FloatGraph, node: FloatNode, nearest: LayerWeights, moments: LayerMoments) -> LayerWeights:
    real = graph.tensor(node.read[1]).constant.astype(np.float64)
    channels = graph.tensor(node.read[0]).shape[-1]
    quantization, element = nearest.type.required_quantization, nearest.type.integer
    scales = np.array(quantization.scales)
    if quantization.axis is None:
        scales = np.broadcast_to(scales, (real.shape[_output_axis(node)],))
    groups = len(moments.mean)
    lying = scales.reshape(groups, -1)
    rows = rows_of_weights(node, real, channels)
    integers = rows_of_weights(node, nearest.values, channels).copy()
    second = moments.second
    assert second is not None, "layers without were left out"
    for group in range(groups):
        square, steps = second[group], rows[group] / lying[group][:, None]
        found = adapted(steps, square, element.maximum)
        better = errors(steps - found, square) < errors(steps - integers[group], square)
        integers[group][better] = found[better]
    return replace(nearest, values=weights_of_rows(node, integers, real.shape))


def _output_axis(node: FloatNode) -> int:
    rule = weights_rule(node)
    assert rule is not None, "only layers with weights come here"
    return rule.axis


def adapted(steps: Float64Array, second: Float64Array, limit: int) -> npt.NDArray[np.int64]:
    """Integers from -limit to limit for rows of weights in units of their scales.

    Args:
        steps: (rows, taps).
        second: (taps, taps), second moments of the taps' inputs.
        limit: the largest integer.

    Two inputs that are always equal: one weight makes up for the other's rounding.

    >>> equal = np.array([[1.0, 1.0], [1.0, 1.0]])
    >>> adapted(np.array([[0.4, 0.4]]), equal, 7).sum(), np.rint([0.4, 0.4]).sum()
    (np.int64(1), np.float64(0.0))
    """
    taps = len(second)
    left = steps.copy()
    found = np.zeros(steps.shape, np.int64)
    damped = second + np.eye(taps) * max(_DAMPING * float(np.diag(second).mean()), np.finfo(np.float64).tiny)
    # Row i of the upper factor of the inverse is what column i's error costs those behind it, once it is fixed.
    upper = np.linalg.cholesky(np.linalg.inv(damped)).T if np.diag(second).any() else np.eye(taps)
    for tap in range(taps):
        found[:, tap] = np.clip(np.rint(left[:, tap]), -limit, limit)
        error = (left[:, tap] - found[:, tap]) / upper[tap, tap]
        left[:, tap + 1 :] -= error[:, None] * upper[tap, tap + 1 :]
    return found


def errors(differences: Float64Array, second: Float64Array) -> Float64Array:
    """Mean squared error of the outputs that rows of differences of weights make."""
    result: Float64Array = np.einsum("ri,ij,rj->r", differences, second, differences, optimize=True)
    return result
