"""The circuit of step functions: thresholds of each channel, in as many lanes as the neighbours feed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from pyrtl import WireVector

from bitloom.arith import IntType
from bitloom.circuits.schedule import Schedule, elementwise
from bitloom.circuits.streaming import MOST_LANES, Estimate, Folding, StreamingCircuit, fifo_logic, lane_counts
from bitloom.hw.join import Int64Array, join_latency, period
from bitloom.hw.memory import rom_size, total_size
from bitloom.hw.stream import Stream, StreamType
from bitloom.hw.thresholds import StepTables, thresholds

_CONTROL_LOGIC = 20


@dataclass(frozen=True, eq=False)
class ThresholdCircuit(StreamingCircuit):
    """A search unit per lane; the channels are the last axis.

    Attributes:
        tables: of the channels, or one for all elements.
        channels: of the tensor.
        size: elements per tensor.
    """

    tables: StepTables
    channels: int
    size: int

    @property
    def _row(self) -> int:
        """Elements that differ in their functions."""
        return self.size if len(self.tables.values) == 1 else self.channels

    def foldings(self) -> Iterable[Folding]:
        """Lanes that divide a row, powers of two, or several rows at once."""
        lanes = set(lane_counts(self._row))
        lanes |= {1 << exponent for exponent in range(7) if 1 << exponent <= self._row}
        lanes |= {count for count in range(2 * self._row, MOST_LANES + 1, self._row) if self.size % count == 0}
        for count in sorted(lanes):
            yield Folding(pe=count, simd=count, results=count)

    def estimate(self, folding: Folding) -> Estimate:
        """A comparison a stage and lane, their memories, a FIFO; no multiplier.

        A comparison takes a table for two bits; what waits for it, shift registers of one table a bit.
        """
        tables, channels = self.tables, self._channels(folding)
        sizes = tables.memories(channels)
        blocks, logic = total_size(rom_size(words, bits, folding.fabric) for words, bits in sizes if words > 1)
        each = logic + tables.stages * (-(-tables.element.bits // 2) + 2) + tables.element.bits + tables.output.bits
        return Estimate(
            cycles=self._type(folding, tables.element).beats,
            memory_bits=sum(words * bits for words, bits in sizes) * folding.simd,
            ram_blocks=blocks * folding.simd,
            logic=each * folding.simd + fifo_logic(tables.output.bits * folding.simd) + _CONTROL_LOGIC,
        )

    def facts(self) -> Mapping[str, int]:
        """Thresholds of a channel, and the comparisons that find the result among them."""
        return {"thresholds": self.tables.thresholds.shape[1], "comparisons": self.tables.stages}

    def input_types(self, folding: Folding) -> tuple[StreamType, ...]:
        """Rows of channels, or the tensor as one row."""
        return (self._type(folding, self.tables.element),)

    def output_type(self, folding: Folding) -> StreamType:
        """As the operand."""
        return self._type(folding, self.tables.output)

    def schedule(self, folding: Folding) -> Schedule:
        """A beat for a beat."""
        latency = join_latency(1, self.tables.latency)
        return elementwise(self.input_types(folding), self.output_type(folding), latency)

    def build(self, name: str, folding: Folding, streams: Sequence[Stream], reset: WireVector) -> Stream:
        """See `bitloom.hw.thresholds.thresholds`."""
        made = self.output_type(folding)
        return thresholds(name, streams[0], made, self.tables, self._channels(folding), reset)

    def _type(self, folding: Folding, element: IntType) -> StreamType:
        row = self._row if folding.simd <= self._row else self.size
        return StreamType(element, row, self.size // row, folding.simd)

    def _channels(self, folding: Folding) -> Int64Array:
        """Which functions the elements of each beat have, until they repeat, shape (beats, lanes)."""
        functions, lanes = len(self.tables.values), folding.simd
        if lanes > self._row:
            row = np.resize(np.arange(self._row) % functions, lanes)
            return row[None, :]
        row = np.arange(self._row) % functions
        spare = -len(row) % lanes
        beats = np.pad(row, (0, spare), mode="edge").reshape(-1, lanes)
        return beats[: period(beats)]
