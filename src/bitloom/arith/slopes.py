"""Rescaled products of two small integers with one multiplication: the multiplier of the rescale goes into a table.

A rescaled product is, for each value of one factor, a staircase over the other factor of its own slope. So it is

    output(x, y) = clamp(zero_point +- ((|x| * weight[y] + offset) >> shift))

with the sign of the product, an offset for each sign, and a weight for each y that is free to be whatever fits: the
conditions of each x leave an interval of weights, and an integer must lie in all of them. That makes the weights
narrow, in most cases to fit one multiplier slice together with x, where a product and a rescale behind it take two.

The offsets are what double rounding makes of a half: rounded to ``2**-e`` first and to integers then, steps come
``2**-(e + 1)`` earlier. A few integers around that are tried, for shifts from the smallest.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bitloom.arith.ranges import Interval
from bitloom.errors import ArithmeticDomainError

Int64Array = npt.NDArray[np.int64]

_LARGEST_SHIFT = 26
_UNBOUNDED = 1 << 60
_AROUND = sorted(
    ((one, other) for one in range(-2, 3) for other in range(-2, 3)),
    key=lambda pair: (abs(pair[0]) + abs(pair[1]), pair),
)


@dataclass(frozen=True, eq=False)
class Products:
    """What is wanted of each pair of factors.

    Attributes:
        left: the values of x, signed, int64, shape (n,).
        right: the values of y, of which only the sign counts, int64, shape (m,).
        outputs: within the clamp, int64, shape (n, m).
        used: which pairs occur, bool, shape (n, m).
        zero_point: the output of products that are zero, before the clamp.
        output: the clamp.
    """

    left: Int64Array
    right: Int64Array
    outputs: Int64Array
    used: npt.NDArray[np.bool_]
    zero_point: int
    output: Interval


@dataclass(frozen=True, eq=False)
class Slopes:
    """``clamp(zero_point +- ((|x| * weight[y] + offset) >> shift))``.

    Attributes:
        weights: one for each y, not negative, int64.
        offset: where x and y have the same sign.
        negative_offset: where they have not.
        shift: the right shift.
    """

    weights: Int64Array
    offset: int
    negative_offset: int
    shift: int

    def outputs(self, wanted: Products) -> Int64Array:
        """The output of every pair, shape (n, m)."""
        negative = (wanted.left[:, None] < 0) != (wanted.right < 0)
        totals = np.abs(wanted.left)[:, None] * self.weights + np.where(negative, self.negative_offset, self.offset)
        steps = totals >> self.shift
        signed = np.where(negative, -steps, steps)
        return np.clip(wanted.zero_point + signed, wanted.output.low, wanted.output.high)


def slopes(wanted: Products, exponents: Iterable[int]) -> Slopes:
    """The weights of the smallest shift.

    Args:
        wanted: of each pair.
        exponents: e for each rounding that may have been the first of two.

    Raises:
        ArithmeticDomainError: no shift has any.

    >>> x = y = np.arange(-8, 8)
    >>> outputs = np.clip(np.round(x[:, None] * y * 0.11), -4, 3).astype(np.int64)
    >>> wanted = Products(x, y, outputs, np.ones((16, 16), bool), 0, Interval(-4, 3))
    >>> found = slopes(wanted, [31])
    >>> found.shift, found.weights.tolist()[8:], bool((found.outputs(wanted) == outputs).all())
    (5, [0, 4, 7, 11, 15, 17, 21, 25], True)
    """
    halves = [0.5 * (1 + 2.0**-exponent) for exponent in {*exponents, 31} if exponent > 0]
    # The middle of what is tried meets the conditions at nearly the smallest shift.
    shift = next(
        (each for each in range(1, _LARGEST_SHIFT) if _solve(wanted, halves, each, _AROUND[:1])), _LARGEST_SHIFT
    )
    found = _solve(wanted, halves, shift, _AROUND)
    if found is None:
        raise ArithmeticDomainError("no weights for this product: report it")
    while (narrower := _solve(wanted, halves, found.shift - 1, _AROUND)) is not None:
        found = narrower
    if (found.outputs(wanted) != wanted.outputs)[wanted.used].any():
        raise ArithmeticDomainError("weights of products failed their proof: this is an error in bitloom, report it")
    return found


def _solve(wanted: Products, halves: Iterable[float], shift: int, around: Iterable[tuple[int, int]]) -> Slopes | None:
    """Weights of one shift, or None."""
    if shift < 1:
        return None
    for half, (one, other) in itertools.product(halves, around):
        middle = round(half * (1 << shift))
        offset, negative_offset = middle + one, middle + other
        # Zero times anything is nothing.
        if min(offset, negative_offset) >= 0 and max(offset, negative_offset) < 1 << shift:
            weights = _weights(wanted, shift, offset, negative_offset)
            if weights is not None:
                return Slopes(weights, offset, negative_offset, shift)
    return None


def _weights(wanted: Products, shift: int, offset: int, negative_offset: int) -> Int64Array | None:
    """The smallest weights that meet all conditions, or None."""
    magnitude = np.abs(wanted.left)[:, None]
    negative = (wanted.left[:, None] < 0) != (wanted.right < 0)
    steps = np.where(negative, wanted.zero_point - wanted.outputs, wanted.outputs - wanted.zero_point)
    at_least = np.where(negative, wanted.outputs < wanted.output.high, wanted.outputs > wanted.output.low)
    at_most = np.where(negative, wanted.outputs > wanted.output.low, wanted.outputs < wanted.output.high)
    moved = wanted.used & (magnitude > 0) & (wanted.right != 0)
    offsets, divisor = np.where(negative, negative_offset, offset), np.maximum(magnitude, 1)
    least = np.where(at_least & moved, -((offsets - (steps << shift)) // divisor), 0).max(axis=0)
    most = np.where(at_most & moved, (((steps + 1) << shift) - 1 - offsets) // divisor, _UNBOUNDED).min(axis=0)
    least = np.maximum(least, 0)
    return least if (least <= most).all() else None
