"""Sums, products and concatenations of ONNX tensors that have scales of their own."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from bitloom.arith import Rescale, Rounding
from bitloom.errors import UnsupportedError
from bitloom.frontends.onnx.builder import GraphBuilder
from bitloom.frontends.onnx.values import (
    Bounds,
    Computed,
    Constant,
    Dequantized,
    Float32Array,
    Function,
    Meaning,
    Scale,
    Tensor,
    element_of,
)
from bitloom.ir import TensorType, Value
from bitloom.ops.add import Add
from bitloom.ops.mul import Mul
from bitloom.ops.shared.elementwise import PairOperator
from bitloom.ops.shared.sums import SumOperator, left_shift
from bitloom.ops.sub import Sub

KINDS = ("Add", "Sub", "Mul", "Div", "Pow", "Min", "Max")
"""Operators of two operands."""


def pair(builder: GraphBuilder, kind: str, left: Meaning, right: Meaning) -> Meaning:
    """Operators of two operands; with a number they are functions of the other operand, a bias belongs to its layer."""
    for one, other, swapped in ((left, right, False), (right, left, True)):
        if isinstance(other, Constant):
            found = _with_constant(kind, one, other, swapped=swapped)
            if found is not None:
                return found
    if kind not in _OPERATORS:
        raise UnsupportedError(
            f"computes {kind} of two computed tensors, or of one and constants that differ",
            where=builder.where,
            remedy="use Add, Sub or Mul, or one number",
        )

    def make(made: Scale, bounds: Bounds, name: str) -> Tensor:
        tensors, scales = _aligned(builder, [left, right], name)
        values = [tensor.value for tensor in tensors]
        constants = [index for index, value in enumerate(values) if value.is_constant]
        operator = _operator(kind, values, scales, made, bounds, constants[0] if constants else None)
        value = builder.node(operator, values, name, made)
        rank = max(len(tensor.shape) for tensor in tensors)
        order = next(tensor.order for tensor in tensors if len(tensor.shape) == rank)
        shape = np.array(value.type.shape)[np.argsort(order)]
        return Tensor(value, tuple(shape.tolist()), tuple(shape.tolist()), order)

    return Computed(make)


def _with_constant(kind: str, one: Meaning, other: Constant, *, swapped: bool) -> Meaning | None:
    """With a constant, the second operand if not swapped; None where it is an operand like others."""
    array = other.array
    if isinstance(one, Computed) and not swapped and kind in ("Sub", "Div"):
        kind, array = ("Add", -array) if kind == "Sub" else ("Mul", 1 / array.astype(np.float64))
    if isinstance(one, Computed) and kind == "Add" and one.with_bias is not None:
        return one.with_bias(other if array is other.array else Constant(array))
    if isinstance(one, Computed) and kind == "Mul" and one.scaled is not None:
        return one.scaled(Constant(array))
    if array.size != 1:
        return None
    number = np.float32(array.reshape(-1)[0])
    if isinstance(one, Computed) and kind in ("Min", "Max"):
        return one.clipped(-math.inf, float(number)) if kind == "Min" else one.clipped(float(number), math.inf)
    if isinstance(one, Dequantized):
        return replace(one, functions=(*one.functions, _with_number(kind, number, swapped=swapped)))
    return None


def _with_number(kind: str, number: np.float32, *, swapped: bool) -> Function:
    """A function of two numbers, one of them known, in binary32."""
    function = _FUNCTIONS[kind]
    if swapped:
        return lambda reals: function(np.full_like(reals, number), reals)
    return lambda reals: function(reals, np.full_like(reals, number))


_FUNCTIONS: Mapping[str, Callable[[Float32Array, Float32Array], Float32Array]] = {
    "Add": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Div": np.divide,
    "Pow": np.power,
    "Min": np.minimum,
    "Max": np.maximum,
}
_OPERATORS: Mapping[str, type[SumOperator | Mul]] = {"Add": Add, "Sub": Sub, "Mul": Mul}


def _operator(
    kind: str, values: Sequence[Value], scales: Sequence[Scale], made: Scale, bounds: Bounds, constant: int | None
) -> PairOperator:
    """The integer operator."""
    left, right = (value.type.integer for value in values)
    one, other = scales
    if kind == "Mul":
        return Mul(
            left=left,
            right=right,
            output=made.element,
            constant=constant,
            left_zero_point=one.zero_point,
            right_zero_point=other.zero_point,
            output_zero_point=made.zero_point,
            rescale=Rescale((one.scale * other.scale / made.scale,), Rounding.HALF_EVEN),
            activation=made.clamp(bounds),
        )
    twice = 2 * max(one.scale, other.scale)
    # So many bits are put behind the operands' integers before they are brought to one scale.
    lifted = left_shift(max(left.bits, right.bits))
    return (Sub if kind == "Sub" else Add)(
        left=left,
        right=right,
        output=made.element,
        constant=constant,
        left_zero_point=one.zero_point,
        right_zero_point=other.zero_point,
        output_zero_point=made.zero_point,
        left_rescale=Rescale((one.scale / twice,), Rounding.HALF_EVEN),
        right_rescale=Rescale((other.scale / twice,), Rounding.HALF_EVEN),
        rescale=Rescale((twice / (2.0**lifted * made.scale),), Rounding.HALF_EVEN),
        activation=made.clamp(bounds),
    )


def _aligned(builder: GraphBuilder, operands: Sequence[Meaning], name: str) -> tuple[list[Tensor], list[Scale]]:
    """Both operands with their axes in the same order, that of the first that is computed."""
    found = [_operand(builder, operand) for operand in operands]
    ranks = {len(tensor.shape) for tensor, _, _ in found}
    first = next((tensor for tensor, _, integers in found if integers is None), None)
    if first is None:
        raise UnsupportedError("computes a constant", where=builder.where, remedy="fold constants first")
    order = first.order if len(ranks) == 1 and first.permuted else tuple(range(len(first.shape)))
    if len(ranks) == 2 and len(first.shape) == max(ranks) and first.permuted:
        order = first.order
    tensors = []
    for index, (tensor, scale, integers) in enumerate(found):
        if integers is not None:
            # Axes in front that broadcasting supplies are written down, so that they can be permuted.
            given = integers.reshape((1,) * (len(order) - integers.ndim) + integers.shape)
            data = given.transpose(order) if given.ndim == len(order) else given
            value = builder.constant(f"{name}_constant{index}", data, scale.element, scale.quantization)
            tensors.append(Tensor(value, given.shape, given.shape, order))
        elif len(tensor.shape) == len(order):
            tensors.append(builder.arranged(tensor, order))
        else:
            shape = (1,) * (len(order) - len(tensor.shape)) + tensor.shape
            if len(tensor.shape) > len(order):
                raise UnsupportedError("broadcasts to the shape of its other operand", where=builder.where)
            tensors.append(builder.arranged(builder.reshaped(tensor, shape, f"{name}_shaped{index}"), order))
    return tensors, [scale for _, scale, _ in found]


def _operand(builder: GraphBuilder, operand: Meaning) -> tuple[Tensor, Scale, npt.NDArray[Any] | None]:
    """Integers, their scale, and what they are if constant."""
    if isinstance(operand, Dequantized) and not operand.functions:
        return operand.tensor, operand.scale, None
    if isinstance(operand, Constant) and operand.integers is not None and len(operand.scales) == 1:
        integers = operand.integers
        element = element_of(integers)
        if element is not None:
            scale = Scale(operand.scales[0], operand.zero_points[0], element)
            return Tensor.plain(Value("constant", TensorType(integers.shape, element))), scale, integers
    raise UnsupportedError(
        "reads an operand in floating point, and integers are needed",
        where=builder.where,
        remedy="quantize the whole model (QuantizeLinear and DequantizeLinear between operators)",
    )


def concatenation(builder: GraphBuilder, parts: Sequence[Dequantized], axis: int) -> Computed:
    """Parts of scales of their own, each brought to the result's."""

    def make(made: Scale, bounds: Bounds, name: str) -> Tensor:
        tensors = [builder.table(part, made, f"{name}_part{index}") for index, part in enumerate(parts)]
        return builder.clamped(builder.concatenated(tensors, axis, name, made), made, bounds, name)

    return Computed(make)


def concatenated(
    builder: GraphBuilder, tensors: Sequence[Tensor], axis: int, name: str, made: Scale | None = None
) -> Tensor:
    """Integers of one scale one after the other."""
    return builder.concatenated(tensors, axis, name, made)
