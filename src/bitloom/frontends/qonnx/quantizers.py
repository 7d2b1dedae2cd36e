"""QONNX's quantizers: constants become narrow integers, and what is computed becomes a step function of integers."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from bitloom.arith import IntType
from bitloom.errors import ModelFormatError, UnsupportedError
from bitloom.frontends.onnx.builder import GraphBuilder
from bitloom.frontends.onnx.values import CHANNELS_LAST, Float32Array, Tensor
from bitloom.frontends.qonnx.context import QonnxContext
from bitloom.frontends.qonnx.rules import IntRule, TruncRule, bipolar_integers, rounding, width
from bitloom.frontends.qonnx.thresholds import FLOAT_KEYS, Pieces, find_pieces, floats_of
from bitloom.frontends.qonnx.values import Int64Array, Known, Meaning, Reals
from bitloom.ir import Quantization
from bitloom.ops.lookup import Lookup
from bitloom.ops.multi_threshold import MultiThreshold
from bitloom.ops.quantize_linear import QuantizeLinear
from bitloom.ops.quantize_steps import QuantizeSteps

Rule = Callable[[Float32Array, Int64Array], Int64Array]
"""From reals (count, columns) and the columns' channels to integers; it never decreases."""

# Up to here binary32's reals, a few last places off, tell integers apart.
_TOLD_APART = 2.0**21
# Beyond so many bits inputs are divided, not compared with thresholds.
_STEP_BITS = 16
# One function of so few bits is a table.
_TABLE_BITS = 8


def quant(context: QonnxContext) -> Meaning:
    """Quant, IntQuant."""
    bits = width(context.array(3))
    rule = IntRule(
        bits,
        bool(context.integer("signed", 1)),
        bool(context.integer("narrow", 0)),
        rounding(context.text("rounding_mode", "ROUND")),
    )
    x, scale, zero_point = context.operand(0), _scale(context, 1), context.array(2).astype(np.float32)
    if isinstance(x, Known):
        found = rule.integers(x.array.astype(np.float32), scale, zero_point)
        return _known(found, scale, zero_point)
    reals, scales, zeros = _parameters(context, context.reals(), scale, zero_point)
    if reals.is_input and bits > _STEP_BITS:
        return _wide_input(context, reals, rule, scales, zeros)
    return quantized(
        context,
        reals,
        lambda numbers, channels: rule.integers(numbers, _of(scales, channels), _of(zeros, channels)),
        rule.element,
        scales.astype(np.float64),
        whole(zeros),
    )


def _wide_input(context: QonnxContext, x: Reals, rule: IntRule, scales: Float32Array, zeros: Float32Array) -> Reals:
    """An input of more integers than thresholds could tell apart: divided and rounded, halves to even."""
    plain = rule.round is np.rint and not rule.narrow and not zeros.any() and len(scales) == 1
    if x.steps or x.moves or not plain:
        raise UnsupportedError(
            f"quantizes an input to {rule.bits} bits behind other nodes, or not by halves to even about zero",
            remedy=f"quantize it to at most {_STEP_BITS} bits",
        )
    operator = QuantizeLinear(float(scales[0]), 0, rule.element)
    tensor = Tensor.plain(context.builder.node(operator, [x.tensor.value], context.label))
    low, high = (np.array([end]) for end in rule.ends)
    made = Reals(tensor, tensor.shape, low, high, scales.astype(np.float64), np.zeros(1, np.int64))
    return judged(context.builder, made, context.name)


def bipolar_quant(context: QonnxContext) -> Meaning:
    """BipolarQuant."""
    x, scale, zero = context.operand(0), _scale(context, 1), np.zeros(1, np.float32)
    if isinstance(x, Known):
        return _known(bipolar_integers(x.array.astype(np.float32)), scale, zero)
    reals, scales, _ = _parameters(context, context.reals(), scale, zero)
    made = scales.astype(np.float64)
    return quantized(
        context, reals, lambda numbers, _: bipolar_integers(numbers), IntType(2), made, np.zeros(1, np.int64)
    )


