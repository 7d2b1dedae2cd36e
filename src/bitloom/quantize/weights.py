"""Weights as integers: symmetric, with a scale for each output channel or one for all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bitloom.arith import IntType
from bitloom.errors import QuantizeError, UnsupportedError
from bitloom.ir.float_graph import FloatGraph, FloatNode
from bitloom.ir.types import Quantization, TensorType
from bitloom.quantize.activations import Activations
from bitloom.quantize.options import QuantizeOptions
from bitloom.quantize.ranges import power_of_two_above
from bitloom.quantize.rules import RULES, Weights
from bitloom.quantize.scales import SMALLEST_SCALE
from bitloom.quantize.statistics import Float64Array

# Biases are int32 in steps of the product of the scales; so large they may get.
_LARGEST_BIAS = 2**30
# A channel whose weights are smaller parts of the layer's largest is below every resolution.
_SMALLEST_PART = 2.0**-24
_SEARCHED_BELOW_BITS = 8
_SHARES = np.linspace(1.0, 0.3, 71)
_NAMED_CHANNELS = 8


@dataclass(frozen=True, eq=False)
class LayerWeights:
    """The weights of one layer.

    Attributes:
        values: int64, of the shape of the real weights.
        type: their type: shape, width, scales.
    """

    values: npt.NDArray[np.int64]
    type: TensorType

    @property
    def real(self) -> Float64Array:
        """What the integers stand for."""
        quantization = self.type.required_quantization
        if quantization.axis is None:
            return self.values.astype(np.float64) * quantization.scale
        return self.values * _along(np.array(quantization.scales), self.values.ndim, quantization.axis)


def weights_rule(node: FloatNode) -> Weights | None:
    """Where a node has its weights, if it has any."""
    rule = RULES.get(node.kind)
    return rule.weights if rule else None


def quantize_weights(graph: FloatGraph, activations: Activations, options: QuantizeOptions) -> dict[str, LayerWeights]:
    """The weights of every layer, by the name of the tensor that the layer makes.

    Args:
        graph: whose weights are constants.
        activations: whose scales limit those of weights from below, so that biases fit their type.
        options: widths, scales per channel or per tensor, how ranges are chosen, what becomes of dead channels.

    Raises:
        QuantizeError: a channel whose weights are all 0.
        UnsupportedError: weights or biases that are computed.
    """
    found = {}
    for node in graph.nodes:
        rule = weights_rule(node)
        if rule is None:
            continue
        for name in node.read[1:]:
            if not graph.tensor(name).is_constant:
                raise UnsupportedError(f"has weights or a bias that are computed ('{name}')", where=node.where)
        found[node.outputs[0]] = _layer(graph, node, rule, activations, options)
    return found


def _layer(
    graph: FloatGraph, node: FloatNode, rule: Weights, activations: Activations, options: QuantizeOptions
) -> LayerWeights:
    real = graph.tensor(node.read[1]).constant.astype(np.float64)
    element = IntType(options.of_layer(node.outputs[0]).weights)
    channels = np.moveaxis(real, rule.axis, 0).reshape(real.shape[rule.axis], -1)
    largest = np.abs(channels).max(axis=1)
    dead = np.flatnonzero(largest == 0)
    if dead.size and options.dead_channels == "refuse":
        raise QuantizeError(
            f"all weights of {_said(dead)} of {len(largest)} are 0: a dead channel has no range",
            where=f"{node.where}, weights '{node.read[1]}'",
            remedy="remove it from the network, train again, or keep it as a constant (--dead-channels keep)",
        )
    searched = options.weight_ranges == "mse" or (
        options.weight_ranges == "auto" and element.bits < _SEARCHED_BELOW_BITS
    )
    rows = channels if options.per_channel else channels.reshape(1, -1)
    scales = _scales(rows, element.maximum, searched=searched, power_of_two=options.power_of_two)
    scales = np.maximum(scales, _smallest_scales(graph, node, activations, scales))
    if options.power_of_two:
        scales = np.array([power_of_two_above(scale) for scale in scales.tolist()])
    scales = scales.astype(np.float32).astype(np.float64)
    steps = np.rint(real / _along(scales, real.ndim, rule.axis) if options.per_channel else real / scales[0])
    values = np.clip(steps, -element.maximum, element.maximum).astype(np.int64)
    quantization = Quantization(tuple(scales.tolist()), (0,) * len(scales), rule.axis if options.per_channel else None)
    return LayerWeights(values, TensorType(real.shape, element, quantization))


def _scales(rows: Float64Array, limit: int, *, searched: bool, power_of_two: bool) -> Float64Array:
    """A scale for each row: of its largest magnitude, or of the part of it with the least squared error."""
    largest = np.abs(rows).max(axis=1)
    whole = largest / limit
    if not searched:
        return whole
    best, least = whole.copy(), np.full(len(rows), np.inf)
    for share in _SHARES:
        scales = np.maximum(whole * share, np.finfo(np.float64).tiny)
        if power_of_two:
            scales = np.exp2(np.ceil(np.log2(scales)))
        represented = np.clip(np.rint(rows / scales[:, None]), -limit, limit) * scales[:, None]
        errors = np.square(rows - represented).sum(axis=1)
        better = errors < least
        best[better], least[better] = scales[better], errors[better]
    return best


def _smallest_scales(
    graph: FloatGraph, node: FloatNode, activations: Activations, scales: Float64Array
) -> Float64Array:
    """What the scales must reach so that the bias is an int32, and that channels next to nothing stay in range."""
    floor = np.full(len(scales), max(scales.max() * _SMALLEST_PART, SMALLEST_SCALE))
    if not scales.any():
        floor[:] = 1.0  # nothing but zeros: any scale is exact
    if len(node.read) < 3:
        return floor
    bias = np.abs(graph.tensor(node.read[2]).constant.reshape(-1).astype(np.float64))
    step = operand_type(node, activations).required_quantization.scale
    needed = bias / (step * _LARGEST_BIAS)
    return np.maximum(floor, needed if len(scales) == len(needed) else needed.max())


def operand_type(node: FloatNode, activations: Activations, position: int = 0) -> TensorType:
    """The type in which a node reads an operand: converted, where it is."""
    converted = activations.conversions.get((node.outputs[0], position))
    return converted if converted is not None else activations.types[node.read[position]]


def _along(scales: Float64Array, rank: int, axis: int) -> Float64Array:
    shape = [1] * rank
    shape[axis] = -1
    return scales.reshape(shape)


def _said(channels: npt.NDArray[np.int64]) -> str:
    numbers = ", ".join(map(str, channels[:_NAMED_CHANNELS].tolist()))
    more = f" and {channels.size - _NAMED_CHANNELS} more" if channels.size > _NAMED_CHANNELS else ""
    return f"output channel{'s' if channels.size > 1 else ''} {numbers}{more}"
