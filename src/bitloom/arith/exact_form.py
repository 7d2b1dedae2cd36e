"""Multiply-add-shift forms of exact roundings, written down: for outputs too wide to look for narrower ones.

An exact rounding of ``a * m * 2**-s``, m an odd integer, needs no search: its definition is a multiply-add-shift,

| rounding | added to ``a * m`` |
|---|---|
| ``TRUNCATE`` | nothing |
| ``HALF_UP`` | half, which is ``2**(s-1)`` |
| ``HALF_AWAY`` | half, and one less where the accumulator is negative |
| ``HALF_EVEN`` | half, or one less where the zero point is odd; ties are those of `NarrowRescale.ties` |
"""

from __future__ import annotations

from bitloom.arith.narrowed import NarrowRescale
from bitloom.arith.ranges import Interval
from bitloom.arith.rescale import Int64Array, Rescale, Rounding


def exact_form(rescale: Rescale, low: Int64Array, high: Int64Array, zero_point: int, output: Interval) -> NarrowRescale:
    """The form for ``clamp(rescale(a) + zero_point)``.

    Args:
        rescale: of an exact rounding (`bitloom.arith.rescale.EXACT`).
        low: the smallest accumulator of each multiplier, shape (channels,).
        high: the largest.
        zero_point: added after the rescale.
        output: the clamp.

    >>> import numpy as np
    >>> wide, end = Interval(-(2**40), 2**40), np.array([9])
    >>> form = exact_form(Rescale((1.5,), Rounding.HALF_AWAY), -end, end, 0, wide)
    >>> form.multipliers, form.shifts, form.apply(np.array([-3, -1, 1, 3])).tolist()
    ((3,), (1,), [-5, -2, 2, 5])
    """
    multipliers, shifts = rescale.exact_products()
    halves = [(1 << shift) >> 1 for shift in shifts]
    to_even, odd = rescale.rounding is Rounding.HALF_EVEN, zero_point & 1
    less = [int(to_even and bool(odd) and half > 0) for half in halves]
    added = [0] * len(halves) if rescale.rounding is Rounding.TRUNCATE else halves
    offsets = tuple(
        Interval(offset, offset)
        for offset in (half - one + (zero_point << shift) for half, one, shift in zip(added, less, shifts, strict=True))
    )
    negative = None
    if rescale.rounding is Rounding.HALF_AWAY:
        ends = [offset.low - (half > 0) for offset, half in zip(offsets, halves, strict=True)]
        negative = tuple(Interval(end, end) for end in ends)
    return NarrowRescale(
        multipliers=multipliers,
        offsets=offsets,
        negative_offsets=negative,
        shifts=shifts,
        output=output,
        inputs=Interval(int(low.min()), int(high.max())),
        active=tuple(Interval(*ends) for ends in zip(low.tolist(), high.tolist(), strict=True)),
        ties=tuple(int(half > 0) for half in halves) if to_even and any(halves) else (),
        ties_up=odd,
    )
