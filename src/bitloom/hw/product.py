"""Products of a value and a multiplier that is not negative, in as few slices as the fabric allows, or in adders.

A slice multiplies two signed numbers, of widths that need not be the same (`bitloom.hw.fabric`). A value and a
multiplier that fit it, either way round, are multiplied as they are, with one register behind. Wider operands are cut
into limbs that are unsigned, so that every partial product fits a slice and has a register of its own:

```
   value      = v1 * 2**17 + v0            [v0*m0]─────────┐
   multiplier = m1 * 2**17 + m0    ──▶     [v1*m0] << 17 ──┼ + ──▶ [sum] ──▶ [product]
                                           [v0*m1] << 17 ──┘
```

Synthesis is sure of the width of two unsigned operands, and of two signed ones. Of a signed one and one whose top bit
it knows to be 0 it makes a wider product, of several slices; so a constant has to come negated (`signed_multiply`).
"""

from __future__ import annotations

import pyrtl
from pyrtl import Const, Register, WireVector, concat

from bitloom.hw.fabric import XC7, Fabric
from bitloom.hw.logic_multiply import LATENCY as LOGIC_LATENCY
from bitloom.hw.logic_multiply import multiply_in_logic
from bitloom.hw.registers import constant, delayed

__all__ = ["LATENCY", "latency", "limb_bits", "multiply", "signed_multiply", "slices", "widest_multiplier"]

# The longest of all forms.
LATENCY = LOGIC_LATENCY
# Multipliers wider than this are not looked for.
_WIDEST = 64


def limb_bits(value_bits: int, multiplier_bits: int, fabric: Fabric) -> tuple[int, int]:
    """How wide the unsigned limbs of value and multiplier are, turned the way that takes fewer slices."""
    wide, narrow = fabric.multiplicand_bits - 1, fabric.multiplier_bits - 1
    straight = -(-value_bits // wide) * -(-multiplier_bits // narrow)
    turned = -(-value_bits // narrow) * -(-multiplier_bits // wide)
    return (wide, narrow) if straight <= turned else (narrow, wide)


def fits_one_slice(value_bits: int, multiplier_bits: int, fabric: Fabric) -> bool:
    """Whether a signed value and an unsigned multiplier fit a slice, which takes both as signed."""
    wide, narrow = sorted((value_bits, multiplier_bits + 1), reverse=True)
    return wide <= fabric.multiplicand_bits and narrow <= fabric.multiplier_bits


def slices(value_bits: int, multiplier_bits: int, fabric: Fabric) -> int:
    """How many multiplier slices a product takes.

    Args:
        value_bits: of the value, which is signed.
        multiplier_bits: of the multiplier, which is not.
        fabric: of the chip.

    >>> from bitloom.hw.fabric import ECP5
    >>> [slices(*bits, XC7) for bits in ((25, 17), (18, 24), (19, 24), (26, 17))]
    [1, 1, 2, 2]
    >>> [slices(*bits, ECP5) for bits in ((18, 17), (17, 18))]
    [1, 2]
    """
    if fits_one_slice(value_bits, multiplier_bits, fabric):
        return 1
    for_value, for_multiplier = limb_bits(value_bits, multiplier_bits, fabric)
    return -(-value_bits // for_value) * -(-multiplier_bits // for_multiplier)


def widest_multiplier(value_bits: int, multiplier_bits: int, fabric: Fabric) -> int:
    """The width to which a multiplier may grow without taking more slices.

    >>> widest_multiplier(18, 11, XC7), widest_multiplier(20, 11, XC7)
    (24, 17)
    """
    least = slices(value_bits, multiplier_bits, fabric)
    widths = range(multiplier_bits, max(multiplier_bits, _WIDEST) + 1)
    return next(bits for bits in reversed(widths) if slices(value_bits, bits, fabric) <= least)


def latency(value_bits: int, multiplier_bits: int, fabric: Fabric, *, in_logic: bool = False) -> int:
    """Cycles from operands to product."""
    return 1 if fits_one_slice(value_bits, multiplier_bits, fabric) and not in_logic else LATENCY


def signed_multiply(name: str, value: WireVector, factor: WireVector) -> WireVector:
    """The product of two signed operands of one slice, as wide as both together, one cycle later.

    The factor's top bit must be none that synthesis knows to be 0: read from a memory, or that of a negative constant.
    """
    product = Register(value.bitwidth + factor.bitwidth, name)
    product.next <<= pyrtl.signed_mult(value, factor)
    return product


def multiply(
    name: str, value: WireVector, multiplier: WireVector, *, fabric: Fabric = XC7, in_logic: bool = False
) -> WireVector:
    """The product of unsigned operands, as wide as both together, `LATENCY` cycles later.

    Args:
        name: prefix of the signals.
        value: unsigned.
        multiplier: unsigned.
        fabric: whose slices are used.
        in_logic: by adders instead of multiplier slices.

    >>> import pyrtl
    >>> pyrtl.reset_working_block()
    >>> value, multiplier, result = pyrtl.Input(20, "value"), pyrtl.Input(22, "multiplier"), pyrtl.Output(42, "result")
    >>> result <<= multiply("unit", value, multiplier)
    >>> simulation = pyrtl.Simulation()
    >>> for _ in range(4):
    ...     simulation.step({"value": 923456, "multiplier": 2000001})
    >>> simulation.inspect("result") == 923456 * 2000001
    True
    """
    bits = value.bitwidth + multiplier.bitwidth
    if in_logic:
        product = multiply_in_logic(name, _zero_on_top(value), _zero_on_top(multiplier))
        return product[:bits] if not isinstance(product, Const) else constant(product.val, bits)
    for_value, for_multiplier = limb_bits(value.bitwidth, multiplier.bitwidth, fabric)
    parts: list[WireVector] = []
    for value_limb, value_shift in _cut(value, for_value):
        for factor, factor_shift in _cut(multiplier, for_multiplier):
            register = Register(value_limb.bitwidth + factor.bitwidth, f"{name}_part{len(parts)}")
            register.next <<= value_limb * factor
            shift = value_shift + factor_shift
            parts.append(concat(register, Const(0, shift)) if shift else register)
    total = parts[0].zero_extended(bits)
    for part in parts[1:]:
        total = (total + part.zero_extended(bits)).truncate(bits)
    return delayed(total, LATENCY - 1, name)


def _cut(operand: WireVector, limb: int) -> list[tuple[WireVector, int]]:
    """Limbs of an operand with their shifts, the lowest first."""
    return [(_bits(operand, low, min(low + limb, operand.bitwidth)), low) for low in range(0, operand.bitwidth, limb)]


def _bits(operand: WireVector, low: int, high: int) -> WireVector:
    if isinstance(operand, Const):
        return Const((operand.val >> low) & ((1 << (high - low)) - 1), high - low)
    return operand[low:high]


def _zero_on_top(operand: WireVector) -> WireVector:
    return Const(operand.val, operand.bitwidth + 1) if isinstance(operand, Const) else concat(Const(0, 1), operand)
