"""Softmax rounded once, for formats that define it in real numbers; any output scale and zero point."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from pyrtl import WireVector

from bitloom.arith import IntType
from bitloom.circuits.schedule import Schedule, rowwise
from bitloom.circuits.streaming import Estimate, Folding, StreamingCircuit, StreamingOperator
from bitloom.errors import GraphError, UnsupportedError
from bitloom.hw.memory import ram_size, rom_size, total_size
from bitloom.hw.rounded_softmax import Quotient, rounded_softmax
from bitloom.hw.stream import Stream, StreamType
from bitloom.ir import Example, Graph, Node, Quantization, TensorType, Value, register
from bitloom.ir.operator import Array
from bitloom.ir.types import ElementType
from bitloom.ops.shared.support import require_element

Int64Array = npt.NDArray[np.int64]

EXPONENTIAL_BITS = 30
"""Fraction bits of an exponential."""

_LARGEST_DEPTH = 1 << 16
# Quotients nearer a half than this are compared as integers.
_NEAR_HALF = 2.0**-20
# Look-up tables of phases, counters and output.
_CONTROL_LOGIC = 110


@register
@dataclass(frozen=True)
class RoundedSoftmax(StreamingOperator):
    """``clamp(round(exp(s * x) / (t * sum(exp(s * x)))) + z)`` over the last axis, halves to even.

    1. ``e = round(2**30 * exp(-s * d))`` with ``d = max - x``: a table of at most 256 entries.
    2. ``q = round(e / (t * sum(e)))``, exactly: with ``t = T / 2**f``, which every binary fraction is, the quotient of
       the integers ``e * 2**f`` and ``sum * T``.

    Source: ONNX operator specification, Softmax between DequantizeLinear and QuantizeLinear, and QLinearSoftmax of
    ONNX Runtime. Both compute in binary32; they differ where the real quotient is within some 2**-17 of a half.

    Attributes:
        input: the type of x, at most 8 bits.
        output: the type of y.
        input_scale: s.
        output_scale: t.
        output_zero_point: z.
    """

    name = "rounded_softmax"
    summary = "softmax over the last axis, rounded once, any output scale (ONNX)"

    input: IntType
    output: IntType
    input_scale: float
    output_scale: float
    output_zero_point: int

    def infer(self, inputs: Sequence[Value]) -> tuple[tuple[tuple[int, ...], ElementType], ...]:
        """The operand's shape, the output type."""
        require_element(inputs[0], self.input)
        shape = inputs[0].type.shape
        if not shape:
            raise GraphError("softmax needs at least one axis")
        if self.input.bits > 8 or shape[-1] > _LARGEST_DEPTH:
            raise UnsupportedError(f"softmax over {shape[-1]} elements of {self.input}")
        if not (np.isfinite(self.input_scale) and self.input_scale > 0 and 2.0**-30 < self.output_scale < 2.0**30):
            raise UnsupportedError(f"softmax from scale {self.input_scale:g} to scale {self.output_scale:g}")
        if not self.output.minimum <= self.output_zero_point <= self.output.maximum:
            raise GraphError(f"the output zero point {self.output_zero_point} is no {self.output}")
        return ((shape, self.output),)

    @cached_property
    def exponentials(self) -> Int64Array:
        """For each difference to the maximum its exponential, Q0.30."""
        differences = np.arange(1 << self.input.bits, dtype=np.float64)
        return np.rint(np.exp(-self.input_scale * differences) * 2.0**EXPONENTIAL_BITS).astype(np.int64)

    def evaluate(self, inputs: Sequence[Array]) -> tuple[Array, ...]:
        """x (inferences, *shape)."""
        x = inputs[0].astype(np.int64)
        powers = self.exponentials[x.max(axis=-1, keepdims=True) - x]
        total = powers.sum(axis=-1, keepdims=True)
        # Sums are below 2**47, exact in binary64, whose quotient is wrong by 2**-21 at most. Where that is too near a
        # half to tell, integers do.
        real = powers / (total * self.output_scale)
        result = np.rint(real).astype(np.int64)
        near = np.nonzero(np.abs(real - np.floor(real) - 0.5) < _NEAR_HALF)
        totals = np.broadcast_to(total, powers.shape)
        for place in zip(*near, strict=True):
            result[place] = self.quotient.rounded(int(powers[place]), int(totals[place]))
        return (self.output.clamp(result + self.output_zero_point),)

    @cached_property
    def quotient(self) -> Quotient:
        """What is divided by what."""
        multiplier, divisor = self.output_scale.as_integer_ratio()
        return Quotient(tuple(self.exponentials.tolist()), multiplier, divisor.bit_length() - 1)

    def circuit(self, operands: Sequence[Value], results: Sequence[Value]) -> StreamingCircuit:  # noqa: ARG002
        """One row at a time, a bit of a quotient a cycle."""
        shape = operands[0].type.shape
        return RoundedSoftmaxCircuit(self, shape[-1], operands[0].type.size // shape[-1])

    @classmethod
    def examples(cls) -> Iterable[Example]:
        """Both signednesses, steps of 1/256 and of 1/255, one element."""
        int8, uint8 = IntType(8), IntType(8, signed=False)
        yield _example("int8", (1, 10), int8, 0.036, 1 / 255, -128)
        yield _example("uint8", (1, 4, 7), uint8, 0.1, 1 / 256, 0)
        yield _example("steep", (2, 12), int8, 0.9, 1 / 256, -128)
        yield _example("one", (1, 1), int8, 0.05, 1 / 64, 3)


@dataclass(frozen=True)
class RoundedSoftmaxCircuit(StreamingCircuit):
    """The softmax unit with a divider; it has one folding.

    Attributes:
        operator: whose exponentials.
        row: elements of the softmax axis.
        rows: how many rows.
    """

    operator: RoundedSoftmax
    row: int
    rows: int

    def foldings(self) -> Iterable[Folding]:
        """One element at a time."""
        yield Folding()

    def estimate(self, folding: Folding) -> Estimate:
        """A table of exponentials, two rows, and registers with an adder each for sum, divisor and remainder."""
        quotient, element = self.operator.quotient, self.operator.input
        words, bits = 1 << element.bits, quotient.exponential_bits
        blocks, logic = total_size(
            [rom_size(words, bits, folding.fabric), ram_size(2 * self.row, element.bits, folding.fabric)]
        )
        adders = quotient.sum_bits(self.row) + 4 * quotient.divisor_bits(self.row)
        return Estimate(
            cycles=quotient.cycles(self.row) * self.rows,
            memory_bits=words * bits,
            ram_blocks=blocks,
            logic=logic + adders + _CONTROL_LOGIC,
        )

    def input_types(self, folding: Folding) -> tuple[StreamType, ...]:  # noqa: ARG002
        """Rows, an element a beat."""
        return (StreamType(self.operator.input, self.row, self.rows, 1),)

    def output_type(self, folding: Folding) -> StreamType:  # noqa: ARG002
        """Rows, an element a beat."""
        return StreamType(self.operator.output, self.row, self.rows, 1)

    def schedule(self, folding: Folding) -> Schedule:
        """A row for a row: its sum comes first."""
        (source,) = self.input_types(folding)
        return rowwise(source, self.output_type(folding), self.operator.quotient.latency(self.row))

    def build(self, name: str, folding: Folding, streams: Sequence[Stream], reset: WireVector) -> Stream:  # noqa: ARG002
        """See `bitloom.hw.rounded_softmax.rounded_softmax`."""
        operator = self.operator
        return rounded_softmax(name, streams[0], operator.quotient, operator.output_zero_point, operator.output, reset)


def _example(
    name: str, shape: tuple[int, ...], element: IntType, scale: float, made: float, zero_point: int
) -> Example:
    name = f"rounded_softmax_{name}"
    x = Value("x", TensorType(shape, element, Quantization((scale,), (0,))))
    y = Value("y", TensorType(shape, element, Quantization((made,), (zero_point,))))
    node = Node("rounded_softmax_0", RoundedSoftmax(element, element, scale, made, zero_point), ("x",), ("y",))
    return Example(name, Graph(name, ("x",), ("y",), (x, y), (node,)))
