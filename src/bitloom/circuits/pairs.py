"""Circuits of functions of two elements: tables, sums of tables, and products with their rescale in a table."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
from pyrtl import WireVector

from bitloom.arith import Interval, IntType
from bitloom.arith.slopes import Slopes
from bitloom.arith.table_sum import TableSum
from bitloom.circuits.broadcast import Broadcast
from bitloom.circuits.schedule import Schedule
from bitloom.circuits.streaming import MOST_LANES, Estimate, Folding, StreamingCircuit, lane_counts
from bitloom.hw.join import HELD_BEATS, constant_terms, join, join_latency, lookup_terms, period
from bitloom.hw.lookup import LATENCY as LOOKUP_LATENCY
from bitloom.hw.memory import ram_size, rom_size
from bitloom.hw.pairs import (
    PRODUCT_LATENCY,
    SUM_LATENCY,
    ProductNumbers,
    clamped_sums,
    rescaled_products,
)
from bitloom.hw.stream import Stream, StreamType
from bitloom.ir import Value

Int64Array = npt.NDArray[np.int64]

_WORDS = 256


@dataclass(frozen=True, eq=False)
class PairCircuit(StreamingCircuit):
    """Operands of 8 bits, one of which may be constant, and a result of the shape that they broadcast to.

    Attributes:
        operands: both.
        shape: of the result.
        output: its type.
    """

    operands: tuple[Value, Value]
    shape: tuple[int, ...]
    output: IntType

    @cached_property
    def broadcasts(self) -> tuple[Broadcast, ...]:
        """Of the operands that are not constant."""
        return tuple(
            Broadcast(value.type.integer, value.type.shape, self.shape)
            for value in self.operands
            if not value.is_constant
        )

    @property
    def size(self) -> int:
        """Elements of the result."""
        return int(np.prod(self.shape, dtype=np.int64))

    @cached_property
    def row(self) -> int:
        """Elements of the result that no operand's repetition cuts."""
        repeated = [broadcast.inner for broadcast in self.broadcasts if not broadcast.is_whole]
        channels = self.shape[-1] if self.shape and self.shape[-1] > 1 else self.size
        return min([*repeated, channels])

    def foldings(self) -> Iterable[Folding]:
        """Lanes that divide a row, or powers of two; where nothing repeats, also several rows at once."""
        lanes = set(lane_counts(self.row))
        lanes |= {1 << exponent for exponent in range(7) if 1 << exponent <= self.row}
        if all(broadcast.is_whole for broadcast in self.broadcasts):
            several = range(2 * self.row, MOST_LANES + 1, self.row)
            lanes |= {count for count in several if self.size % count == 0}
        for count in sorted(lanes):
            yield Folding(pe=count, simd=count, results=count)

    def output_type(self, folding: Folding) -> StreamType:
        """Rows, or the whole tensor as one where a beat holds several."""
        row = self.row if folding.simd <= self.row else self.size
        return StreamType(self.output, row, self.size // row, folding.simd)

    def input_types(self, folding: Folding) -> tuple[StreamType, ...]:
        """As the result, or less where it is repeated."""
        made = self.output_type(folding)
        return tuple(broadcast.given(made) for broadcast in self.broadcasts)

    def schedule(self, folding: Folding) -> Schedule:
        """Each beat waits for the elements it is made of, and for whole frames of what is repeated from a memory."""
        made = self.output_type(folding)
        latency = join_latency(len(self.broadcasts), self.pipeline)
        longest = max(broadcast.latency for broadcast in self.broadcasts)
        held = HELD_BEATS if len(self.broadcasts) > 1 else 0
        return Schedule(tuple(broadcast.needed(made) for broadcast in self.broadcasts), latency + longest, held)

    def estimate(self, folding: Folding) -> Estimate:
        """What the pipeline takes, and the memories of repeated operands."""
        made = self.output_type(folding)
        estimate = replace(self.pipeline_estimate(folding), cycles=made.beats)
        for broadcast in self.broadcasts:
            words, bits = broadcast.memory(made)
            blocks, logic = ram_size(words, bits, folding.fabric) if words else (0, 0)
            estimate = replace(
                estimate,
                ram_blocks=estimate.ram_blocks + blocks,
                logic=estimate.logic + logic + (60 if words else 0) + 4 * folding.simd + 20,
            )
        return estimate

    def build(self, name: str, folding: Folding, streams: Sequence[Stream], reset: WireVector) -> Stream:
        """Operands repeated where they are smaller, and joined."""
        made = self.output_type(folding)
        repeated = [
            broadcast.build(f"{name}_operand{index}", stream, made, reset)
            for index, (broadcast, stream) in enumerate(zip(self.broadcasts, streams, strict=True))
        ]

        def compute(data: Sequence[WireVector], taken: WireVector) -> Sequence[WireVector]:
            return self.compute(name, folding, data, taken, reset)

        return join(name, repeated, made, self.pipeline, compute, reset)

    @property
    @abstractmethod
    def pipeline(self) -> int:
        """Cycles that `compute` takes."""

    @abstractmethod
    def pipeline_estimate(self, folding: Folding) -> Estimate:
        """What `compute` takes; its cycles do not count."""

    @abstractmethod
    def compute(
        self, name: str, folding: Folding, data: Sequence[WireVector], taken: WireVector, reset: WireVector
    ) -> Sequence[WireVector]:
        """The pipeline: see `bitloom.hw.join.join`."""

    def constant_beats(self, folding: Folding, table: Int64Array) -> Int64Array:
        """What a table has for the constant operand's elements, shape (beats of the result, lanes)."""
        made = self.output_type(folding)
        (value,) = (operand for operand in self.operands if operand.is_constant)
        entries = table[value.constant - value.type.integer.minimum]
        rows = np.broadcast_to(entries, self.shape).reshape(made.rows, made.row)
        spare = made.row_beats * made.lanes - made.row
        return np.pad(rows, ((0, 0), (0, spare)), mode="edge").reshape(made.beats, made.lanes)

    def terms_estimate(self, folding: Folding, position: int, table: Int64Array, bits: int) -> Estimate:
        """The memory of one operand's terms."""
        if self.operands[position].is_constant:
            words = period(self.constant_beats(folding, table))
            blocks, logic = rom_size(words, bits * folding.simd, folding.fabric) if words > 1 else (0, 0)
            return Estimate(
                cycles=0,
                memory_bits=words * bits * folding.simd if words > 1 else 0,
                ram_blocks=blocks,
                logic=logic + 2 * words.bit_length(),
            )
        blocks, logic = rom_size(_WORDS, bits, folding.fabric)
        return Estimate(
            cycles=0,
            memory_bits=_WORDS * bits * folding.simd,
            ram_blocks=blocks * folding.simd,
            logic=logic * folding.simd,
        )


def every_term(
    circuit: PairCircuit,
    folding: Folding,
    name: str,
    operand: int,
    table: Int64Array,
    bits: int,
    data: Sequence[WireVector],
    taken: WireVector,
    reset: WireVector,
) -> list[WireVector]:
    """A table's entries for an operand, from its stream or its constants."""
    value = circuit.operands[operand]
    if value.is_constant:
        return constant_terms(name, circuit.constant_beats(folding, table), bits, taken, reset)
    stream = sum(not each.is_constant for each in circuit.operands[:operand])
    return lookup_terms(name, data[stream], value.type.integer, table, bits)


@dataclass(frozen=True, eq=False)
class SumCircuit(PairCircuit):
    """Sums of two tables: no multiplier.

    Attributes:
        tables: the terms of every value of both operands.
    """

    tables: TableSum

    @property
    def pipeline(self) -> int:
        """Terms, total, result."""
        return SUM_LATENCY

    @cached_property
    def term_bits(self) -> tuple[int, int]:
        """Widths of both terms, signed."""
        left, right = (Interval(int(each.min()), int(each.max())) for each in (self.tables.left, self.tables.right))
        return left.signed_bits, right.signed_bits

    def facts(self) -> Mapping[str, int]:
        """Widths of the terms, and the shift."""
        return {
            "left_term_bits": self.term_bits[0],
            "right_term_bits": self.term_bits[1],
            "term_shift": self.tables.shift,
        }

    def pipeline_estimate(self, folding: Folding) -> Estimate:
        """Two memories, an adder and a clamp in each lane."""
        left, right = (
            self.terms_estimate(folding, position, table, bits)
            for position, (table, bits) in enumerate(
                zip((self.tables.left, self.tables.right), self.term_bits, strict=True)
            )
        )
        return Estimate(
            cycles=0,
            memory_bits=left.memory_bits + right.memory_bits,
            ram_blocks=left.ram_blocks + right.ram_blocks,
            logic=left.logic + right.logic + folding.simd * (max(self.term_bits) + 2 * self.output.bits + 8),
        )

    def compute(
        self, name: str, folding: Folding, data: Sequence[WireVector], taken: WireVector, reset: WireVector
    ) -> Sequence[WireVector]:
        """See `bitloom.hw.pairs.clamped_sums`."""
        left, right = (
            every_term(self, folding, f"{name}_{label}", position, table, bits, data, taken, reset)
            for position, (label, table, bits) in enumerate(
                zip(("left", "right"), (self.tables.left, self.tables.right), self.term_bits, strict=True)
            )
        )
        return clamped_sums(name, left, right, self.tables.shift, self.tables.output, self.output)


@dataclass(frozen=True, eq=False)
class ProductCircuit(PairCircuit):
    """Products with their rescale in a table: one multiplication.

    Attributes:
        multiplied: which operand is multiplied as it is; the other one comes from a table.
        numbers: of the circuit.
        weights: of every value of the other operand.
        negative: which of those values are negative, bool.
    """

    multiplied: int
    numbers: ProductNumbers
    weights: Int64Array
    negative: npt.NDArray[np.bool_]

    @property
    def pipeline(self) -> int:
        """See `bitloom.hw.pairs`."""
        return PRODUCT_LATENCY

    @cached_property
    def words(self) -> Int64Array:
        """Of the table: weights, above them the signs."""
        return self.weights | (self.negative.astype(np.int64) << self.numbers.weight_bits)

    def facts(self) -> Mapping[str, int]:
        """Widths of both factors, and the shift."""
        numbers = self.numbers
        return {
            "magnitude_bits": numbers.magnitude_bits,
            "weight_bits": numbers.weight_bits,
            "product_shift": numbers.shift,
        }

    def pipeline_estimate(self, folding: Folding) -> Estimate:
        """A memory, a multiplier, and adders for magnitude, offset and sign in each lane."""
        numbers, fabric = self.numbers, folding.fabric
        words = self.terms_estimate(folding, 1 - self.multiplied, self.words, numbers.weight_bits + 1)
        # Both factors are unsigned, so that one bit of each side of a slice is lost.
        slices = max(1, -(-numbers.weight_bits // (fabric.multiplicand_bits - 1)))
        return replace(
            words,
            other_multipliers=slices * folding.simd,
            logic=words.logic + folding.simd * (2 * numbers.magnitude_bits + 3 * numbers.product_bits + 20),
        )

    def compute(
        self, name: str, folding: Folding, data: Sequence[WireVector], taken: WireVector, reset: WireVector
    ) -> Sequence[WireVector]:
        """See `bitloom.hw.pairs.rescaled_products`."""
        other, bits = 1 - self.multiplied, self.numbers.weight_bits + 1
        weights = every_term(self, folding, f"{name}_weight", other, self.words, bits, data, taken, reset)
        stream = sum(not value.is_constant for value in self.operands[: self.multiplied])
        width = self.numbers.element.bits
        elements = [data[stream][lane * width : (lane + 1) * width] for lane in range(folding.simd)]
        return rescaled_products(name, elements, weights, self.numbers)


@dataclass(frozen=True, eq=False)
class SingleTableCircuit(PairCircuit):
    """A constant that is one number: a function of the other operand alone.

    Attributes:
        table: the result for every value of the other operand, ascending.
    """

    table: Int64Array

    @property
    def pipeline(self) -> int:
        """One read."""
        return LOOKUP_LATENCY - 1

    def pipeline_estimate(self, folding: Folding) -> Estimate:
        """A memory in each lane."""
        blocks, logic = rom_size(_WORDS, self.output.bits, folding.fabric)
        return Estimate(
            cycles=0,
            memory_bits=_WORDS * self.output.bits * folding.simd,
            ram_blocks=blocks * folding.simd,
            logic=logic * folding.simd,
        )

    def compute(
        self,
        name: str,
        folding: Folding,  # noqa: ARG002 - a table for every lane there is
        data: Sequence[WireVector],
        taken: WireVector,  # noqa: ARG002
        reset: WireVector,  # noqa: ARG002
    ) -> Sequence[WireVector]:
        """A read of the table."""
        element = self.broadcasts[0].element
        return lookup_terms(name, data[0], element, self.table, self.output.bits)


def numbers_of(
    found: Slopes,
    element: IntType,
    zero_point: int,
    output_zero_point: int,
    bounds: Interval,
    output: IntType,
    straight: int | None = None,
) -> ProductNumbers:
    """What the circuit needs of slopes that were found."""
    weights = [int(found.weights.max()), straight or 0]
    return ProductNumbers(
        element=element,
        zero_point=zero_point,
        weight_bits=max(1, max(weights).bit_length()),
        straight=straight,
        offset=found.offset,
        negative_offset=found.negative_offset,
        shift=found.shift,
        output_zero_point=output_zero_point,
        bounds=bounds,
        output=output,
    )
