"""The circuit of convolutions: a sliding window in front of the folded multiply-accumulate unit.

```
  image ─▶ [window] ─▶ [width conversion] ─▶ [multiply-accumulate, rescale] ─▶ image
           (1x1: none)  (lanes != simd)
```

The unit's rows are the windows of the output's pixels. What feeds it follows from the folding (`Feed`): how many lanes
and taps the window gives per cycle, and whether it gives each window again for every fold or the unit keeps it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import gcd

import numpy as np
import numpy.typing as npt
from pyrtl import WireVector

from bitloom.circuits.convolution_geometry import Geometry
from bitloom.circuits.dense import DenseTerms
from bitloom.circuits.dense_cost import DenseCost, ProductKind
from bitloom.circuits.dense_folding import (
    MOST_MULTIPLIERS,
    Pair,
    results_unit,
    useful_parts,
    worthwhile,
    worthwhile_results,
)
from bitloom.circuits.schedule import Schedule, converted
from bitloom.circuits.streaming import Estimate, Folding, StreamingCircuit
from bitloom.errors import UnsupportedError
from bitloom.hw.dense import DenseShape, dense
from bitloom.hw.memory import ram_size
from bitloom.hw.stream import Stream, StreamType
from bitloom.hw.width import convert_width
from bitloom.hw.window import window
from bitloom.hw.window_shape import Taps, WindowShape

# Look-up tables of a window's counters and addresses, and of a width conversion's; and per bit of each.
_WINDOW_LOGIC, _CONVERSION_LOGIC = 110, 20
# Ways to read a window, the simplest first.
_WAYS = (Taps.ONE, Taps.COLUMN, Taps.ALL)


@dataclass(frozen=True)
class _Reading:
    """How a window's elements are read.

    Attributes:
        beats: cycles per window.
        taps: of the window, per beat.
        lanes: channels of each tap, per beat.
        converted: whether beats have to be cut or collected for the array.
    """

    beats: int
    taps: Taps
    lanes: int
    converted: bool

    @property
    def preference(self) -> tuple[bool, int, int]:
        """Smaller is simpler: no conversion, few taps at a time, few lanes."""
        return self.converted, _WAYS.index(self.taps), self.lanes


@dataclass(frozen=True)
class Feed:
    """How windows come to the array.

    Attributes:
        cycles: per tensor, of reading the image, of reading windows, or of the array, whichever are more.
        reading: of the windows.
        replayed: whether each window is read again for every fold.
    """

    cycles: int
    reading: _Reading
    replayed: bool


@dataclass(frozen=True)
class ConvolutionCircuit(StreamingCircuit):
    """A convolution as windows times weights.

    A folding's `pe` is how many outputs of a group of channels are computed at the same time, or, beyond those of one
    group, of as many groups as that makes; its `simd` how many inputs each takes.

    Attributes:
        terms: the constants, weights (N, K) in the order taps down, taps across, channels of a group.
        geometry: of the windows.
        groups: of channels that share no input.
    """

    terms: DenseTerms
    geometry: Geometry
    groups: int

    def __post_init__(self) -> None:
        if not all(len(axis.live) for axis in self.geometry.axes((self._height, self._width))):
            raise UnsupportedError("no window touches the image: the result is constant", remedy="leave it out")
        self.terms.require_circuit()

    def foldings(self) -> Iterable[Folding]:
        """Every split of outputs and inputs that no smaller one equals, with enough results to keep up."""
        for kind in self._cost.kinds:
            for pair in worthwhile(self._pairs(kind)):
                parallel = self._parallel(pair.pe)
                unit = results_unit(pair.pe // parallel, parallel, self._group_outputs, self.groups)
                for results in worthwhile_results(pair.pe, -(-self._depth // pair.simd), unit):
                    yield from self._cost.foldings(kind, pair.pe, pair.simd, results)

    def _pairs(self, kind: ProductKind) -> Iterator[Pair]:
        outputs, simds = self._group_outputs, useful_parts(self._depth)
        sides = [(pe, 1) for pe in useful_parts(outputs)]
        if self._group_channels == 1:
            sides += [(outputs, part) for part in range(2, self.groups + 1) if self.groups % part == 0]
        for pe, parallel in sides:
            if kind.packed and pe < 2:
                continue
            for simd in simds:
                multipliers = kind.multipliers(pe * parallel, simd, parallel)
                if multipliers <= MOST_MULTIPLIERS:
                    yield Pair(pe * parallel, simd, self._feed(pe * parallel, simd).cycles, multipliers)

    def estimate(self, folding: Folding) -> Estimate:
        """The unit's cost (`DenseCost.estimate`), the window's memory and logic, and the conversion's registers."""
        feed, array = self._feed(folding.pe, folding.simd), self._cost.estimate(self._shape(folding))
        blocks = logic = 0
        if self._has_window:
            blocks, logic = self._window_cost(feed.reading, folding)
        if feed.reading.converted:
            logic += _CONVERSION_LOGIC + self._shape(folding).input_type(self.terms.element).bits
        return replace(
            array,
            cycles=feed.cycles,
            ram_blocks=array.ram_blocks + blocks,
            logic=array.logic + logic,
        )

    def _window_cost(self, reading: _Reading, folding: Folding) -> tuple[int, int]:
        """Block memories and look-up tables of the banks and, with whole windows, of the columns that pass along."""
        windows = self._reading_window(reading, self._parallel(folding.pe), 1)
        word = windows.lanes * self.terms.element.bits
        blocks, logic = ram_size(windows.depth, word, folding.fabric)
        blocks, logic = blocks * windows.banks, logic * windows.banks
        if windows.taps is Taps.ALL and windows.pixel_words > 1:
            _, passed = ram_size(windows.pixel_words, word * windows.banks, registered=False)
            logic += passed * (windows.span[1] - 1)
        # Padding takes a table a bit, or turning banks so that the top row comes first: one for three inputs.
        turned = max(1, -(-(windows.banks - 1) // 3))
        return blocks, _WINDOW_LOGIC + logic + turned * word * windows.banks

    def facts(self) -> Mapping[str, int]:
        """See `DenseTerms.facts`."""
        return self.terms.facts()

    def input_types(self, folding: Folding) -> tuple[StreamType, ...]:
        """The image, channels last; for 1x1 convolutions in rows as the unit takes them."""
        if not self._has_window:
            return (self._shape(folding).input_type(self.terms.element),)
        lanes = self._feed(folding.pe, folding.simd).reading.lanes
        return (StreamType(self.terms.element, self._channels, self._batch * self._height * self._width, lanes),)

    def output_type(self, folding: Folding) -> StreamType:
        """The image, channels last."""
        return self._shape(folding).output_type(self.terms.operator.output)

    def schedule(self, folding: Folding) -> Schedule:
        """The beats that the windows wait for, whose beats the unit waits for."""
        shape, windows = self._shape(folding), self._window(folding)
        needed, latency = shape.needed_beats(), shape.latency
        if windows is None:
            return Schedule((needed,), latency)
        given, taken = self._window_type(windows), shape.input_type(self.terms.element)
        needed = converted(needed, given, taken)
        image, beat = np.divmod(needed - 1, windows.beats)
        return Schedule((image * windows.image_words + windows.needed_beats()[beat],), latency + windows.latency)

    def build(self, name: str, folding: Folding, streams: Sequence[Stream], reset: WireVector) -> Stream:
        """See `bitloom.hw.window.window` and `bitloom.hw.dense.dense`."""
        terms, shape, stream = self.terms, self._shape(folding), streams[0]
        weights = terms.weights
        if windows := self._window(folding):
            images = stream.retyped(windows.input_type(terms.element))
            taps = window(f"{name}_window", images, windows, terms.operator.input_zero_point, reset)
            stream = taps.retyped(self._window_type(windows))
            weights = weights[:, self._order(windows, shape.parallel)]
        stream = convert_width(f"{name}_lanes", stream, shape.input_type(terms.element), reset)
        return dense(name, stream, shape, weights, terms.constants, terms.operator.output, reset)

    @staticmethod
    def _order(windows: WindowShape, parallel: int) -> npt.NDArray[np.int64]:
        """For each of a group's inputs in the order in which the window sends them, its place in the weights."""
        return windows.order().reshape(-1, parallel)[:, 0] // parallel

    def _window_type(self, windows: WindowShape) -> StreamType:
        """What the window gives, over all images."""
        given = windows.output_type(self.terms.element)
        return replace(given, rows=given.rows * self._batch)

    def _feed(self, pe: int, simd: int) -> Feed:
        """The fastest way to feed a folding, and of those that are no slower than the array the simplest."""
        parallel = self._parallel(pe)
        folds = self._folds(pe // parallel, parallel)
        array = self._pixels * folds * -(-self._depth // simd)
        if not self._has_window:
            return Feed(array, _Reading(0, Taps.ONE, simd * parallel, converted=False), replayed=False)
        blocks = self.groups // parallel
        windows, passes = self._pixels * blocks, folds // blocks
        image = self._batch * self._height * self._width * self._channels
        feeds = []
        for reading in self._readings(simd, parallel):
            replayed = passes > 1 and not reading.converted
            repeats = passes if replayed else 1
            cycles = max(array, windows * reading.beats * repeats)
            if reading.taps is Taps.ALL:
                cycles += self._columns_between * self._channels // reading.lanes
            feeds.append(Feed(max(cycles, image // reading.lanes), reading, replayed))
        return min(feeds, key=lambda feed: (feed.cycles, *feed.reading.preference))

    @cached_property
    def _columns_between(self) -> int:
        """With whole windows: image columns that come in after one window has left and do not complete the next."""
        height, width = self.geometry.output((self._height, self._width))
        span = (self.geometry.kernel[1] - 1) * self.geometry.dilations[1] + 1
        return self._batch * height * ((width - 1) * self.geometry.strides[1] + span - width)

    def _readings(self, simd: int, parallel: int) -> list[_Reading]:
        """The ways to read windows in beats of so many inputs: all that need no conversion, the best that do."""
        if (found := self._known_readings.get((simd, parallel))) is None:
            possible = list(self._possible_readings(simd, parallel))
            found = [reading for reading in possible if not reading.converted]
            for taps in _WAYS:
                cut = [reading for reading in possible if reading.converted and reading.taps is taps]
                found += sorted(cut, key=lambda reading: (reading.beats, reading.lanes))[:1]
            self._known_readings[simd, parallel] = found
        return found

    def _possible_readings(self, simd: int, parallel: int) -> Iterator[_Reading]:
        down, across = self.geometry.kernel
        block, wanted = self._group_channels * parallel, simd * parallel
        row = down * across * block
        # A kernel of one row or column is the same in several ways.
        together = {Taps.ALL: down * across, Taps.COLUMN: down, Taps.ONE: 1}
        ways = {together[taps]: taps for taps in reversed(_WAYS)}
        for lanes in [parallel] if parallel > 1 else [part for part in range(1, block + 1) if block % part == 0]:
            for count, taps in ways.items():
                given = lanes * count
                if given == wanted:
                    yield _Reading(row // given, taps, lanes, converted=False)
                else:
                    yield _Reading(-(-row // gcd(given, wanted)), taps, lanes, converted=True)

    @cached_property
    def _known_readings(self) -> dict[tuple[int, int], list[_Reading]]:
        """Those found so far: planners ask for thousands of foldings."""
        return {}

    def _window(self, folding: Folding) -> WindowShape | None:
        """The window of a folding; None if pixels are taken as they come."""
        if not self._has_window:
            return None
        feed, shape = self._feed(folding.pe, folding.simd), self._shape(folding)
        return self._reading_window(feed.reading, shape.parallel, shape.passes if feed.replayed else 1)

    def _reading_window(self, reading: _Reading, parallel: int, repeats: int) -> WindowShape:
        key = (reading, parallel, repeats)
        if key not in self._known_windows:
            self._known_windows[key] = WindowShape(
                self._height,
                self._width,
                self._channels,
                self.geometry.kernel,
                self.geometry.strides,
                self.geometry.dilations,
                self.geometry.padding,
                block=self._group_channels * parallel,
                lanes=reading.lanes,
                repeats=repeats,
                taps=reading.taps,
            )
        return self._known_windows[key]

    @cached_property
    def _known_windows(self) -> dict[tuple[_Reading, int, int], WindowShape]:
        """Those made so far."""
        return {}

    def _shape(self, folding: Folding) -> DenseShape:
        parallel = self._parallel(folding.pe)
        shape = DenseShape(
            self._depth,
            self._group_outputs,
            self._pixels,
            folding.pe // parallel,
            folding.simd,
            folding.results,
            rescale_in_logic=folding.rescale_in_logic,
            packed=folding.packed,
            fabric=folding.fabric,
            groups=self.groups,
            parallel=parallel,
            replayed=self._feed(folding.pe, folding.simd).replayed,
        )
        return self._cost.shape(shape, folding)

    def _parallel(self, pe: int) -> int:
        """Groups side by side."""
        return max(1, pe // self._group_outputs)

    def _folds(self, pe: int, parallel: int) -> int:
        return self.groups // parallel * -(-self._group_outputs // pe)

    @property
    def _has_window(self) -> bool:
        geometry = self.geometry
        return (geometry.kernel, geometry.strides, geometry.padding) != ((1, 1), (1, 1), (0, 0, 0, 0))

    @property
    def _batch(self) -> int:
        return self.terms.operands[0].type.shape[0]

    @property
    def _height(self) -> int:
        return self.terms.operands[0].type.shape[1]

    @property
    def _width(self) -> int:
        return self.terms.operands[0].type.shape[2]

    @property
    def _channels(self) -> int:
        return self.terms.operands[0].type.shape[3]

    @cached_property
    def _pixels(self) -> int:
        """Of the result."""
        height, width = self.geometry.output((self._height, self._width))
        return self._batch * height * width

    @property
    def _group_channels(self) -> int:
        return self._channels // self.groups

    @property
    def _group_outputs(self) -> int:
        return self.terms.outputs // self.groups

    @property
    def _depth(self) -> int:
        return self.terms.depth

    @cached_property
    def _cost(self) -> DenseCost:
        return DenseCost(self.terms)