def trunc(context: QonnxContext) -> Meaning:
    """Trunc, of version 1 (five operands) and 2 (six)."""
    second = len(context.node.inputs) > 5
    scale, zero_point = _scale(context, 1), context.array(2).astype(np.float32)
    rounded = rounding(context.text("rounding_mode", "FLOOR"))
    given = width(context.array(3), "input bit width")
    made = width(context.array(5 if second else 4), "output bit width")
    out_scale, clamp, divisor = scale, None, 2.0 ** (given - made)
    if second:
        out_scale = _scale(context, 4)
        clamp = IntRule(made, bool(context.integer("signed", 1)), bool(context.integer("narrow", 0)), rounded)
        powers = np.round(np.log2(out_scale / scale))
        if np.ptp(powers):
            raise UnsupportedError("truncates channels by numbers of bits that differ")
        divisor = 2.0 ** float(powers.reshape(-1)[0])
    rule = TruncRule(divisor, rounded, clamp)
    out_zero = zero_point / np.float32(divisor) if second else zero_point
    x = context.operand(0)
    if isinstance(x, Known):
        return _known(rule.integers(x.array.astype(np.float32), scale, zero_point), out_scale, out_zero)
    reals, scales, zeros = _parameters(context, context.reals(), scale, zero_point)
    reals, out_scales, out_zeros = _parameters(context, reals, out_scale, out_zero)
    return quantized(
        context,
        reals,
        lambda numbers, channels: rule.integers(numbers, _of(scales, channels), _of(zeros, channels)),
        clamp.element if clamp else None,
        out_scales.astype(np.float64),
        whole(out_zeros),
    )


def quantized(
    context: QonnxContext,
    x: Reals,
    rule: Rule,
    element: IntType | None,
    scales: npt.NDArray[np.float64],
    zero_points: Int64Array,
) -> Reals:
    """What a rule makes of reals: a step function of the integers they are made of, and the moves that waited for it.

    Args:
        context: of the node.
        x: the reals.
        rule: from reals to integers.
        element: of the results; None for the narrowest.
        scales: of the results, one or one per channel.
        zero_points: likewise.
    """
    pieces = pieces_of(x, rule)
    element = element or IntType.holding(pieces.low, pieces.high)
    builder, name = context.builder, context.label
    own = f"{name}_before" if x.moves else name
    tensor = applied(builder, x, pieces, element, own)
    if x.moves and len(scales) == len(zero_points) == 1:
        builder.quantized(tensor.value, Quantization(tuple(scales.tolist()), tuple(zero_points.tolist())))
    for index, move in enumerate(x.moves):
        tensor = move(tensor, name if index == len(x.moves) - 1 else f"{name}_moved{index}")
    axis = x.axis if len(scales) > 1 or len(zero_points) > 1 else None
    if axis is not None and x.has_moved:
        raise UnsupportedError("has several scales behind a reshape", remedy="quantize in front of the reshape")
    ends = np.array([pieces.low]), np.array([pieces.high])
    made = Reals(tensor, tensor.shape, *ends, scales, zero_points, axis)
    return judged(builder, made, context.name)


def pieces_of(x: Reals, rule: Rule) -> Pieces:
    """The step functions that a rule behind reals is, of the elements that they are made of."""
    direction = x.direction
    channels = x.channels

    def evaluate(keys: Int64Array, columns: Int64Array) -> Int64Array:
        return rule(x.reals(floats_of(keys) if x.is_input else keys, columns), columns)

    if x.is_input:
        ends = np.full(channels, FLOAT_KEYS)
        return find_pieces(evaluate, -ends, ends, direction)
    low, high = (np.broadcast_to(each, (channels,)).astype(np.int64) for each in (x.low, x.high))
    return find_pieces(evaluate, low, high, direction)


