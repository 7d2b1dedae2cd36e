"""Signed and unsigned arithmetic on PyRTL wires at natural width: no operand wider than its values, nothing cut.

PyRTL's own operators are unsigned or signed throughout; these take the signedness of each operand, so that an
unsigned activation times a signed weight costs no more bits than it has. The widths matter for synthesis too: a
multiplier maps to one DSP slice only if its operands arrive at their natural width and its product leaves whole.
"""

from __future__ import annotations

import pyrtl

from bitloom.arith.ranges import Interval


def storage(interval: Interval) -> tuple[int, bool]:
    """The bits and signedness of the narrowest wire that holds an interval, of any width.

    >>> storage(Interval(-129, 5)), storage(Interval(0, 255)), storage(Interval(0, 0))
    ((9, True), (8, False), (1, False))
    """
    if interval.low >= 0:
        return max(1, interval.high.bit_length()), False
    return max((-interval.low - 1).bit_length(), max(interval.high, 0).bit_length()) + 1, True


def full_range(bits: int, signed: bool) -> Interval:
    """Every value of a wire.

    >>> str(full_range(8, True)), str(full_range(4, False))
    ('[-128, 127]', '[0, 15]')
    """
    return Interval(-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else Interval(0, (1 << bits) - 1)


def interval_product(one: Interval, other: Interval) -> Interval:
    """The exact range of a product: its ends are products of ends.

    >>> str(interval_product(Interval(-128, 127), Interval(-128, 127)))
    '[-16256, 16384]'
    """
    corners = [x * y for x in (one.low, one.high) for y in (other.low, other.high)]
    return Interval(min(corners), max(corners))


def resize(wire: pyrtl.WireVector, signed: bool, bits: int) -> pyrtl.WireVector:
    """The wire at another width: sign- or zero-extended, or its low bits.

    Cutting is exact if the value is known to fit; callers say why it does.
    """
    if bits <= len(wire):
        return wire[:bits] if bits < len(wire) else wire
    return wire.sign_extended(bits) if signed else wire.zero_extended(bits)


def full_product(
    one: pyrtl.WireVector, one_signed: bool, other: pyrtl.WireVector, other_signed: bool
) -> pyrtl.WireVector:
    """The whole product, signed if either operand is; an unsigned operand beside a signed one gains a zero bit."""
    if not one_signed and not other_signed:
        return one * other
    return pyrtl.signed_mult(_as_signed(one, one_signed), _as_signed(other, other_signed))


def product_bits(one_bits: int, one_signed: bool, other_bits: int, other_signed: bool) -> int:
    """The width of `full_product`.

    >>> product_bits(8, True, 8, True), product_bits(8, True, 8, False), product_bits(8, False, 8, False)
    (16, 17, 16)
    """
    return one_bits + other_bits + (one_signed != other_signed)


def full_sum(
    one: pyrtl.WireVector, one_signed: bool, other: pyrtl.WireVector, other_signed: bool, bits: int
) -> pyrtl.WireVector:
    """The sum modulo 2**bits, exact when the caller's range analysis says it fits."""
    return (resize(one, one_signed, bits) + resize(other, other_signed, bits))[:bits]


def less_than(one: pyrtl.WireVector, one_signed: bool, other: pyrtl.WireVector, other_signed: bool) -> pyrtl.WireVector:
    """One bit: one < other, as integers."""
    if not one_signed and not other_signed:
        return one < other
    return pyrtl.signed_lt(_as_signed(one, one_signed), _as_signed(other, other_signed))


def to_integer(value: int, bits: int, signed: bool) -> int:
    """The integer a wire's raw bits stand for.

    >>> to_integer(255, 8, True), to_integer(255, 8, False)
    (-1, 255)
    """
    return value - (1 << bits) if signed and value >> (bits - 1) else value


def _as_signed(wire: pyrtl.WireVector, signed: bool) -> pyrtl.WireVector:
    return wire if signed else pyrtl.concat(pyrtl.Const(0, bitwidth=1), wire)
