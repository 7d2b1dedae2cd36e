"""SOFTMAX: in fixed point, over the last axis."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from pyrtl import WireVector

from bitloom.arith import IntType, quantize_multiplier
from bitloom.arith.fixed_point import divide_by_power, exponential, multiply_high, reciprocal
from bitloom.circuits.schedule import Schedule, rowwise
from bitloom.circuits.streaming import Estimate, Folding, StreamingCircuit, StreamingOperator
from bitloom.errors import GraphError, UnsupportedError
from bitloom.hw.memory import rom_size
from bitloom.hw.softmax import SOFTMAX_MULTIPLIERS, softmax, softmax_cycles
from bitloom.hw.stream import Stream, StreamType
from bitloom.ir import Example, Lowered, Quantization, SourceNode, TensorType, Value, register
from bitloom.ir.operator import Array
from bitloom.ir.types import ElementType
from bitloom.ops.shared.support import example_graph, require_element, require_kinds, single_precision

Int64Array = npt.NDArray[np.int64]

DIFFERENCE_INTEGER_BITS = 5
"""Differences to the maximum are Q5.26 when they enter the exponential."""

SUM_INTEGER_BITS = 12
"""The exponentials are summed as Q12.19."""

LARGEST_DEPTH = 511
"""Of the softmax axis: with more, a sum can reach 512, where the reference kernel aborts the process."""


@register
@dataclass(frozen=True)
class Softmax(StreamingOperator):
    """``exp(s * (x - max)) / sum(exp(s * (x - max)))`` over the last axis.

    1. ``d = max - x``, 0 to 255; ``e = exp_table()[d]``, Q0.31, zero beyond ``-diff_min``.
    2. ``sum`` of ``exp_sum_table()[d]`` (e rounded to Q12.19).
    3. ``(r, b) = reciprocal(sum)``: ``1 / sum = r * 2**(-31 - b)``.
    4. ``y = clamp(divide_by_power(multiply_high(r, e), b + 31 - bits) + minimum)``.

    The output's scale is ``2**-bits`` and its zero point the type's minimum. Source: LiteRT's reference kernel of
    SOFTMAX for 8-bit inputs.

    Attributes:
        input: the type of x, 8 bits.
        output: the type of y.
        scale: s, the input's scale times beta.
    """

    name = "softmax"
    tflite = ("SOFTMAX",)
    summary = "softmax over the last axis, exponential by table, reciprocal by Newton-Raphson"

    input: IntType
    output: IntType
    scale: float

    def infer(self, inputs: Sequence[Value]) -> tuple[tuple[tuple[int, ...], ElementType], ...]:
        """The operand's shape, the output type."""
        require_element(inputs[0], self.input)
        shape = inputs[0].type.shape
        if not shape:
            raise GraphError("softmax needs at least one axis")
        if shape[-1] > LARGEST_DEPTH:
            raise UnsupportedError(
                f"softmax over {shape[-1]} elements: beyond {LARGEST_DEPTH} the reference kernel can abort",
                remedy="end the network before its softmax (argmax gives the same class)",
            )
        if self.scale * 2.0 ** (31 - DIFFERENCE_INTEGER_BITS) <= 1:
            raise UnsupportedError(
                f"softmax of differences scaled by {self.scale:g}, which the reference kernel refuses"
            )
        return ((shape, self.output),)

    @cached_property
    def multiplier(self) -> tuple[int, int]:
        """(Q, left shift) that take a difference to Q5.26, capped below 2**31."""
        real = min(self.scale * 2.0 ** (31 - DIFFERENCE_INTEGER_BITS), 2.0**31 - 1)
        return quantize_multiplier(real)

    @property
    def diff_min(self) -> int:
        """The smallest ``x - max`` whose exponential counts; below it is zero.

        Source: the radius ``floor(31 * 2**26 / 2**shift)`` within which the scaled difference stays in Q5.26.
        """
        radius = ((1 << DIFFERENCE_INTEGER_BITS) - 1) * 2.0 ** (31 - DIFFERENCE_INTEGER_BITS - self.multiplier[1])
        return -math.floor(radius)

    def exp_table(self) -> Int64Array:
        """The exponential of each difference, raw Q0.31.

        Returns:
            int64 array of shape (2**bits,) (256 for int8), index ``max - x``; each 0 to 2**31 - 1.
        """
        differences = -np.arange(1 << self.input.bits, dtype=np.int64)
        used = differences >= self.diff_min
        multiplier, shift = self.multiplier
        scaled = multiply_high(np.where(used, differences, 0) << shift, multiplier)
        return np.where(used, exponential(scaled, DIFFERENCE_INTEGER_BITS), 0)

    def exp_sum_table(self) -> Int64Array:
        """The exponential of each difference as it is summed: raw Q12.19, 0 to 2**19, index ``max - x``."""
        return divide_by_power(self.exp_table(), SUM_INTEGER_BITS)

    def reciprocal(self, sums: npt.ArrayLike) -> tuple[Int64Array, Int64Array]:
        """The reciprocal of sums.

        Args:
            sums: raw Q12.19, at least 2**19 (the maximum's own exponential is 1).

        Returns:
            ``(r, b)``: raw Q0.31, at least 2**30, and bits over unit, with ``1 / sum = r * 2**(-31 - b)``.
        """
        return reciprocal(sums, SUM_INTEGER_BITS)

    @cached_property
    def _tables(self) -> tuple[Int64Array, Int64Array]:
        return self.exp_table(), self.exp_sum_table()

    def evaluate(self, inputs: Sequence[Array]) -> tuple[Array, ...]:
        """x (inferences, *shape)."""
        exponentials, summands = self._tables
        x = inputs[0].astype(np.int64)
        difference = x.max(axis=-1, keepdims=True) - x
        mantissa, bits_over_unit = self.reciprocal(summands[difference].sum(axis=-1, keepdims=True))
        product = multiply_high(mantissa, exponentials[difference])
        scaled = divide_by_power(product, bits_over_unit + 31 - self.output.bits)
        return (self.output.clamp(scaled + self.output.minimum),)

    def circuit(self, operands: Sequence[Value], results: Sequence[Value]) -> StreamingCircuit:  # noqa: ARG002
        """One row at a time, its division by a shared sequential multiplier."""
        shape = operands[0].type.shape
        return SoftmaxCircuit(self, shape[-1], operands[0].type.size // shape[-1])

    def notes(self, inputs: Sequence[Value]) -> tuple[str, ...]:  # noqa: ARG002 - known from the attributes
        """Where the exponential's table ends."""
        return (f"exponentials of differences down to {self.diff_min}",)

    def to_tflite(self, inputs: Sequence[Value], outputs: Sequence[Value]) -> SourceNode:
        """With beta from the scale and the input's."""
        beta = single_precision(self.scale / inputs[0].type.required_quantization.scale)
        return SourceNode("SOFTMAX", {"beta": beta}, tuple(inputs), tuple(outputs), self.name)

    @classmethod
    def lower(cls, source: SourceNode) -> Lowered:
        """From a file's node."""
        require_kinds(source, [("int8", "int8"), ("int8", "int16"), ("uint8", "uint8"), ("uint8", "int16")])
        x, y = source.operand(0), source.outputs[0]
        made, output = y.type.integer, y.type.required_quantization
        expected = 2.0**-made.bits
        # The kernel does not look at the scale beyond this check: its answer is always in steps of 2**-bits.
        if abs(output.scale - expected) > 0.001 * expected or output.zero_point != made.minimum:
            raise UnsupportedError(
                f"{source.kind} to {made} with scale {output.scale:g} and zero point {output.zero_point}; "
                f"the kernel gives 1/{1 << made.bits} and {made.minimum}",
                where=source.where,
            )
        beta = float(source.attributes.get("beta", 0.0))
        if not beta > 0:
            raise UnsupportedError(f"{source.kind} with beta {beta:g}; it must be positive", where=source.where)
        scale = beta * x.type.required_quantization.scale
        return Lowered(cls(x.type.integer, made, scale), (x.name,))

    @classmethod
    def examples(cls) -> Iterable[Example]:
        """Flat and steep, several rows, beta, one element, every pair of types."""
        int8, uint8, int16 = IntType(8), IntType(8, signed=False), IntType(16)
        yield _example("ten_classes", (1, 10), int8, int8, 0.1)
        yield _example("flat", (1, 37), int8, int8, 0.0005)
        yield _example("steep", (1, 5), int8, int8, 7.0)
        yield _example("rows_and_beta", (2, 3, 4), int8, int8, 0.06, beta=2.5)
        yield _example("one_element", (1, 1), int8, int8, 0.1)
        yield _example("uint8", (1, 10), uint8, uint8, 0.1)
        yield _example("int16_output", (1, 10), int8, int16, 0.1)


@dataclass(frozen=True)
class SoftmaxCircuit(StreamingCircuit):
    """The softmax unit; it has one folding.

    Attributes:
        operator: whose exponentials.
        row: elements of the softmax axis.
        rows: how many rows.
    """

    operator: Softmax
    row: int
    rows: int

    def foldings(self) -> Iterable[Folding]:
        """One element at a time."""
        yield Folding()

    def estimate(self, folding: Folding) -> Estimate:
        """A table of exponentials and the sequential multiplier."""
        words, bits = 1 << self.operator.input.bits, 31
        blocks, logic = rom_size(words, bits, folding.fabric)
        return Estimate(
            cycles=softmax_cycles(self.row) * self.rows,
            other_multipliers=SOFTMAX_MULTIPLIERS,
            memory_bits=words * bits,
            ram_blocks=blocks,
            logic=logic + 600,
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
        return rowwise(source, self.output_type(folding), softmax_cycles(self.row) - self.row)

    def build(self, name: str, folding: Folding, streams: Sequence[Stream], reset: WireVector) -> Stream:  # noqa: ARG002
        """See `bitloom.hw.softmax.softmax`."""
        return softmax(name, streams[0], self.operator.exp_table(), reset, self.operator.output)


def _example(
    name: str, shape: tuple[int, ...], given: IntType, made: IntType, scale: float, *, beta: float = 1.0
) -> Example:
    x = Value("x", TensorType(shape, given, Quantization((scale,), (4,))))
    y = Value("y", TensorType(shape, made, Quantization((2.0**-made.bits,), (made.minimum,))))
    return example_graph(Softmax, f"softmax_{name}", "SOFTMAX", [x], y, {"beta": beta})
