"""BITWISE_XOR: the bits in which two elements differ, an operator of two streams with a circuit of its own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from pyrtl import Register, WireVector

from bitloom.arith import IntType
from bitloom.circuits.schedule import Schedule, elementwise
from bitloom.circuits.streaming import Estimate, Folding, StreamingCircuit, StreamingOperator
from bitloom.errors import GraphError, UnsupportedError
from bitloom.hw.join import join, join_latency
from bitloom.hw.stream import Stream, StreamType
from bitloom.ir import Example, Lowered, Quantization, SourceNode, TensorType, Value, register
from bitloom.ir.operator import Array
from bitloom.ir.types import ElementType
from bitloom.ops.shared.support import example_graph, require_element, require_kinds

LATENCY = 1
"""Cycles of the pipeline: a gate and a register."""


@register
@dataclass(frozen=True)
class BitwiseXor(StreamingOperator):
    """``x ^ y``, element by element.

    Source: LiteRT's reference kernel of BITWISE_XOR, which takes integers as they are and looks at no scale. A result
    of another scale than its operands' would mean something else than its bits; such nodes are refused.

    Attributes:
        element: the type of x, y and the result.
    """

    name = "bitwise_xor"
    tflite = ("BITWISE_XOR",)
    summary = "the bits in which two elements differ"

    element: IntType

    def infer(self, inputs: Sequence[Value]) -> tuple[tuple[tuple[int, ...], ElementType], ...]:
        """The shape of both operands."""
        left, right = inputs
        require_element(left, self.element)
        require_element(right, self.element)
        if left.type.shape != right.type.shape:
            raise GraphError(f"{self.name} of shapes {list(left.type.shape)} and {list(right.type.shape)}")
        return ((left.type.shape, self.element),)

    def evaluate(self, inputs: Sequence[Array]) -> tuple[Array, ...]:
        """x and y (inferences, *shape)."""
        return (np.bitwise_xor(inputs[0], inputs[1]),)

    def circuit(self, operands: Sequence[Value], results: Sequence[Value]) -> StreamingCircuit:
        """A gate per bit.

        Raises:
            UnsupportedError: a constant operand.
        """
        if any(operand.is_constant for operand in operands):
            raise UnsupportedError(f"{self.name} of a constant has no hardware")
        return BitwiseXorCircuit(self.element, results[0].type.size)

    @classmethod
    def lower(cls, source: SourceNode) -> Lowered:
        """From a file's node."""
        require_kinds(source, [("int8", "int8")])
        values = [source.operand(0), source.operand(1), *source.outputs]
        if len({value.type.required_quantization for value in values}) > 1:
            raise UnsupportedError(f"{source.kind} of different scales", where=source.where)
        return Lowered(cls(values[0].type.integer), (values[0].name, values[1].name))

    @classmethod
    def examples(cls) -> Iterable[Example]:
        """An image, a number of elements that no lanes divide, a constant operand."""
        yield _example("image", (1, 4, 4, 3))
        yield _example("odd", (1, 23))
        yield _example("constant", (1, 3), np.array([[1, 2, 4]]))


@dataclass(frozen=True)
class BitwiseXorCircuit(StreamingCircuit):
    """Two streams, joined.

    Attributes:
        element: the type of both, and of the result.
        size: elements per tensor.
    """

    element: IntType
    size: int

    def foldings(self) -> Iterable[Folding]:
        """Powers of two of lanes."""
        for exponent in range(min(7, self.size.bit_length())):
            yield Folding(pe=1 << exponent, simd=1 << exponent, results=1 << exponent)

    def estimate(self, folding: Folding) -> Estimate:
        """A gate per bit, and what joins."""
        return Estimate(cycles=-(-self.size // folding.simd), logic=self.element.bits * folding.simd + 40)

    def input_types(self, folding: Folding) -> tuple[StreamType, ...]:
        """Both tensors as one row."""
        return (self.output_type(folding),) * 2

    def output_type(self, folding: Folding) -> StreamType:
        """The tensor as one row."""
        return StreamType(self.element, self.size, 1, folding.simd)

    def schedule(self, folding: Folding) -> Schedule:
        """Each beat waits for one beat of both."""
        return elementwise(self.input_types(folding), self.output_type(folding), join_latency(2, LATENCY))

    def build(self, name: str, folding: Folding, streams: Sequence[Stream], reset: WireVector) -> Stream:
        """See `bitloom.hw.join.join`; the bits of all lanes at once."""

        def different(data: Sequence[WireVector], taken: WireVector) -> list[WireVector]:  # noqa: ARG001 - no state
            result = Register(len(data[0]), f"{name}_result")
            result.next <<= data[0] ^ data[1]
            return [result]

        return join(name, streams, self.output_type(folding), LATENCY, different, reset)


def _example(name: str, shape: tuple[int, ...], constant: Array | None = None) -> Example:
    tensor = TensorType(shape, IntType(8), Quantization((0.05,), (3,)))
    x, y, z = Value("x", tensor), Value("y", tensor, constant), Value("z", tensor)
    return example_graph(BitwiseXor, f"bitwise_xor_{name}", "BITWISE_XOR", [x, y], z)
