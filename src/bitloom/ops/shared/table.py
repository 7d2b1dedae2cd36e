"""Functions of one small integer: software looks them up, and hardware is one read-only memory for all of them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from pyrtl import WireVector

from bitloom.arith import IntType
from bitloom.circuits.schedule import Schedule, elementwise
from bitloom.circuits.streaming import Estimate, Folding, StreamingCircuit, StreamingOperator, fifo_logic
from bitloom.errors import GraphError, UnsupportedError
from bitloom.hw.lookup import LARGEST_BITS, LATENCY, lookup
from bitloom.hw.memory import rom_size
from bitloom.hw.stream import Stream, StreamType
from bitloom.ir import Cost, SourceNode, Value
from bitloom.ir.operator import Array
from bitloom.ir.types import ElementType
from bitloom.ops.shared.support import require_element, require_kinds

Int64Array = npt.NDArray[np.int64]
Float32Array = npt.NDArray[np.float32]

TABLE_BITS = 8
"""Inputs of up to this width are looked up; wider ones are computed."""


@dataclass(frozen=True)
class TableOperator(StreamingOperator):
    """``y = f(x)`` for each element alone.

    Attributes:
        input: the type of x.
        output: the type of y.
    """

    input: IntType
    output: IntType

    @abstractmethod
    def function(self, values: Int64Array) -> Int64Array:
        """f, for values of the input type, any shape; the results are values of the output type."""

    def table(self) -> Int64Array:
        """f of every input, at the address that is the input's bit pattern read as an unsigned number.

        Returns:
            int64 array of shape (2**bits,): 256 entries for int8, f(0) first and f(-1) last.

        Raises:
            GraphError: the input is too wide.
        """
        bits = self.input.bits
        if bits > LARGEST_BITS:
            raise GraphError(f"{self.name} of {self.input} has no table: {LARGEST_BITS} bits are the limit")
        address = np.arange(1 << bits, dtype=np.int64)
        return self.function(address - ((address > self.input.maximum).astype(np.int64) << bits))

    @cached_property
    def _lookup(self) -> Array:
        return self.table().astype(self.output.dtype)

    def infer(self, inputs: Sequence[Value]) -> tuple[tuple[tuple[int, ...], ElementType], ...]:
        """The operand's shape, the output type."""
        require_element(inputs[0], self.input)
        self.function(np.array([self.input.minimum, self.input.maximum], np.int64))
        return ((inputs[0].type.shape, self.output),)

    def evaluate(self, inputs: Sequence[Array]) -> tuple[Array, ...]:
        """x of any shape; the result has the same shape and the output's dtype."""
        x = inputs[0].astype(self.input.dtype, copy=False)
        if self.input.bits > TABLE_BITS:
            return (self.function(x.astype(np.int64)).astype(self.output.dtype),)
        return (self._lookup[x.view(np.uint8) & np.uint8((1 << self.input.bits) - 1)],)

    def cost(self, inputs: Sequence[Value]) -> Cost:  # noqa: ARG002 - known from the attributes
        """No multiply-accumulates: one look-up per element, in a memory of 2**bits words."""
        return Cost(parameters=1 << self.input.bits if self.input.bits <= TABLE_BITS else 0)

    def circuit(self, operands: Sequence[Value], results: Sequence[Value]) -> StreamingCircuit:  # noqa: ARG002
        """One memory per lane.

        Raises:
            UnsupportedError: the input is too wide for a memory.
        """
        if self.input.bits > LARGEST_BITS:
            raise UnsupportedError(f"{self.name} of {self.input} has no hardware: {LARGEST_BITS} bits are the limit")
        return TableCircuit(self, operands[0].type.size)


