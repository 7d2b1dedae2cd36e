"""The search for the line of the smallest shift that meets the conditions of a rescale's steps, per channel.

A line is ``(a * multiplier + offset) / 2**shift``. For a given shift the room that is left for the offset is a concave
function of the multiplier, so bisection on whether it rises finds its maximum; there is a line if that maximum is not
negative. A line at one shift gives one at the next, twice as steep, so the smallest shift is found by bisection too.
All channels are searched at once, each at a shift of its own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bitloom.arith.ranges import Interval
from bitloom.arith.rescale import Int64Array
from bitloom.arith.steps import UNBOUNDED_BITS, Conditions

# The searches: in NumPy's integers, and in Python's where multipliers are tiny and ranges as wide as int32.
MAXIMUM_SHIFT = {np.dtype(np.int64): 48, np.dtype(object): 112}


@dataclass(frozen=True)
class Lines:
    """A line for each channel, with all offsets that serve.

    Attributes:
        found: whether the channel has a line; nothing else means anything where it has none; shape (channels,).
        shift: int64, shape (channels,).
        multiplier: shape (channels,), of int64 or Python's integers.
        offsets: for each side of the conditions, the smallest and the largest offset of each channel.
    """

    found: npt.NDArray[np.bool_]
    shift: Int64Array
    multiplier: npt.NDArray[Any]
    offsets: tuple[tuple[npt.NDArray[Any], npt.NDArray[Any]], ...]

    def bits(self, channel: int) -> int:
        """Width of a channel's multiplier; beyond all bounds if there is no line."""
        return int(self.multiplier[channel]).bit_length() if self.found[channel] else 1 << 16

    def channel_offsets(self, channel: int) -> tuple[Interval, Interval]:
        """The offsets of the first and the last side; where a side is free to have any, those of the other."""
        sides = [
            (int(lowest[channel]), int(highest[channel])) for lowest, highest in (self.offsets[0], self.offsets[-1])
        ]
        unbounded = 1 << UNBOUNDED_BITS[self.multiplier.dtype]
        closed = []
        for side, (lowest, highest) in enumerate(sides):
            if (lowest, highest) == (-unbounded, unbounded):
                lowest, highest = sides[1 - side]
            closed.append(
                Interval(highest if lowest == -unbounded else lowest, lowest if highest == unbounded else highest)
            )
        return closed[0], closed[1]


@dataclass(frozen=True)
class LineSearch:
    """A search over some channels.

    Attributes:
        real: the real multiplier of each channel, near which the integer one must lie.
        kind: of integers to compute with, int64 or object.
        farthest: the largest magnitude of an output value in a condition.
    """

    real: npt.NDArray[np.float64]
    kind: np.dtype[Any]
    farthest: int

    @property
    def largest_shift(self) -> Int64Array:
        """The largest shift at which no bound computed by the search leaves the integers used, per channel.

        Multipliers stay below ``5 * M * 2**shift``, and the bounds below that times the farthest output.
        """
        multiplier_bits = np.maximum(0, np.ceil(np.log2(np.maximum(self.real, 1.0)))).astype(np.int64)
        room = UNBOUNDED_BITS[self.kind] - 4 - np.maximum(self.farthest.bit_length(), multiplier_bits)
        return np.minimum(MAXIMUM_SHIFT[self.kind], room)

    def smallest(self, sides: Sequence[Conditions]) -> Lines:
        """The line of the smallest shift of each channel."""
        highest = self.largest_shift
        lowest = np.maximum.reduce([side.places for side in sides])
        best = self.at(sides, highest)
        while (open_ := best.found & (lowest < highest)).any():
            middle = np.where(open_, (lowest + highest) >> 1, highest)
            tried = self.at(sides, middle)
            better, worse = open_ & tried.found, open_ & ~tried.found
            best = _merged(better, tried, best)
            highest = np.where(better, middle, highest)
            lowest = np.where(worse, middle + 1, lowest)
        return best

    def at(self, sides: Sequence[Conditions], shift: Int64Array) -> Lines:
        """The line of each channel at a given shift: one multiplier, and an offset for each side."""

        def room(multiplier: npt.NDArray[Any]) -> npt.NDArray[Any]:
            bounds = [side.offset_room(multiplier, shift) for side in sides]
            return np.min([highest - lowest for lowest, highest in bounds], axis=0)

        left = np.zeros(self.real.shape, self.kind)
        steepest = np.ldexp(self.real, shift + 2)
        right = np.array([math.ceil(slope) + 1 for slope in steepest.tolist()], self.kind)
        while (left < right).any():
            middle = (left + right) >> 1
            rises = (room(middle + 1) > room(middle)).astype(bool)
            left, right = np.where(rises, np.minimum(middle + 1, right), left), np.where(rises, right, middle)
        offsets = tuple(side.offset_room(left, shift) for side in sides)
        return Lines((room(left) >= 0).astype(bool), shift, left, offsets)


def _merged(choice: npt.NDArray[np.bool_], first: Lines, second: Lines) -> Lines:
    """The first's channels where chosen, else the second's."""
    return Lines(
        np.where(choice, first.found, second.found),
        np.where(choice, first.shift, second.shift),
        np.where(choice, first.multiplier, second.multiplier),
        tuple(
            (np.where(choice, one[0], other[0]), np.where(choice, one[1], other[1]))
            for one, other in zip(first.offsets, second.offsets, strict=True)
        ),
    )
