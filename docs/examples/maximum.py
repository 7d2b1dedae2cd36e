"""MAXIMUM: the larger of two elements, an operator of two streams with a circuit of its own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from pyrtl import Register, WireVector, select, signed_lt

from bitloom.arith import IntType
from bitloom.errors import GraphError, UnsupportedError
from bitloom.hw.join import join, join_latency
from bitloom.hw.stream import Stream, StreamType
from bitloom.ir import Example, Lowered, Quantization, SourceNode, TensorType, Value, register
from bitloom.ir.operator import Array
from bitloom.ir.types import ElementType
from bitloom.ops.hardware import Estimate, Folding, StreamingCircuit, StreamingOperator
from bitloom.ops.schedule import Schedule, elementwise
from bitloom.ops.support import example_graph, require_element, require_kinds

LATENCY = 1
"""Cycles of the pipeline: a comparison, a choice and a register."""


@register
@dataclass(frozen=True)
class Maximum(StreamingOperator):
    """``max(x, y)``, element by element.

    Source: LiteRT's reference kernel of MAXIMUM, which compares integers as they are. That is the maximum of the real
    numbers only where all scales and zero points are equal; others are refused.

    Attributes:
        element: the type of x, y and the result.
    """

    name = "maximum"
    tflite = ("MAXIMUM",)
    summary = "the larger of two elements"

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
        return (np.maximum(inputs[0], inputs[1]),)

    def circuit(self, operands: Sequence[Value], results: Sequence[Value]) -> StreamingCircuit:
        """A comparison per lane.

        Raises:
            UnsupportedError: a constant operand, or unsigned elements.
        """
        if any(operand.is_constant for operand in operands) or not self.element.signed:
            raise UnsupportedError(f"{self.name} of constants or of {self.element} has no hardware")
        return MaximumCircuit(self.element, results[0].type.size)

    @classmethod
    def lower(cls, source: SourceNode) -> Lowered:
        """From a file's node."""
        require_kinds(source, [("int8", "int8"), ("uint8", "uint8")])
        values = [source.operand(0), source.operand(1), *source.outputs]
        if len({value.type.required_quantization for value in values}) > 1:
            raise UnsupportedError(f"{source.kind} of different scales", where=source.where)
        return Lowered(cls(values[0].type.integer), (values[0].name, values[1].name))

    @classmethod
    def examples(cls) -> Iterable[Example]:
        """An image, and a number of elements that no lanes divide."""
        yield _example("image", (1, 4, 4, 3), IntType(8))
        yield _example("odd", (1, 23), IntType(8))
        yield _example("uint8", (1, 23), IntType(8, signed=False))


@dataclass(frozen=True)
class MaximumCircuit(StreamingCircuit):
    """Two streams, joined.

    Attributes:
        element: what is compared.
        size: elements per tensor.
    """

    element: IntType
    size: int

    def foldings(self) -> Iterable[Folding]:
        """Powers of two of lanes."""
        for exponent in range(min(7, self.size.bit_length())):
            yield Folding(pe=1 << exponent, simd=1 << exponent, results=1 << exponent)

    def estimate(self, folding: Folding) -> Estimate:
        """A comparison and a choice per lane."""
        cycles = -(-self.size // folding.simd)
        return Estimate(cycles=cycles, logic=2 * self.element.bits * folding.simd + 40)

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
        """See `bitloom.hw.join.join`."""
        bits = self.element.bits

        def larger(data: Sequence[WireVector], taken: WireVector) -> list[WireVector]:  # noqa: ARG001 - no state
            results = []
            for lane in range(folding.simd):
                left, right = (each[lane * bits : (lane + 1) * bits] for each in data)
                result = Register(bits, f"{name}_result{lane}")
                result.next <<= select(signed_lt(left, right), right, left)
                results.append(result)
            return results

        return join(name, streams, self.output_type(folding), LATENCY, larger, reset)


def _example(name: str, shape: tuple[int, ...], element: IntType) -> Example:
    tensor = TensorType(shape, element, Quantization((0.05,), (3,)))
    x, y, z = Value("x", tensor), Value("y", tensor), Value("z", tensor)
    return example_graph(Maximum, f"maximum_{name}", "MAXIMUM", [x, y], z)
