"""Dense layers: the constants that software ranges and hardware both derive from, and the circuit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import numpy as np
import numpy.typing as npt
from pyrtl import WireVector

from bitloom.arith import Interval, IntType, Rescale, dot_product_range
from bitloom.arith.narrow import NarrowRescale, narrow
from bitloom.arith.rescale import EXACT
from bitloom.circuits.dense_cost import DenseCost
from bitloom.circuits.dense_folding import Pair, results_unit, useful_parts, worthwhile, worthwhile_results
from bitloom.circuits.schedule import Schedule
from bitloom.circuits.streaming import Estimate, Folding, StreamingCircuit, accumulator_facts
from bitloom.errors import ArithmeticDomainError, GraphError, UnsupportedError
from bitloom.hw.dense import DenseShape, dense
from bitloom.hw.rescale import RescaleConstants
from bitloom.hw.stream import Stream, StreamType
from bitloom.ir import Value

MOST_EXCEPTIONS = 1024
"""Accumulators of a layer that a circuit compares with, because its rescale rounds them as no line does."""


# Rescales to results of so many bits always have a line.
_ALWAYS_LINES = 8


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

    def require_circuit(self) -> None:
        """Refuse a rescale that is no line but for many accumulators, each of which would be compared with.

        Raises:
            UnsupportedError: there are more than `MOST_EXCEPTIONS`, or some are beyond one comparison.
        """
        operator = self.operator
        try:
            count = len(self.narrowed.exceptions)
        except ArithmeticDomainError as error:
            if operator.output.bits <= _ALWAYS_LINES or operator.rescale.rounding in EXACT:
                raise
            raise self._no_line("some") from error
        if count > MOST_EXCEPTIONS:
            raise self._no_line(f"{count}")

    def _no_line(self, count: str) -> UnsupportedError:
        return UnsupportedError(
            f"no multiply-add-shift rounds to {self.operator.output} as {self.operator.rescale.rounding.value} does: "
            f"{count} accumulators differ, and circuits compare with up to {MOST_EXCEPTIONS}",
            remedy="choose a narrower result, or fewer bits of activations or weights",
        )

    def facts(self) -> Mapping[str, int]:
        """Range and width of the accumulator with its bias; the narrowed rescale."""
        narrowed = self.narrowed
        return {
            **accumulator_facts(self.constants.range),
            "rescale_multiplier_bits": narrowed.multiplier_bits,
            "rescale_shift": narrowed.shift,
        }

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

    def __post_init__(self) -> None:
        self.terms.require_circuit()

    def foldings(self) -> Iterable[Folding]:
        """Every split of outputs and inputs that no smaller one equals, with enough results to keep up."""
        outputs, depth = self.terms.outputs, self.terms.depth
        for kind in self._cost.kinds:
            pairs = (
                Pair(pe, simd, -(-outputs // pe) * -(-depth // simd), kind.multipliers(pe, simd))
                for pe in useful_parts(outputs)
                for simd in useful_parts(depth)
                if pe > kind.packed
            )
            for pair in worthwhile(pairs):
                unit = results_unit(pair.pe, 1, outputs, 1)
                for results in worthwhile_results(pair.pe, -(-depth // pair.simd), unit):
                    yield from self._cost.foldings(kind, pair.pe, pair.simd, results)

    def estimate(self, folding: Folding) -> Estimate:
        """See `DenseCost.estimate`."""
        return self._cost.estimate(self._shape(folding))

    def facts(self) -> Mapping[str, int]:
        """See `DenseTerms.facts`."""
        return self.terms.facts()

    def input_types(self, folding: Folding) -> tuple[StreamType, ...]:
        """Rows of K elements."""
        return (self._shape(folding).input_type(self.terms.element),)

    def output_type(self, folding: Folding) -> StreamType:
        """Rows of N elements."""
        return self._shape(folding).output_type(self.terms.operator.output)

    def schedule(self, folding: Folding) -> Schedule:
        """A row for a row."""
        shape = self._shape(folding)
        return Schedule((shape.needed_beats(),), shape.latency)

    def build(self, name: str, folding: Folding, streams: Sequence[Stream], reset: WireVector) -> Stream:
        """See `bitloom.hw.dense.dense`."""
        terms = self.terms
        shape, output = self._shape(folding), terms.operator.output
        return dense(name, streams[0], shape, terms.weights, terms.constants, output, reset)

    def _shape(self, folding: Folding) -> DenseShape:
        terms = self.terms
        rows = terms.operands[0].type.size // terms.depth
        return self._cost.shape(folded_shape(DenseShape(terms.depth, terms.outputs, rows, 1, 1, 1), folding), folding)

    @cached_property
    def _cost(self) -> DenseCost:
        return DenseCost(self.terms)


def folded_shape(shape: DenseShape, folding: Folding) -> DenseShape:
    """The shape of a layer, which must have as many groups side by side as the folding's outputs, folded."""
    return replace(
        shape,
        pe=min(folding.pe, shape.outputs),
        simd=folding.simd,
        results=folding.results,
        rescale_in_logic=folding.rescale_in_logic,
        packed=folding.packed,
        fabric=folding.fabric,
    )