def applied(builder: GraphBuilder, x: Reals, pieces: Pieces, element: IntType, name: str) -> Tensor:
    """The step functions of elements, as the operator that suits them."""
    tensor = x.tensor
    if x.is_input:
        starts = tuple(tuple(map(float, floats_of(each))) for each in pieces.starts)
        values = tuple(tuple(map(int, each)) for each in pieces.values)
        return Tensor.plain(builder.node(QuantizeSteps(element, starts, values, x.axis), [tensor.value], name))
    given = tensor.value.type.integer
    if len(pieces.starts) == 1 and given.bits <= _TABLE_BITS:
        keys = np.arange(given.minimum, given.maximum + 1)
        entries = pieces.values[0][np.searchsorted(pieces.starts[0], keys, side="right")]
        used = (keys >= x.low.min()) & (keys <= x.high.max())
        if element == given and (entries == keys)[used].all():
            return tensor
        node = builder.node(Lookup(given, element, tuple(entries.tolist())), [tensor.value], name)
        return replace(tensor, value=node)
    if x.axis is not None:
        tensor = channels_last(builder, tensor, x.axis)
    starts_array, values_array = pieces.padded(given.maximum)
    constants = [
        builder.constant(f"{name}_thresholds", starts_array, given),
        builder.constant(f"{name}_values", values_array, element),
    ]
    value = builder.node(MultiThreshold(given, element), [tensor.value, *constants], name)
    return replace(tensor, value=value)


def channels_last(builder: GraphBuilder, tensor: Tensor, axis: int) -> Tensor:
    """With an axis of ONNX's shape as the last one of the value."""
    if len(tensor.shape) == 4 and axis == 1:
        return builder.arranged(tensor, CHANNELS_LAST)
    return builder.arranged(tensor, (*(each for each in range(len(tensor.shape)) if each != axis), axis))


def judged(builder: GraphBuilder, x: Reals, name: str, offsets: Float32Array | None = None) -> Reals:
    """The same, whose value is known to be the file's tensor, with the scales that make its reals integers.

    Args:
        builder: of the graph.
        x: integers with scales.
        name: of the file's tensor.
        offsets: what the file's tensor has been added, one number or one per channel.
    """
    tensor = x.tensor
    if tensor.value.name in builder.views:  # a tensor of the file already, with scales of its own
        return x
    largest = float(max(-x.low.min(), x.high.max()))
    if offsets is not None:
        largest += float(np.abs(offsets).max() / x.scales.min())
    if largest >= _TOLD_APART and not x.exact:
        return x
    scales, zeros = (tuple(each.tolist()) for each in np.broadcast_arrays(x.scales, x.zero_points))
    if len(scales) == 1:
        builder.quantized(tensor.value, Quantization(scales, zeros))
    elif x.axis is not None and tensor.permuted and len(scales) == x.channels:
        builder.quantized(tensor.value, Quantization(scales, zeros, tensor.order.index(x.axis)))
    else:
        return x
    builder.named(tensor, name)
    if offsets is not None:
        view = builder.views[tensor.value.name]
        numbers = tuple(offsets.astype(float).tolist())
        builder.views[tensor.value.name] = replace(view, offsets=numbers, offset_axis=x.axis or 0)
    return x


def whole(zeros: Float32Array) -> Int64Array:
    """Zero points.

    Raises:
        UnsupportedError: fractions.
    """
    if (zeros != np.rint(zeros)).any():
        raise UnsupportedError(
            f"has the zero point {zeros[zeros != np.rint(zeros)][0]:g}, and a whole number is needed",
            remedy="export the model with integer zero points",
        )
    return zeros.astype(np.int64)


def _scale(context: QonnxContext, index: int) -> Float32Array:
    scale = context.array(index).astype(np.float32)
    if not (np.isfinite(scale).all() and (scale > 0).all()):
        raise ModelFormatError(f"has scales that are not positive: {scale.reshape(-1)[0]:g}")
    return scale


def _parameters(
    context: QonnxContext, x: Reals, scale: npt.NDArray[Any], zero_point: npt.NDArray[Any]
) -> tuple[Reals, Float32Array, Float32Array]:
    x, scales = context.along(x, scale, "scale")
    x, zeros = context.along(x, zero_point, "zero point")
    return x, scales, zeros


def _of(numbers: Float32Array, channels: Int64Array) -> Float32Array:
    return numbers if len(numbers) == 1 else numbers[channels]


def _known(integers: Int64Array, scale: Float32Array, zero_point: Float32Array) -> Known:
    """Constants that were quantized, as integers and as the reals of the format."""
    difference = integers - whole(np.asarray(zero_point).reshape(-1)).reshape(zero_point.shape)
    array = difference.astype(np.float32) * scale
    scales = np.broadcast_to(scale.astype(np.float64), array.shape)
    if not math.prod(array.shape):
        raise ModelFormatError("quantizes nothing")
    return Known(array.astype(np.float32), np.broadcast_to(difference, array.shape), scales)
