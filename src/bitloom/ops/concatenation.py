"""CONCATENATION: tensors one after the other along an axis."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from bitloom.arith import IntType
from bitloom.circuits.joining import JoinCircuit, with_inferences
from bitloom.circuits.streaming import StreamingCircuit, StreamingOperator
from bitloom.errors import GraphError, UnsupportedError
from bitloom.ir import Example, Lowered, Quantization, SourceNode, TensorType, Value, register
from bitloom.ir.operator import Array
from bitloom.ir.types import ElementType
from bitloom.ops.reshape import Reshape
from bitloom.ops.shared.moving import INT8, positive_axis, require_moved, require_same_quantization
from bitloom.ops.shared.support import example_graph

_ELEMENTS = ("int8", "uint8", "int16", "int32", "uint32", "int64")


@register
@dataclass(frozen=True)
class Concatenation(StreamingOperator):
    """The operands one after the other along an axis.

    Attributes:
        axis: from 0.
    """

    name = "concatenation"
    tflite = ("CONCATENATION",)
    summary = "tensors one after the other along an axis, of equal scales"

    axis: int

    def infer(self, inputs: Sequence[Value]) -> tuple[tuple[tuple[int, ...], ElementType], ...]:
        """The operands' shape, but for the axis, whose lengths add up."""
        shapes = [value.type.shape for value in inputs]
        first = shapes[0]
        others = {(*shape[: self.axis], *shape[self.axis + 1 :]) for shape in shapes}
        if not 0 <= self.axis < len(first) or len(others) != 1 or len({len(shape) for shape in shapes}) != 1:
            said = " and ".join(str(list(shape)) for shape in shapes)
            raise GraphError(f"concatenation of shapes {said} along axis {self.axis}")
        if len({value.type.element for value in inputs}) != 1:
            raise GraphError("concatenation of different element types")
        length = sum(shape[self.axis] for shape in shapes)
        return (((*first[: self.axis], length, *first[self.axis + 1 :]), inputs[0].type.element),)

    def evaluate(self, inputs: Sequence[Array]) -> tuple[Array, ...]:
        """Operands (inferences, *shape), or (*shape) where constant."""
        return (np.concatenate(with_inferences(inputs), axis=self.axis + 1),)

    def circuit(self, operands: Sequence[Value], results: Sequence[Value]) -> StreamingCircuit:
        """Operands that take turns."""
        made = results[0].type.shape
        return JoinCircuit(tuple(operands), made, math.prod(made[: self.axis]))

    def to_tflite(self, inputs: Sequence[Value], outputs: Sequence[Value]) -> SourceNode:
        """With the axis as an option."""
        attributes = {"axis": self.axis, "fused_activation_function": "NONE"}
        return SourceNode("CONCATENATION", attributes, tuple(inputs), tuple(outputs), self.name)

    @classmethod
    def lower(cls, source: SourceNode) -> Lowered:
        """From a file's node; the axis may count from the end.

        Raises:
            UnsupportedError: the operands have other scales than the result. For int8 the reference kernel refuses
                that; for uint8 it would requantize in binary32.
        """
        operands = [source.operand(index) for index in range(len(source.inputs))]
        result = source.outputs[0]
        if source.attributes.get("fused_activation_function", "NONE") != "NONE":
            raise UnsupportedError(
                f"{source.kind} with an activation, which the reference kernel refuses", where=source.where
            )
        for operand in operands:
            require_moved(source, operand, result, _ELEMENTS)
            if operand.type.integer.bits == 8:
                require_same_quantization(source, operand, result)
            elif operand.type.integer.bits == 16 and any(_zero_points(value) for value in (operand, result)):
                raise UnsupportedError(
                    f"{source.kind} of int16 with zero points, which the reference kernel refuses", where=source.where
                )
        axis = positive_axis(source, int(source.attributes.get("axis", 0)), len(result.type.shape))
        if len(operands) == 1:
            return Lowered(Reshape(operands[0].type.shape), (operands[0].name,))
        return Lowered(cls(axis), tuple(operand.name for operand in operands))

    @classmethod
    def examples(cls) -> Iterable[Example]:
        """Each axis of images, several operands, one operand twice, a constant, other types."""
        yield _example("channels", [(1, 3, 2, 4), (1, 3, 2, 2)], 3)
        yield _example("width_from_end", [(1, 2, 3, 4), (1, 2, 1, 4), (1, 2, 2, 4)], -2)
        yield _example("height", [(1, 2, 3, 2), (1, 1, 3, 2)], 1)
        yield _example("first_axis", [(1, 6), (2, 6)], 0)
        yield _example("vectors_int16", [(5,), (4,), (3,)], 0, IntType(16))
        yield _example("constant", [(1, 3, 4), (1, 3, 2)], 2, constant=1)
        yield _example("constant_first", [(1, 2, 4), (1, 3, 4)], 1, constant=0)
        yield _twice()


def _zero_points(value: Value) -> int:
    quantization = value.type.quantization
    return int(quantization is not None and any(quantization.zero_points))


def _example(
    name: str, shapes: Sequence[tuple[int, ...]], axis: int, element: IntType = INT8, constant: int | None = None
) -> Example:
    quantization = Quantization((0.1,), (0 if element.bits > 8 else 3,))
    values = []
    for index, shape in enumerate(shapes):
        data = None if index != constant else np.arange(-5, math.prod(shape) - 5).reshape(shape)
        values.append(Value(f"x{index}", TensorType(shape, element, quantization), data))
    made = list(shapes[0])
    made[axis] = sum(shape[axis] for shape in shapes)
    y = Value("y", TensorType(tuple(made), element, quantization))
    return example_graph(Concatenation, f"concatenation_{name}", "CONCATENATION", values, y, {"axis": axis})


def _twice() -> Example:
    x = Value("x", TensorType((1, 2, 3), INT8, Quantization((0.1,), (3,))))
    y = Value("y", TensorType((1, 2, 6), INT8, Quantization((0.1,), (3,))))
    return example_graph(Concatenation, "concatenation_twice", "CONCATENATION", [x, x], y, {"axis": 2})
