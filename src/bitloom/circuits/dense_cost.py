"""What a folded multiply-accumulate unit costs, by arithmetic alone, so that a planner can ask for every folding."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Protocol

import numpy as np
import numpy.typing as npt

from bitloom.arith import Interval, IntType, NarrowRescale
from bitloom.circuits.logic_cost import tree_tables
from bitloom.circuits.streaming import Estimate, Folding, dsp_slices, product_logic
from bitloom.hw.dense_shape import DenseShape, accumulator_bits
from bitloom.hw.fabric import XC7
from bitloom.hw.fifo import credit_fifo_size
from bitloom.hw.memory import ram_size, rom_size, total_size
from bitloom.hw.multiply_accumulate import CHAIN_LENGTH, LanePlan
from bitloom.hw.packed_products import can_pack, packed_multipliers
from bitloom.hw.rescale_form import RescaleConstants, RescaleForm, whole_form
from bitloom.hw.weight_code import WeightCode

# Chains of so many packed products of 8 bits are always possible.
_SHORTEST_PACKED_CHAIN = 4
# Products of wider operands, the bits of one times those of the other, are left to multiplier slices.
_LOGIC_PRODUCT_BITS = 32
# Look-up tables of counters and flags.
_CONTROL_LOGIC = 70


class CostedTerms(Protocol):
    """What of a layer's constants its cost follows from."""

    @property
    def weights(self) -> npt.NDArray[np.int64]:
        """Shape (N, K)."""

    @property
    def element(self) -> IntType:
        """Of the input."""

    @property
    def constants(self) -> RescaleConstants:
        """Of the rescale."""

    @property
    def narrowed(self) -> NarrowRescale:
        """Of the rescale."""


@dataclass(frozen=True)
class ProductKind:
    """What products are made of.

    Attributes:
        packed: two in a multiplier slice.
        in_logic: look-up tables.
    """

    packed: bool = False
    in_logic: bool = False

    def multipliers(self, pe: int, simd: int, groups: int = 1) -> int:
        """What an array of so many products takes: slices, or of logic, products."""
        return packed_multipliers(pe, simd, groups) if self.packed else pe * simd


