"""Narrowing: the smallest multiply-add-shift that equals a rescale on every reachable accumulator.

A rescale followed by a zero point and a clamp is a monotone step function from accumulators to a few hundred
output values. It is known completely by its steps: for each output value k, the smallest accumulator t_k that
gives at least k. A circuit of the form

    output(a) = clamp((a * multiplier + offset) >> shift)

is monotone too, so the two are equal everywhere if they are equal on both sides of every step and at the ends of
the range, and these are linear conditions on (multiplier, offset):

    t_k * multiplier + offset       >= k * 2**shift
    (t_k - 1) * multiplier + offset <= k * 2**shift - 1

`narrow` finds the smallest shift for which integers meet all of them. The result usually has a multiplier of
half the width of the kernel's 31 bits, so that it fits one DSP slice, and is exact by proof rather than by
testing. Roundings that treat negative numbers differently (halves away from zero) sometimes need a second
offset for negative accumulators; each of the two parts of the range is then proved as a range of its own. And
where a multiplier makes exact halves that a rounding sends now up, now down (half to even; or a float64 product
that is a half only after its own rounding), the halves all go down and the accumulators that should have gone up
are listed: the circuit adds one there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from bitloom.arith.ranges import Interval
from bitloom.arith.rescale import Int64Array, Rescale
from bitloom.arith.steps import UNBOUNDED_BITS, Conditions, Points, StepBounds, conditions_between, step_bounds
from bitloom.errors import ArithmeticDomainError

# The searches: in NumPy's integers, and in Python's where multipliers are tiny and ranges as wide as int32.
_MAXIMUM_SHIFT = {np.dtype(np.int64): 48, np.dtype(object): 112}
# A second offset costs a small multiplexer per bit: worth it only if it saves this many multiplier bits.
_SPLIT_WORTH_BITS = 3


@dataclass(frozen=True)
class NarrowRescale:
    """``clamp((a * multiplier + offset) >> shift)``, equal to a rescale on a proven range.

    Attributes:
        multipliers: one per channel (or one for all), not negative.
        offsets: added to the product; holds rounding and output zero point.
        negative_offsets: offsets where the accumulator is negative, or None where one offset serves.
        shift: the arithmetic right shift.
        output: the clamp, also the range of the results.
        inputs: the accumulators for which equality is proven.
        active: the accumulators outside which no channel's output changes any more, so that a circuit may clamp
            to it first.
        exceptions: (channel, accumulator) pairs at which one is added to the shifted value; almost always empty.
    """

    multipliers: tuple[int, ...]
    offsets: tuple[int, ...]
    negative_offsets: tuple[int, ...] | None
    shift: int
    output: Interval
    inputs: Interval
    active: Interval
    exceptions: tuple[tuple[int, int], ...] = ()

    @property
    def multiplier_bits(self) -> int:
        """Unsigned width of the widest multiplier."""
        return max(1, *(value.bit_length() for value in self.multipliers))

    @property
    def _integers(self) -> np.dtype[Any]:
        """The integers to evaluate with: NumPy's, or Python's where a total below saturation does not fit them."""
        farthest = max(abs(self.output.low), abs(self.output.high)) + 1
        offset = max(abs(value) for value in self.offsets + (self.negative_offsets or ()))
        fits = (farthest << self.shift) + offset < 1 << 61 and max(self.multipliers) < 1 << 61
        return np.dtype(np.int64 if fits else object)

    def apply(self, accumulators: npt.ArrayLike) -> Int64Array:
        """Evaluate on accumulators (last axis the channel if there are several multipliers)."""
        given = np.asarray(accumulators, np.int64)
        kind = self._integers
        multipliers = np.array(self.multipliers, kind)
        values = given.astype(kind)
        if kind == np.int64:
            # Beyond these the output has saturated long since, and the product would leave int64.
            largest = (1 << 62) // np.maximum(multipliers, 1)
            values = np.clip(values, -largest, largest)
        offset = np.array(self.offsets, kind)
        if self.negative_offsets is not None:
            offset = np.where(values < 0, np.array(self.negative_offsets, kind), offset)
        shifted = (values * multipliers + offset) >> self.shift
        for channel, accumulator in self.exceptions:
            column = shifted[..., channel] if len(self.multipliers) > 1 else shifted
            column += (values[..., channel] if len(self.multipliers) > 1 else values) == accumulator
        result = np.clip(shifted, self.output.low, self.output.high).astype(np.int64)
        return result.reshape(given.shape) if len(self.multipliers) == 1 else result


def narrow(
    rescale: Rescale, low: npt.ArrayLike, high: npt.ArrayLike, zero_point: int, output: Interval
) -> NarrowRescale:
    """Find the narrowest exact circuit for ``clamp(rescale(a) + zero_point)``.

    Args:
        rescale: the reference; one multiplier, or one per channel.
        low: the smallest accumulator of each channel, shape (channels,).
        high: the largest accumulator of each channel, shape (channels,).
        zero_point: added after the rescale.
        output: the clamp.

    Raises:
        ArithmeticDomainError: the reference leaves int32 on the range, where its kernel is not defined; or its
            steps cannot be met with integers of 64 bits; or the arguments do not fit each other.
    """
    low_bound, high_bound = _bounds(rescale, low, high)
    check_domain(rescale, low_bound, high_bound, zero_point)
    steps = step_bounds(rescale, low_bound, high_bound, zero_point, output)
    whole = [conditions_between(steps, low_bound, high_bound, output)]
    halves = [
        conditions_between(steps, np.maximum(low_bound, 0), high_bound, output),
        conditions_between(steps, low_bound, np.minimum(high_bound, -1), output),
    ]
    real = np.array(rescale.multipliers, np.float64)
    for kind in _MAXIMUM_SHIFT:
        search = _Search(real, kind, _largest_shift(kind, rescale, zero_point, output))
        chosen, sides = search.smallest_shift(whole), whole
        if chosen is None or search.solve(halves, chosen.shift - _SPLIT_WORTH_BITS) is not None:
            chosen, sides = search.smallest_shift(halves), halves
        if chosen is None:
            chosen = search.smallest_shift([side.halves_down(real, zero_point) for side in halves])
        if chosen is not None:
            break
    else:
        raise ArithmeticDomainError("no multiply-add-shift equals this rescale on its range: report it")
    narrowed = NarrowRescale(
        multipliers=tuple(chosen.multiplier.tolist()),
        offsets=tuple(chosen.offsets[0].tolist()),
        negative_offsets=tuple(chosen.offsets[1].tolist()) if sides is halves else None,
        shift=chosen.shift,
        output=output,
        inputs=Interval(int(low_bound.min()), int(high_bound.max())),
        active=_active_range(steps),
    )
    narrowed = replace(narrowed, exceptions=_exceptions(narrowed, sides))
    _prove(narrowed, sides)
    return narrowed


def _exceptions(narrowed: NarrowRescale, sides: Sequence[Conditions]) -> tuple[tuple[int, int], ...]:
    """The accumulators at which the linear form is one step late."""
    late = set()
    for side in sides:
        for channel, point in zip(*np.nonzero(~_met(narrowed, side.at_least)), strict=True):
            late.add((int(channel), int(side.at_least.accumulators[channel, point])))
    return tuple(sorted(late))


def _bounds(rescale: Rescale, low: npt.ArrayLike, high: npt.ArrayLike) -> tuple[Int64Array, Int64Array]:
    """The range of each multiplier, checked."""
    low_bound, high_bound = np.atleast_1d(np.asarray(low, np.int64)), np.atleast_1d(np.asarray(high, np.int64))
    if low_bound.shape != high_bound.shape or (rescale.channels > 1 and low_bound.shape != (rescale.channels,)):
        raise ArithmeticDomainError(
            f"ranges of shapes {low_bound.shape} and {high_bound.shape} for {rescale.channels} multipliers"
        )
    if (low_bound > high_bound).any():
        raise ArithmeticDomainError("a range of accumulators has its low end above its high end")
    if rescale.channels == 1:
        return low_bound.min(keepdims=True), high_bound.max(keepdims=True)
    return low_bound, high_bound


def _active_range(steps: StepBounds) -> Interval:
    """From the last accumulator before every step to the first behind every step, over all channels.

    A channel with a range of its own must not be clamped out of it, because equality is proven only there.
    """
    before = np.where(steps.used, steps.reached - 1, steps.high[:, None]).min(initial=int(steps.high.min()))
    behind = np.where(steps.used, steps.reached, steps.low[:, None]).max(initial=int(steps.low.max()))
    return Interval(int(min(before, behind)), int(max(before, behind)))


def check_domain(rescale: Rescale, low: Int64Array, high: Int64Array, zero_point: int) -> None:
    """Refuse ranges on which the reference kernel's int32 arithmetic would overflow (and is undefined)."""
    _, shift = rescale.fixed_point()
    ends = np.stack([low, high])
    widest = np.maximum(np.abs(ends) << np.clip(shift, 0, 31), np.abs(ends)).max()
    if widest >= 2**31:
        raise ArithmeticDomainError(
            f"accumulators reach {int(widest)}, beyond the int32 of the reference kernel",
            remedy="the network's scales or biases are corrupt, or it was not quantized for int8 inference",
        )
    results = rescale.apply(ends) + zero_point
    if np.abs(results).max() >= 2**31:
        raise ArithmeticDomainError(
            "a rescaled value leaves int32, where the reference kernel's answer is undefined",
            remedy="check the output scale of this layer",
        )


