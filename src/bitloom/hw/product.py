"""Unsigned products wider than one multiplier slice, of known latency, in slices or in adders.

Operands are cut into limbs of 17 bits, so that every partial product fits an 18 x 18 multiplier, the size that all FPGA
families in use here have, and has a register of its own:

```
   value      = v1 * 2**17 + v0            [v0*m0]─────────┐
   multiplier = m1 * 2**17 + m0    ──▶     [v1*m0] << 17 ──┼ + ──▶ [sum] ──▶ [product]
                                           [v0*m1] << 17 ──┘
```

Unsigned, because synthesis is sure of the width of an unsigned operand; of a signed one whose top bit it knows to be 0,
such as a constant, it makes a wider product that needs several slices.
"""

from __future__ import annotations

from pyrtl import Const, Register, WireVector, concat

from bitloom.hw.logic_multiply import LATENCY, multiply_in_logic
from bitloom.hw.registers import delayed

__all__ = ["LATENCY", "LIMB_BITS", "limbs", "multiply"]

LIMB_BITS = 17


def limbs(bits: int) -> int:
    """Into how many parts an unsigned operand of that width is cut.

    >>> [limbs(bits) for bits in (0, 8, 17, 18, 34)]
    [1, 1, 1, 2, 2]
    """
    return max(1, -(-bits // LIMB_BITS))


def multiply(name: str, value: WireVector, multiplier: WireVector, *, in_logic: bool = False) -> WireVector:
    """The product, as wide as both operands together, `LATENCY` cycles later.

    Args:
        name: prefix of the signals.
        value: unsigned.
        multiplier: unsigned.
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
        return product[:bits] if not isinstance(product, Const) else Const(product.val, bits)
    parts: list[WireVector] = []
    for value_limb, value_shift in _cut(value):
        for factor, factor_shift in _cut(multiplier):
            register = Register(value_limb.bitwidth + factor.bitwidth, f"{name}_part{len(parts)}")
            register.next <<= value_limb * factor
            shift = value_shift + factor_shift
            parts.append(concat(register, Const(0, shift)) if shift else register)
    total = parts[0].zero_extended(bits)
    for part in parts[1:]:
        total = (total + part.zero_extended(bits)).truncate(bits)
    return delayed(total, LATENCY - 1, name)


def _cut(operand: WireVector) -> list[tuple[WireVector, int]]:
    """Limbs of an operand with their shifts, the lowest first."""
    return [
        (_bits(operand, low, min(low + LIMB_BITS, operand.bitwidth)), low)
        for low in range(0, operand.bitwidth, LIMB_BITS)
    ]


def _bits(operand: WireVector, low: int, high: int) -> WireVector:
    if isinstance(operand, Const):
        return Const((operand.val >> low) & ((1 << (high - low)) - 1), high - low)
    return operand[low:high]


def _zero_on_top(operand: WireVector) -> WireVector:
    return Const(operand.val, operand.bitwidth + 1) if isinstance(operand, Const) else concat(Const(0, 1), operand)
