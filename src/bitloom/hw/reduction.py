"""What becomes of two elements that are reduced to one: their sum, the larger, or their sum as binary32 has it.

A binary32 sum is a sum of integers whose result is rounded to 24 significant bits, halves to even: integers of 24
significant bits, times one power of two, are binary32 numbers, and so are those sums.

```
  left ──▶ + ──▶ v ──┬──────────────────────────▶ + ──▶ & ──▶ v rounded
  right ──▶          ├─▶ how many bits beyond 24: k ──┬──▶ │
                     │                 2**(k-1) - 1 ◀─┘    not the lowest k bits
                     └─▶ bit k ──▶ carry in
```
"""

from __future__ import annotations

import enum

import numpy as np
import pyrtl
from pyrtl import Const, WireVector, concat_list, select

from bitloom.arith import Interval
from bitloom.hw.registers import resized, signed_sum

BINARY32_BITS = 24
"""Significant bits of a binary32 number."""


class Reduction(enum.Enum):
    """What becomes of two elements."""

    SUM = "sum"
    MAXIMUM = "maximum"
    BINARY32_SUM = "binary32_sum"

    def bounds(self, element: Interval, count: int) -> Interval:
        """The results of `count` elements of an interval."""
        if self is Reduction.MAXIMUM:
            return element
        if self is Reduction.SUM:
            return Interval(element.low * count, element.high * count)
        low, high = element.low, element.high
        for _ in range(count - 1):
            # Rounding is monotone; the ends may be rounded themselves.
            low, high = (int(np.float32(total)) for total in (low + element.low, high + element.high))
        return Interval(low, high)


def combined(reduction: Reduction, left: WireVector, right: WireVector | None = None) -> WireVector:
    """Two signed numbers reduced."""
    if right is None:
        return left
    bits = max(left.bitwidth, right.bitwidth)
    if reduction is Reduction.SUM:
        return signed_sum(left, right, bits + 1)
    if reduction is Reduction.BINARY32_SUM:
        return rounded(signed_sum(left, right, bits + 2))
    wide = [value.sign_extended(bits) for value in (left, right)]
    return select(pyrtl.signed_gt(wide[1], wide[0]), wide[1], wide[0])


def joined(reduction: Reduction, partial: WireVector, element: WireVector, first: WireVector, bits: int) -> WireVector:
    """The partial result with one element more, not rounded yet; the element alone where it is the first."""
    if reduction is Reduction.MAXIMUM:
        wide = resized(element, bits)
        return select(first | pyrtl.signed_gt(wide, partial), wide, partial)
    return signed_sum(select(first, Const(0, bits), partial), element, bits)


def kept(reduction: Reduction, value: WireVector, element: WireVector, steps: int) -> WireVector:
    """What becomes the partial result; of two elements the first, without an addition that the clock waits for."""
    if reduction is not Reduction.BINARY32_SUM:
        return value
    return rounded(value) if steps > 2 else resized(element, value.bitwidth)


def rounded(value: WireVector) -> WireVector:
    """A signed integer rounded to 24 significant bits, halves to even; the result must fit its width.

    >>> pyrtl.reset_working_block()
    >>> x, y = pyrtl.Input(28, "x"), pyrtl.Output(28, "y")
    >>> y <<= rounded(x)
    >>> simulation = pyrtl.Simulation()
    >>> for number in (2**24 + 1, 2**24 + 3, 5 - 2**26):
    ...     simulation.step({"x": number & 0xFFFFFFF})
    >>> [pyrtl.val_to_signed_integer(found, 28) for found in simulation.tracer.trace["y"]]
    [16777216, 16777220, -67108860]
    """
    beyond = value.bitwidth - 1 - BINARY32_BITS
    if beyond < 1:
        return value
    # Whether at least k bits lie beyond those that are kept: bits from the sign down to there that are not its copies.
    flags = [Const(1, 1)]
    for bits in range(1, beyond + 1):
        top = value[BINARY32_BITS + bits - 1 :]
        flags.append(pyrtl.or_all_bits(top) & ~pyrtl.and_all_bits(top))
    exactly = [flags[bits] & ~flags[bits + 1] for bits in range(1, beyond)] + [flags[beyond]]
    lowest = pyrtl.or_all_bits([one & value[bits] for bits, one in enumerate(exactly, start=1)])
    ones = concat_list([*flags[2:], Const(0, 1)])
    total = (value + ones.zero_extended(value.bitwidth) + lowest).truncate(value.bitwidth)
    kept = [total[bits] & ~flags[bits + 1] for bits in range(beyond)]
    return concat_list([*kept, total[beyond:]])
