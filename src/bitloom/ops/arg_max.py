"""ARG_MAX: the index of the largest element along an axis, the first of equal ones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from pyrtl import WireVector

from bitloom.arith import IntType
from bitloom.circuits.schedule import Schedule, rowwise
from bitloom.circuits.streaming import Estimate, Folding, StreamingCircuit, StreamingOperator
from bitloom.errors import GraphError, UnsupportedError
from bitloom.hw.argmax import argmax
from bitloom.hw.stream import Stream, StreamType
from bitloom.ir import Example, Lowered, Quantization, SourceNode, TensorType, Value, register
from bitloom.ir.operator import Array
from bitloom.ir.types import ElementType
from bitloom.ops.shared.support import example_graph, require_kinds


@register
@dataclass(frozen=True)
class ArgMax(StreamingOperator):
    """The index of the largest element along one axis; of equal ones the first, as in NumPy.

    Attributes:
        axis: 0 or more, of the operand's own shape.
        output: the type of the index.
    """

    name = "arg_max"
    tflite = ("ARG_MAX",)
    summary = "index of the maximum, the first of equal ones"

    axis: int
    output: IntType

    def infer(self, inputs: Sequence[Value]) -> tuple[tuple[tuple[int, ...], ElementType], ...]:
        """The operand's shape without the axis."""
        shape = inputs[0].type.shape
        _ = inputs[0].type.integer
        if not 0 <= self.axis < len(shape):
            raise GraphError(f"arg_max along axis {self.axis} of shape {list(shape)}")
        if shape[self.axis] - 1 > self.output.maximum:
            raise GraphError(f"an index of {shape[self.axis]} elements does not fit {self.output}")
        return (((*shape[: self.axis], *shape[self.axis + 1 :]), self.output),)

    def evaluate(self, inputs: Sequence[Array]) -> tuple[Array, ...]:
        """x (inferences, *shape)."""
        return (np.argmax(inputs[0], axis=self.axis + 1),)

    def circuit(self, operands: Sequence[Value], results: Sequence[Value]) -> StreamingCircuit:  # noqa: ARG002
        """A comparison per lane, along rows.

        Raises:
            UnsupportedError: another axis than the last, whose elements do not follow each other in a stream.
        """
        x = operands[0].type
        if self.axis != len(x.shape) - 1:
            raise UnsupportedError(f"arg_max along axis {self.axis} of shape {list(x.shape)}: hardware has the last")
        return ArgMaxCircuit(x.integer, self.output, x.shape[-1], x.size // x.shape[-1])

    def to_tflite(self, inputs: Sequence[Value], outputs: Sequence[Value]) -> SourceNode:
        """With the axis as a constant operand."""
        axis = Value("axis", TensorType((), IntType(32)), np.array(self.axis, np.int32))
        attributes = {"output_type": str(self.output).upper()}
        return SourceNode("ARG_MAX", attributes, (*inputs, axis), tuple(outputs), self.name)

    @classmethod
    def lower(cls, source: SourceNode) -> Lowered:
        """From a file's node; the axis must be constant and may count from the end."""
        require_kinds(source, [(given, made) for given in ("int8", "uint8", "int32") for made in ("int32", "int64")])
        x, y = source.operand(0), source.outputs[0]
        axis = source.operand(1)
        declared = source.attributes.get("output_type")
        if declared != str(y.type.element).upper():
            raise UnsupportedError(f"{source.kind} to {declared} in a tensor of {y.type.element}", where=source.where)
        if not axis.is_constant or axis.type.size != 1:
            raise UnsupportedError(f"{source.kind} along an axis that is not one constant", where=source.where)
        position = int(axis.constant.reshape(-1)[0])
        if position < 0:
            position += len(x.type.shape)
        return Lowered(cls(position, y.type.integer), (x.name,))

    @classmethod
    def examples(cls) -> Iterable[Example]:
        """The last axis, an inner one, a vector, every type."""
        int8, uint8, int32, int64 = IntType(8), IntType(8, signed=False), IntType(32), IntType(64)
        yield _example("classes", (1, 10), -1, int8, int32)
        yield _example("int64_index", (1, 10), 1, int8, int64)
        yield _example("vector", (23,), 0, int8, int32)
        yield _example("inner_axis", (2, 3, 4), 1, int8, int32)
        yield _example("long_axis", (1, 300), -1, int8, int32)
        yield _example("uint8", (1, 17), -1, uint8, int32)
        yield _example("int32", (1, 6), -1, int32, int32)


@dataclass(frozen=True)
class ArgMaxCircuit(StreamingCircuit):
    """A comparison unit.

    Attributes:
        element: what is compared.
        index: the type of the result.
        row: elements compared with each other.
        rows: how often.
    """

    element: IntType
    index: IntType
    row: int
    rows: int

    def foldings(self) -> Iterable[Folding]:
        """Powers of two of lanes."""
        for exponent in range(min(7, self.row.bit_length())):
            yield Folding(simd=1 << exponent)

    def estimate(self, folding: Folding) -> Estimate:
        """A comparison and a choice per lane."""
        cycles = -(-self.row // folding.simd) * self.rows
        return Estimate(cycles=cycles, logic=2 * self.element.bits * folding.simd + 30)

    def input_types(self, folding: Folding) -> tuple[StreamType, ...]:
        """Rows to compare."""
        return (StreamType(self.element, self.row, self.rows, folding.simd),)

    def output_type(self, folding: Folding) -> StreamType:  # noqa: ARG002 - always one
        """One index per row."""
        return StreamType(self.index, 1, self.rows, 1)

    def schedule(self, folding: Folding) -> Schedule:
        """A row for an index."""
        (source,) = self.input_types(folding)
        return rowwise(source, self.output_type(folding), folding.simd.bit_length() + 2)

    def build(self, name: str, folding: Folding, streams: Sequence[Stream], reset: WireVector) -> Stream:  # noqa: ARG002
        """See `bitloom.hw.argmax.argmax`."""
        return argmax(name, streams[0], self.index, reset)


def _example(name: str, shape: tuple[int, ...], axis: int, given: IntType, made: IntType) -> Example:
    x = Value("x", TensorType(shape, given, Quantization((0.1,), (0,))))
    axis_value = Value("axis", TensorType((), IntType(32)), np.array(axis, np.int32))
    y_shape = tuple(np.delete(np.array(shape), axis).tolist())
    y = Value("y", TensorType(y_shape, made))
    return example_graph(ArgMax, f"arg_max_{name}", "ARG_MAX", [x, axis_value], y, {"output_type": str(made).upper()})
