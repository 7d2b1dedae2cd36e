"""Narrowing: the smallest multiply-add-shift that equals a rescale on every reachable accumulator.

A rescale followed by a zero point and a clamp is a monotone step function from accumulators to a few hundred
output values. It is known completely by its steps: for each output value k, the smallest accumulator t_k that
gives at least k. A circuit of the form

    output(a) = clamp((a * multiplier + offset) >> shift)

is monotone too, so the two are equal everywhere if they are equal on both sides of every step and at the ends of
the range, and these are linear conditions on (multiplier, offset):

    t_k * multiplier + offset       >= k * 2**shift
    (t_k - 1) * multiplier + offset <= k * 2**shift - 1

`narrow` finds, for each channel by itself, the smallest shift for which integers meet all of them, and every offset
that then does. The result usually has a multiplier of half the width of the kernel's 31 bits, so that it fits one DSP
slice, and is exact by proof rather than by testing. Twice the multiplier at one shift more is the same line, so
channels can be brought to a common shift as far as multipliers may grow (`NarrowRescale.sharing`).

A channel whose output is the same on its whole range has the multiplier 0, and so is no reason to widen anything.
Roundings that treat negative numbers differently (halves away from zero) sometimes need a second offset for negative
accumulators; each of the two parts of the range is then proved as a range of its own.

Roundings to even send halves up to even values and down from odd ones, so steps to odd values come later than a line
has them. A half is known by the fraction of the total: with the tie ``w``, a power of two, it lies in ``[0, w)``, and

    output(a) = clamp(q - (q is odd and total mod 2**shift < w)),   q = total >> shift

is monotone in the total as well: it reaches an even k at ``k * 2**shift`` and an odd one at ``k * 2**shift + w``, and
so the conditions on (multiplier, offset) are as linear as before. For an exact multiplier m / 2**s these are m and s
themselves, and w is 1. An odd zero point makes odd values of even ones; then steps to odd values come earlier by w,
which the form does that sets the lowest bit of q where the fraction lies in ``[2**shift - w, 2**shift)``.

What is still not on any line (a float64 product that is a half only after its own rounding; float32 accumulators of
more than 24 bits) comes late, and the accumulators that should have gone up are listed: the circuit adds one there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from bitloom.arith.exact_form import exact_form
from bitloom.arith.lines import MAXIMUM_SHIFT, Lines, LineSearch
from bitloom.arith.narrowed import NarrowRescale
from bitloom.arith.ranges import Interval
from bitloom.arith.rescale import EXACT, Int64Array, Rescale, Rounding
from bitloom.arith.steps import MAXIMUM_STEPS, Conditions, Points, StepBounds, conditions_between, step_bounds
from bitloom.errors import ArithmeticDomainError

# A second offset costs a comparison, a memory and a multiplexer: worth it where the product goes (one multiplier, a
# power of two), or where the multiplier is wider than any multiplier slice takes and gets this much narrower.
_SPLIT_WORTH_BITS = 3
_SLICE_BITS = 24
_TO_EVEN = {Rounding.HALF_EVEN, Rounding.FLOAT32}
# Binary places of ties tried for a float32 product: rounding it moves a half of 8 bits by 2**-17 at most.
_FLOAT32_PLACES = range(4, 25, 2)
# How many accumulators late a step may come to be listed.
_LATEST = (1, 8, 64, 512)

__all__ = ["NarrowRescale", "check_domain", "narrow"]


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
    if rescale.rounding in EXACT and rescale.channels * (output.high - output.low) > MAXIMUM_STEPS:
        return exact_form(rescale, low_bound, high_bound, zero_point, output)
    steps = step_bounds(rescale, low_bound, high_bound, zero_point, output)
    whole = [conditions_between(steps, low_bound, high_bound, output)]
    halves = [
        conditions_between(steps, np.maximum(low_bound, 0), high_bound, output),
        conditions_between(steps, low_bound, np.minimum(high_bound, -1), output),
    ]
    forms = _Fit(rescale, steps, whole, halves, zero_point, output).forms()
    split = any(form.is_split for form in forms)
    narrowed = NarrowRescale(
        multipliers=tuple(form.multiplier for form in forms),
        offsets=tuple(form.offsets for form in forms),
        negative_offsets=tuple(form.negative_offsets for form in forms) if split else None,
        shifts=tuple(form.shift for form in forms),
        output=output,
        inputs=Interval(int(low_bound.min()), int(high_bound.max())),
        active=_active_ranges(steps, output),
        ties=tuple(form.tie for form in forms) if any(form.tie for form in forms) else (),
        ties_up=zero_point & 1,
    )
    return _proved(narrowed, halves if split else whole)


@dataclass(frozen=True)
class _Form:
    """What is found for one channel."""

    multiplier: int
    shift: int
    offsets: Interval
    negative_offsets: Interval
    tie: int = 0

    @property
    def is_split(self) -> bool:
        return self.offsets != self.negative_offsets


@dataclass(frozen=True)
class _Fit:
    """The search for a form of each channel: one offset, or two, or with ties to even, or with late steps listed."""

    rescale: Rescale
    steps: StepBounds
    whole: Sequence[Conditions]
    halves: Sequence[Conditions]
    zero_point: int
    output: Interval

    @cached_property
    def real(self) -> npt.NDArray[np.float64]:
        """The multipliers."""
        return np.array(self.rescale.multipliers, np.float64)

    def forms(self) -> list[_Form]:
        """One for each channel."""
        live = np.atleast_1d(self.steps.used.any(axis=1))
        constants = [Interval(value, value) for value in self.steps.first.tolist()]
        forms = {
            channel: _Form(0, 0, constants[channel], constants[channel]) for channel in np.nonzero(~live)[0].tolist()
        }
        missing = np.nonzero(live)[0]
        free = self._can_be_free(missing)
        for kind in MAXIMUM_SHIFT:
            single, double = self._lines(self.whole, missing, kind), None
            narrowest = 1 if free else _SLICE_BITS
            wide = np.array([single.bits(place) > narrowest for place in range(len(missing))])
            if wide.any():
                double = self._lines(self.halves, missing[wide], kind)
            position = np.cumsum(wide) - 1
            for place, channel in enumerate(missing.tolist()):
                saved = single.bits(place) - double.bits(position[place]) if wide[place] and double is not None else 0
                if double is not None and (saved >= _SPLIT_WORTH_BITS or (free and saved > 0)):
                    forms[channel] = _form(double, position[place])
                elif single.found[place]:
                    forms[channel] = _form(single, place)
            forms |= self._to_even(live, forms, kind, free=free)
            for sides in self._late_sides():
                missing = np.array([channel for channel in missing.tolist() if channel not in forms], np.intp)
                if not missing.size:
                    return [forms[channel] for channel in range(len(constants))]
                late = self._lines(sides, missing, kind)
                forms |= {
                    channel: _form(late, place) for place, channel in enumerate(missing.tolist()) if late.found[place]
                }
            missing = np.array([channel for channel in missing.tolist() if channel not in forms], np.intp)
            if not missing.size:
                return [forms[channel] for channel in range(len(constants))]
        raise ArithmeticDomainError("no multiply-add-shift equals this rescale on its range: report it")

    def _late_sides(self) -> Iterator[Sequence[Conditions]]:
        """Conditions that are easier and easier to meet, with ever more accumulators to list."""
        for sides in (self.whole, self.halves):
            yield [side.halves_down(self.real, self.zero_point) for side in sides]
        for late in _LATEST:
            for sides in (self.whole, self.halves):
                yield [side.late(late) for side in sides]

    def _to_even(
        self, live: npt.NDArray[np.bool_], forms: Mapping[int, _Form], kind: np.dtype[Any], *, free: bool
    ) -> dict[int, _Form]:
        """Forms with ties, of channels that have no form yet or one with a multiplier that much wider."""
        found: dict[int, _Form] = {}
        if self.rescale.rounding not in _TO_EVEN:
            return found
        exact: set[int] = set()
        direction, worth = -1 if self.zero_point & 1 else 1, 1 if free else _SPLIT_WORTH_BITS
        for attempt, places in enumerate(self._tie_places()):
            # Exact ties may be cheaper than a form without; others are for channels that have none that is cheap.
            narrowest = worth if attempt == 0 else _SLICE_BITS
            channels = np.array(
                [
                    channel
                    for channel in np.nonzero(live & (places > 0))[0].tolist()
                    if channel not in exact and _bits(forms.get(channel)) > narrowest
                ],
                np.intp,
            )
            if not channels.size:
                continue
            lines = self._lines([side.odd_moved(places, direction) for side in self.whole], channels, kind)
            for place, channel in enumerate(channels.tolist()):
                best = _bits(found[channel]) - 1 if channel in found else _bits(forms.get(channel)) - worth
                if lines.found[place] and lines.bits(place) <= best:
                    tie = 1 << int(lines.shift[place] - places[channel])
                    found[channel] = replace(_form(lines, place), tie=tie)
            if attempt == 0:
                exact = set(found)
        return found

    def _tie_places(self) -> Iterator[Int64Array]:
        """Binary places to look for ties at: those of an exact multiplier; and those of a rounded product."""
        multiplier, shift = self.rescale.fixed_point()
        exact = 31 - shift - np.array([(value & -value).bit_length() - 1 for value in multiplier.tolist()], np.int64)
        yield np.where((multiplier > 0) & (exact <= _SLICE_BITS), np.maximum(exact, 0), 0)
        if self.rescale.rounding is Rounding.FLOAT32:
            for places in _FLOAT32_PLACES:
                yield np.full_like(exact, places)

    def _lines(self, sides: Sequence[Conditions], channels: npt.NDArray[np.intp], kind: np.dtype[Any]) -> Lines:
        farthest = max(abs(self.output.low), abs(self.output.high)) + abs(self.zero_point) + 2
        search = LineSearch(self.real[channels], kind, farthest)
        return search.smallest([side.of_channels(channels) for side in sides])

    def _can_be_free(self, live: npt.NDArray[np.intp]) -> bool:
        """Whether a product would be no product: one multiplier that is a power of two."""
        real = set(self.real[live].tolist())
        return len(real) == 1 and np.frexp(real.pop())[0] == 0.5


def _bits(form: _Form | None) -> int:
    """Width of the multiplier, beyond all bounds if there is no form."""
    return 1 << 16 if form is None else form.multiplier.bit_length()


def _form(lines: Lines, channel: int) -> _Form:
    return _Form(int(lines.multiplier[channel]), int(lines.shift[channel]), *lines.channel_offsets(channel))


def _proved(narrowed: NarrowRescale, sides: Sequence[Conditions]) -> NarrowRescale:
    """Evaluate both sides of every step, with the smallest and the largest offsets, and list the exceptions.

    Monotony carries equality to all points between. The smallest offsets may make the form one step late at some
    accumulators: those become the exceptions, and their channels have to keep to these offsets. Where an exception is
    enough at the step itself, it is enough until the form catches up, which is where the list for that step ends; and
    before the next step it has, or the exception would not be enough there.
    """
    late = _late(narrowed, sides)
    exceptional = {channel for channel, _ in late}
    listed = replace(
        narrowed,
        offsets=_kept_low(narrowed.offsets, exceptional),
        negative_offsets=narrowed.negative_offsets and _kept_low(narrowed.negative_offsets, exceptional),
        exceptions=late,
    )
    highest = replace(
        listed,
        offsets=_only_high(listed.offsets),
        negative_offsets=listed.negative_offsets and _only_high(listed.negative_offsets),
    )
    for side in sides:
        stayed = (highest.apply(side.below.accumulators.T).T < side.below.values) | ~side.below.used
        if not (_met(listed, side.at_least).all() and stayed.all()):
            raise ArithmeticDomainError("a narrowed rescale failed its proof: this is an error in bitloom, report it")
    return listed


def _late(narrowed: NarrowRescale, sides: Sequence[Conditions]) -> tuple[tuple[int, int], ...]:
    """The accumulators at which the linear form is one step late: from each step that it misses to where it has it."""
    late = set()
    for side in sides:
        points = side.at_least
        while not (met := _met(narrowed, points)).all():
            channels, columns = np.nonzero(~met)
            late |= set(zip(channels.tolist(), points.accumulators[channels, columns].tolist(), strict=True))
            inside = points.accumulators < side.high[:, None]
            points = replace(
                points, accumulators=np.where(inside, points.accumulators + 1, points.accumulators), used=~met & inside
            )
    return tuple(sorted(late))


def _kept_low(offsets: Sequence[Interval], channels: set[int]) -> tuple[Interval, ...]:
    """No freedom for those channels."""
    return tuple(Interval(each.low, each.low) if at in channels else each for at, each in enumerate(offsets))


def _only_high(offsets: Sequence[Interval]) -> tuple[Interval, ...]:
    return tuple(Interval(each.high, each.high) for each in offsets)


def _met(narrowed: NarrowRescale, points: Points) -> npt.NDArray[np.bool_]:
    """Whether the output is at least the value, or the point is not used; shape (channels, points)."""
    return (narrowed.apply(points.accumulators.T).T >= points.values) | ~points.used


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


def _active_ranges(steps: StepBounds, output: Interval) -> tuple[Interval, ...]:
    """For each channel, from the last accumulator at the low end of the clamp to the first at its high end.

    That is, from the first accumulator of all, and to the last, where the output does not reach that end.
    """
    live, last = steps.used.any(axis=1), steps.output(steps.high)
    before = np.where(steps.used, steps.reached - 1, steps.high[:, None]).min(axis=1, initial=np.iinfo(np.int64).max)
    behind = np.where(steps.used, steps.reached, steps.low[:, None]).max(axis=1, initial=np.iinfo(np.int64).min)
    low = np.where(steps.first > output.low, steps.low, np.where(live, before, steps.high))
    high = np.where(last < output.high, steps.high, np.where(live, behind, low))
    return tuple(Interval(*ends) for ends in zip(low.tolist(), high.tolist(), strict=True))


def check_domain(rescale: Rescale, low: Int64Array, high: Int64Array, zero_point: int) -> None:
    """Refuse ranges on which the reference kernel's int32 arithmetic would overflow (and is undefined)."""
    if rescale.rounding in EXACT:
        if (np.maximum(-low, high) >= rescale.largest).any():
            reached = int(np.maximum(-low, high).max())
            raise ArithmeticDomainError(
                f"accumulators reach {reached}, whose products with the multiplier leave 62 bits",
                remedy="take a narrower scale",
            )
        return
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
