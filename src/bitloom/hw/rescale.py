"""From accumulators to outputs: bias, multiply, offset, shift, clamp; the hardware of `bitloom.arith.narrow`.

```
  group ──▶ [constants] ─────┬──────────────┬──────────────┬──────────────┐
                             │ lift         │ m            │ offset       │ which shift
  value ──▶ [accumulator] ── + ──▶ [x] ──── × ─▶ [product] + ─▶ [total] ─ >> s ─▶ [shifted] ─ clamp ─▶ [output]
                             └──▶ [outside its window: below, above] ───────────────────────────┘
```

A free-running pipeline: one value per lane and cycle, no stall, `rescale_latency` cycles.

The bias costs nothing, being part of the offset; or, with the lift, brings each channel's values into a window as
narrow as its outputs allow, where that saves a multiplier slice (see `bitloom.hw.rescale_form`). The product is made of
multiplier slices, or of adders where slices are short (see `bitloom.hw.product`); product and offset are added inside
the slice where it has an adder. Channels have few different shifts, often one, and then there is nothing to select.
Ties that go to even are seen in the bits that the shift drops, and decide the lowest bit that it leaves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyrtl
from pyrtl import Const, Register, WireVector, select

from bitloom.arith import Interval, IntType
from bitloom.hw.fabric import XC7, Fabric
from bitloom.hw.memory import registered_rom
from bitloom.hw.product import LATENCY as PRODUCT_LATENCY
from bitloom.hw.product import latency, multiply, signed_multiply
from bitloom.hw.registers import constant, delayed, resized, signed_sum
from bitloom.hw.rescale_form import (
    RescaleConstants,
    RescaleForm,
    is_free,
    is_signed_product,
    lane_form,
    multiplied_bits,
    rescale_slices,
)

__all__ = ["RescaleConstants", "clamp", "multiplied_bits", "rescale", "rescale_latency", "rescale_slices"]


def rescale_latency(fabric: Fabric = XC7) -> int:
    """Cycles from an accumulator to its output.

    >>> rescale_latency()
    8
    """
    # Registers: accumulator, x, product, total, shifted, output; and where memories are slow, one for their words.
    return 5 + PRODUCT_LATENCY + fabric.memory_registers


def rescale(
    name: str,
    values: Sequence[WireVector],
    group: WireVector,
    constants: RescaleConstants,
    output: IntType,
    *,
    in_logic: bool = False,
    fabric: Fabric = XC7,
) -> list[WireVector]:
    """Rescale lanes of accumulators.

    Args:
        name: prefix of the signals.
        values: one signed accumulator per lane, without bias.
        group: which channels: lane i holds channel ``group * lanes + i``.
        constants: of all channels.
        output: the output's type.
        in_logic: multiply by adders instead of a multiplier slice.
        fabric: of the chip.

    Returns:
        One output per lane, `rescale_latency` cycles later.

    >>> import numpy as np
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
    lanes, groups = len(values), -(-constants.channels // len(values))
    plans = []
    for lane, value in enumerate(values):
        # A lane that has no channel in the last group does there what the last channel does.
        channels = [min(channel, constants.channels - 1) for channel in range(lane, groups * lanes, lanes)]
        form = lane_form(constants.of_channels(channels), fabric, in_logic=in_logic)
        taken = delayed(value, 1 + fabric.memory_registers, f"{name}_lane{lane}_accumulator")
        plans.append(_Lane(f"{name}_lane{lane}", form, taken, output, fabric, in_logic))
    # All lanes have their products in the same cycle; those of one slice start later instead.
    cycles = max(plan.product_latency for plan in plans)
    start = 3 if cycles == 1 else 2
    ready = start + cycles

    def tables(label: str, columns: Sequence[Sequence[int]], cycle: int) -> list[WireVector]:
        # Constants are read when they are needed: delaying the group takes fewer registers than delaying them.
        read_at = delayed(group, cycle - 1, f"{name}_{label}_group")
        return _tables(f"{name}_{label}", columns, read_at, fabric.memory_registers)

    windows = [plan.form if plan.form.windowed else None for plan in plans]
    columns = [form.lifts if form else [0] for form in windows] + [form.live if form else [1] for form in windows]
    lifts = tables("lift", columns, 1)
    biases = tables("bias", [plan.biases for plan in plans], 1)
    factors = tables("multiplier", [plan.factors for plan in plans], start)
    offsets = tables("offset", [plan.offsets for plan in plans] + [plan.choices for plan in plans], ready)
    negative_offsets = tables("negative_offset", [plan.negative_offsets for plan in plans], ready)
    group_of_taken = delayed(group, 1 + fabric.memory_registers, f"{name}_taken_group")
    results = []
    for lane, plan in enumerate(plans):
        x, below, above = plan.entry(lifts[lane], lifts[lanes + lane], ready - 1)
        product = plan.product(delayed(x, start - 2, f"{plan.name}_x"), factors[lane], cycles)
        offset = plan.offset(offsets[lane], negative_offsets[lane], biases[lane], ready - 1)
        total = Register(max(plan.total_bits, product.bitwidth), f"{plan.name}_total")
        total.next <<= signed_sum(offset, product, total.bitwidth)
        shifted = _shifted(total, plan.ways, delayed(offsets[lanes + lane], 1, f"{plan.name}_choice"), plan.ties_up)
        late = plan.exception(group_of_taken)
        if late is not None:
            one = delayed(late, ready, f"{plan.name}_exception").zero_extended(2)
            shifted = signed_sum(shifted, one, shifted.bitwidth + 1)
        result = _clamped(plan.name, shifted, below, above, plan.form.narrowed.output, output)
        results.append(delayed(result, 2 + PRODUCT_LATENCY - ready, f"{plan.name}_output"))
    return results


@dataclass(frozen=True, eq=False)
class _Lane:
    """One lane: its layout, and how that is built."""

    name: str
    form: RescaleForm
    taken: WireVector
    output: IntType
    fabric: Fabric
    in_logic: bool

    @property
    def is_signed(self) -> bool:
        """Whether the product is of signed operands; else x is multiplied from 0 up."""
        return self.is_free or (not self.in_logic and is_signed_product(self.form, self.fabric))

    @property
    def is_free(self) -> bool:
        """Whether the product is a shift."""
        return is_free(self.form.multipliers)

    @property
    def is_negated(self) -> bool:
        """Whether both operands are negated, as a constant multiplier has to be: ``(-x - 1) * -m = x * m + m``."""
        return self.is_signed and not self.is_free and len(set(self.form.multipliers)) == 1

    @property
    def product_latency(self) -> int:
        """Cycles the product takes at least."""
        if self.is_free:
            return 1
        return latency(self.form.bits, self.form.narrowed.multiplier_bits, self.fabric, in_logic=self.in_logic)

    @property
    def factors(self) -> list[int]:
        """What x is multiplied by."""
        return [-value if self.is_negated else value for value in self.form.multipliers]

    @property
    def offsets(self) -> list[int]:
        """What is added to the product."""
        return self.form.offsets(self.form.narrowed.offsets, self._excess)

    @property
    def negative_offsets(self) -> list[int]:
        """The same for negative accumulators."""
        negative = self.form.narrowed.negative_offsets
        return [0] if negative is None else self.form.offsets(negative, self._excess)

    @property
    def _excess(self) -> int:
        """How many multipliers the product is too large."""
        if self.is_signed:
            return int(self.is_negated)
        return 1 << (self.form.bits - 1)

    @property
    def biases(self) -> list[int]:
        """Needed to know negative accumulators."""
        return [0] if self.form.narrowed.negative_offsets is None else [int(bias) for bias in self.form.constants.bias]

    @property
    def shifts(self) -> list[int]:
        """The different ones."""
        return sorted(set(self.form.shifts))

    @property
    def ways(self) -> list[tuple[int, int]]:
        """The different pairs of a shift and a tie."""
        return sorted(set(self.form.ways))

    @property
    def ties_up(self) -> int:
        """What the fraction's bits are at a tie, and what the lowest bit of the shifted value then becomes."""
        return self.form.narrowed.ties_up

    @property
    def choices(self) -> list[int]:
        """Which of the ways each channel goes."""
        return [self.ways.index(way) for way in self.form.ways]

    @property
    def total_bits(self) -> int:
        """Signed width of the total."""
        offsets = [self.form.offsets(self.form.narrowed.offsets)]
        if self.form.narrowed.negative_offsets is not None:
            offsets.append(self.form.offsets(self.form.narrowed.negative_offsets))
        return max(self.shifts[-1] + 1, *(self.form.total_bits(each) for each in offsets))

    def entry(self, lift: WireVector, live: WireVector, cycles: int) -> tuple[WireVector, WireVector, WireVector]:
        """x, and a number of cycles later flags for values below and above its window."""
        bits = self.form.bits
        if not self.form.windowed:
            return self._operand(delayed(resized(self.taken, bits), 1, f"{self.name}_x0")), Const(0, 1), Const(0, 1)
        reached = [self.form.x_range(channel) for channel, changes in enumerate(self.form.live) if changes]
        whole = Interval(min(each.low for each in reached), max(each.high for each in reached))
        lifted = Register(max(whole.signed_bits, bits), f"{self.name}_lifted")
        lifted.next <<= signed_sum(self.taken, lift, lifted.bitwidth)
        live = delayed(live[0], 1, f"{self.name}_live")
        below, above = (flag & live for flag in _beyond(lifted, IntType(bits)))
        flags = (delayed(below, cycles, f"{self.name}_below"), delayed(above, cycles, f"{self.name}_above"))
        return self._operand(lifted[:bits]), *flags

    def _operand(self, x: WireVector) -> WireVector:
        if self.is_negated:
            return ~x
        return x if self.is_signed else pyrtl.concat(~x[-1], x[:-1]) if len(x) > 1 else ~x

    def product(self, x: WireVector, factor: WireVector, cycles: int) -> WireVector:
        """The signed product, a number of cycles later."""
        name = f"{self.name}_product"
        if self.is_free:
            value = self.form.multipliers[0]
            zeros = max(value.bit_length() - 1, 0)
            shifted = pyrtl.concat(x, Const(0, zeros)) if zeros else x
            return delayed(shifted, cycles, name) if value else Const(0, 1)
        if self.is_signed:
            return delayed(signed_multiply(name, x, factor), cycles - 1, name)
        # The zero that makes it a signed number goes.
        bits = self.form.narrowed.multiplier_bits
        factor = Const(factor.val, bits) if isinstance(factor, Const) else factor.truncate(bits)
        product = multiply(name, x, factor, fabric=self.fabric, in_logic=self.in_logic)
        return product.zero_extended(product.bitwidth + 1)

    def offset(self, offset: WireVector, negative: WireVector, bias: WireVector, cycles: int) -> WireVector:
        """The offset that the accumulator's sign asks for, a number of cycles after it was taken."""
        if self.form.narrowed.negative_offsets is None:
            return offset
        sign = signed_sum(self.taken, bias, max(self.taken.bitwidth, bias.bitwidth) + 1)[-1]
        bits = max(offset.bitwidth, negative.bitwidth)
        below_zero = delayed(sign, cycles, f"{self.name}_below_zero")
        return select(below_zero, negative.sign_extended(bits), offset.sign_extended(bits))

    def exception(self, group: WireVector) -> WireVector | None:
        """Whether the accumulator is one of those listed for its channel; None if no channel of the lane has any."""
        constants, matches = self.form.constants, []
        shared = len(self.form.narrowed.multipliers) == 1
        for exceptional, accumulators in _runs(self.form.narrowed.exceptions):
            # Accumulators listed for all channels come with other values for each bias.
            for channel in range(constants.channels) if shared else [exceptional]:
                bias, reached = int(constants.bias[channel]), IntType(self.taken.bitwidth)
                low = max(accumulators.low - bias, reached.minimum)
                high = min(accumulators.high - bias, reached.maximum)
                if low > high:
                    continue
                hit = _within(self.taken, low, high)
                matches.append(hit if constants.channels == 1 else hit & (group == channel))
        return pyrtl.rtl_any(*matches) if matches else None


def _runs(exceptions: Sequence[tuple[int, int]]) -> list[tuple[int, Interval]]:
    """Sorted (channel, accumulator) pairs, those with accumulators in a row as one."""
    runs: list[tuple[int, Interval]] = []
    for channel, accumulator in exceptions:
        if runs and runs[-1][0] == channel and runs[-1][1].high == accumulator - 1:
            runs[-1] = channel, Interval(runs[-1][1].low, accumulator)
        else:
            runs.append((channel, Interval(accumulator, accumulator)))
    return runs


def _within(value: WireVector, low: int, high: int) -> WireVector:
    """Whether a signed value lies between two that it can take."""
    least, most = constant(low, value.bitwidth), constant(high, value.bitwidth)
    if low == high:
        return value == least
    return pyrtl.signed_ge(value, least) & pyrtl.signed_le(value, most)


def _shifted(total: WireVector, ways: Sequence[tuple[int, int]], choice: WireVector, ties_up: int) -> WireVector:
    """The total without its lowest bits, as many as the channel's shift; the lowest bit that is left even at a tie."""
    lowest = min(shift for shift, _ in ways)
    bits = total.bitwidth - lowest
    shifted = [_to_even(total, shift, tie, ties_up).sign_extended(bits) for shift, tie in ways]
    if len(ways) == 1:
        return shifted[0]
    return pyrtl.mux(choice, *shifted, *[shifted[-1]] * ((1 << choice.bitwidth) - len(ways)))


def _to_even(total: WireVector, shift: int, tie: int, ties_up: int) -> WireVector:
    value = total[shift:]
    if not tie:
        return value
    fraction = total[tie.bit_length() - 1 : shift]
    parity = value[0] | pyrtl.and_all_bits(fraction) if ties_up else value[0] & pyrtl.or_all_bits(fraction)
    return pyrtl.concat(value[1:], parity) if len(value) > 1 else parity


def clamp(value: WireVector, bounds: Interval, output: IntType) -> WireVector:
    """A signed value limited to `bounds`, as `output` bits."""
    below, above = _beyond(value, output)
    return _bounded(resized(value, output.bits), below, above, bounds, output)


def _clamped(
    prefix: str, value: WireVector, below: WireVector, above: WireVector, bounds: Interval, output: IntType
) -> WireVector:
    """The value limited to the bounds, or at one of them if a flag says so; two cycles later."""
    too_low, too_high = _beyond(value, output)
    kept = Register(output.bits, f"{prefix}_shifted")
    kept.next <<= resized(value, output.bits)
    beneath, beyond = Register(1, f"{prefix}_too_low"), Register(1, f"{prefix}_too_high")
    beneath.next <<= below | (too_low & ~above)
    beyond.next <<= above | (too_high & ~below)
    result = Register(output.bits, f"{prefix}_output")
    result.next <<= _bounded(kept, beneath, beyond, bounds, output)
    return result


def _beyond(value: WireVector, output: IntType) -> tuple[WireVector, WireVector]:
    """Whether a signed value is below or above all values of a type: only the bits that the type lacks decide."""
    sign = value[-1]
    if value.bitwidth <= output.bits - output.signed:
        return (Const(0, 1), Const(0, 1)) if output.signed else (sign, Const(0, 1))
    top = value[output.bits - output.signed :]
    below = sign & ~pyrtl.and_all_bits(top) if output.signed else sign
    return below, ~sign & pyrtl.or_all_bits(top)


def _bounded(value: WireVector, below: WireVector, above: WireVector, bounds: Interval, output: IntType) -> WireVector:
    """A value of the output's type limited to bounds within it, or at one of them if a flag says so."""
    low, high = constant(bounds.low, output.bits), constant(bounds.high, output.bits)
    less = pyrtl.signed_lt if output.signed else lambda left, right: left < right
    if bounds.high < output.maximum:
        above = above | less(high, value)
    result = select(above, high, value)
    if bounds.low > output.minimum:
        below = below | (less(value, low) & ~above)
    return select(below, low, result)


def _tables(name: str, columns: Sequence[Sequence[int]], group: WireVector, registers: int) -> list[WireVector]:
    """One signed constant per column, read from one memory by the group where it is not always the same.

    It comes a cycle later, or so many more as there are registers behind the memory's own.
    """
    widths = [Interval(min(*column, 0), max(*column, 0)).signed_bits for column in columns]
    varying = [index for index, column in enumerate(columns) if len(set(column)) > 1]
    wires = [constant(column[0], bits) for column, bits in zip(columns, widths, strict=True)]
    if not varying:
        return list(wires)
    words = []
    for row in zip(*(columns[index] for index in varying), strict=True):
        word = position = 0
        for value, index in zip(row, varying, strict=True):
            word |= (value & ((1 << widths[index]) - 1)) << position
            position += widths[index]
        words.append(word)
    word = registered_rom(name, words, sum(widths[index] for index in varying), group, registers)
    read: list[WireVector] = list(wires)
    position = 0
    for index in varying:
        read[index] = word[position : position + widths[index]]
        position += widths[index]
    return read
