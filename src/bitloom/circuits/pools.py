"""The circuit of a pool whose windows overlap, leave elements out, or reach into padding."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Protocol

import numpy as np
from pyrtl import WireVector

from bitloom.arith import Interval, IntType, Rescale, narrow
from bitloom.circuits.pool_windows import Windows
from bitloom.circuits.reduction import RescaledLane, stage_logic
from bitloom.circuits.schedule import Schedule
from bitloom.circuits.streaming import Estimate, Folding, StreamingCircuit, accumulator_facts, lane_counts
from bitloom.hw.fifo import credit_fifo_size
from bitloom.hw.memory import ram_size
from bitloom.hw.pool import PoolShape, pool
from bitloom.hw.reduce import Finish, Positions, Reduction, reduce_fifo_depth
from bitloom.hw.rescale import RescaleConstants
from bitloom.hw.stream import Stream, StreamType
from bitloom.hw.window_shape import WindowShape


class Pool(Hashable, Protocol):
    """The integer parameters of a pool."""

    @property
    def reduction(self) -> Reduction:
        """Sum, as integers or as binary32 has it, or maximum."""

    @property
    def activation(self) -> Interval:
        """The clamp."""

    def rescale(self, counts: Sequence[int]) -> Rescale | None:
        """From a window's reduced elements to the output, for windows of these counts of elements."""


@dataclass(frozen=True)
class PoolCircuit(StreamingCircuit):
    """A sliding window and a reduction; a divisor for each count of elements that are not padding.

    Attributes:
        element: the images' type.
        images: per tensor.
        channels: per pixel.
        axes: the windows along height and width.
        operator: the pool.
        zero_points: of the images, subtracted from each element, and of the results.
        output: the results' type, if not that of the images.
    """

    element: IntType
    images: int
    channels: int
    axes: tuple[Windows, Windows]
    operator: Pool
    zero_points: tuple[int, int] = (0, 0)
    output: IntType | None = None

    def foldings(self) -> Iterable[Folding]:
        """Lanes that divide the channels; the rescale with slices or without."""
        for lanes in lane_counts(self.channels):
            results = self._least_results(lanes)
            yield Folding(simd=lanes, results=results, rescale_in_logic=True)
            if RescaledLane.of(self._constants, Folding()).slices:
                yield Folding(simd=lanes, results=results)

    def _least_results(self, lanes: int) -> int:
        """As few rescale units as keep up with a window's taps; all lanes where nothing is rescaled."""
        taps = len(self.axes[0].live) * len(self.axes[1].live)
        if self._constants is None:
            return lanes
        return next(results for results in range(1, lanes + 1) if lanes % results == 0 and lanes // results <= taps)

    def estimate(self, folding: Folding) -> Estimate:
        """One cycle per tap, or per input beat if those are more."""
        shape, results = self._shape(folding), folding.results
        line, result = self.element.bits * folding.simd, self._made.bits * results
        rescaled = RescaledLane.of(self._constants, folding)
        blocks, kept = ram_size(shape.window.depth, line, folding.fabric)
        depth = reduce_fifo_depth(shape.reduction, self._finish(folding))
        more_blocks, waiting = credit_fifo_size(depth, result + 1, folding.fabric)
        # The counters of a window, and the choice between an element and padding.
        logic = kept + waiting + 75 + line // 2
        logic += stage_logic(shape.reduction, self._sums.signed_bits, self.operator.reduction)
        logic += results * self._sums.signed_bits * -(-(shape.reduction.serial_beats - 1) // 3)
        return Estimate(
            cycles=shape.cycles,
            other_multipliers=results * rescaled.slices,
            ram_blocks=blocks + more_blocks,
            logic=logic + results * rescaled.logic,
        )

    def facts(self) -> Mapping[str, int]:
        """Range and width of what is reduced, before a division."""
        return accumulator_facts(self._sums)

    def input_types(self, folding: Folding) -> tuple[StreamType, ...]:
        """Images, channels last."""
        return (self._shape(folding).input_type(self.element),)

    def output_type(self, folding: Folding) -> StreamType:
        """Images, channels last."""
        return self._shape(folding).output_type(self._made)

    def schedule(self, folding: Folding) -> Schedule:
        """Each pixel waits for the last element of its window."""
        shape = self._shape(folding)
        return Schedule((shape.needed_beats(),), shape.latency(self._finish(folding)))

    def build(self, name: str, folding: Folding, streams: Sequence[Stream], reset: WireVector) -> Stream:
        """See `bitloom.hw.pool.pool`."""
        (stream,) = streams
        reduction = self.operator.reduction
        padding = self.element.minimum if reduction is Reduction.MAXIMUM else 0
        return pool(name, stream, self._shape(folding), reduction, self._finish(folding), padding, reset)

    def _shape(self, folding: Folding) -> PoolShape:
        height, width = self.axes
        window = WindowShape(
            height=height.size,
            width=width.size,
            channels=self.channels,
            kernel=(len(height.live), len(width.live)),
            stride=(height.stride, width.stride),
            padding=(*height.margins, *width.margins),
            block=folding.simd,
            lanes=folding.simd,
        )
        return PoolShape(window, self.images, folding.results)

    @cached_property
    def _classes(self) -> tuple[Positions, tuple[int, ...]]:
        """Which pixels have which count of elements, with one beat per pixel; and the count of each class."""
        (row_counts, rows), (column_counts, columns) = (
            np.unique(windows.counts, return_inverse=True) for windows in self.axes
        )
        positions = Positions(tuple(rows.tolist()), tuple(columns.tolist()), 1)
        # Classes that no column has are as the last one.
        last = len(column_counts) - 1
        counts = (int(row_counts[row] * column_counts[min(column, last)]) for row, column in positions.groups)
        return positions, tuple(counts)

    @property
    def _made(self) -> IntType:
        """The results' type."""
        return self.output or self.element

    @property
    def _sums(self) -> Interval:
        """All that windows reduce to, padding included."""
        taps = max(self._classes[1])
        return self.operator.reduction.bounds(Interval(self.element.minimum, self.element.maximum), taps)

    @cached_property
    def _constants(self) -> RescaleConstants | None:
        """Of one lane, a channel for each class of pixels."""
        return _division(self.operator, self.element, self._classes[1], self.zero_points)

    def _finish(self, folding: Folding) -> Finish:
        clamp, results = self.operator.activation, folding.results
        if self._constants is not None:
            positions, counts = self._classes
            by_place = replace(positions, beats=self.channels // folding.simd) if len(counts) > 1 else None
            # The constants of a group are those of all lanes of a beat.
            constants = self._constants.of_channels([group for group in range(len(counts)) for _ in range(results)])
            return Finish(self._made, None, constants, folding.rescale_in_logic, folding.fabric, by_place)
        whole = Interval(self._made.minimum, self._made.maximum)
        binary32 = self.operator.reduction is Reduction.BINARY32_SUM
        return Finish(self._made, bounds=None if clamp == whole else clamp, binary32=binary32)


@lru_cache(maxsize=128)
def _division(
    operator: Pool, element: IntType, counts: tuple[int, ...], zero_points: tuple[int, int]
) -> RescaleConstants | None:
    """The division by each of some counts as a circuit; planners ask for the same ones again and again."""
    rescale = operator.rescale(counts)
    if rescale is None:
        return None
    sizes, (given, made) = np.array(counts, np.int64), zero_points
    low, high = sizes * (element.minimum - given), sizes * (element.maximum - given)
    return RescaleConstants(-sizes * given, narrow(rescale, low, high, made, operator.activation), low, high)
