"""What dense layers share between their software ranges and their hardware: constants, foldings, costs, circuit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import numpy.typing as npt
from pyrtl import WireVector

from bitloom.arith import Interval, IntType, Rescale, dot_product_range
from bitloom.arith.narrow import NarrowRescale, narrow
from bitloom.errors import GraphError
from bitloom.hw.dense import DenseShape, accumulator_bits, dense
from bitloom.hw.product import limbs
from bitloom.hw.rescale import RescaleConstants, multiplied_bits
from bitloom.hw.stream import Stream, StreamType
from bitloom.ir import Value
from bitloom.ops.hardware import (
    Estimate,
    Folding,
    StreamingCircuit,
    buffer_blocks,
    dsp_slices,
    product_logic,
    ram_logic,
    rom_blocks,
    rom_logic,
)
from bitloom.ops.schedule import Schedule, rowwise


class DenseOperator(Protocol):
    """The integer parameters of a dense layer."""

    @property
    def input_zero_point(self) -> int:
        """Of the input."""

    @property
    def weight_zero_point(self) -> int:
        """Of the weights."""

    @property
    def output_zero_point(self) -> int:
        """Of the output."""

    @property
    def rescale(self) -> Rescale:
        """From accumulator to output."""

    @property
    def activation(self) -> Interval:
        """The clamp."""

    @property
    def output(self) -> IntType:
        """The output's type."""


