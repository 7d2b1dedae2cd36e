"""Where a function of integers or of binary32 numbers changes: everywhere looked at, or found by bisection.

Domains are intervals of keys: integers stand for themselves, binary32 numbers for their rank in the order of numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bitloom.errors import UnsupportedError

Int64Array = npt.NDArray[np.int64]
Evaluate = Callable[[Int64Array, Int64Array], Int64Array]
"""From keys (count, columns) and the columns' channels to the function's integers."""

MOST_LOOKED_AT = 1 << 22
"""Keys of all channels up to which every one is looked at."""
MOST_PIECES = 1 << 22
"""Of all channels: 64 of 16 bits; far fewer fit a chip."""
# Evaluated at a time.
_PART = 1 << 19
# A search of 2**32 keys and of steps of as many takes so many halvings.
_HALVINGS = 64

FLOAT_KEYS = 0x7F7FFFFF
"""The key of the largest finite binary32 number; that of the lowest is its negative."""


@dataclass(frozen=True, eq=False)
class Pieces:
    """A step function of each channel.

    Attributes:
        starts: for each channel the keys at which its value changes, ascending.
        values: before the first of them, and from each on.
    """

    starts: tuple[Int64Array, ...]
    values: tuple[Int64Array, ...]

    @property
    def low(self) -> int:
        """The lowest value of all."""
        return min(int(values.min()) for values in self.values)

    @property
    def high(self) -> int:
        """The highest value of all."""
        return max(int(values.max()) for values in self.values)

    def padded(self, key: int) -> tuple[Int64Array, Int64Array]:
        """As arrays (channels, count) and (channels, count + 1); short ones repeat their last value from `key` on."""
        count = max(1, *(len(starts) for starts in self.starts))
        starts = [np.pad(each, (0, count - len(each)), constant_values=key) for each in self.starts]
        values = [np.pad(each, (0, count + 1 - len(each)), mode="edge") for each in self.values]
        return np.stack(starts), np.stack(values)


def floats_of(keys: Int64Array) -> npt.NDArray[np.float32]:
    """Binary32 numbers of these ranks; 0 is that of zero.

    >>> floats_of(np.array([-1, 0, 1, FLOAT_KEYS])).tolist()[1:3]
    [0.0, 1.401298464324817e-45]
    """
    bits = np.abs(keys).astype(np.uint32) | np.where(keys < 0, np.uint32(1 << 31), np.uint32(0))
    return bits.astype(np.uint32).view(np.float32)


def find_pieces(evaluate: Evaluate, low: Int64Array, high: Int64Array, direction: Int64Array | None) -> Pieces:
    """The pieces of a function on an interval of keys for each channel.

    Args:
        evaluate: the function.
        low: the lowest keys, shape (channels,).
        high: the highest.
        direction: for each channel 1 if the function never decreases, -1 if it never increases; None if unknown.

    Raises:
        UnsupportedError: the function has too many pieces, or is not known to be monotone and has too many keys.
    """
    keys = int((high - low + 1).sum())
    if keys <= MOST_LOOKED_AT:
        return _everywhere(evaluate, low, high)
    if direction is None:
        raise UnsupportedError(
            f"is a function of {keys:,} integers that is not known to be monotone; up to {MOST_LOOKED_AT:,} are tried",
            remedy="quantize its operand first",
        )
    return _bisected(evaluate, low, high, direction)


def _everywhere(evaluate: Evaluate, low: Int64Array, high: Int64Array) -> Pieces:
    longest = int((high - low).max()) + 1
    step = max(1, _PART // longest)
    starts, values = [], []
    for first in range(0, len(low), step):
        channels = np.arange(first, min(first + step, len(low)))
        keys = np.minimum(low[channels] + np.arange(longest)[:, None], high[channels])
        found = evaluate(keys, channels)
        for column in range(len(channels)):
            row = found[:, column]
            changes = np.flatnonzero(row[1:] != row[:-1]) + 1
            starts.append(keys[changes, column])
            values.append(row[np.concatenate([[0], changes])])
    _check_count(sum(len(each) for each in starts))
    return Pieces(tuple(starts), tuple(values))


def _bisected(evaluate: Evaluate, low: Int64Array, high: Int64Array, direction: Int64Array) -> Pieces:
    """For each channel and each integer between the function's ends the first key from which on it is reached."""
    everyone = np.arange(len(low))
    ends = evaluate(np.stack([low, high]), everyone)
    first, last = ends[0] * direction, ends[1] * direction
    _check_count(int((last - first).sum()))
    starts, values = [], []
    for channel in everyone:
        levels = np.arange(first[channel] + 1, last[channel] + 1)
        channels = np.full(len(levels), channel)
        # Below the key `reached`, from which on the level is known to be reached, is `short`, where it is not.
        short, reached = np.full(len(levels), low[channel]), np.full(len(levels), high[channel])
        for _ in range(_HALVINGS):
            if not (reached - short > 1).any():
                break
            middle = (short + reached) // 2
            there = evaluate(middle[None], channels)[0] * direction[channel] >= levels
            reached, short = np.where(there, middle, reached), np.where(there, short, middle)
        # Of levels that are reached together, the highest is the value.
        kept = np.append(reached[1:] != reached[:-1], True) if len(levels) else np.zeros(0, bool)
        starts.append(reached[kept])
        values.append(np.concatenate([[first[channel]], levels[kept]]) * direction[channel])
    return Pieces(tuple(starts), tuple(values))


def _check_count(pieces: int) -> None:
    if pieces > MOST_PIECES:
        raise UnsupportedError(
            f"makes {pieces:,} different steps of its operand; up to {MOST_PIECES:,} are supported",
            remedy="quantize to fewer bits",
        )
