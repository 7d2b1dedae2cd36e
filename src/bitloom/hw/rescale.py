"""From accumulators to outputs: bias, clamp, multiply, offset, shift, clamp; the hardware of `bitloom.arith.narrow`.

```
  group ──▶ [constants] ──────────────────────┐           │
  value ──▶ [accumulator] ── + bias ─▶ [lifted] ─ clamp ─▶ [limited] ─ × m ─▶ [product] ─ + offset ─▶ [total] ─┐
                                                                                       [output] ◀── clamp, >> s ┘
```

A free-running pipeline: one value per lane and cycle, no stall, `LATENCY` cycles.

The bias also lifts the smallest value to 0, which costs nothing, so that the product is one of unsigned numbers; the
offset takes ``lift * m`` back. Values beyond which every output has saturated are clamped first where that saves a
multiplier slice (`NarrowRescale.active`). The product is made of multiplier slices, or of adders where slices are short
(see `bitloom.hw.product`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyrtl
from pyrtl import Const, Register, WireVector, select

from bitloom.arith import Interval, IntType, NarrowRescale
from bitloom.hw.memory import field, pack_words, registered_rom
from bitloom.hw.product import LATENCY as PRODUCT_LATENCY
from bitloom.hw.product import limbs, multiply
from bitloom.hw.registers import constant, delayed, signed_sum

# Registers: accumulator, biased, limited, product, total, output.
LATENCY = 5 + PRODUCT_LATENCY


@dataclass(frozen=True)
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

    def per_channel(self, values: Sequence[int]) -> list[int]:
        """A narrowed constant spread over all channels."""
        return list(values) if len(values) == self.channels else list(values) * self.channels

    @property
    def total_range(self) -> Interval:
        """Of ``a * multiplier + offset``."""
        multipliers = np.array(self.per_channel(self.narrowed.multipliers), object)
        offsets = [np.array(self.per_channel(self.narrowed.offsets), object)]
        if self.narrowed.negative_offsets is not None:
            offsets.append(np.array(self.per_channel(self.narrowed.negative_offsets), object))
        low = min((self.low.astype(object) * multipliers + offset).min() for offset in offsets)
        high = max((self.high.astype(object) * multipliers + offset).max() for offset in offsets)
        return Interval(int(low), int(high))


def rescale(
    name: str,
    values: Sequence[WireVector],
    group: WireVector,
    constants: RescaleConstants,
    output: IntType,
    *,
    in_logic: bool = False,
) -> list[WireVector]:
    """Rescale lanes of accumulators.

    Args:
        name: prefix of the signals.
        values: one signed accumulator per lane, without bias.
        group: which channels: lane i holds channel ``group * lanes + i``.
        constants: of all channels.
        output: the output's type.
        in_logic: multiply by adders instead of a multiplier slice.

    Returns:
        One output per lane, `LATENCY` cycles later.

    >>> import pyrtl
    >>> from bitloom.arith import Rescale, Rounding, narrow
    >>> pyrtl.reset_working_block()
    >>> bias, low, high = np.array([100, -7]), np.array([-1900, -2007]), np.array([2100, 1993])
    >>> reference = Rescale((0.06, 0.031), Rounding.DOUBLE)
    >>> narrowed = narrow(reference, low, high, 3, Interval(-128, 127))
    >>> value, group, result = pyrtl.Input(12, "value"), pyrtl.Input(1, "group"), pyrtl.Output(8, "result")
    >>> constants = RescaleConstants(bias, narrowed, low, high)
    >>> result <<= rescale("unit", [value], group, constants, IntType(8))[0]
    >>> simulation = pyrtl.Simulation()
    >>> for accumulator, channel in [(1000, 0), (-1000, 1)] + [(0, 0)] * 8:
    ...     simulation.step({"value": accumulator & 0xFFF, "group": channel})
    >>> [pyrtl.val_to_signed_integer(simulation.tracer.trace["result"][cycle], 8) for cycle in (8, 9)]
    [69, -28]
    >>> (reference.apply([[1000 + 100, -1000 - 7]]) + 3).tolist()
    [[69, -28]]
    """
    narrowed, lanes = constants.narrowed, len(values)
    span = multiplied_range(constants)
    channel_multipliers = constants.per_channel(narrowed.multipliers)

    # Constants are read when they are needed: delaying the group takes fewer registers than delaying them.
    group_of_limited = delayed(group, 3, f"{name}_group")
    group_before_product = delayed(group, 2, f"{name}_multiplier_group")
    group_before_total = delayed(group_before_product, PRODUCT_LATENCY, f"{name}_offset_group")

    def lane_offsets(label: str, offsets: Sequence[int]) -> list[WireVector]:
        spread = zip(constants.per_channel(offsets), channel_multipliers, strict=True)
        return _lane_constants(f"{name}_{label}", [o + span.low * m for o, m in spread], lanes, group_before_total)

    biases = _lane_constants(f"{name}_bias", (constants.bias - span.low).tolist(), lanes, group)
    multipliers = _lane_constants(f"{name}_multiplier", channel_multipliers, lanes, group_before_product, signed=False)
    offsets = lane_offsets("offset", narrowed.offsets)
    negative_offsets = offsets
    if narrowed.negative_offsets is not None:
        negative_offsets = lane_offsets("negative_offset", narrowed.negative_offsets)
    results = []
    for lane, value in enumerate(values):
        prefix = f"{name}_lane{lane}"
        taken = delayed(value, 1, f"{prefix}_accumulator")
        limited = _limited(prefix, taken, biases[lane], constants)
        product = multiply(f"{prefix}_product", limited, multipliers[lane], in_logic=in_logic)
        offset = offsets[lane]
        if narrowed.negative_offsets is not None and span.low < 0:
            is_negative = limited < Const(-span.low) if span.high >= 0 else Const(1, 1)
            below_zero = delayed(is_negative, PRODUCT_LATENCY, f"{prefix}_below_zero")
            negative = negative_offsets[lane]
            bits = max(offset.bitwidth, negative.bitwidth)
            offset = select(below_zero, negative.sign_extended(bits), offset.sign_extended(bits))
        # As wide as the product: synthesis takes a truncated product for one of wider operands.
        total_bits = max(constants.total_range.signed_bits, narrowed.shift + 1, product.bitwidth + 1)
        total = Register(total_bits, f"{prefix}_total")
        total.next <<= signed_sum(offset, product.zero_extended(total_bits), total_bits)
        shifted = total[narrowed.shift :]
        late = _exception(constants, limited, group_of_limited, lane, lanes)
        if late is not None:
            one = delayed(late, 1 + PRODUCT_LATENCY, f"{prefix}_exception").zero_extended(2)
            shifted = signed_sum(shifted, one, shifted.bitwidth + 1)
        result = Register(output.bits, f"{prefix}_output")
        result.next <<= clamp(shifted, narrowed.output, output)
        results.append(result)
    return results


def multiplied_range(constants: RescaleConstants) -> Interval:
    """The values that are multiplied: all, or those where outputs differ if clamping to them saves a slice."""
    whole, active = constants.range, constants.narrowed.active
    return active if limbs(_span_bits(active)) < limbs(_span_bits(whole)) else whole


def multiplied_bits(constants: RescaleConstants) -> int:
    """Width of the lifted multiplicand, unsigned."""
    return _span_bits(multiplied_range(constants))


def _span_bits(interval: Interval) -> int:
    return max(1, (interval.high - interval.low).bit_length())


def _limited(prefix: str, taken: WireVector, bias: WireVector, constants: RescaleConstants) -> WireVector:
    """The value with its bias, lifted to start at 0, clamped where that is wanted; two cycles later."""
    span = multiplied_range(constants)
    whole = Interval(constants.range.low - span.low, constants.range.high - span.low)
    bits = _span_bits(span)
    lifted = Register(whole.signed_bits, f"{prefix}_lifted")
    lifted.next <<= signed_sum(taken, bias, lifted.bitwidth)
    if span == constants.range:
        return delayed(lifted.truncate(bits), 1, f"{prefix}_limited")
    highest = Const(span.high - span.low, bits)
    above = ~lifted[-1] & (lifted[:-1] > highest)
    limited = select(lifted[-1], Const(0, bits), select(above, highest, lifted.truncate(bits)))
    return delayed(limited, 1, f"{prefix}_limited")


def _exception(
    constants: RescaleConstants, limited: WireVector, group: WireVector, lane: int, lanes: int
) -> WireVector | None:
    """Whether the value is one of the listed accumulators of its channel; None if no channel of the lane has any."""
    shared = len(constants.narrowed.multipliers) == 1
    lift = multiplied_range(constants).low
    matches = []
    for channel, accumulator in constants.narrowed.exceptions:
        hit = limited == Const(accumulator - lift, limited.bitwidth)
        if not shared and channel % lanes != lane:
            continue
        matches.append(hit if shared else hit & (group == channel // lanes))
    return pyrtl.rtl_any(*matches) if matches else None


def clamp(value: WireVector, bounds: Interval, output: IntType) -> WireVector:
    """A signed value limited to `bounds`, as `output` bits."""
    bits = max(value.bitwidth, output.bits + 1)
    wide = value.sign_extended(bits)
    low, high = constant(bounds.low, bits), constant(bounds.high, bits)
    limited = select(pyrtl.signed_lt(wide, low), low, select(pyrtl.signed_gt(wide, high), high, wide))
    return limited.truncate(output.bits)


def _lane_constants(
    name: str, values: Sequence[int], lanes: int, group: WireVector, *, signed: bool = True
) -> list[WireVector]:
    """One constant per lane, read from a memory by the group if the channels' constants differ."""
    interval = Interval(min(*values, 0), max(*values, 0))
    bits = interval.signed_bits if signed else interval.type.bits
    groups = -(-len(values) // lanes)
    padded = list(values) + [values[-1]] * (groups * lanes - len(values))
    words = [pack_words(padded[start : start + lanes], bits) for start in range(0, len(padded), lanes)]
    word = registered_rom(name, words, bits * lanes, group)
    return [field(word, lane, bits) for lane in range(lanes)]
