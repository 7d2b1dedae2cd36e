"""What a folded multiply-accumulate unit costs, by arithmetic alone, so that a planner can ask for every folding."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from typing import Protocol

import numpy as np
import numpy.typing as npt

from bitloom.arith import Interval, IntType, NarrowRescale
from bitloom.circuits.streaming import Estimate, dsp_slices, product_logic
from bitloom.hw.dense_shape import DenseShape, accumulator_bits
from bitloom.hw.fabric import XC7
from bitloom.hw.memory import ram_size, rom_size, total_size
from bitloom.hw.multiply_accumulate import CHAIN_LENGTH, LanePlan
from bitloom.hw.packed_products import can_pack
from bitloom.hw.rescale_form import RescaleConstants, RescaleForm, whole_form

# Chains of so many packed products of 8 bits are always possible.
_SHORTEST_PACKED_CHAIN = 4
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
        each = 1 if shape.packed else dsp_slices(self.element.bits, self.weight_bits)
        return Estimate(
            cycles=shape.cycles,
            multipliers=shape.multipliers * each,
            other_multipliers=slices,
            memory_bits=shape.folds * shape.fold_beats * shape.sums * shape.simd * self.weight_bits,
            ram_blocks=blocks,
            logic=logic + self._logic(shape),
        )

    def _memories(self, shape: DenseShape) -> tuple[int, int]:
        """Block memories and look-up tables of weights, rescale constants, replay buffer and output FIFO."""
        words = shape.folds * shape.fold_beats
        bits = self.weight_bits * shape.sums
        sizes = [rom_size(words, bits * lanes, shape.fabric) for lanes in _lanes_by_delay(shape.simd)]
        sizes.append(
            rom_size(shape.blocks * shape.block_beats, self._rescale(shape).constant_bits * shape.results, shape.fabric)
        )
        if shape.passes > 1 and not shape.replayed:
            lane_bits = shape.simd * shape.parallel * self.element.bits
            sizes.append(ram_size(2 * shape.fold_beats, lane_bits, shape.fabric))
        result_bits = shape.results * self.terms.narrowed.output.type.bits + 1
        sizes.append(ram_size(shape.fifo_depth(shape.latency), result_bits, registered=False))
        return total_size(sizes)

    def _logic(self, shape: DenseShape) -> int:
        """Look-up tables but memories.

        Counters and flags; shift registers that delay lanes (one table a bit); accumulators outside of slices and
        adders of chains (one table a bit); multiplexers of results (one table for three inputs of a bit); and per
        result the rescale's sums and clamps.
        """
        chains = -(-shape.simd // (self._packed_chain if shape.packed else CHAIN_LENGTH))
        adders = shape.sums * self.sum_bits * (chains - 1 + (shape.simd > 1 or shape.packed))
        delayed = (shape.simd - 1) * shape.parallel * self.element.bits
        choices = shape.serial_beats
        multiplexers = shape.results * self.sum_bits * -(-(choices - 1) // 3)
        form = self._rescale(shape)
        rescale = shape.results * form.logic
        if shape.rescale_in_logic:
            rescale += shape.results * product_logic(form.bits, form.multipliers)
        return _CONTROL_LOGIC + adders + delayed + multiplexers + rescale

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
        return whole_form(self.terms.constants, shape.fabric, in_logic=shape.rescale_in_logic)


@cache
def _lanes_by_delay(simd: int) -> tuple[int, ...]:
    """How many lanes each weight memory serves: those with the same delay share one."""
    delays = LanePlan.of(simd).delays
    return tuple(delays.count(delay) for delay in sorted(set(delays)))
