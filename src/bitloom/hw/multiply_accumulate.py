"""Dot products: lanes of multipliers in chains, and accumulators.

Each of `pe` processing elements multiplies `simd` activations by `simd` weights per cycle and adds the products.
Adding goes along a chain, one register after each addition, so that every lane is one multiplier slice with the
adder inside it:

```
   x0,w0 ──▶ × ──▶ [m0] ──▶ + ──▶ [p0]                lane 0 now
   x1,w1 ─[d]─▶ × ─▶ [m1] ──────▶ + ──▶ [p1]          lane 1 a cycle later
   x2,w2 ─[d]─[d]─▶ × ─▶ [m2] ───────▶ + ──▶ [p2]     lane 2 two cycles later ──▶ sum
```

Weights pass a second register on their way from the memory to the multiplier, because a block memory's own output is
too slow to multiply in the same cycle; the activations wait for them.

Chains are at most `CHAIN_LENGTH` long; the sums of several chains are added in a pipelined tree. The activations'
delays are shared by all processing elements; the weights' delays are made by delaying the memory addresses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import numpy.typing as npt
import pyrtl
from pyrtl import Const, Register, RomBlock, WireVector, select

from bitloom.arith import Interval, IntType
from bitloom.hw.fabric import XC7, Fabric
from bitloom.hw.memory import field, pack_words, registered_rom
from bitloom.hw.registers import constant, delayed, signed_sum

CHAIN_LENGTH = 8


@dataclass(frozen=True)
class LanePlan:
    """Where each lane sits: which chain, and how many cycles its operands are delayed.

    Attributes:
        chains: lane indices of each chain, in order.
        delays: cycles, per lane.
        sum_latency: cycles from operands registered without delay to the registered sum of all lanes.
        product_registers: registers between a multiplier and the adder behind it.
        operand_registers: registers between a memory's own and a multiplier.
    """

    chains: tuple[tuple[int, ...], ...]
    delays: tuple[int, ...]
    sum_latency: int
    product_registers: int
    operand_registers: int

    @classmethod
    def of(cls, simd: int, *, fabric: Fabric = XC7, count: int = 0) -> LanePlan:
        """Chains of nearly equal length; shorter ones start later so that all end together.

        Args:
            simd: lanes.
            fabric: of the chip.
            count: how many; 0 for as few as `CHAIN_LENGTH` allows.
        """
        count = count or -(-simd // CHAIN_LENGTH)
        chains = tuple(tuple(int(lane) for lane in part) for part in np.array_split(np.arange(simd), count))
        longest = max(len(chain) for chain in chains)
        delays = [0] * simd
        for chain in chains:
            for position, lane in enumerate(chain):
                delays[lane] = longest - len(chain) + position
        tree_levels = (count - 1).bit_length()
        products, operands = fabric.product_registers, fabric.operand_registers
        chain_latency = products + (0 if simd == 1 else longest)
        return cls(chains, tuple(delays), chain_latency + tree_levels, products, operands)

    def later(self, cycles: int) -> LanePlan:
        """The same, a number of cycles later."""
        delays = tuple(delay + cycles for delay in self.delays)
        return replace(self, delays=delays, sum_latency=self.sum_latency + cycles)


@dataclass(frozen=True)
class Term:
    """A signed number, and perhaps a bit to add to it: an adder takes both for the price of one.

    Attributes:
        value: two's complement.
        carry: one bit, or none.
    """

    value: WireVector
    carry: WireVector | None = None

    def added_to(self, other: WireVector, bits: int) -> WireVector:
        """The sum of another signed number and this, of a width that is known to hold it."""
        if self.carry is None:
            return signed_sum(other, self.value, bits)
        # A carry-in is a position below the lowest, where a one meets the carry. Yosys keeps room for what makes
        # `other` (a multiplexer, in an accumulator) in front of the adder only if the one is beside `value`.
        return signed_sum(pyrtl.concat(self.value, Const(1, 1)), pyrtl.concat(other, self.carry), bits + 1)[1:]


def operand_latency(operand_registers: int) -> int:
    """Cycles from a memory address to the registers in front of the multipliers."""
    return 1 + operand_registers


@cache
def dot_latency(simd: int, fabric: Fabric = XC7) -> int:
    """Cycles from the address of a beat to the registered sums of its products."""
    return operand_latency(fabric.operand_registers) + LanePlan.of(simd, fabric=fabric).sum_latency


def dot_products(
    name: str,
    activations: Sequence[WireVector],
    element: IntType,
    weights: npt.NDArray[np.int64],
    address: WireVector,
    fabric: Fabric = XC7,
    groups: int = 1,
) -> tuple[list[Term], int]:
    """The sums of products of one beat, for every processing element.

    Args:
        name: prefix of the signals.
        activations: `simd` times `groups` wires, valid in the same cycle as `address`; those of a lane side by side.
        element: their type, signed.
        weights: int64, shape (words, pe, simd): what each address multiplies by.
        address: which word, one cycle before the activations' registers are loaded.
        fabric: of the chip. It says how many registers stand behind a multiplier, and in front of it.
        groups: parts of equal size of the processing elements that have activations of their own.

    Returns:
        One signed sum per processing element, and the cycles from `address` to the registered sums.
    """
    _, elements, simd = weights.shape
    plan = LanePlan.of(simd, fabric=fabric)
    weight_bits = Interval(int(weights.min()), int(weights.max())).signed_bits
    lane_weights = read_weights(
        name, weights, weight_bits, address, plan, varying=address[0], word_registers=plan.operand_registers
    )
    operands = activation_operands(name, activations, plan, groups)
    sums = []
    for index in range(elements):
        own_operands = operands[index * groups // elements :: groups]
        totals = chain_totals(f"{name}_pe{index}", plan, own_operands, lane_weights[index], weights[:, index], element)
        sums.append(add_terms(f"{name}_pe{index}", [Term(total) for total in totals]))
    return sums, dot_latency(simd, fabric)


def activation_operands(
    name: str, activations: Sequence[WireVector], plan: LanePlan, groups: int = 1
) -> list[WireVector]:
    """The registers in front of the multipliers, each delayed as its lane wants it; those of a lane side by side."""
    operands: list[WireVector] = []
    for index, activation in enumerate(activations):
        register = Register(activation.bitwidth, f"{name}_x{index}")
        waiting = plan.delays[index // groups] + plan.operand_registers
        register.next <<= delayed(activation, waiting, f"{name}_x{index}")
        operands.append(register)
    return operands


def read_weights(
    name: str,
    weights: npt.NDArray[np.int64],
    bits: int,
    address: WireVector,
    plan: LanePlan,
    *,
    varying: WireVector,
    word_registers: int,
) -> list[list[WireVector]]:
    """Weights by [processing element][lane]: one memory for all lanes that share a delay.

    Args:
        name: prefix of the signals.
        weights: int64, shape (words, pe, simd).
        bits: width of one.
        address: which word.
        plan: where each lane sits.
        varying: any bit that synthesis cannot know; never undefined, or simulators take the weights for undefined.
        word_registers: registers behind the memory's own.
    """
    _, elements, simd = weights.shape
    lanes: list[list[WireVector]] = [[Const(0, 1)] * simd for _ in range(elements)]
    delayed_address = address
    for delay in range(max(plan.delays) + 1):
        if delay:
            delayed_address = delayed(delayed_address, 1, f"{name}_address_{delay}")
        together = [lane for lane in range(simd) if plan.delays[lane] == delay]
        if not together:
            continue
        words = [pack_words(word.tolist(), bits) for word in weights[:, :, together].reshape(len(weights), -1)]
        word_bits = bits * elements * len(together)
        word = registered_rom(f"{name}_weights{delay}", words, word_bits, delayed_address, word_registers)
        if isinstance(word, Const):
            word = _disguised(f"{name}_weights{delay}", word, varying)
            word = delayed(word, word_registers, f"{name}_weights{delay}_word")
        for index in range(elements):
            for position, lane in enumerate(together):
                lanes[index][lane] = field(word, index * len(together) + position, bits)
    return lanes


def _disguised(name: str, value: Const, varying: WireVector) -> WireVector:
    """A register that always holds the same, which synthesis does not see.

    Yosys 0.70 narrows products by constants to what it takes for unsigned ones, and gets chains of them wrong. So the
    constant is read from a memory of two equal words.
    """
    memory = RomBlock(value.bitwidth, 1, [value.val] * 2, name=f"{name}_rom", max_read_ports=1, asynchronous=True)
    word = Register(value.bitwidth, f"{name}_word")
    word.next <<= memory[varying]
    return word


def chain_totals(
    name: str,
    plan: LanePlan,
    operands: Sequence[WireVector],
    lane_weights: Sequence[WireVector],
    weights: npt.NDArray[np.int64],
    element: IntType,
) -> list[WireVector]:
    """The sums of one processing element's chains, all in the same cycle.

    Args:
        name: prefix of the signals.
        plan: where each lane sits.
        operands: the lanes' activations, registered.
        lane_weights: what they are multiplied by, registered.
        weights: every value that `lane_weights` takes, int64, shape (words, simd).
        element: the activations' type.
    """
    extremes = Interval(element.minimum, element.maximum)
    return [
        _chain(name, chain, operands, lane_weights, weights, extremes, plan.product_registers) for chain in plan.chains
    ]


def _chain(
    name: str,
    chain: Sequence[int],
    operands: Sequence[WireVector],
    lane_weights: Sequence[WireVector],
    weights: npt.NDArray[np.int64],
    extremes: Interval,
    product_registers: int,
) -> WireVector:
    """Products added one after another; each register is as wide as the actual weights can make its sum.

    But never narrower than a product: of a product that is cut, synthesis makes an unsigned one, whose upper bits are
    no sign, and hands all its bits on to the next slice of the chain.
    """
    total: WireVector | None = None
    for position, lane in enumerate(chain):
        product = Register(operands[lane].bitwidth + lane_weights[lane].bitwidth, f"{name}_product{lane}")
        product.next <<= pyrtl.signed_mult(operands[lane], lane_weights[lane])
        product = delayed(product, product_registers - 1, f"{name}_product{lane}")
        if len(operands) == 1:
            return product
        bits = max(product.bitwidth, _sum_bits(weights[:, chain[: position + 1]], extremes))
        summed = Register(bits, f"{name}_sum{lane}")
        if total is None:
            summed.next <<= signed_sum(product, constant(0, 1), summed.bitwidth)
        else:
            summed.next <<= signed_sum(total, product, summed.bitwidth)
        total = summed
    if total is None:
        raise AssertionError("a chain has at least one lane")
    return total


def _sum_bits(weights: npt.NDArray[np.int64], extremes: Interval) -> int:
    """Signed width that holds ``sum_lane x * w`` for every word; weights of shape (words, lanes)."""
    positive, negative = np.maximum(weights, 0).sum(axis=1), np.minimum(weights, 0).sum(axis=1)
    low = (positive * extremes.low + negative * extremes.high).min()
    high = (positive * extremes.high + negative * extremes.low).max()
    return Interval(min(int(low), 0), max(int(high), 0)).signed_bits


def add_terms(name: str, terms: Sequence[Term]) -> Term:
    """Add pairs, a register after each level; each adder takes one carry and leaves at most one to the next."""
    terms, level = list(terms), 0
    while len(terms) > 1:
        added = []
        for position in range(0, len(terms), 2):
            added.append(_add_pair(f"{name}_tree{level}_{position // 2}", terms[position : position + 2]))
        terms, level = added, level + 1
    return terms[0]


def _add_pair(name: str, pair: Sequence[Term]) -> Term:
    carries = [term.carry for term in pair if term.carry is not None]
    register = Register(max(term.value.bitwidth for term in pair) + len(pair) - 1, name)
    if len(pair) == 1:
        register.next <<= pair[0].value
    else:
        carry_in = carries.pop() if carries else None
        register.next <<= Term(pair[1].value, carry_in).added_to(pair[0].value, register.bitwidth)
    return Term(register, delayed(carries[0], 1, f"{name}_carry") if carries else None)


def accumulator(name: str, term: Term, valid: WireVector, first: WireVector, bits: int) -> WireVector:
    """A sum over beats; a `first` beat starts a new sum.

    The form ``select(first, 0, sum) + term`` lets synthesis use the accumulator inside a DSP slice where the term
    is a bare product.

    Args:
        name: of the register.
        term: what to add.
        valid: whether there is a term in this cycle.
        first: whether it starts a sum.
        bits: width that holds every partial sum.
    """
    register = Register(bits, name)
    kept = select(first, constant(0, bits), register)
    register.next <<= select(valid, term.added_to(kept, bits), register)
    return register
