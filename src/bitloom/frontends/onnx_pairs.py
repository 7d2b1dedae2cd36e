"""Sums, products and concatenations of ONNX tensors that have scales of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from bitloom.arith import IntType, Rescale, Rounding
from bitloom.errors import UnsupportedError
from bitloom.frontends.onnx_builder import GraphBuilder
from bitloom.frontends.onnx_values import Bounds, Computed, Constant, Dequantized, Function, Meaning, Scale, Tensor
from bitloom.ir import TensorType, Value
from bitloom.ops.add import Add
from bitloom.ops.concatenation import Concatenation
from bitloom.ops.mul import Mul
from bitloom.ops.shared.elementwise import PairOperator

_ELEMENTS = ("int8", "uint8")
# Of `Add`: so many bits are put behind the operands' integers before they are brought to one scale.
_ADD_SHIFT = 20


def pair(builder: GraphBuilder, kind: str, left: Meaning, right: Meaning) -> Meaning:
    """Add or Mul; a number added or multiplied is a function of the other operand, a bias belongs to its layer."""
    for one, other in ((left, right), (right, left)):
        if isinstance(other, Constant) and isinstance(one, Computed) and kind == "Add" and one.with_bias is not None:
            return one.with_bias(other)
        if isinstance(other, Constant) and isinstance(one, Dequantized) and other.array.size == 1:
            return replace(one, functions=(*one.functions, _with_number(kind, np.float32(other.array.reshape(-1)[0]))))

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


def _with_number(kind: str, number: np.float32) -> Function:
    """A number added or multiplied, in binary32."""
    if kind == "Add":
        return lambda reals: reals + number
    return lambda reals: reals * number


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
    return Add(
        left=left,
        right=right,
        output=made.element,
        constant=constant,
        left_zero_point=one.zero_point,
        right_zero_point=other.zero_point,
        output_zero_point=made.zero_point,
        left_rescale=Rescale((one.scale / twice,), Rounding.HALF_EVEN),
        right_rescale=Rescale((other.scale / twice,), Rounding.HALF_EVEN),
        rescale=Rescale((twice / (2**_ADD_SHIFT * made.scale),), Rounding.HALF_EVEN),
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
            value = builder.constant(f"{name}_constant{index}", data, scale.element, scale)
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
        if str(integers.dtype) in _ELEMENTS:
            element = IntType.parse(str(integers.dtype))
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
        order = tensors[0].order if tensors[0].permuted else tuple(range(len(tensors[0].shape)))
        arranged = [builder.arranged(tensor, order) for tensor in tensors]
        place = order.index(axis % len(order))
        value = builder.node(Concatenation(place), [tensor.value for tensor in arranged], name, made)
        shape = tuple(np.array(value.type.shape)[np.argsort(order)].tolist())
        return builder.clamped(Tensor(value, shape, shape, order), made, bounds, name)

    return Computed(make)
