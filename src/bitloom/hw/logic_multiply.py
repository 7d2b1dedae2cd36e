"""Multiplication by adders, for a design that is short of multiplier slices.

The multiplier's bits select shifted copies of the multiplicand, which a tree of adders sums up, with a register after
every second level. A constant multiplier is first written in canonical signed digits (Avizienis 1961), so that only
its non-zero digits cost an adder.

```
   a ──┬─ x m0 ─┐
       ├─ x m1 ─┴ + ─┐
       ├─ x m2 ─┐    + ─ [sum] ─ ...
       └─ x m3 ─┴ + ─┘
```
"""

from __future__ import annotations

from dataclasses import dataclass

import pyrtl
from pyrtl import Const, WireVector, select

from bitloom.errors import HardwareError
from bitloom.hw.registers import constant, delayed, resized, signed_sum

# Registered levels: enough for 32 digits, two adder levels to a register.
LATENCY = 3


def canonical_signed_digits(value: int) -> list[tuple[int, int]]:
    """A non-negative integer as the fewest signed powers of two: (exponent, +1 or -1) pairs.

    >>> canonical_signed_digits(7), canonical_signed_digits(0)
    ([(0, -1), (3, 1)], [])
    """
    digits = []
    exponent = 0
    while value:
        if value & 1:
            digit = 2 - (value & 3)
            digits.append((exponent, digit))
            value -= digit
        value >>= 1
        exponent += 1
    return digits


def multiply_in_logic(name: str, value: WireVector, multiplier: WireVector) -> WireVector:
    """``value * multiplier`` by adders, `LATENCY` cycles later.

    Args:
        name: prefix of the signals.
        value: signed multiplicand.
        multiplier: signed but never negative: its top bit is 0. Held for one cycle with the value.

    Returns:
        The signed product, as wide as both operands together.

    >>> import pyrtl
    >>> pyrtl.reset_working_block()
    >>> value, product = pyrtl.Input(8, "value"), pyrtl.Output(14, "product")
    >>> product <<= multiply_in_logic("unit", value, pyrtl.Const(23, 6))
    >>> simulation = pyrtl.Simulation()
    >>> for number in (-100, 5, 0, 0, 0):
    ...     simulation.step({"value": number & 0xFF})
    >>> [pyrtl.val_to_signed_integer(v, 14) for v in simulation.tracer.trace["product"][3:]]
    [-2300, 115]
    """
    bits = value.bitwidth + multiplier.bitwidth
    if isinstance(multiplier, Const):
        digits = canonical_signed_digits(multiplier.val)
        terms = [_Term(_shifted(value, exponent, bits), sign < 0) for exponent, sign in digits]
    else:
        nothing = constant(0, bits)
        terms = [
            _Term(select(multiplier[exponent], _shifted(value, exponent, bits), nothing), negative=False)
            for exponent in range(multiplier.bitwidth - 1)
        ]
    for level in range(LATENCY):
        summed = _add_pairs(_add_pairs(terms, bits), bits)
        terms = [
            _Term(delayed(term.wire, 1, f"{name}_sum{level}_{index}"), term.negative)
            for index, term in enumerate(summed)
        ]
    if not terms:
        return constant(0, bits)
    if len(terms) > 1 or terms[0].negative:
        raise HardwareError(f"a multiplier of {multiplier.bitwidth} bits is too wide to multiply in logic", where=name)
    return terms[0].wire


@dataclass(frozen=True, eq=False)
class _Term:
    """A value to add or to subtract."""

    wire: WireVector
    negative: bool


def _shifted(value: WireVector, exponent: int, bits: int) -> WireVector:
    shifted = pyrtl.concat(value, Const(0, exponent)) if exponent else value
    return resized(shifted, bits)


def _add_pairs(terms: list[_Term], bits: int) -> list[_Term]:
    pairs = [terms[index : index + 2] for index in range(0, len(terms), 2)]
    return [_add(pair[0], pair[1], bits) if len(pair) == 2 else pair[0] for pair in pairs]


def _add(left: _Term, right: _Term, bits: int) -> _Term:
    if left.negative == right.negative:
        return _Term(signed_sum(left.wire, right.wire, bits), left.negative)
    positive, negative = (right, left) if left.negative else (left, right)
    return _Term((positive.wire - negative.wire).truncate(bits), negative=False)
