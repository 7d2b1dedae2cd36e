"""From accumulators to outputs: bias, multiply, offset, shift, clamp; the hardware of `bitloom.arith.narrow`.

```
  cycle   0          1            2           3              4               5
        group ──▶ [constants] ─────────────────────────────────┐
        value ──▶ [value] ──▶ + bias ──▶ [a] ──▶ × m ──▶ [product] ──▶ + offset ──▶ [total] ──▶ >> s, clamp ──▶ [output]
```

A free-running pipeline: one value per lane and cycle, no stall, `latency` cycles. The product is a multiplier slice,
or adders (`bitloom.hw.logic_multiply`) where slices are short.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyrtl
from pyrtl import Register, WireVector, select

from bitloom.arith import Interval, IntType, NarrowRescale
from bitloom.hw.logic_multiply import LATENCY as LOGIC_LATENCY
from bitloom.hw.logic_multiply import multiply_in_logic
from bitloom.hw.memory import field, pack_words, registered_rom
from bitloom.hw.registers import constant, delayed, signed_sum


def latency(*, in_logic: bool) -> int:
    """Cycles from value to output."""
    return 4 + product_latency(in_logic=in_logic)


def product_latency(*, in_logic: bool) -> int:
    """Cycles of the multiplication."""
    return LOGIC_LATENCY if in_logic else 1


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
        One output per lane, `latency` cycles later.

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
    >>> for accumulator, channel in [(1000, 0), (-1000, 1)] + [(0, 0)] * 5:
    ...     simulation.step({"value": accumulator & 0xFFF, "group": channel})
    >>> [pyrtl.val_to_signed_integer(simulation.tracer.trace["result"][cycle], 8) for cycle in (5, 6)]
    [69, -28]
    >>> (reference.apply([[1000 + 100, -1000 - 7]]) + 3).tolist()
    [[69, -28]]
    """
    narrowed, lanes = constants.narrowed, len(values)
    biases = _lane_constants(f"{name}_bias", constants.bias.tolist(), lanes, group)
    multipliers = _lane_constants(f"{name}_multiplier", constants.per_channel(narrowed.multipliers), lanes, group)
    offsets = _lane_constants(f"{name}_offset", constants.per_channel(narrowed.offsets), lanes, group)
    negative_offsets = offsets
    if narrowed.negative_offsets is not None:
        spread = constants.per_channel(narrowed.negative_offsets)
        negative_offsets = _lane_constants(f"{name}_negative_offset", spread, lanes, group)
    group_of_biased = delayed(group, 2, f"{name}_group")
    results = []
    for lane, value in enumerate(values):
        prefix = f"{name}_lane{lane}"
        taken = Register(value.bitwidth, f"{prefix}_accumulator")
        taken.next <<= value
        biased = Register(constants.range.signed_bits, f"{prefix}_biased")
        biased.next <<= signed_sum(taken, biases[lane], biased.bitwidth)
        multiplier = delayed(multipliers[lane], 1, f"{prefix}_multiplier")
        product = _product(f"{prefix}_product", biased, multiplier, in_logic=in_logic)
        wait = product_latency(in_logic=in_logic)
        offset = delayed(offsets[lane], 1 + wait, f"{prefix}_offset")
        if narrowed.negative_offsets is not None:
            below_zero = delayed(biased[-1], wait, f"{prefix}_below_zero")
            negative = delayed(negative_offsets[lane], 1 + wait, f"{prefix}_negative_offset")
            bits = max(offset.bitwidth, negative.bitwidth)
            offset = select(below_zero, negative.sign_extended(bits), offset.sign_extended(bits))
        total = Register(max(constants.total_range.signed_bits, narrowed.shift + 1), f"{prefix}_total")
        total.next <<= signed_sum(product, offset, total.bitwidth)
        shifted = total[narrowed.shift :]
        late = _exception(constants, biased, group_of_biased, lane, lanes)
        if late is not None:
            one = delayed(late, 1 + wait, f"{prefix}_exception").zero_extended(2)
            shifted = signed_sum(shifted, one, shifted.bitwidth + 1)
        result = Register(output.bits, f"{prefix}_output")
        result.next <<= clamp(shifted, narrowed.output, output)
        results.append(result)
    return results


def _product(name: str, value: WireVector, multiplier: WireVector, *, in_logic: bool) -> WireVector:
    """The registered product."""
    if in_logic:
        return multiply_in_logic(name, value, multiplier)
    product = Register(value.bitwidth + multiplier.bitwidth, name)
    product.next <<= pyrtl.signed_mult(value, multiplier)
    return product


def _exception(
    constants: RescaleConstants, biased: WireVector, group: WireVector, lane: int, lanes: int
) -> WireVector | None:
    """Whether the value is one of the listed accumulators of its channel; None if no channel of the lane has any."""
    shared = len(constants.narrowed.multipliers) == 1
    matches = []
    for channel, accumulator in constants.narrowed.exceptions:
        hit = biased == constant(accumulator, biased.bitwidth)
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


def _lane_constants(name: str, values: Sequence[int], lanes: int, group: WireVector) -> list[WireVector]:
    """One constant per lane, read from a memory by the group if the channels' constants differ."""
    bits = Interval(min(*values, 0), max(*values, 0)).signed_bits
    groups = -(-len(values) // lanes)
    padded = list(values) + [values[-1]] * (groups * lanes - len(values))
    words = [pack_words(padded[start : start + lanes], bits) for start in range(0, len(padded), lanes)]
    word = registered_rom(name, words, bits * lanes, group)
    return [field(word, lane, bits) for lane in range(lanes)]
