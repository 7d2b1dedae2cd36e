"""PACK: tensors of one shape side by side along a new axis."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from bitloom.arith import IntType
from bitloom.circuits.joining import JoinCircuit, with_inferences
from bitloom.circuits.streaming import StreamingCircuit, StreamingOperator
from bitloom.errors import GraphError
from bitloom.ir import Example, Lowered, Quantization, SourceNode, TensorType, Value, register
from bitloom.ir.operator import Array
from bitloom.ir.types import ElementType
from bitloom.ops.reshape import Reshape
from bitloom.ops.shared.moving import INT8, positive_axis, require_moved, require_same_quantization
from bitloom.ops.shared.support import example_graph

_ELEMENTS = ("int8", "uint8", "int16", "int32", "uint32", "int64")


@register
@dataclass(frozen=True)
class Pack(StreamingOperator):
    """The operands side by side along an axis that they do not have.

    Attributes:
        axis: of the result, from 0.
    """

    name = "pack"
    tflite = ("PACK",)
    summary = "tensors side by side along a new axis, of equal scales"

    axis: int

    def infer(self, inputs: Sequence[Value]) -> tuple[tuple[tuple[int, ...], ElementType], ...]:
        """The operands' shape with the new axis."""
        shape = inputs[0].type.shape
        if not 0 <= self.axis <= len(shape) or len({(value.type.shape, value.type.element) for value in inputs}) != 1:
            said = " and ".join(str(list(value.type.shape)) for value in inputs)
            raise GraphError(f"pack of shapes {said} along axis {self.axis}")
        return (((*shape[: self.axis], len(inputs), *shape[self.axis :]), inputs[0].type.element),)

    def evaluate(self, inputs: Sequence[Array]) -> tuple[Array, ...]:
        """Operands (inferences, *shape), or (*shape) where constant."""
        return (np.stack(with_inferences(inputs), axis=self.axis + 1),)

    def circuit(self, operands: Sequence[Value], results: Sequence[Value]) -> StreamingCircuit:
        """Operands that take turns."""
        made = results[0].type.shape
        return JoinCircuit(tuple(operands), made, math.prod(made[: self.axis]))

    def to_tflite(self, inputs: Sequence[Value], outputs: Sequence[Value]) -> SourceNode:
        """With the axis and the number of operands as options."""
        attributes = {"axis": self.axis, "values_count": len(inputs)}
        return SourceNode("PACK", attributes, tuple(inputs), tuple(outputs), self.name)

    @classmethod
    def lower(cls, source: SourceNode) -> Lowered:
        """From a file's node; the axis may count from the end of the result's."""
        operands = [source.operand(index) for index in range(len(source.inputs))]
        result = source.outputs[0]
        for operand in operands:
            require_moved(source, operand, result, _ELEMENTS)
            require_same_quantization(source, operand, result)
        rank = len(operands[0].type.shape) + 1
        axis = positive_axis(source, int(source.attributes.get("axis", 0)), rank)
        if int(source.attributes.get("values_count", 0)) != len(operands):
            raise GraphError(f"{source.kind} of {len(operands)} operands says another number", where=source.where)
        if len(operands) == 1:
            return Lowered(Reshape(result.type.shape), (operands[0].name,))
        return Lowered(cls(axis), tuple(operand.name for operand in operands))

    @classmethod
    def examples(cls) -> Iterable[Example]:
        """In front, inside, last."""
        yield _example("front", (3, 4), 2, 0)
        yield _example("inside", (1, 6), 3, 1)
        yield _example("last", (1, 4), 2, -1)
        yield _example("int32", (2, 3), 2, 1, IntType(32))


def _example(name: str, shape: tuple[int, ...], count: int, axis: int, element: IntType = INT8) -> Example:
    quantization = Quantization((0.1,), (3,))
    values = [Value(f"x{index}", TensorType(shape, element, quantization)) for index in range(count)]
    at = axis % (len(shape) + 1)
    y = Value("y", TensorType((*shape[:at], count, *shape[at:]), element, quantization))
    return example_graph(Pack, f"pack_{name}", "PACK", values, y, {"axis": axis, "values_count": count})
