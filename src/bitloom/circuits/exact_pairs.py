"""The circuit of sums and products of integers of any width; see `bitloom.hw.exact_pairs`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pyrtl import WireVector

from bitloom.circuits.pairs import PairCircuit
from bitloom.circuits.streaming import Estimate, Folding, accumulator_facts, dsp_slices
from bitloom.hw.exact_pairs import ExactProduct, ExactSum
from bitloom.hw.join import constant_terms, period
from bitloom.hw.logic_multiply import canonical_signed_digits
from bitloom.hw.memory import rom_size
from bitloom.hw.registers import delayed
from bitloom.ir import Value

_OPERANDS = 1


@dataclass(frozen=True, eq=False)
class ExactCircuit(PairCircuit):
    """Operands of any width, one of which may be constant.

    Attributes:
        numbers: what is computed.
    """

    numbers: ExactSum | ExactProduct

    @property
    def pipeline(self) -> int:
        """Operands in registers, and what follows."""
        return _OPERANDS + self.numbers.latency

    def facts(self) -> Mapping[str, int]:
        """Range and width of the total."""
        return accumulator_facts(self.numbers.total)

    def pipeline_estimate(self, folding: Folding) -> Estimate:
        """Adders for totals, factors and rounding; slices for a product; a memory for a constant operand."""
        numbers, lanes = self.numbers, folding.simd
        bits = numbers.total.signed_bits
        product = isinstance(numbers, ExactProduct)
        factors = (
            [numbers.factor]
            if isinstance(numbers, ExactProduct)
            else [
                numbers.left_factor,
                abs(numbers.right_factor),
            ]
        )
        adders = sum(max(0, len(canonical_signed_digits(factor)) - 1) for factor in factors)
        kinds = (numbers.left, numbers.right)
        estimate = Estimate(
            cycles=0,
            other_multipliers=lanes * dsp_slices(kinds[0].bits + 1, kinds[1].bits + 1, folding.fabric)
            if product
            else 0,
            logic=lanes * (bits * (3 + adders + product) + 2 * self.output.bits),
        )
        for value, kind in zip(self.operands, kinds, strict=True):
            words = period(self._constants(folding, value)) if value.is_constant else 1
            if words > 1:
                blocks, logic = rom_size(words, kind.bits * lanes, folding.fabric)
                estimate = Estimate(
                    cycles=0,
                    other_multipliers=estimate.other_multipliers,
                    memory_bits=words * kind.bits * lanes,
                    ram_blocks=blocks,
                    logic=estimate.logic + logic + 2 * words.bit_length(),
                )
        return estimate

    def compute(
        self, name: str, folding: Folding, data: Sequence[WireVector], taken: WireVector, reset: WireVector
    ) -> Sequence[WireVector]:
        """See `bitloom.hw.exact_pairs`."""
        lanes: list[list[WireVector]] = []
        streams = iter(data)
        for label, value, kind in zip(("left", "right"), self.operands, self._kinds, strict=True):
            if value.is_constant:
                beats = self._constants(folding, value)
                lanes.append(constant_terms(f"{name}_{label}", beats, kind, taken, reset))
                continue
            beat = delayed(next(streams), _OPERANDS, f"{name}_{label}")
            lanes.append([beat[lane * kind : (lane + 1) * kind] for lane in range(folding.simd)])
        return self.numbers.compute(name, lanes[0], lanes[1], folding.fabric)

    @property
    def _kinds(self) -> tuple[int, int]:
        """Widths of the operands."""
        return self.numbers.left.bits, self.numbers.right.bits

    def _constants(self, folding: Folding, value: Value) -> npt.NDArray[np.int64]:
        """A constant operand's elements in the beats of the result."""
        made = self.output_type(folding)
        rows = np.broadcast_to(value.constant, self.shape).reshape(made.rows, made.row)
        spare = made.row_beats * made.lanes - made.row
        return np.pad(rows, ((0, 0), (0, spare)), mode="edge").reshape(made.beats, made.lanes)
