"""Step functions of one integer, a function for each channel: a binary search for how many thresholds it has reached.

```
            ┌───────────────┐   ┌────────────────┐           ┌────────────────┐
  channel ─▶│ 1 threshold   │──▶│ 2 thresholds   │──▶  ... ─▶│ values or base │──▶ y
  prefix    │ of each       │   │ of each        │           │ of each        │
            └──────┬────────┘   └──────┬─────────┘           └────────────────┘
  x ──────────▶ x >= t ? ────▶ x >= t ? ─────▶  ...
                   └─ prefix ────────▶└─ prefix, one bit more ──▶
```

Each stage reads one threshold, by the channel and by what the stages before have found, and compares: `s` stages tell
2**s results apart, with s comparators and no multiplier.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from pyrtl import Const, Register, WireVector, concat, concat_list

from bitloom.arith import IntType
from bitloom.hw.join import join, period
from bitloom.hw.memory import registered_rom
from bitloom.hw.registers import constant, delayed, wrapping_counter
from bitloom.hw.stream import Stream, StreamType

Int64Array = npt.NDArray[np.int64]

_STAGE_LATENCY = 2  # Cycles: the threshold's register, the comparison's.


@dataclass(frozen=True, eq=False)
class StepTables:
    """The step functions of all channels, in the form of a search.

    Attributes:
        element: the type of x.
        output: the type of y.
        thresholds: ``y`` changes where x reaches one: int64, shape (channels, count), ascending.
        values: y between them: int64, shape (channels, count + 1).
    """

    element: IntType
    output: IntType
    thresholds: Int64Array
    values: Int64Array

    @cached_property
    def counted(self) -> bool:
        """Whether y is a constant and the number of thresholds reached, which may be stated more than once each."""
        rising = bool((np.diff(self.values, axis=1) >= 0).all())
        return rising and (self._span - 1).bit_length() <= self.thresholds.shape[1].bit_length()

    @property
    def _span(self) -> int:
        return int(self.values.max() - self.values.min()) + 1

    @cached_property
    def searched(self) -> Int64Array:
        """For each channel ``2**stages - 1`` thresholds, counted from the lowest integer: ``x - lowest >= t``."""
        if self.counted:
            base = int(self.values.min())
            levels = np.arange(base + 1, base + self._span)
            first = (self.values[:, None, :] < levels[:, None]).sum(axis=2)
            beyond = np.full((len(self.values), 1), self.element.maximum + 1)
            lowest = np.full((len(self.values), 1), self.element.minimum)
            found = np.take_along_axis(np.concatenate([lowest, self.thresholds, beyond], axis=1), first, axis=1)
        else:
            found = self.thresholds
        spare = ((0, 0), (0, (1 << int(found.shape[1]).bit_length()) - 1 - found.shape[1]))
        if self.counted:  # what is never reached does not count
            return np.pad(found, spare, constant_values=self.element.maximum + 1) - self.element.minimum
        return np.pad(found, spare, mode="edge") - self.element.minimum

    @cached_property
    def threshold_bits(self) -> int:
        """Of the widest threshold: one more than of elements where some are never reached."""
        return max(1, int(self.searched.max(initial=0)).bit_length())

    @property
    def stages(self) -> int:
        """Comparisons of one element."""
        return int(self.searched.shape[1]).bit_length()

    @property
    def latency(self) -> int:
        """Cycles from an element to its result."""
        return _STAGE_LATENCY * self.stages + 1

    @cached_property
    def results(self) -> Int64Array:
        """y for every outcome of the search, int64, shape (channels, 2**stages)."""
        if self.counted:
            counts = np.arange(1 << self.stages) + int(self.values.min())
            return np.broadcast_to(counts, (len(self.values), 1 << self.stages))
        spare = (1 << self.stages) - self.values.shape[1]
        return np.pad(self.values, ((0, 0), (0, spare)), mode="edge")

    def memories(self, channels: Int64Array) -> list[tuple[int, int]]:
        """Words and bits of the memories of one lane.

        Args:
            channels: that come through it, in their order.
        """
        made = [(len(channels) << stage, self.threshold_bits) for stage in range(self.stages)]
        return made if self.counted else [*made, (len(channels) << self.stages, self.output.bits)]


def thresholds(
    name: str, stream: Stream, made: StreamType, tables: StepTables, channels: Int64Array, reset: WireVector
) -> Stream:
    """``y = values[c, number of thresholds[c] <= x]`` for every element, at a beat per cycle.

    Args:
        name: prefix of the signals.
        stream: the elements; its `ready` gets driven.
        made: the type of the result, of as many beats.
        tables: of the channels.
        channels: of the elements of each beat, int64, shape (beats, lanes), repeated until the tensor's end.
        reset: forgets the beats under way.

    >>> import pyrtl
    >>> from bitloom.hw.simulate import simulate_stream
    >>> pyrtl.reset_working_block()
    >>> source = Stream.input_ports("source", StreamType(IntType(5), row=2, rows=3))
    >>> sink = Stream.output_ports("sink", StreamType(IntType(2), row=2, rows=3))
    >>> tables = StepTables(IntType(5), IntType(2), np.array([[-3, 9], [0, 0]]), np.array([[-1, 0, 1], [1, 0, -1]]))
    >>> reset = pyrtl.Input(1, "reset")
    >>> thresholds("steps", source, sink.type, tables, np.array([[0], [1]]), reset).feed(sink)
    >>> simulate_stream([[[-4, -4], [-3, 0], [9, -1]]], source, sink).tensors.reshape(-1).tolist()
    [-1, 1, 0, -1, 1, 1]
    """
    channels = channels[: period(channels)]

    def compute(data: Sequence[WireVector], taken: WireVector) -> Sequence[WireVector]:
        position: WireVector | None = None
        if len(channels) > 1:
            position, _ = wrapping_counter(f"{name}_position", len(channels), taken, reset)
        bits = stream.type.element.bits
        return [
            _lane(f"{name}_lane{lane}", data[0][lane * bits : (lane + 1) * bits], position, tables, channels[:, lane])
            for lane in range(stream.type.lanes)
        ]

    return join(name, [stream], made, tables.latency, compute, reset)


def _lane(
    name: str, element: WireVector, position: WireVector | None, tables: StepTables, channels: Int64Array
) -> WireVector:
    """One element's search; where there is nothing to tell apart, a constant."""
    bits = element.bitwidth
    # Counted from the lowest integer, elements are not negative: only the highest bit of signed ones changes.
    offset = concat(~element[-1], element[:-1]) if tables.element.signed and bits > 1 else element
    if tables.element.signed and bits == 1:
        offset = ~element
    found, wide = tables.searched[channels], max(bits, tables.threshold_bits)
    prefix: WireVector | None = None
    for stage in range(tables.stages):
        low = 1 << (tables.stages - stage - 1)
        words = found[:, low - 1 :: 2 * low].reshape(-1).tolist()
        threshold = _read(f"{name}_stage{stage}", words, tables.threshold_bits, _address(position, prefix))
        offset, position = delayed(offset, 1, f"{name}_x{stage}"), _delayed(position, f"{name}_position{stage}")
        reached = Register(1, f"{name}_reached{stage}")
        reached.next <<= offset.zero_extended(wide) >= threshold.zero_extended(wide)
        prefix = reached if prefix is None else concat(delayed(prefix, 2, f"{name}_prefix{stage}"), reached)
        offset = delayed(offset, 1, f"{name}_y{stage}")
        position = _delayed(position, f"{name}_place{stage}")
    if prefix is None:
        return constant(int(tables.values[0, 0]), tables.output.bits)
    if tables.counted:
        result = Register(tables.output.bits, f"{name}_result")
        width = max(tables.output.bits, tables.stages)
        base = constant(int(tables.values.min()), width)
        result.next <<= (prefix.zero_extended(width) + base).truncate(tables.output.bits)
        return result
    mask = (1 << tables.output.bits) - 1
    words = [int(value) & mask for value in tables.results[channels].reshape(-1)]
    value = _read(f"{name}_values", words, tables.output.bits, _address(position, prefix))
    return value if not isinstance(value, Const) else constant(words[0], tables.output.bits)


def _address(position: WireVector | None, prefix: WireVector | None) -> WireVector | None:
    parts = [part for part in (prefix, position) if part is not None]
    return concat_list(parts) if parts else None


def _delayed(position: WireVector | None, name: str) -> WireVector | None:
    return None if position is None else delayed(position, 1, name)


def _read(name: str, words: list[int], bits: int, address: WireVector | None) -> WireVector:
    return Const(words[0], bits) if address is None else registered_rom(name, words, bits, address)
