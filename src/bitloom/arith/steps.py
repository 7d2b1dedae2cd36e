"""The steps of a clamped rescale, and the conditions they put on a multiply-add-shift that is to equal it.

The conditions are points of the plane (accumulator, output value), of two kinds: the line
``a * multiplier + offset``, in units of ``2**shift``, must pass on or above the one kind and below the other.
`bitloom.arith.narrow` looks for such a line.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from bitloom.arith.ranges import Interval
from bitloom.arith.rescale import Int64Array, Rescale
from bitloom.errors import ArithmeticDomainError

# No bound on an offset comes near these, in the integers of NumPy and of Python.
UNBOUNDED_BITS = {np.dtype(np.int64): 60, np.dtype(object): 250}
# How near a half a step must lie to be one that a rounding may send either way.
_HALF_TOLERANCE = 2.0**-20
MAXIMUM_STEPS = 1 << 24
"""Steps are held for all channels at once: 16 bits of output for 256 channels."""


@dataclass(frozen=True)
class StepBounds:
    """The steps of a clamped rescale, per channel, on a range of accumulators.

    Attributes:
        low: the smallest accumulator, int64, shape (channels,).
        high: the largest accumulator, int64, shape (channels,).
        first: the output at `low`, int64, shape (channels,).
        values: every output value but the smallest, int64, shape (1, steps).
        reached: the smallest accumulator whose output is at least the value, int64, shape (channels, steps).
        used: whether the output steps to that value within the range, bool, shape (channels, steps).
    """

    low: Int64Array
    high: Int64Array
    first: Int64Array
    values: Int64Array
    reached: Int64Array
    used: npt.NDArray[np.bool_]

    def output(self, accumulators: Int64Array) -> Int64Array:
        """The output at one accumulator of each channel, shape (channels,)."""
        return self.first + (self.used & (self.reached <= accumulators[:, None])).sum(axis=1)


def step_bounds(rescale: Rescale, low: Int64Array, high: Int64Array, zero_point: int, output: Interval) -> StepBounds:
    """Find every step of the clamped rescale by bisection, all channels and output values at once.

    Raises:
        ArithmeticDomainError: there are too many output values to hold.
    """
    if (output.high - output.low) * rescale.channels > MAXIMUM_STEPS:
        raise ArithmeticDomainError(
            f"{rescale.channels} channels of {output.type} have too many output values to narrow a rescale by its steps"
        )

    def reference(accumulators: Int64Array) -> Int64Array:
        # The channel is the last axis of what a rescale takes and the first of the arrays here.
        return np.clip(rescale.apply(accumulators.T).T + zero_point, output.low, output.high)

    first, last = reference(low[:, None]), reference(high[:, None])
    values = np.arange(output.low + 1, output.high + 1, dtype=np.int64)[None, :]
    used = (values > first) & (values <= last)
    below = np.broadcast_to(low[:, None], used.shape).copy()
    reached = np.broadcast_to(high[:, None], used.shape).copy()
    while (wide := used & (reached - below > 1)).any():
        middle = (below + reached) >> 1
        at_least = reference(middle) >= values
        reached = np.where(wide & at_least, middle, reached)
        below = np.where(wide & ~at_least, middle, below)
    return StepBounds(low, high, first[:, 0], values, reached, used)


@dataclass(frozen=True)
class Points:
    """Points of the plane, some of them used: int64, int64 and bool arrays of shape (channels, points)."""

    accumulators: Int64Array
    values: Int64Array
    used: npt.NDArray[np.bool_]

    def mirrored(self) -> Points:
        """Both coordinates negated."""
        return Points(-self.accumulators, -self.values, self.used)

    def of_channels(self, channels: npt.NDArray[np.intp]) -> Points:
        """Those of some channels only."""
        return Points(self.accumulators[channels], self.values[channels], self.used[channels])

    def arranged(self, order: npt.NDArray[np.intp]) -> Points:
        """The points of these indices, shape (channels, any)."""
        return Points(
            np.take_along_axis(self.accumulators, order, axis=1),
            np.take_along_axis(self.values, order, axis=1),
            np.take_along_axis(self.used, order, axis=1),
        )


@dataclass(frozen=True)
class Conditions:
    """What makes the narrow form equal to the reference on a range.

    Attributes:
        high: the end of the range, shape (channels,).
        at_least: where the output must be at least the value.
        below: where the output must be below the value.
        at_least_corners, below_corners: those among them that can be the hardest to meet for some multiplier, their
            values in units of ``2**-places``.
        places: binary places of the corners' values, int64, shape (channels,).
    """

    high: Int64Array
    at_least: Points
    below: Points
    at_least_corners: Points
    below_corners: Points
    places: Int64Array

    def of_channels(self, channels: npt.NDArray[np.intp]) -> Conditions:
        """Those of some channels only."""
        return Conditions(
            self.high[channels],
            self.at_least.of_channels(channels),
            self.below.of_channels(channels),
            self.at_least_corners.of_channels(channels),
            self.below_corners.of_channels(channels),
            self.places[channels],
        )

    def halves_down(self, real: npt.NDArray[np.float64], zero_point: int) -> Conditions:
        """The same conditions, but steps that lie on a half may come one accumulator later."""
        points = self.at_least
        distance = points.accumulators * real[:, None] - (points.values - zero_point - 0.5)
        later = replace(points, accumulators=points.accumulators + (np.abs(distance) < _HALF_TOLERANCE))
        return replace(self, at_least=later, at_least_corners=_corners(later))

    def late(self, accumulators: int) -> Conditions:
        """The same conditions, but steps may come so many accumulators later, or not at all if that is not reached."""
        points = self.at_least
        moved = points.accumulators + accumulators
        later = replace(points, accumulators=moved, used=points.used & (moved <= self.high[:, None]))
        return replace(self, at_least=later, at_least_corners=_corners(later))

    def odd_moved(self, places: Int64Array, direction: int) -> Conditions:
        """The conditions on a line for which odd values count as ``direction * 2**-places`` more than they are."""

        def moved(points: Points) -> Points:
            return replace(points, values=(points.values << places[:, None]) + direction * (points.values & 1))

        at_least, below = moved(self.at_least), moved(self.below)
        return replace(
            self,
            at_least_corners=_corners(at_least),
            below_corners=_corners(below.mirrored()).mirrored(),
            places=places,
        )

    def offset_room(self, multiplier: npt.NDArray[Any], shift: Int64Array) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """The smallest and largest offset that meet the conditions, per channel, of the kind the multiplier is."""
        kind, slope = multiplier.dtype, multiplier[:, None]
        places = (shift - self.places).astype(kind)[:, None]
        unbounded = 1 << UNBOUNDED_BITS[kind]
        points = self.at_least_corners
        bounds = (points.values.astype(kind) << places) - slope * points.accumulators
        lowest = np.where(points.used, bounds, -unbounded).max(axis=1)
        points = self.below_corners
        bounds = (points.values.astype(kind) << places) - 1 - slope * points.accumulators
        highest = np.where(points.used, bounds, unbounded).min(axis=1)
        return lowest, highest


def conditions_between(steps: StepBounds, low: Int64Array, high: Int64Array, output: Interval) -> Conditions:
    """Equality on the accumulators from `low` to `high` (none where `low` exceeds `high`)."""
    exists = (low <= high)[:, None]
    at_low, at_high = steps.output(low)[:, None], steps.output(high)[:, None]
    inside = steps.used & (steps.reached > low[:, None]) & (steps.reached <= high[:, None])
    values = np.broadcast_to(steps.values, inside.shape)
    at_least = Points(
        np.concatenate([low[:, None], steps.reached], axis=1),
        np.concatenate([at_low, values], axis=1),
        np.concatenate([exists & (at_low > output.low), inside], axis=1),
    )
    below = Points(
        np.concatenate([steps.reached - 1, high[:, None]], axis=1),
        np.concatenate([values, at_high + 1], axis=1),
        np.concatenate([inside, exists & (at_high < output.high)], axis=1),
    )
    corners = _corners(at_least), _corners(below.mirrored()).mirrored()
    return Conditions(high, at_least, below, *corners, np.zeros_like(high))


def _corners(points: Points) -> Points:
    """The corners of the upper convex hull of each channel's points: only they bound the offset from below.

    Points on or under the line between their neighbours go, all of them at once, until none is left. Each round
    is sound, because such a point lies under the hull whatever else goes in the same round.
    """
    beyond = np.iinfo(np.int64).max
    order = np.lexsort((points.values, np.where(points.used, points.accumulators, beyond)), axis=1)
    while True:
        width = max(1, int(points.used.sum(axis=1).max()))
        points = points.arranged(order[:, :width])
        x, y, kept = points.accumulators, points.values, points.used.copy()
        over = (y[:, 1:-1] - y[:, :-2]) * (x[:, 2:] - x[:, :-2]) > (y[:, 2:] - y[:, :-2]) * (x[:, 1:-1] - x[:, :-2])
        # A point whose right neighbour is unused is the last.
        kept[:, 1:-1] &= over | ~kept[:, 2:]
        if (kept == points.used).all():
            return points
        points = Points(x, y, kept)
        order = np.argsort(~kept, axis=1, kind="stable")
