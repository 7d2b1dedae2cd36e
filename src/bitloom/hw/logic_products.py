"""Dot products of narrow weights in look-up tables and adders, without multipliers.

Each weight is stored as a few bits that choose 0 or a shifted copy of the activation, negated or not
(`bitloom.hw.weight_code`). The choices are added in a tree, with a register after each level:

```
   code 0 ──▶┌──────────────┐
   u0 ──────▶│ 0, u, ~u, 2u │──┐
   code 1 ──▶├──────────────┤  + ──▶ [sum] ──┐
   u1 ──────▶│ 0, u, ~u, 2u │──┘              + ──▶ [sum] ──▶ ...
                        ...         [sum] ────┘
```

Nothing in it is signed, and negating is not adding one. An activation x of b bits comes as ``u = x + 2**(b - 1)``, and
a product by the digit d is taken as

    d > 0:  d * u            =  d * x + d * 2**(b - 1)
    d < 0:  |d| * ~u         =  d * x + |d| * (2**(b - 1) - 1)

so that every term is at least 0. What it is too large depends on the weight alone, so that the excess of a whole sum is
a constant of the output channel, which goes into its bias (`LogicProducts.excess`).

The first adders take their operands from the choices, in the same look-up tables. Where several terms have together no
more bits than a look-up table has inputs, they are added in one step: three products of bits, for example, are two
tables. A weight that is the same in all words is not stored: its terms are wires.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pyrtl import Const, Register, WireVector, concat, concat_list, select

from bitloom.arith import IntType
from bitloom.hw.fabric import XC7, Fabric
from bitloom.hw.memory import field, pack_words, registered_rom
from bitloom.hw.multiply_accumulate import LanePlan, activation_operands, operand_latency
from bitloom.hw.registers import named
from bitloom.hw.weight_code import WeightCode, fixed_digits

Int64Array = npt.NDArray[np.int64]

TABLE_INPUTS = 6
"""Of a look-up table."""


def logic_latency(simd: int, digits: int, product_registers: int = 1) -> int:
    """Cycles from the address of a beat to the sums of its products.

    Args:
        simd: lanes.
        digits: of a weight.
        product_registers: as many registers stand behind the memory of the weights (`bitloom.hw.fabric`).
    """
    return operand_latency(product_registers) + _levels(simd, digits)


def _levels(simd: int, digits: int) -> int:
    """Registers from products to sums: one for each level of a tree of pairs, and one if there is none."""
    return max(1, (simd - 1).bit_length() + (digits - 1).bit_length())


@dataclass(frozen=True, eq=False)
class LogicProducts:
    """The sums of products of a beat.

    Attributes:
        sums: one for each processing element, unsigned.
        excess: what each sum is too large, int64, shape (words, pe).
        largest: of each sum, int64, shape (words, pe).
        latency: cycles from `address` to the sums.
    """

    sums: list[WireVector]
    excess: Int64Array
    largest: Int64Array
    latency: int


def logic_products(
    name: str,
    activations: Sequence[WireVector],
    element: IntType,
    weights: Int64Array,
    address: WireVector,
    *,
    groups: int = 1,
    fabric: Fabric = XC7,
) -> LogicProducts:
    """The sums of products of one beat, for every processing element, in logic.

    Args:
        name: prefix of the signals.
        activations: `simd` times `groups` wires, valid in the same cycle as `address`; those of a lane side by side.
        element: their type, signed.
        weights: int64, shape (words, pe, simd): what each address multiplies by.
        address: which word, one cycle before the activations' registers are loaded.
        groups: parts of equal size of the processing elements that have activations of their own.
        fabric: of the chip.

    >>> import pyrtl
    >>> pyrtl.reset_working_block()
    >>> weights = np.array([[[1, -2], [-1, 0]], [[-2, 1], [1, -1]]])
    >>> address, activations = pyrtl.Input(1, "address"), [pyrtl.Input(8, f"activation{lane}") for lane in range(2)]
    >>> products = logic_products("layer", activations, IntType(8), weights, address)
    >>> for index, total in enumerate(products.sums):
    ...     output = pyrtl.Output(total.bitwidth, f"sum{index}")
    ...     output <<= total
    >>> simulation = pyrtl.FastSimulation()
    >>> for _ in range(products.latency + 1):
    ...     simulation.step({"address": 1, "activation0": -128 & 0xFF, "activation1": 5})
    >>> [simulation.inspect(f"sum{index}") - int(products.excess[1, index]) for index in range(2)]
    [261, -133]
    >>> -2 * -128 + 5, -128 - 5
    (261, -133)
    """
    _, elements, simd = weights.shape
    code = WeightCode.of(np.unique(weights).tolist())
    levels = _levels(simd, len(code.digits))
    plan = LanePlan((), (0,) * simd, levels, fabric.product_registers, fabric.product_registers)
    operands = activation_operands(name, [_unsigned(wire) for wire in activations], plan, groups)
    varying = (weights != weights[0]).any(axis=0)
    stored = _stored(name, code, weights, varying, address, fabric.product_registers)
    digits = code.digit_values(weights)
    sums, excess, largest = [], [], []
    for index in range(elements):
        own = operands[index * groups // elements :: groups]
        terms: list[_Term] = []
        for lane, operand in enumerate(own):
            if varying[index, lane]:
                parts = digits[:, :, index, lane]
                terms += _chosen_terms(code, stored[index, lane], operand, parts, element)
            else:
                terms += _fixed_terms(int(weights[0, index, lane]), operand, len(weights), element)
        excess.append(sum((term.excess << term.exponent for term in terms), np.zeros(len(weights), np.int64)))
        total = _tree(f"{name}_pe{index}", terms or [_nothing(len(weights))], levels)
        largest.append(total.largest << total.exponent)
        sums.append(_aligned(total))
    latency = operand_latency(fabric.product_registers) + levels
    return LogicProducts(sums, np.stack(excess, 1), np.stack(largest, 1), latency)


def _unsigned(activation: WireVector) -> WireVector:
    """``x + 2**(bits - 1)``: the top bit turned over."""
    return activation ^ Const(1 << (activation.bitwidth - 1), activation.bitwidth)


def _inverted(value: WireVector) -> WireVector:
    """``2**bits - 1 - u``.

    Not as ``~u``: PyRTL 1.0.3 writes that into the expression that uses it, where Verilog extends u before it inverts.
    """
    return value ^ Const((1 << value.bitwidth) - 1, value.bitwidth)


def _stored(
    name: str,
    code: WeightCode,
    weights: Int64Array,
    varying: npt.NDArray[np.bool_],
    address: WireVector,
    registers: int,
) -> dict[tuple[int, int], WireVector]:
    """The stored weights that differ from word to word, by processing element and lane."""
    if not varying.any():
        return {}
    words = [pack_words(word.tolist(), code.bits) for word in code.encode(weights)[:, varying]]
    count = int(varying.sum())
    word = registered_rom(f"{name}_weights", words, code.bits * count, address, registers)
    return {
        (int(element), int(lane)): field(word, place, code.bits)
        for place, (element, lane) in enumerate(np.argwhere(varying))
    }


@dataclass(frozen=True, eq=False)
class _Term:
    """A number to add: ``wire * 2**exponent``.

    Attributes:
        wire: unsigned.
        exponent: its place.
        inputs: how many registered bits each bit of it depends on, all its bits together.
        largest: of `wire`, in each word.
        excess: what `wire` is too large, in each word.
    """

    wire: WireVector
    exponent: int
    inputs: int
    largest: Int64Array
    excess: Int64Array


def _chosen_terms(
    code: WeightCode, stored: WireVector, operand: WireVector, digits: Int64Array, element: IntType
) -> Iterator[_Term]:
    """The product by a stored weight, a term for each digit."""
    for digit, values in zip(code.digits, digits, strict=True):
        selectors = [stored[position] for position in digit.positions]
        wire = _chosen(selectors, digit.values, operand, operand.bitwidth + digit.largest.bit_length() - 1)
        yield _term(wire, digit.exponent, operand.bitwidth + len(selectors), values, element)


def _fixed_terms(weight: int, operand: WireVector, words: int, element: IntType) -> Iterator[_Term]:
    """The product by a weight that never changes: wires."""
    for exponent, sign in fixed_digits(weight):
        wire = operand if sign > 0 else _inverted(operand)
        yield _term(wire, exponent, operand.bitwidth, np.full(words, sign, np.int64), element)


def _nothing(words: int) -> _Term:
    return _Term(Const(0, 1), 0, 0, np.zeros(words, np.int64), np.zeros(words, np.int64))


def _term(wire: WireVector, exponent: int, inputs: int, values: Int64Array, element: IntType) -> _Term:
    half = -element.minimum
    magnitudes = np.abs(values)
    return _Term(
        wire,
        exponent,
        inputs,
        magnitudes * (2 * half - 1),
        np.where(values > 0, magnitudes * half, magnitudes * (half - 1)),
    )


def _chosen(selectors: Sequence[WireVector], values: Sequence[int], operand: WireVector, bits: int) -> WireVector:
    """``value * u``, or ``|value| * ~u``, of the value that the selectors choose."""
    if len(set(values)) == 1:
        value = values[0]
        if not value:
            return Const(0, bits)
        taken = operand if value > 0 else _inverted(operand)
        places = abs(value).bit_length() - 1
        shifted = concat(taken, Const(0, places)) if places else taken
        return shifted.zero_extended(bits)
    middle = len(values) // 2
    low, high = values[:middle], values[middle:]
    top, rest = selectors[-1], selectors[:-1]
    if all(above == -below for below, above in zip(low, high, strict=True)):
        turned = concat_list([bit ^ top for bit in operand])
        return _chosen(rest, low, turned, bits)
    return select(top, _chosen(rest, high, operand, bits), _chosen(rest, low, operand, bits))


def _tree(name: str, terms: Sequence[_Term], levels: int) -> _Term:
    """Add terms, those of one exponent first; a register after each level."""
    nodes = sorted(terms, key=lambda term: term.exponent)
    for level in range(levels):
        taken, nodes = nodes, []
        while taken:
            count = _together(taken)
            group, taken = taken[:count], taken[count:]
            nodes.append(_added(f"{name}_sum{level}_{len(nodes)}", group))
    (total,) = nodes
    return total


def _together(terms: Sequence[_Term]) -> int:
    """How many of the next terms are added at once: as many as one look-up table sees, at least two."""
    count = inputs = 0
    for term in terms:
        inputs += term.inputs
        if term.exponent != terms[0].exponent or inputs > TABLE_INPUTS:
            break
        count += 1
    return min(max(count, 2), len(terms))


def _added(name: str, group: Sequence[_Term]) -> _Term:
    """The registered sum of a few terms, as wide as it can get."""
    first = group[0]
    largest = sum(((term.largest << term.exponent - first.exponent) for term in group[1:]), first.largest)
    excess = sum(((term.excess << term.exponent - first.exponent) for term in group[1:]), first.excess)
    bits = max(1, int(largest.max()).bit_length())
    same = all(term.exponent == first.exponent for term in group)
    if len(group) == 1:
        value = first.wire
    elif same and sum(term.inputs for term in group) <= TABLE_INPUTS:
        value = _gate_sum([term.wire for term in group], bits)
    else:
        value = _carried_sum(first, group[1])
    register = Register(bits, name)
    register.next <<= value.zero_extended(max(bits, value.bitwidth)).truncate(bits)
    return _Term(register, first.exponent, bits, largest, excess)


def _carried_sum(low: _Term, high: _Term) -> WireVector:
    """Of two terms, the first not of the higher exponent; its lowest bits need no adder."""
    places = high.exponent - low.exponent
    if places == 0:
        return low.wire + high.wire
    if places >= low.wire.bitwidth:
        return concat(high.wire, low.wire.zero_extended(places))
    return concat(low.wire[places:] + high.wire, low.wire[:places])


def _gate_sum(wires: Sequence[WireVector], bits: int) -> WireVector:
    """The sum by gates, for synthesis to put into one level of look-up tables, which it does not do with adders."""
    columns: list[list[WireVector]] = [[] for _ in range(bits + 1)]
    for wire in wires:
        for place, bit in enumerate(wire[:bits]):
            columns[place].append(bit)
    result: list[WireVector] = []
    for place in range(bits):
        column = columns[place]
        while len(column) > 1:
            if len(column) == 2:
                (left, right), column = column, []
                total, carry = left ^ right, left & right
            else:
                (left, right, third), column = column[:3], column[3:]
                half = left ^ right
                total, carry = half ^ third, (left & right) | (half & third)
            column.append(total)
            columns[place + 1].append(carry)
        result.append(column[0] if column else Const(0, 1))
    return concat_list(result)


def _aligned(term: _Term) -> WireVector:
    return concat(term.wire, Const(0, term.exponent)) if term.exponent else term.wire


def logic_accumulator(
    name: str, term: WireVector, valid: WireVector, first: WireVector, bits: int, *, beats: int
) -> WireVector:
    """A sum over beats of unsigned terms, less half its range: its top bit is a sign.

    Args:
        name: of the register.
        term: what to add.
        valid: whether there is a term in this cycle.
        first: whether it starts a sum.
        bits: width that holds every sum.
        beats: of a sum.
    """
    register = Register(bits, name)
    if beats == 1:
        register.next <<= _unsigned(term.zero_extended(bits))
        return register
    start = Const(1 << (bits - 1), bits)
    kept = named(select(first, start, register), f"{name}_kept")
    # The term first: of equal bits an adder's carry passes on its first operand's, which is a register here.
    register.next <<= select(valid, (term.zero_extended(bits) + kept).truncate(bits), register)
    return register
