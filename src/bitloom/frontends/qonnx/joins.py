"""Sums, differences and concatenations of computed tensors of a QONNX file."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from bitloom.arith import Interval, IntType, Rescale, Rounding
from bitloom.errors import UnsupportedError
from bitloom.frontends.onnx.values import Tensor
from bitloom.frontends.qonnx.context import QonnxContext
from bitloom.frontends.qonnx.layers import EXACT_REACH, as_integers, one_scale
from bitloom.frontends.qonnx.quantizers import applied, judged, pieces_of
from bitloom.frontends.qonnx.values import Meaning, Reals
from bitloom.ops.add import Add
from bitloom.ops.shared.sums import left_shift
from bitloom.ops.sub import Sub

# Scales as 1 to 3 are brought to a common one by small factors; beyond this one of them is better quantized anew.
_LARGEST_FACTOR = 256


def pair(context: QonnxContext, kind: str) -> Meaning:
    """The sum or difference of two tensors, exact in integers of a scale that divides both scales."""
    if kind not in ("add", "subtract"):
        raise UnsupportedError("multiplies or divides two computed tensors", remedy="supported: constants there")
    left, right = (as_integers(context, context.reals(index), f"{context.name}_operand{index}") for index in range(2))
    if left.tensor.shape != right.tensor.shape:
        raise UnsupportedError(f"adds tensors of shapes {list(left.tensor.shape)} and {list(right.tensor.shape)}")
    scales = one_scale(left), one_scale(right)
    ratio = Fraction(scales[0]) / Fraction(scales[1])
    if max(ratio.numerator, ratio.denominator) > _LARGEST_FACTOR:
        raise UnsupportedError(
            f"adds tensors of the scales {scales[0]:g} and {scales[1]:g}, which no small whole numbers relate",
            remedy="quantize both with one scale",
        )
    unit = scales[1] / ratio.denominator
    sign = 1 if kind == "add" else -1
    ends = [
        sorted(factor * (int(end) - int(x.zero_points[0])) for end in (x.low.min(), x.high.max()))
        for factor, x in ((ratio.numerator, left), (sign * ratio.denominator, right))
    ]
    low, high = (ends[0][index] + ends[1][index] for index in range(2))
    builder = context.builder
    elements = left.tensor.value.type.integer, right.tensor.value.type.integer
    lifted = 2.0 ** -left_shift(max(element.bits for element in elements))
    output = IntType(Interval(min(low, 0), max(high, 0)).signed_bits)
    operator = (Add if kind == "add" else Sub)(
        left=elements[0],
        right=elements[1],
        output=output,
        constant=None,
        left_zero_point=int(left.zero_points[0]),
        right_zero_point=int(right.zero_points[0]),
        output_zero_point=0,
        left_rescale=Rescale((ratio.numerator * lifted,), Rounding.HALF_EVEN),
        right_rescale=Rescale((ratio.denominator * lifted,), Rounding.HALF_EVEN),
        rescale=Rescale((1.0,), Rounding.HALF_EVEN),
        activation=Interval(output.minimum, output.maximum),
    )
    first = builder.permuted(left.tensor)
    second = builder.arranged(right.tensor, first.order)
    value = builder.node(operator, [first.value, second.value], context.label)
    tensor = Tensor(value, first.shape, first.factors, first.order)
    exact = left.exact and right.exact and math.frexp(unit)[0] == 0.5 and max(-low, high) < EXACT_REACH
    zero = np.zeros(1, np.int64)
    made = Reals(tensor, tensor.shape, np.array([low]), np.array([high]), np.array([unit]), zero, exact=exact)
    return judged(builder, made, context.name)


def concatenation(context: QonnxContext) -> Meaning:
    """Concat, of tensors that may have scales of their own where these become channels."""
    parts = [
        as_integers(context, context.reals(index), f"{context.name}_operand{index}")
        for index in range(len(context.node.inputs))
    ]
    rank = len(parts[0].tensor.shape)
    axis = context.integer("axis", 0) % rank
    low, high = min(int(part.low.min()) for part in parts), max(int(part.high.max()) for part in parts)
    element = parts[0].tensor.value.type.integer
    if any(part.tensor.value.type.integer != element for part in parts):
        element = IntType.holding(low, high)
    tensors = [_widened(context, part, element, f"{context.name}_part{index}") for index, part in enumerate(parts)]
    tensor = context.builder.concatenated(tensors, axis, context.label)
    if any(part.axis not in (None, axis) for part in parts):
        raise UnsupportedError("joins tensors whose channels run along another axis")
    counts = [part.tensor.shape[axis] for part in parts]
    scales = np.concatenate([np.broadcast_to(part.scales, (count,)) for part, count in zip(parts, counts, strict=True)])
    zeros = np.concatenate(
        [np.broadcast_to(part.zero_points, (count,)) for part, count in zip(parts, counts, strict=True)]
    )
    same = bool((scales == scales[0]).all() and (zeros == zeros[0]).all())
    made = Reals(
        tensor,
        tensor.shape,
        np.array([low]),
        np.array([high]),
        scales[:1] if same else scales,
        zeros[:1] if same else zeros,
        None if same else axis,
        exact=all(part.exact for part in parts),
    )
    return judged(context.builder, made, context.name)


def _widened(context: QonnxContext, part: Reals, element: IntType, name: str) -> Tensor:
    """The integers in a wider type."""
    if part.tensor.value.type.integer == element:
        return part.tensor
    bare = part.bare
    return applied(context.builder, bare, pieces_of(bare, lambda reals, _: reals.astype(np.int64)), element, name)