def _largest_shift(kind: np.dtype[Any], rescale: Rescale, zero_point: int, output: Interval) -> int:
    """The largest shift at which no bound computed by the search leaves the integers used.

    Multipliers stay below ``5 * M * 2**shift``, and the bounds below that times the farthest output.
    """
    farthest = max(abs(output.low), abs(output.high)) + abs(zero_point) + 2
    multiplier_bits = max(0, math.ceil(math.log2(max(*rescale.multipliers, 1.0))))
    return min(_MAXIMUM_SHIFT[kind], UNBOUNDED_BITS[kind] - 4 - max(farthest.bit_length(), multiplier_bits))


@dataclass(frozen=True)
class _Solution:
    shift: int
    multiplier: npt.NDArray[Any]
    offsets: tuple[npt.NDArray[Any], ...]


@dataclass(frozen=True)
class _Search:
    """The search for multipliers and offsets.

    Attributes:
        real: the real multiplier of each channel, near which the integer one must lie.
        kind: of integers to compute with, int64 or object.
        largest_shift: the largest shift to try.
    """

    real: npt.NDArray[np.float64]
    kind: np.dtype[Any]
    largest_shift: int

    def smallest_shift(self, sides: Sequence[Conditions]) -> _Solution | None:
        """The solution of the smallest shift; doubling a solution at one shift gives one at the next."""
        lowest, highest = 0, self.largest_shift
        best = self.solve(sides, highest)
        while best is not None and lowest < highest:
            middle = (lowest + highest) // 2
            found = self.solve(sides, middle)
            if found is None:
                lowest = middle + 1
            else:
                best, highest = found, middle
        return best

    def solve(self, sides: Sequence[Conditions], shift: int) -> _Solution | None:
        """Integers that meet all conditions at one shift, or None: one multiplier, and an offset for each side.

        The room left for the offset is a concave function of the multiplier, so bisection on whether it rises
        finds its maximum.
        """
        if shift < 0:
            return None

        def room(multiplier: npt.NDArray[Any]) -> npt.NDArray[Any]:
            bounds = [side.offset_room(multiplier, shift) for side in sides]
            return np.min([highest - lowest for lowest, highest in bounds], axis=0)

        left = np.zeros(self.real.shape, self.kind)
        right = np.array([math.ceil(real * 2.0 ** (shift + 2)) + 1 for real in self.real.tolist()], self.kind)
        while (left < right).any():
            middle = (left + right) >> 1
            rises = room(middle + 1) > room(middle)
            left, right = np.where(rises, np.minimum(middle + 1, right), left), np.where(rises, right, middle)
        if (room(left) < 0).any():
            return None
        bounds = [side.offset_room(left, shift) for side in sides]
        # The offset nearest zero is the narrowest.
        return _Solution(shift, left, tuple(np.clip(0, lowest, highest) for lowest, highest in bounds))


def _prove(narrowed: NarrowRescale, sides: Sequence[Conditions]) -> None:
    """Evaluate the narrow form on both sides of every step; monotony carries equality to all points between."""
    linear = replace(narrowed, exceptions=())
    for side in sides:
        # Behind an exception the form must have caught up by itself.
        behind = np.minimum(side.at_least.accumulators + 1, side.high[:, None])
        late = ~_met(linear, side.at_least) & (side.at_least.accumulators < side.high[:, None])
        caught_up = _met(linear, replace(side.at_least, accumulators=behind, used=late))
        stayed = (narrowed.apply(side.below.accumulators.T).T < side.below.values) | ~side.below.used
        if not (_met(narrowed, side.at_least).all() and caught_up.all() and stayed.all()):
            raise ArithmeticDomainError("a narrowed rescale failed its proof: this is an error in bitloom, report it")


def _met(narrowed: NarrowRescale, points: Points) -> npt.NDArray[np.bool_]:
    """Whether the output is at least the value, or the point is not used; shape (channels, points)."""
    return (narrowed.apply(points.accumulators.T).T >= points.values) | ~points.used
