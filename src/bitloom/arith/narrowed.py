"""The form that `bitloom.arith.narrow` finds: a multiply-add-shift and a clamp, per channel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from bitloom.arith.ranges import Interval
from bitloom.arith.rescale import Int64Array
from bitloom.errors import ArithmeticDomainError


@dataclass(frozen=True)
class NarrowRescale:
    """``clamp((a * multiplier + offset) >> shift)``, equal to a rescale on a proven range, channel by channel.

    Every tuple has one item per channel, or a single one where one multiplier serves all channels.

    Attributes:
        multipliers: not negative; 0 where the output is the same on the whole range.
        offsets: all that may be added to the product, for equality; they hold rounding and output zero point.
        negative_offsets: those where the accumulator is negative, or None where one offset serves.
        shifts: the arithmetic right shifts.
        output: the clamp, also the range of the results.
        inputs: the accumulators for which equality is proven.
        active: the accumulators outside which the output is at the end of the clamp.
        exceptions: (channel, accumulator) pairs at which one is added to the shifted value; almost always empty.
        ties: where not 0, the power of two that says which totals are ties, and go to even. Those are the totals whose
            bits from there up to the shift are all equal to `ties_up`; then the lowest bit of the shifted value, which
            is its parity, becomes `ties_up` too. One for each channel, or empty if there is none in any.
        ties_up: 1 if the output zero point is odd, and so makes the even values odd; else 0.
    """

    multipliers: tuple[int, ...]
    offsets: tuple[Interval, ...]
    negative_offsets: tuple[Interval, ...] | None
    shifts: tuple[int, ...]
    output: Interval
    inputs: Interval
    active: tuple[Interval, ...]
    exceptions: tuple[tuple[int, int], ...] = ()
    ties: tuple[int, ...] = ()
    ties_up: int = 0

    @property
    def multiplier_bits(self) -> int:
        """Unsigned width of the widest multiplier."""
        return max(1, *(value.bit_length() for value in self.multipliers))

    @property
    def shift(self) -> int:
        """The largest shift."""
        return max(self.shifts)

    @property
    def active_bits(self) -> int:
        """Unsigned width of the longest active range of a channel whose output changes, counted from its low end."""
        ranges = zip(self.active, self.multipliers, strict=True)
        return max(1, *((active.high - active.low).bit_length() for active, value in ranges if value), 1)

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
        offset = np.array([interval.low for interval in self.offsets], kind)
        if self.negative_offsets is not None:
            below_zero = np.array([interval.low for interval in self.negative_offsets], kind)
            offset = np.where(values < 0, below_zero, offset)
        total, shifts = values * multipliers + offset, np.array(self.shifts, kind)
        shifted = total >> shifts
        if any(self.ties):
            ties, one = np.array(self.ties, kind), np.array(1, kind)
            fraction = total & ((one << shifts) - 1)
            if self.ties_up:
                shifted |= (fraction + ties >= (one << shifts)) & (ties > 0)
            else:
                shifted -= shifted & (fraction < ties)
        for channel, accumulators_listed in self._listed.items():
            column = shifted[..., channel] if len(self.multipliers) > 1 else shifted
            looked_at = given[..., channel] if len(self.multipliers) > 1 else given
            column += np.isin(looked_at, accumulators_listed)
        result = np.clip(shifted, self.output.low, self.output.high).astype(np.int64)
        return result.reshape(given.shape) if len(self.multipliers) == 1 else result

    @cached_property
    def _listed(self) -> dict[int, list[int]]:
        """The exceptions of each channel that has any."""
        listed: dict[int, list[int]] = {}
        for channel, accumulator in self.exceptions:
            listed.setdefault(channel, []).append(accumulator)
        return listed

    @property
    def _integers(self) -> np.dtype[Any]:
        """The integers to evaluate with: NumPy's, or Python's where a total below saturation does not fit them."""
        farthest = max(abs(self.output.low), abs(self.output.high)) + 1
        offset = max(abs(end) for each in self.offsets + (self.negative_offsets or ()) for end in (each.low, each.high))
        fits = (farthest << max(self.shifts)) + offset < 1 << 61 and max(self.multipliers) < 1 << 61
        return np.dtype(np.int64 if fits else object)

    def of_channels(self, channels: Sequence[int]) -> NarrowRescale:
        """That of some channels only, in that order; of a single multiplier for all channels, the same."""
        if len(self.multipliers) == 1:
            return self
        negative = self.negative_offsets
        if negative is not None:
            negative = tuple(negative[channel] for channel in channels)
        return replace(
            self,
            multipliers=tuple(self.multipliers[channel] for channel in channels),
            offsets=tuple(self.offsets[channel] for channel in channels),
            negative_offsets=negative,
            shifts=tuple(self.shifts[channel] for channel in channels),
            active=tuple(self.active[channel] for channel in channels),
            ties=tuple(self.ties[channel] for channel in channels) if self.ties else (),
            exceptions=tuple(
                (position, accumulator)
                for position, channel in enumerate(channels)
                for exceptional, accumulator in self.exceptions
                if exceptional == channel
            ),
        )

    def at_shifts(self, shifts: Sequence[int]) -> NarrowRescale:
        """The same function at larger shifts: a place more doubles multiplier and offset, whose new bit is free."""
        places = [shift - own for shift, own in zip(shifts, self.shifts, strict=True)]
        if min(places) < 0:
            raise ArithmeticDomainError("a narrowed rescale has no form at a smaller shift")

        def doubled(offsets: Sequence[Interval]) -> tuple[Interval, ...]:
            return tuple(
                Interval(offset.low << place, ((offset.high + 1) << place) - 1)
                for offset, place in zip(offsets, places, strict=True)
            )

        return replace(
            self,
            multipliers=tuple(value << place for value, place in zip(self.multipliers, places, strict=True)),
            offsets=doubled(self.offsets),
            negative_offsets=None if self.negative_offsets is None else doubled(self.negative_offsets),
            shifts=tuple(shifts),
            ties=tuple(tie << place for tie, place in zip(self.ties, places, strict=True)) if self.ties else (),
        )

    def sharing(self, multiplier_bits: int) -> NarrowRescale:
        """The same function with the fewest different shifts for which multipliers stay that narrow.

        Each channel can have the shifts from its own to the one at which its multiplier is of that width. The fewest
        numbers that meet all these intervals are found by going through them in order of their low ends.

        Args:
            multiplier_bits: at least `NarrowRescale.multiplier_bits` of this form.
        """
        spans = sorted(
            (shift, shift + multiplier_bits - value.bit_length())
            for shift, value in zip(self.shifts, self.multipliers, strict=True)
            if value
        )
        chosen: list[int] = []
        lowest_end = -1
        for low, high in spans:
            if low <= lowest_end:
                chosen[-1], lowest_end = low, min(lowest_end, high)
            else:
                chosen.append(low)
                lowest_end = high
        chosen = chosen or [max(self.shifts)]
        return self.at_shifts(
            [
                next(each for each in chosen if each >= shift) if value else chosen[0]
                for shift, value in zip(self.shifts, self.multipliers, strict=True)
            ]
        )
