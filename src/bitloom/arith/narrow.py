"""Narrowing: the smallest multiply-add-shift that equals a rescale on every reachable accumulator.

A rescale followed by a zero point and a clamp is a monotone step function from accumulators to a few hundred
output values. It is known completely by its steps: for each output value k, the smallest accumulator t_k that
gives at least k. A circuit of the form

    output(a) = clamp((a * multiplier + offset) >> shift)

is monotone too, so the two are equal everywhere if they are equal on both sides of every step, and these are
linear conditions on (multiplier, offset):

    t_k * multiplier + offset       >= k * 2**shift
    (t_k - 1) * multiplier + offset <= k * 2**shift - 1

`narrow` finds the smallest shift for which integers meet all of them. The result usually has a multiplier of
half the width of the kernel's 31 bits, so that it fits one DSP slice, and is exact by proof rather than by
testing. Roundings that treat negative numbers differently (halves away from zero) sometimes need a second
offset for negative accumulators. And where a multiplier makes exact halves that a rounding sends now up, now down
(half to even; or a float64 product that is a half only after its own rounding), the halves all go down and the
accumulators that should have gone up are listed: the circuit adds one there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from bitloom.arith.ranges import Interval
from bitloom.arith.rescale import Int64Array, Rescale
from bitloom.errors import ArithmeticDomainError

_MAXIMUM_SHIFT = 48
# How near a half a step must lie to be one that a rounding may send either way.
_HALF_TOLERANCE = 2.0**-20
# A second offset costs a small multiplexer per bit: worth it only if it saves this many multiplier bits.
_SPLIT_WORTH_BITS = 3
_UNBOUNDED = np.int64(1) << 60


@dataclass(frozen=True)
class StepBounds:
    """The steps of a rescale, per channel: points the output must reach, and points it must stay below.

    Attributes:
        at_least: (accumulator, value) pairs, int64 arrays of shape (channels, steps): output >= value there.
        below: (accumulator, value) pairs of the same shape: output < value there.
        at_least_used, below_used: which entries are real conditions, bool, same shape.
    """

    at_least: tuple[Int64Array, Int64Array]
    below: tuple[Int64Array, Int64Array]
    at_least_used: npt.NDArray[np.bool_]
    below_used: npt.NDArray[np.bool_]


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
        active: the accumulators outside which every channel's output has saturated or reached its end, so that a
            circuit may clamp to it first.
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

    def apply(self, accumulators: npt.ArrayLike) -> Int64Array:
        """Evaluate on accumulators (last axis the channel if there are several multipliers)."""
        values = np.asarray(accumulators, np.int64)
        offset = np.array(self.offsets, np.int64)
        if self.negative_offsets is not None:
            offset = np.where(values < 0, np.array(self.negative_offsets, np.int64), offset)
        shifted = (values * np.array(self.multipliers, np.int64) + offset) >> self.shift
        for channel, accumulator in self.exceptions:
            column = shifted[..., channel] if len(self.multipliers) > 1 else shifted
            column += (values[..., channel] if len(self.multipliers) > 1 else values) == accumulator
        return np.clip(shifted, self.output.low, self.output.high)


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
        ArithmeticDomainError: the reference leaves int32 on the range, where its kernel is not defined.
    """
    low_bound, high_bound = np.atleast_1d(np.asarray(low, np.int64)), np.atleast_1d(np.asarray(high, np.int64))
    if rescale.channels == 1:
        low_bound, high_bound = low_bound.min(keepdims=True), high_bound.max(keepdims=True)
    check_domain(rescale, low_bound, high_bound, zero_point)
    steps = step_bounds(rescale, low_bound, high_bound, zero_point, output)
    real = np.array(rescale.multipliers, np.float64)
    joint = _smallest_shift(steps, real, split=False)
    split = _smallest_shift(steps, real, split=True)
    use_split = joint is None or (split is not None and joint.shift - split.shift >= _SPLIT_WORTH_BITS)
    chosen = split if use_split else joint
    if chosen is None:
        chosen = _smallest_shift(_halves_down(steps, real, zero_point), real, split=True)
    if chosen is None:
        raise ArithmeticDomainError("no multiply-add-shift of 48 bits equals this rescale on its range")
    narrowed = NarrowRescale(
        multipliers=tuple(int(v) for v in chosen.multiplier),
        offsets=tuple(int(v) for v in chosen.offset),
        negative_offsets=tuple(int(v) for v in chosen.negative_offset) if use_split else None,
        shift=chosen.shift,
        output=output,
        inputs=Interval(int(low_bound.min()), int(high_bound.max())),
        active=_active_range(steps, low_bound, high_bound),
    )
    narrowed = replace(narrowed, exceptions=_exceptions(narrowed, steps))
    _prove(narrowed, steps)
    return narrowed


def _halves_down(steps: StepBounds, real: npt.NDArray[np.float64], zero_point: int) -> StepBounds:
    """The same steps, but those that lie on a half may come one accumulator later."""
    points, values = steps.at_least
    distance = points * real[:, None] - (values - zero_point - 0.5)
    on_half = np.abs(distance) < _HALF_TOLERANCE
    return replace(steps, at_least=(points + on_half, values))


def _exceptions(narrowed: NarrowRescale, steps: StepBounds) -> tuple[tuple[int, int], ...]:
    """The steps that the linear form reaches one accumulator too late."""
    points, values = steps.at_least
    late = steps.at_least_used & (narrowed.apply(points.T).T < values)
    return tuple((int(channel), int(points[channel, step])) for channel, step in zip(*np.nonzero(late), strict=True))