@dataclass(frozen=True)
class DenseTerms:
    """What software ranges and hardware both derive from a dense layer's constants.

    Attributes:
        operator: the layer.
        operands: its input, weights, and bias if there is one.
    """

    operator: DenseOperator
    operands: Sequence[Value]

    @cached_property
    def weights(self) -> npt.NDArray[np.int64]:
        """Weights less their zero point, shape (N, K)."""
        constant = self.operands[1].constant
        if constant.ndim != 2:
            raise GraphError(f"weights have shape {list(constant.shape)}, not (outputs, inputs)")
        return constant - self.operator.weight_zero_point

    @property
    def outputs(self) -> int:
        """N."""
        return int(self.weights.shape[0])

    @property
    def depth(self) -> int:
        """K."""
        return int(self.weights.shape[1])

    @cached_property
    def bias(self) -> npt.NDArray[np.int64]:
        """The bias, zeros if there is none, shape (N,)."""
        if len(self.operands) < 3:
            return np.zeros(self.outputs, np.int64)
        bias = self.operands[2].constant
        if bias.size != self.outputs:
            raise GraphError(f"{bias.size} biases for {self.outputs} outputs")
        return bias.reshape(-1)

    @cached_property
    def folded_bias(self) -> npt.NDArray[np.int64]:
        """The bias with the input zero point multiplied in: ``b[n] - zx * sum_k w[n, k]``, shape (N,)."""
        return self.bias - self.operator.input_zero_point * self.weights.sum(axis=1)

    @property
    def element(self) -> IntType:
        """The input's type."""
        return self.operands[0].type.integer

    @cached_property
    def accumulator_bounds(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """The exact low and high accumulator of each output, shape (N,)."""
        extremes = Interval(self.element.minimum, self.element.maximum)
        return dot_product_range(self.weights, self.folded_bias, extremes)

    @cached_property
    def narrowed(self) -> NarrowRescale:
        """The rescale as the narrowest multiply-add-shift."""
        low, high = self.accumulator_bounds
        return narrow(self.operator.rescale, low, high, self.operator.output_zero_point, self.operator.activation)

    @cached_property
    def constants(self) -> RescaleConstants:
        """What the rescale circuit needs."""
        low, high = self.accumulator_bounds
        return RescaleConstants(self.folded_bias, self.narrowed, low, high)


@dataclass(frozen=True)
class DenseCircuit(StreamingCircuit):
    """The folded matrix-vector unit of a dense layer.

    Attributes:
        terms: the layer's constants.
    """

    terms: DenseTerms

    def foldings(self) -> Iterable[Folding]:
        """Every split of outputs and inputs that no smaller one equals, with enough results to keep up."""
        terms = self.terms
        for pe in useful_parts(terms.outputs):
            folds = -(-terms.outputs // pe)
            for simd in useful_parts(terms.depth):
                least = -(-pe // -(-terms.depth // simd))
                for results in range(least, pe + 1):
                    if pe % results == 0 or (folds == 1 and results == least):
                        yield Folding(pe, simd, results)
                        yield Folding(pe, simd, results, rescale_in_logic=True)

    def estimate(self, folding: Folding) -> Estimate:
        """One DSP slice per lane, and what the rescale's product needs."""
        terms, shape = self.terms, self._shape(folding)
        words, word_bits = shape.folds * shape.fold_beats, self._weight_bits * shape.multipliers
        narrowed, value_bits = terms.narrowed, multiplied_bits(terms.constants)
        slices = shape.results * limbs(value_bits) * limbs(narrowed.multiplier_bits)
        adders = shape.results * product_logic(value_bits, narrowed.multipliers)
        return Estimate(
            cycles=shape.cycles,
            multipliers=shape.multipliers * dsp_slices(terms.element.bits, self._weight_bits),
            other_multipliers=0 if folding.rescale_in_logic else slices,
            memory_bits=words * word_bits,
            ram_blocks=(
                rom_blocks(words, word_bits, folding.fabric)
                + (
                    buffer_blocks(2 * shape.fold_beats, shape.simd * terms.element.bits, folding.fabric)
                    if shape.folds > 1
                    else 0
                )
            ),
            logic=(
                rom_logic(words, word_bits)
                + shape.pe * self._sum_bits * (1 + (shape.simd > 1) - (shape.serial_beats == 1))
                + (ram_logic(2 * shape.fold_beats, shape.simd * terms.element.bits) if shape.folds > 1 else 0)
                + 150 * shape.results
                + (adders if folding.rescale_in_logic else 0)
            ),
        )

    def facts(self) -> Mapping[str, int]:
        """Range and width of the accumulator with its bias; the narrowed rescale."""
        bounds, narrowed = self.terms.constants.range, self.terms.narrowed
        return {
            "accumulator_low": bounds.low,
            "accumulator_high": bounds.high,
            "accumulator_bits": bounds.signed_bits,
            "rescale_multiplier_bits": narrowed.multiplier_bits,
            "rescale_shift": narrowed.shift,
        }

    def input_types(self, folding: Folding) -> tuple[StreamType, ...]:
        """Rows of K elements."""
        return (self._shape(folding).input_type(self.terms.element),)

    def output_type(self, folding: Folding) -> StreamType:
        """Rows of N elements."""
        return self._shape(folding).output_type(self.terms.operator.output)

    def schedule(self, folding: Folding) -> Schedule:
        """A row for a row."""
        (source,) = self.input_types(folding)
        return rowwise(source, self.output_type(folding), self._shape(folding).latency)

    def build(self, name: str, folding: Folding, streams: Sequence[Stream], reset: WireVector) -> Stream:
        """See `bitloom.hw.dense.dense`."""
        terms = self.terms
        shape, output = self._shape(folding), terms.operator.output
        return dense(name, streams[0], shape, terms.weights, terms.constants, output, reset)

    def _shape(self, folding: Folding) -> DenseShape:
        terms = self.terms
        rows = terms.operands[0].type.size // terms.depth
        return DenseShape(
            terms.depth,
            terms.outputs,
            rows,
            folding.pe,
            folding.simd,
            folding.results,
            folding.rescale_in_logic,
            folding.fabric.product_registers,
        )

    @cached_property
    def _weight_bits(self) -> int:
        return Interval(int(self.terms.weights.min()), int(self.terms.weights.max())).signed_bits

    @cached_property
    def _sum_bits(self) -> int:
        # Unsigned elements are multiplied less half their range.
        return accumulator_bits(self.terms.weights, IntType(self.terms.element.bits))


def useful_parts(total: int) -> list[int]:
    """The part sizes that cut `total` into each possible number of parts, the smallest for each number.

    >>> useful_parts(10)
    [1, 2, 3, 4, 5, 10]
    """
    return sorted({-(-total // parts) for parts in range(1, total + 1)})
