"""Dot products with two weights in each multiplier slice.

Two processing elements multiply the same activation by weights of their own. A slice of 25 by 18 bits is wide enough
to hold both weights side by side, ``shift`` bits apart, and gives both products side by side:

```
              24     shift+7  shift   shift-1        8 7         0
  multiplicand [ high - (low < 0) ]   [ low's sign ... ][   low   ]   =  high * 2**shift + low
                                                                      x  activation
                                                  + the chain's sum before
  total        [     high's sum - (low's sum < 0) ]   [ low's sum  ]   =  high's sum * 2**shift + low's sum
```

Neither side costs an adder. Where `low` is negative its sign takes one from the field above, so the memory holds
``high - (low < 0)`` and the multiplicand is wires alone. In the total, the one that a negative lower sum takes from the
upper is its sign bit, which the next adder takes as its carry.

Totals are added along chains as in `bitloom.hw.multiply_accumulate`, inside the slices. A chain may be as long as the
sum of its lower products fits `shift` bits, which is proved from the weights: for 8-bit weights `shift` is 17, and
chains of 4 always fit, of 8 if their weights are small. Of the processing elements, those with the larger sums are put
into the upper fields, where there is room. The total never overflows: 25 + 18 bits and the 3 of eight terms are 46 of
the slice's 48.

Two things about the form are for the sake of synthesis (Yosys 0.70), and tests hold them as gates. A constant added in
the first slice of a chain would save the carry (half the lower field's range, so that no lower sum is negative), but
then Yosys joins the slices through logic and not by their cascade. And the multiplicand is a register as wide as the
slice's operand, one for each lane: a register of the memory's word, with the sign repeated behind it, stays outside
the slice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
import pyrtl
from pyrtl import WireVector

from bitloom.arith import Interval, IntType
from bitloom.errors import HardwareError
from bitloom.hw.fabric import XC7, Fabric
from bitloom.hw.multiply_accumulate import (
    LanePlan,
    Term,
    activation_operands,
    add_terms,
    chain_totals,
    operand_latency,
    read_weights,
)
from bitloom.hw.registers import delayed, named


def can_pack(weights: npt.NDArray[np.int64], element: IntType, fabric: Fabric) -> bool:
    """Whether any two of the weights can share a multiplicand: a product of the lower always fits below the upper.

    Args:
        weights: int64, any shape.
        element: the activations' type; unsigned ones have to be made signed before.
        fabric: of the chip.
    """
    # Of products by one bit synthesis makes no slices but logic, which packing would double.
    if not (fabric.packs_products and element.signed and 2 <= element.bits <= fabric.multiplier_bits):
        return False
    low, high = min(int(weights.min()), 0), max(int(weights.max()), 0)
    shift = fabric.multiplicand_bits - Interval(low - (low < 0), high).signed_bits
    products = [weight * extreme for weight in (low, high) for extreme in (element.minimum, element.maximum)]
    return Interval(min(products), max(products)).signed_bits <= shift


def packed_multipliers(pe: int, simd: int, groups: int = 1) -> int:
    """Multiplier slices of an array with `pe` processing elements, each `groups` of them with the same activations.

    An element of a group that has no other left to share with has slices of its own.

    >>> packed_multipliers(pe=5, simd=8), packed_multipliers(pe=6, simd=8, groups=2)
    (24, 32)
    """
    return groups * -(-(pe // groups) // 2) * simd


@cache
def packed_latency(simd: int, fabric: Fabric = XC7) -> int:
    """Cycles from the address of a beat to the sums of its products: enough for any number of chains.

    So timing does not depend on the weights.
    """
    fewest = len(LanePlan.of(simd).chains)
    # Along the longest chain, and through the tree behind it.
    needed = max(-(-simd // chains) + (chains - 1).bit_length() for chains in range(fewest, simd + 1))
    return operand_latency(fabric.operand_registers) + fabric.product_registers + (needed if simd > 1 else 0)


@dataclass(frozen=True)
class Packing:
    """Which processing elements share slices, and how.

    Attributes:
        pairs: of processing elements, the one in the lower field first.
        singles: processing elements that share with none.
        high_bits: signed width of the upper field of a multiplicand.
        shift: bits below it.
        chains: in how many chains the lanes are added.
    """

    pairs: tuple[tuple[int, int], ...]
    singles: tuple[int, ...]
    high_bits: int
    shift: int
    chains: int

    @classmethod
    def of(cls, weights: npt.NDArray[np.int64], element: IntType, *, groups: int = 1, fabric: Fabric = XC7) -> Packing:
        """The fewest chains in which every lower sum fits its field, whatever the activations.

        Args:
            weights: int64, shape (words, pe, simd).
            element: the activations' type.
            groups: parts of equal size of the processing elements that have activations of their own.
            fabric: of the chip.

        Raises:
            HardwareError: If the weights do not fit side by side (see `can_pack`).
        """
        if not can_pack(weights, element, fabric):
            bits = Interval(int(weights.min()), int(weights.max())).signed_bits
            raise HardwareError(
                f"two weights of {bits} bits and activations of {element} do not fit one multiplier of {fabric.name}",
                remedy="choose a folding that is not packed",
            )
        fewest = len(LanePlan.of(weights.shape[2]).chains)
        pairs, singles = _pair(_reach(weights, element, fewest), groups)
        low, high = (weights[:, [pair[side] for pair in pairs]] for side in (0, 1))
        stored = high - (low < 0)
        high_bits = Interval(int(stored.min(initial=0)), int(stored.max(initial=0))).signed_bits
        shift = fabric.multiplicand_bits - high_bits
        chains = fewest
        while _reach(low, element, chains).max(initial=0) >= 1 << (shift - 1):
            chains += 1
        return cls(pairs, singles, high_bits, shift, chains)

    def lanes(self, simd: int, fabric: Fabric) -> LanePlan:
        """Where each of the lanes sits; fewer cycles than `packed_latency` promises are made up for in front."""
        plan = LanePlan.of(simd, fabric=fabric, count=self.chains)
        promised = packed_latency(simd, fabric) - operand_latency(fabric.operand_registers)
        return plan.later(promised - plan.sum_latency)

    def stored(self, weights: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """What the memory holds for weights of shape (words, pe, simd): the upper ones less what the lower take."""
        stored = weights.copy()
        for low, high in self.pairs:
            stored[:, high] -= weights[:, low] < 0
        return stored


def _pair(reach: npt.NDArray[np.int64], groups: int) -> tuple[tuple[tuple[int, int], ...], tuple[int, ...]]:
    """Pair the processing elements of each group so that the largest sums are in upper fields, or alone."""
    pairs: list[tuple[int, int]] = []
    singles: list[int] = []
    for members in np.split(np.arange(len(reach)), groups):
        ordered = [int(member) for member in members[np.argsort(reach[members], kind="stable")]]
        half = len(ordered) // 2
        pairs += zip(ordered[:half], ordered[half : 2 * half], strict=True)
        singles += ordered[2 * half :]
    return tuple(pairs), tuple(singles)


def _reach(weights: npt.NDArray[np.int64], element: IntType, chains: int) -> npt.NDArray[np.int64]:
    """The farthest that a chain's sum gets: above -1, or, as ``-1 - sum``, below; per processing element.

    A sum fits a signed field of `n` bits if its reach is less than ``2**(n - 1)``.
    """
    plan = LanePlan.of(weights.shape[2], count=chains)
    starts = [chain[0] for chain in plan.chains]
    positive = np.add.reduceat(np.maximum(weights, 0), starts, axis=2)
    negative = np.add.reduceat(np.minimum(weights, 0), starts, axis=2)
    highest = positive * element.maximum + negative * element.minimum
    lowest = positive * element.minimum + negative * element.maximum
    return np.asarray(np.maximum(highest, -1 - lowest).max(axis=(0, 2)))


def packed_products(
    name: str,
    activations: Sequence[WireVector],
    element: IntType,
    weights: npt.NDArray[np.int64],
    address: WireVector,
    *,
    groups: int = 1,
    fabric: Fabric = XC7,
) -> tuple[list[Term], int]:
    """The sums of products of one beat, as `bitloom.hw.multiply_accumulate.dot_products`, in half the multipliers.

    Args:
        name: prefix of the signals.
        activations: `simd` times `groups` wires, valid in the same cycle as `address`; those of a lane side by side.
        element: their type, signed.
        weights: int64, shape (words, pe, simd): what each address multiplies by.
        address: which word, one cycle before the activations' registers are loaded.
        groups: parts of equal size of the processing elements that have activations of their own.
        fabric: of the chip.

    Returns:
        One sum per processing element, and the cycles from `address` to them (see `packed_latency`).

    Raises:
        HardwareError: If the weights do not fit side by side.

    >>> pyrtl.reset_working_block()
    >>> weights = np.array([[[1, -2], [-127, 100]], [[-128, 3], [127, 4]]])
    >>> address, activations = pyrtl.Input(1, "address"), [pyrtl.Input(8, f"activation{lane}") for lane in range(2)]
    >>> sums, latency = packed_products("layer", activations, IntType(8), weights, address)
    >>> for index, term in enumerate(sums):
    ...     output = pyrtl.Output(20, f"sum{index}")
    ...     output <<= term.added_to(pyrtl.Const(0, 20), 20)
    >>> simulation = pyrtl.FastSimulation()
    >>> for _ in range(latency + 1):
    ...     simulation.step({"address": 1, "activation0": -128 & 0xFF, "activation1": 5})
    >>> [pyrtl.val_to_signed_integer(simulation.inspect(f"sum{index}"), 20) for index in range(2)]
    [16399, -16236]
    >>> -128 * -128 + 3 * 5, 127 * -128 + 4 * 5
    (16399, -16236)
    """
    packing = Packing.of(weights, element, groups=groups, fabric=fabric)
    _, elements, simd = weights.shape
    plan = packing.lanes(simd, fabric)
    operands = activation_operands(name, activations, plan, groups)
    stored = packing.stored(weights)
    bits = Interval(int(stored.min()), int(stored.max())).signed_bits
    fields = read_weights(
        name,
        stored,
        bits,
        address,
        plan,
        varying=address[0],
        word_registers=fabric.operand_registers - 1,
    )
    sums: dict[int, Term] = {}
    for low, high in packing.pairs:
        prefix = f"{name}_pe{low}_{high}"
        multiplicands = [
            delayed(multiplicand(fields[low][lane], fields[high][lane], packing), 1, f"{prefix}_w{lane}")
            for lane in range(simd)
        ]
        side_by_side = (weights[:, high] << packing.shift) + weights[:, low]
        shared = operands[low * groups // elements :: groups]
        totals = chain_totals(prefix, plan, shared, multiplicands, side_by_side, element)
        split = [separated(f"{prefix}_chain{index}", total, packing.shift) for index, total in enumerate(totals)]
        sums[low] = add_terms(f"{name}_pe{low}", [below for below, _ in split])
        sums[high] = add_terms(f"{name}_pe{high}", [above for _, above in split])
    for single in packing.singles:
        prefix = f"{name}_pe{single}"
        alone = [delayed(weight, 1, f"{prefix}_w{lane}") for lane, weight in enumerate(fields[single])]
        own = operands[single * groups // elements :: groups]
        totals = chain_totals(prefix, plan, own, alone, weights[:, single], element)
        sums[single] = add_terms(prefix, [Term(total) for total in totals])
    return [sums[index] for index in range(elements)], packed_latency(simd, fabric)


def multiplicand(low: WireVector, high: WireVector, packing: Packing) -> WireVector:
    """Two fields as stored, side by side: ``high * 2**shift + low`` of the weights that they stand for."""
    return pyrtl.concat(high[: packing.high_bits], low.sign_extended(packing.shift))


def separated(name: str, total: WireVector, shift: int) -> tuple[Term, Term]:
    """The lower and the upper sum of a packed total."""
    below, above = named(total[:shift], f"{name}_below"), named(total[shift:], f"{name}_above")
    return Term(below), Term(above, below[-1])
