"""How an operator becomes a circuit: its foldings, what each costs, and building one.

An operator that is a `StreamingOperator` has hardware. The planner asks its circuit for the foldings and their costs
and picks one; the design then asks the circuit to build itself with that folding.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pyrtl import WireVector

from bitloom.arith import Interval
from bitloom.circuits.schedule import Schedule
from bitloom.hw.fabric import XC7, Fabric
from bitloom.hw.logic_multiply import canonical_signed_digits
from bitloom.hw.memory import ram_size
from bitloom.hw.product import slices
from bitloom.hw.stream import Stream, StreamType
from bitloom.ir import Operator, Value

# More lanes than any bus or neighbour feeds are not worth considering.
MOST_LANES = 64
# Tables that an adder takes beyond one for each bit of the value, where its operands are chosen.
_CHOICE_LOGIC = 3


@dataclass(frozen=True)
class Folding:
    """How much of an operator's work is done at the same time.

    Attributes:
        pe: outputs computed together.
        simd: inputs taken together.
        results: outputs finished together: the lanes of the output stream.
        rescale_in_logic: whether rescaling multiplies by adders instead of multiplier slices.
        packed: whether two outputs' products share a multiplier slice.
        products_in_logic: whether products are made of look-up tables instead of multiplier slices.
        fabric: of the chip; the planner sets it.
    """

    pe: int = 1
    simd: int = 1
    results: int = 1
    rescale_in_logic: bool = False
    packed: bool = False
    products_in_logic: bool = False
    fabric: Fabric = XC7


@dataclass(frozen=True)
class Estimate:
    """What a folding costs and how fast it is.

    Attributes:
        cycles: between consecutive inferences, without stalls.
        multipliers: DSP slices of the multiply-accumulate array.
        other_multipliers: DSP slices elsewhere (rescale, reciprocal).
        memory_bits: constant memory.
        ram_blocks: block memories of 18 kbit.
        logic: a rough measure of look-up tables, to choose between foldings of equal speed and multipliers.
        bound: what the cycles are spent on: ``compute``, or reading the ``line buffer``.
    """

    cycles: int
    multipliers: int = 0
    other_multipliers: int = 0
    memory_bits: int = 0
    ram_blocks: int = 0
    logic: int = 0
    bound: str = "compute"

    @property
    def dsp(self) -> int:
        """All DSP slices."""
        return self.multipliers + self.other_multipliers


class StreamingCircuit(ABC):
    """The hardware side of one node: what foldings it has, what each costs, and how it is built."""

    @abstractmethod
    def foldings(self) -> Iterable[Folding]:
        """Every folding worth considering."""

    @abstractmethod
    def estimate(self, folding: Folding) -> Estimate:
        """What a folding costs."""

    def facts(self) -> Mapping[str, int]:
        """Integers that the constants prove and the circuit is made for, by name, for reports: ranges and widths."""
        return {}

    @abstractmethod
    def input_types(self, folding: Folding) -> tuple[StreamType, ...]:
        """What the circuit takes: a type for each operand that is not constant, in their order."""

    @abstractmethod
    def output_type(self, folding: Folding) -> StreamType:
        """What the circuit gives."""

    @abstractmethod
    def schedule(self, folding: Folding) -> Schedule:
        """What each beat of the result waits for."""

    @abstractmethod
    def build(self, name: str, folding: Folding, streams: Sequence[Stream], reset: WireVector) -> Stream:
        """Make the circuit in PyRTL's working block.

        Args:
            name: prefix of the signals.
            folding: one of `foldings`.
            streams: of the types `input_types` says; their `ready` get driven.
            reset: returns the circuit to its initial state in one cycle.

        Returns:
            The output stream, of the type `output_type` says.
        """


class StreamingOperator(Operator):
    """An operator with hardware: operands that are not constant come as streams, and so does its one result."""

    @abstractmethod
    def circuit(self, operands: Sequence[Value], results: Sequence[Value]) -> StreamingCircuit:
        """The hardware side of a node with these operands (constants hold their data) and results."""


class WiringOperator(Operator):
    """An operator that moves no element: in hardware its result is its operand's stream."""


def has_hardware(operator: Operator | type[Operator]) -> bool:
    """Whether the operator can be built as a circuit."""
    kind = operator if isinstance(operator, type) else type(operator)
    return issubclass(kind, (StreamingOperator, WiringOperator))


def lane_counts(length: int) -> list[int]:
    """How many elements of a run of that many can come together, so that every beat is full: its divisors, not many.

    >>> lane_counts(12), lane_counts(130)
    ([1, 2, 3, 4, 6, 12], [1, 2, 5, 10, 13, 26])
    """
    return [lanes for lanes in range(1, min(length, MOST_LANES) + 1) if length % lanes == 0]


def accumulator_facts(reached: Interval) -> dict[str, int]:
    """The range and the width of an accumulator, as `StreamingCircuit.facts` names them."""
    return {"accumulator_low": reached.low, "accumulator_high": reached.high, "accumulator_bits": reached.signed_bits}


def dsp_slices(left_bits: int, right_bits: int, fabric: Fabric = XC7) -> int:
    """Multiplier slices that a signed product takes."""
    return slices(left_bits, right_bits - 1, fabric)


def fifo_logic(bits: int) -> int:
    """Look-up tables of a FIFO of four beats at a circuit's output: its memory, its pointers and its count.

    Args:
        bits: of a beat.
    """
    _, tables = ram_size(4, bits + 1, registered=False)
    return tables + 8


def product_logic(value_bits: int, multipliers: Sequence[int]) -> int:
    """Look-up tables of a product made of adders, which add what lies above their lower operand's lowest bits.

    A constant multiplier needs an adder per non-zero signed digit but one, a variable one an adder per bit but one,
    whose operands are also chosen. With what `RescaleForm.logic` counts, eight rescales (six by a constant, two by
    multipliers from a memory) were estimated within 26 % of what Yosys 0.70 makes for xc7.
    """
    if len(set(multipliers)) == 1:
        return max(len(canonical_signed_digits(multipliers[0])) - 1, 0) * value_bits
    return max(max(value.bit_length() for value in multipliers) - 1, 0) * (value_bits + _CHOICE_LOGIC)