def _active_range(steps: StepBounds, low: Int64Array, high: Int64Array) -> Interval:
    """From just below the first condition of any channel to the last."""
    first = np.where(steps.below_used, steps.below[0], high[:, None]).min()
    first = min(first, np.where(steps.at_least_used, steps.at_least[0], high[:, None]).min())
    last = np.where(steps.at_least_used, steps.at_least[0], low[:, None]).max()
    last = max(last, np.where(steps.below_used, steps.below[0], low[:, None]).max())
    return Interval(int(min(first, last)), int(max(first, last)))


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


def step_bounds(rescale: Rescale, low: Int64Array, high: Int64Array, zero_point: int, output: Interval) -> StepBounds:
    """Find every step of the clamped rescale by bisection, all channels and output values at once."""

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
    targets = np.broadcast_to(values, used.shape)
    # The range's ends are conditions too where the output has not saturated there.
    return StepBounds(
        at_least=(np.concatenate([low[:, None], reached], 1), np.concatenate([first, targets], 1)),
        below=(np.concatenate([below, high[:, None]], 1), np.concatenate([targets, last + 1], 1)),
        at_least_used=np.concatenate([first > output.low, used], 1),
        below_used=np.concatenate([used, last < output.high], 1),
    )


@dataclass(frozen=True)
class _Solution:
    shift: int
    multiplier: Int64Array
    offset: Int64Array
    negative_offset: Int64Array


def _smallest_shift(steps: StepBounds, real: npt.NDArray[np.float64], *, split: bool) -> _Solution | None:
    """The smallest shift for which every channel has a solution; a solution at s gives one at s + 1."""
    lowest, highest = 0, _MAXIMUM_SHIFT
    best = _solve(steps, real, highest, split=split)
    if best is None:
        return None
    while lowest < highest:
        middle = (lowest + highest) // 2
        found = _solve(steps, real, middle, split=split)
        if found is None:
            lowest = middle + 1
        else:
            best, highest = found, middle
    return best


def _solve(steps: StepBounds, real: npt.NDArray[np.float64], shift: int, *, split: bool) -> _Solution | None:
    """Integers that meet all conditions at one shift, or None.

    The room left for the offset is a concave function of the multiplier, so a ternary search finds its maximum.
    """
    sides = [_side(steps, negative=False), _side(steps, negative=True)] if split else [steps]

    def room(multiplier: Int64Array) -> Int64Array:
        rooms = [high - low for low, high in (_offset_room(side, multiplier, shift) for side in sides)]
        return np.minimum(rooms[0], rooms[-1])

    ideal = real * 2.0**shift
    left = np.maximum(np.floor(ideal * 0.5).astype(np.int64) - 1, 0)
    right = np.ceil(ideal * 1.5).astype(np.int64) + 1
    while (right - left > 2).any():
        third = np.maximum((right - left) // 3, 1)
        one, two = left + third, np.maximum(right - third, left + third)
        rising = room(one) < room(two)
        left, right = np.where(rising, one, left), np.where(rising, right, two)
    candidates = np.stack([left, np.minimum(left + 1, right), right])
    rooms = np.stack([room(candidate) for candidate in candidates])
    best = rooms.argmax(axis=0)
    if (rooms.max(axis=0) < 0).any():
        return None
    multiplier = candidates[best, np.arange(candidates.shape[1])]
    offsets = [_offset_choice(*_offset_room(side, multiplier, shift)) for side in sides]
    return _Solution(shift, multiplier, offsets[0], offsets[-1])


def _side(steps: StepBounds, *, negative: bool) -> StepBounds:
    """The conditions on negative accumulators, or on the others."""
    return StepBounds(
        steps.at_least,
        steps.below,
        steps.at_least_used & ((steps.at_least[0] < 0) == negative),
        steps.below_used & ((steps.below[0] < 0) == negative),
    )


def _offset_room(steps: StepBounds, multiplier: Int64Array, shift: int) -> tuple[Int64Array, Int64Array]:
    """The smallest and largest offset that meet the conditions, per channel."""
    slope = multiplier[:, None]
    points, values = steps.at_least
    lowest = np.where(steps.at_least_used, (values << shift) - slope * points, -_UNBOUNDED).max(axis=1)
    points, values = steps.below
    highest = np.where(steps.below_used, (values << shift) - 1 - slope * points, _UNBOUNDED).min(axis=1)
    return lowest, highest


def _offset_choice(lowest: Int64Array, highest: Int64Array) -> Int64Array:
    """An offset in the room: the one nearest zero, because it is the narrowest."""
    return np.clip(np.zeros_like(lowest), lowest, highest)


def _prove(narrowed: NarrowRescale, steps: StepBounds) -> None:
    """Evaluate the narrow form on both sides of every step; monotony carries equality to all points between."""
    points, values = steps.at_least
    reached = narrowed.apply(points.T).T >= np.clip(values, narrowed.output.low, narrowed.output.high)
    points, values = steps.below
    stayed = narrowed.apply(points.T).T < values
    if not (reached | ~steps.at_least_used).all() or not (stayed | ~steps.below_used).all():
        raise ArithmeticDomainError("a narrowed rescale failed its proof: this is an error in bitloom, report it")