@dataclass(frozen=True)
class TableCircuit(StreamingCircuit):
    """A lookup unit: every element alone, some at a time.

    Attributes:
        operator: whose table it is.
        size: elements per tensor.
    """

    operator: TableOperator
    size: int

    def foldings(self) -> Iterable[Folding]:
        """Powers of two of lanes."""
        for exponent in range(min(7, self.size.bit_length())):
            yield Folding(pe=1 << exponent, simd=1 << exponent, results=1 << exponent)

    def estimate(self, folding: Folding) -> Estimate:
        """A memory of all values per lane, and a FIFO."""
        words, bits = 1 << self.operator.input.bits, self.operator.output.bits
        blocks, logic = rom_size(words, bits, folding.fabric)
        return Estimate(
            cycles=-(-self.size // folding.simd),
            memory_bits=words * bits * folding.simd,
            ram_blocks=blocks * folding.simd,
            logic=logic * folding.simd + fifo_logic(bits * folding.simd) + 12,
        )

    def input_types(self, folding: Folding) -> tuple[StreamType, ...]:
        """The tensor as one row."""
        return (StreamType(self.operator.input, self.size, 1, folding.simd),)

    def output_type(self, folding: Folding) -> StreamType:
        """The tensor as one row."""
        return StreamType(self.operator.output, self.size, 1, folding.simd)

    def schedule(self, folding: Folding) -> Schedule:
        """A beat for a beat."""
        return elementwise(self.input_types(folding), self.output_type(folding), LATENCY)

    def build(self, name: str, folding: Folding, streams: Sequence[Stream], reset: WireVector) -> Stream:  # noqa: ARG002
        """See `bitloom.hw.lookup.lookup`."""
        return lookup(name, streams[0], self.operator.table(), self.operator.output, reset)


@dataclass(frozen=True)
class RealTableOperator(TableOperator):
    """``y = clamp(round(g(sx * (x - zx)) * (1 / sy)) + zy)`` with every step in binary32.

    Source: the table that LiteRT's kernels of 8-bit activations fill before the first inference (LUTPopulate):
    the reciprocal of the output scale is rounded to binary32 first; halves are rounded away from zero.

    The kernels call the C library for g. Here g is its value rounded to binary32, the same on every machine;
    C libraries give that value or, for some arguments, a neighbour one unit in the last place away. A table entry
    would differ only where a rounding boundary lies between the two: about one in ten million.

    Attributes:
        input_scale: sx.
        input_zero_point: zx.
        output_scale: sy.
        output_zero_point: zy.
    """

    input_scale: float
    input_zero_point: int
    output_scale: float
    output_zero_point: int

    @abstractmethod
    def real(self, values: Float32Array) -> Float32Array:
        """g, in binary32."""

    def function(self, values: Int64Array) -> Int64Array:
        """f, by the kernel's sequence of binary32 operations."""
        difference = (values - self.input_zero_point).astype(np.float32)
        with np.errstate(over="ignore"):  # a scale may be so large that only the function's limits remain
            transformed = self.real(np.float32(self.input_scale) * difference)
        scaled = transformed * (np.float32(1) / np.float32(self.output_scale))
        magnitude = np.abs(scaled)
        whole = np.trunc(magnitude)
        rounded = np.copysign(whole + (magnitude - whole >= np.float32(0.5)), scaled)
        shifted = rounded + np.float32(self.output_zero_point)
        return self.output.clamp(shifted.astype(np.int64))

    @classmethod
    def from_source(cls, source: SourceNode) -> RealTableOperator:
        """From a node's operand and result: 8-bit, of equal types, quantized per tensor.

        Raises:
            UnsupportedError: other types, or an output scale so small that the kernel's integers overflow.
        """
        require_kinds(source, [("int8", "int8"), ("uint8", "uint8")])
        x, y = source.operand(0).type, source.outputs[0].type
        x_quantization, y_quantization = x.required_quantization, y.required_quantization
        if y_quantization.scale < 2.0**-30:
            raise UnsupportedError(
                f"{source.kind} with the output scale {y_quantization.scale:g}, which overflows the reference kernel",
                where=source.where,
            )
        return cls(
            input=x.integer,
            output=y.integer,
            input_scale=x_quantization.scale,
            input_zero_point=x_quantization.zero_point,
            output_scale=y_quantization.scale,
            output_zero_point=y_quantization.zero_point,
        )