@dataclass(frozen=True)
class DenseCost:
    """The cost of one layer's unit in any folding.

    Attributes:
        terms: the layer's constants.
    """

    terms: CostedTerms

    def estimate(self, shape: DenseShape) -> Estimate:
        """What a folding costs.

        Cycles and multiplier slices are exact. Block memories are counted as Yosys takes them. Look-up tables are the
        sum of the parts in `_memories` and `_logic`, whose constants were fitted to Yosys 0.70 on xc7: eleven units of
        275 to 3029 tables were estimated within 25 %, eight of them within 16 %.
        """
        blocks, logic = self._memories(shape)
        slices = 0 if shape.rescale_in_logic else shape.results * self._rescale(shape).slices
        each = 1 if shape.packed else dsp_slices(self.element.bits, self.weight_bits, shape.fabric)
        return Estimate(
            cycles=shape.cycles,
            multipliers=shape.multipliers * each,
            other_multipliers=slices,
            memory_bits=shape.folds * shape.fold_beats * shape.sums * shape.simd * self.stored_bits(shape),
            ram_blocks=blocks,
            logic=logic + self._logic(shape),
        )

    def _memories(self, shape: DenseShape) -> tuple[int, int]:
        """Block memories and look-up tables of weights, rescale constants, replay buffer and output FIFO."""
        words = shape.folds * shape.fold_beats
        bits = self.stored_bits(shape) * shape.sums
        if shape.product_digits:
            # Weights that never change are no memory.
            sizes = [rom_size(words, bits * shape.simd, shape.fabric)] if words > 1 else []
        else:
            sizes = [rom_size(words, bits * lanes, shape.fabric) for lanes in _lanes_by_delay(shape.simd)]
        sizes.append(
            rom_size(shape.blocks * shape.block_beats, self._rescale(shape).constant_bits * shape.results, shape.fabric)
        )
        if shape.passes > 1 and not shape.replayed:
            lane_bits = shape.simd * shape.parallel * self.element.bits
            sizes.append(ram_size(2 * shape.fold_beats, lane_bits, shape.fabric))
        result_bits = shape.results * self.terms.narrowed.output.type.bits + 1
        sizes.append(credit_fifo_size(shape.fifo_depth(shape.latency), result_bits, shape.fabric))
        return total_size(sizes)

    def _logic(self, shape: DenseShape) -> int:
        """Look-up tables but memories.

        Counters and flags; the array; multiplexers of results (one table for three inputs of a bit); and per result
        the rescale's sums and clamps, and what it compares with.
        """
        bits = self._sum_bits(shape)
        choices = shape.serial_beats
        multiplexers = shape.results * bits * -(-(choices - 1) // 3)
        form = self._rescale(shape)
        rescale = shape.results * form.logic
        if shape.rescale_in_logic:
            rescale += shape.results * product_logic(form.bits, form.multipliers)
        exceptions = len(self.terms.narrowed.exceptions) * (form.bits // 6 + 2)
        return _CONTROL_LOGIC + self._array_logic(shape) + multiplexers + rescale + exceptions

    def _array_logic(self, shape: DenseShape) -> int:
        """Of the array.

        Shift registers that delay lanes (one table a bit), accumulators outside of slices and adders of chains (one
        table a bit); or products and adders of logic (see `bitloom.circuits.logic_cost`).
        """
        if shape.product_digits:
            fixed = shape.folds * shape.fold_beats == 1
            tables = tree_tables(self.weight_code(shape), self.element.bits, shape.simd, fixed=fixed)
            return shape.sums * (tables + (self._sum_bits(shape) if shape.fold_beats > 1 else 0))
        chains = -(-shape.simd // (self._packed_chain if shape.packed else CHAIN_LENGTH))
        adders = shape.sums * self.sum_bits * (chains - 1 + (shape.simd > 1 or shape.packed))
        return adders + (shape.simd - 1) * shape.parallel * self.element.bits

    @cached_property
    def element(self) -> IntType:
        """Of the multiplied inputs: unsigned ones are multiplied less half their range."""
        return IntType(self.terms.element.bits)

    @cached_property
    def weight_bits(self) -> int:
        """Signed width of the widest weight."""
        return Interval(int(self.terms.weights.min()), int(self.terms.weights.max())).signed_bits

    @cached_property
    def sum_bits(self) -> int:
        """Width of an accumulator."""
        return accumulator_bits(self.terms.weights, self.element)

    def stored_bits(self, shape: DenseShape) -> int:
        """Of a weight in memory."""
        return self.weight_code(shape).bits if shape.product_digits else self.weight_bits

    def weight_code(self, shape: DenseShape) -> WeightCode:
        """How weights are stored where products are made of logic."""
        return self._codes[shape.is_padded]

    @cached_property
    def _codes(self) -> tuple[WeightCode, WeightCode]:
        """Of the layer's weights, and of those and 0."""
        values = np.unique(self.terms.weights).tolist()
        return WeightCode.of(values), WeightCode.of([*values, 0])

    def _sum_bits(self, shape: DenseShape) -> int:
        """Width of an accumulator."""
        if not shape.product_digits:
            return self.sum_bits
        return self._logic_sum_bits[shape.is_padded]

    @cached_property
    def _logic_sum_bits(self) -> list[int]:
        """Width of accumulators of products of logic, by whether there is padding."""
        found = []
        for code in self._codes:
            parts = zip(code.digits, code.digit_values(self.terms.weights), strict=True)
            largest = sum((np.abs(digits) << digit.exponent for digit, digits in parts), np.zeros(1, np.int64))
            found.append(max(1, int(largest.sum(axis=1).max() * ((1 << self.element.bits) - 1)).bit_length()))
        return found

    @property
    def is_multiplier_free(self) -> bool:
        """Whether the weights are 0 and signed powers of two, or so few bits that each is one choice."""
        return all(code.is_single for code in self._codes)

    @cached_property
    def can_be_logic(self) -> bool:
        """Whether products made of logic are worth considering."""
        bits = max(code.bits for code in self._codes) * self.element.bits
        return self.is_multiplier_free or bits <= _LOGIC_PRODUCT_BITS

    @cached_property
    def kinds(self) -> tuple[ProductKind, ...]:
        """The ways to make products that are worth considering."""
        if self.is_multiplier_free:
            return (ProductKind(in_logic=True),)
        found = [ProductKind()]
        if self.can_pack:
            found.append(ProductKind(packed=True))
        if self.can_be_logic:
            found.append(ProductKind(in_logic=True))
        return tuple(found)

    def foldings(self, kind: ProductKind, pe: int, simd: int, results: int) -> Iterator[Folding]:
        """Of an array of one kind: what is multiplied without multipliers is rescaled so too."""
        folding = Folding(pe, simd, results, packed=kind.packed, products_in_logic=kind.in_logic)
        if not self.is_multiplier_free:
            yield folding
        yield replace(folding, rescale_in_logic=True)

    def shape(self, shape: DenseShape, folding: Folding) -> DenseShape:
        """A shape with the digits of its weights, if the folding makes products of logic."""
        if not folding.products_in_logic:
            return shape
        return replace(shape, product_digits=len(self.weight_code(shape).digits))

    @cached_property
    def can_pack(self) -> bool:
        """Whether two weights fit one slice, on a fabric where two fit any."""
        return can_pack(self.terms.weights, self.element, XC7)

    @cached_property
    def _packed_chain(self) -> int:
        """About how long a chain of packed products can be: the sums of half the outputs have to fit below the others.

        See `bitloom.hw.packed_products.Packing`; this takes neighbouring weights, whatever the folding.
        """
        reach = np.cumsum(np.abs(self.terms.weights), axis=1)
        room = 1 << (XC7.multiplicand_bits - self.weight_bits - self.element.bits)
        for length in range(min(CHAIN_LENGTH, reach.shape[1] - 1), _SHORTEST_PACKED_CHAIN, -1):
            if np.median((reach[:, length:] - reach[:, :-length]).max(axis=1)) < room:
                return length
        return _SHORTEST_PACKED_CHAIN

    def _rescale(self, shape: DenseShape) -> RescaleForm:
        """The layout of a rescale lane."""
        constants = self._from_zero(self._sum_bits(shape)) if shape.product_digits else self.terms.constants
        return whole_form(constants, shape.fabric, in_logic=shape.rescale_in_logic)

    def _from_zero(self, bits: int) -> RescaleConstants:
        """The constants for accumulators of products of logic: from their lowest value on, less half their range."""
        if bits not in self._known_constants:
            constants = self.terms.constants
            self._known_constants[bits] = replace(constants, bias=constants.low + (1 << (bits - 1)))
        return self._known_constants[bits]

    @cached_property
    def _known_constants(self) -> dict[int, RescaleConstants]:
        """Those made so far: planners ask for thousands of foldings."""
        return {}


@cache
def _lanes_by_delay(simd: int) -> tuple[int, ...]:
    """How many lanes each weight memory serves: those with the same delay share one."""
    delays = LanePlan.of(simd).delays
    return tuple(delays.count(delay) for delay in sorted(set(delays)))
