"""How a rescale's constants are laid out for a fabric: which values are multiplied, by what, and what is added.

The accumulator that comes has no bias yet: ``a = value + bias``. A lane multiplies a signed x with ``a = x + base``,
``base`` being a constant of the channel, and so computes ``x * multiplier + (offset + base * multiplier)``:

- *plain*: x is the value itself. The bias costs nothing, being part of the offset.
- *windowed*: x is the distance of a from the middle of the channel's window, in which the output is not yet at an end
  of its clamp. Outside, x means nothing, and a flag says which end it is. This costs an adder, a memory for its
  constant and two flags, and is done where a plain product would take more multiplier slices.

Of all offsets that serve, those are taken whose lowest bits are 0 in all channels of the lane: these need no memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, reduce
from operator import or_

import numpy as np
import numpy.typing as npt

from bitloom.arith import Interval, NarrowRescale
from bitloom.hw.fabric import XC7, Fabric
from bitloom.hw.product import fits_one_slice, slices, widest_multiplier

# Look-up tables: of a windowed lane's adder and memory, in bits of the value; of clamping an output, in its bits.
_WINDOW_LOGIC = 3
_CLAMP_LOGIC = 2


@dataclass(frozen=True, eq=False)
class RescaleConstants:
    """The constants of a rescale, one row per channel.

    Attributes:
        bias: added to the value first, int64, shape (channels,).
        narrowed: the multiply-add-shift; one multiplier or one per channel.
        low: smallest value after the bias, shape (channels,).
        high: largest value after the bias, shape (channels,).
    """

    bias: npt.NDArray[np.int64]
    narrowed: NarrowRescale
    low: npt.NDArray[np.int64]
    high: npt.NDArray[np.int64]

    @property
    def channels(self) -> int:
        """Number of channels."""
        return len(self.bias)

    @property
    def range(self) -> Interval:
        """Of the values after the bias."""
        return Interval(int(self.low.min()), int(self.high.max()))

    def of_channels(self, channels: Sequence[int]) -> RescaleConstants:
        """Those of some channels, in that order."""
        index = np.array(channels, np.intp)
        return RescaleConstants(
            self.bias[index], self.narrowed.of_channels(channels), self.low[index], self.high[index]
        )


@dataclass(frozen=True, eq=False)
class RescaleForm:
    """The layout of the constants of one lane, one item per channel.

    Attributes:
        constants: of the lane's channels, the multipliers brought to the fewest shifts that the slices allow.
        windowed: whether values are taken from the middle of a window.
        bits: signed width of what is multiplied.
        slices: of the product.
    """

    constants: RescaleConstants
    windowed: bool
    bits: int
    slices: int

    @property
    def narrowed(self) -> NarrowRescale:
        """The multiply-add-shift."""
        return self.constants.narrowed

    def spread(self, values: Sequence[int]) -> list[int]:
        """A narrowed constant for each channel."""
        return list(values) if len(values) == self.constants.channels else list(values) * self.constants.channels

    @cached_property
    def multipliers(self) -> list[int]:
        """Not negative."""
        return self.spread(self.narrowed.multipliers)

    @cached_property
    def shifts(self) -> list[int]:
        """One per channel."""
        return self.spread(self.narrowed.shifts)

    @cached_property
    def ways(self) -> list[tuple[int, int]]:
        """The shift and the tie (see `NarrowRescale.ties`) of each channel."""
        return list(zip(self.shifts, self.spread(self.narrowed.ties or [0] * len(self.narrowed.shifts)), strict=True))

    @cached_property
    def bases(self) -> list[int]:
        """What an accumulator, bias included, is more than x."""
        if not self.windowed:
            return [int(bias) for bias in self.constants.bias]
        bases, live = self.spread(self._window_bases), self.live
        # Where the output never changes, any x does: that of the same lift as another channel's.
        first = live.index(1)
        lift = int(self.constants.bias[first]) - bases[first]
        return [
            base if changes else int(bias) - lift
            for base, changes, bias in zip(bases, live, self.constants.bias, strict=True)
        ]

    @property
    def live(self) -> list[int]:
        """1 for channels whose output changes, 0 for others."""
        return [int(multiplier > 0) for multiplier in self.multipliers]

    @cached_property
    def _window_bases(self) -> list[int]:
        """Those for which windows hold the active ranges, and offsets of all channels are as near each other as can be.

        What offsets have in common needs no memory: so they aim at a number that has room for a multiplier below and
        above it until a higher bit changes.
        """
        middle, narrowed = 1 << (self.bits - 1), self.narrowed
        allowed = [
            Interval(active.high + 1 - middle, active.low + middle) if multiplier else active
            for active, multiplier in zip(narrowed.active, narrowed.multipliers, strict=True)
        ]
        rows = list(zip(allowed, narrowed.multipliers, narrowed.offsets, strict=True))
        lowest = max((each.low * multiplier + offset.low for each, multiplier, offset in rows if multiplier), default=0)
        highest = min(
            (each.high * multiplier + offset.low for each, multiplier, offset in rows if multiplier), default=0
        )
        places = narrowed.multiplier_bits
        target = ((lowest + highest) // 2 >> places << places) + (1 << (places - 1))
        return [
            min(max((target - offset.low) // max(multiplier, 1), each.low), each.high)
            for each, multiplier, offset in rows
        ]

    @property
    def lifts(self) -> list[int]:
        """What x is more than the value that comes."""
        return [int(bias) - base for bias, base in zip(self.constants.bias, self.bases, strict=True)]

    def x_range(self, channel: int) -> Interval:
        """Of x, windows not cut off."""
        base = self.bases[channel]
        return Interval(int(self.constants.low[channel]) - base, int(self.constants.high[channel]) - base)

    def offsets(self, offsets: Sequence[Interval], excess: int = 0) -> list[int]:
        """What is added to the product: of all that serve, those with the most zeros at the end.

        Args:
            offsets: of the narrowed rescale.
            excess: how many multipliers the product is too large.
        """
        wanted = []
        spread = list(offsets) if len(offsets) == self.constants.channels else list(offsets) * self.constants.channels
        for offset, base, multiplier in zip(spread, self.bases, self.multipliers, strict=True):
            more = (base - excess) * multiplier
            wanted.append(Interval(offset.low + more, offset.high + more))
        zeros = 0
        while zeros < max(self.shifts) and all(_rounded(each, zeros + 1) >= each.low for each in wanted):
            zeros += 1
        return [_rounded(each, zeros) for each in wanted]

    @cached_property
    def constant_bits(self) -> int:
        """Bits of a channel's constants that have to be read from memory, because channels differ in them."""
        different = sorted(set(self.ways))
        choices = [different.index(way) for way in self.ways]
        columns = [self.multipliers, self.offsets(self.narrowed.offsets), choices]
        if self.windowed:
            columns += [self.lifts, self.live]
        if self.narrowed.negative_offsets is not None:
            columns += [self.offsets(self.narrowed.negative_offsets), self.constants.bias.tolist()]
        return sum(_varying_bits(column) for column in columns)

    @cached_property
    def logic(self) -> int:
        """Look-up tables of a lane but those of memories and of a product made of adders; fitted to Yosys 0.70."""
        offsets = self.offsets(self.narrowed.offsets)
        total = self.total_bits(offsets)
        tables = _CLAMP_LOGIC * self.narrowed.output.type.bits + (total - max(self.shifts)) // 3
        tables += (len(set(self.shifts)) - 1) * (total - min(self.shifts))
        # Six bits of a fraction for each tie, and what chooses among ties.
        tables += sum(-(-(shift - tie.bit_length() + 1) // 6) + 1 for shift, tie in set(self.ways) if tie)
        if self.windowed:
            tables += self.bits + 8
        if self.narrowed.negative_offsets is not None:
            tables += self.bits + _varying_bits(offsets)
        return tables + (total if self.slices != 1 else 0)

    def total_bits(self, offsets: Sequence[int]) -> int:
        """Signed width of all totals that are looked at."""
        window = Interval(-(1 << (self.bits - 1)), (1 << (self.bits - 1)) - 1)
        ends = [0]
        for channel, (multiplier, offset) in enumerate(zip(self.multipliers, offsets, strict=True)):
            reached = window if self.windowed else self.x_range(channel)
            ends += [reached.low * multiplier + offset, reached.high * multiplier + offset]
        return Interval(min(ends), max(ends)).signed_bits


def _varying_bits(values: Sequence[int]) -> int:
    """In how many binary places numbers in two's complement differ."""
    places = max(value.bit_length() for value in values) + 1
    different = reduce(or_, (value ^ values[0] for value in values))
    return (different & ((1 << places) - 1)).bit_count()


def _rounded(offset: Interval, zeros: int) -> int:
    """The largest number with these zeros at the end that is not above the interval."""
    return offset.high >> zeros << zeros


def lane_form(constants: RescaleConstants, fabric: Fabric, *, in_logic: bool = False) -> RescaleForm:
    """The layout for a lane that has all these channels.

    Windowed where that saves a slice; or where the product is of adders, if it saves more of them than it costs.
    """
    narrowed = constants.narrowed
    width = narrowed.multiplier_bits
    plain, window = _plain_bits(constants), narrowed.active_bits
    if in_logic:
        windowed = (plain - window) * (width - 1) > _WINDOW_LOGIC * plain
    else:
        windowed = slices(window, width, fabric) < slices(plain, width, fabric)
    windowed = windowed and any(narrowed.multipliers)
    bits = window if windowed else plain
    widest = width if in_logic else widest_multiplier(bits, width, fabric)
    shared = RescaleConstants(constants.bias, narrowed.sharing(widest), constants.low, constants.high)
    taken = 0 if in_logic or is_free(shared.narrowed.multipliers) else slices(bits, width, fabric)
    return RescaleForm(shared, windowed, bits, taken)


def is_free(multipliers: Sequence[int]) -> bool:
    """Whether the product is a shift that never changes: one multiplier, 0 or a power of two."""
    return len(set(multipliers)) == 1 and multipliers[0].bit_count() <= 1


def is_signed_product(form: RescaleForm, fabric: Fabric) -> bool:
    """Whether the product is one slice of signed operands."""
    return fits_one_slice(form.bits, form.narrowed.multiplier_bits, fabric)


def _plain_bits(constants: RescaleConstants) -> int:
    """Signed width of the values that come, of channels whose output depends on them."""
    live = np.array(constants.narrowed.multipliers) > 0
    raw_low, raw_high = constants.low - constants.bias, constants.high - constants.bias
    if len(live) > 1:
        raw_low, raw_high = raw_low[live], raw_high[live]
    return Interval(int(raw_low.min(initial=0)), int(raw_high.max(initial=0))).signed_bits


@lru_cache(maxsize=512)
def _whole_form(constants: RescaleConstants, fabric: Fabric, in_logic: bool) -> RescaleForm:
    return lane_form(constants, fabric, in_logic=in_logic)


def whole_form(constants: RescaleConstants, fabric: Fabric = XC7, *, in_logic: bool = False) -> RescaleForm:
    """The layout if one lane had all channels: what estimates use, being an upper bound for every lane."""
    return _whole_form(constants, fabric, in_logic)


def rescale_slices(constants: RescaleConstants, fabric: Fabric = XC7) -> int:
    """Multiplier slices of a lane."""
    return whole_form(constants, fabric).slices


def multiplied_bits(constants: RescaleConstants, fabric: Fabric = XC7, *, in_logic: bool = False) -> int:
    """Signed width of what a lane multiplies."""
    return whole_form(constants, fabric, in_logic=in_logic).bits
