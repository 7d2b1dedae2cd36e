"""Pooling: windows of an image, each channel's elements of a window reduced to one.

```
  image ──▶ window ── all taps of some channels, then of the next ones ──▶ reduce ──▶ pooled image
            padded with what changes no result                             ▲
                                              counters of rows and columns ┘ choose the divisor
```

Windows overlap or leave gaps as they like. The unit takes as many cycles as there are taps; where windows only tile
the image, `bitloom.hw.reduce` needs no window, and one cycle per beat of the image.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from pyrtl import WireVector

from bitloom.arith import IntType
from bitloom.errors import HardwareError
from bitloom.hw.reduce import Finish, ReduceShape, Reduction, reduce, reduce_latency
from bitloom.hw.stream import Stream, StreamType
from bitloom.hw.window import window
from bitloom.hw.window_shape import WindowShape


@dataclass(frozen=True)
class PoolShape:
    """Windows over images.

    Attributes:
        window: over one image; blocks as wide as its lanes, so that all taps of some channels come together.
        images: per tensor.
        results: results finished per cycle; see `bitloom.hw.reduce.ReduceShape`.
    """

    window: WindowShape
    images: int = 1
    results: int = 0

    def __post_init__(self) -> None:
        if self.window.block != self.window.lanes or self.window.repeats != 1 or self.window.beat_taps != 1:
            raise HardwareError(f"a pool takes one tap of one block of a beat's lanes at a time, not {self.window}")

    @property
    def reduction(self) -> ReduceShape:
        """The windows' taps, reduced."""
        window = self.window
        outer = self.images * window.out_height * window.out_width * window.blocks
        return ReduceShape(outer, window.kernel[0] * window.kernel[1], window.lanes, window.lanes, self.results)

    @property
    def cycles(self) -> int:
        """Cycles per tensor without stalls: one for each tap, or for each beat of the image if those are more."""
        return self.images * max(self.window.beats, self.window.image_words)

    def input_type(self, element: IntType) -> StreamType:
        """What the unit takes."""
        return _of_images(self.window.input_type(element), self.images)

    def output_type(self, element: IntType) -> StreamType:
        """What the unit gives."""
        window = self.window
        pixels = self.images * window.out_height * window.out_width
        return StreamType(element, window.channels, pixels, self.reduction.result_lanes)

    def needed_beats(self) -> npt.NDArray[np.int64]:
        """For each output beat, how many input beats must have been taken before it can leave."""
        last_taps = self.window.needed_beats()[self.reduction.reduced - 1 :: self.reduction.reduced]
        before = np.arange(self.images)[:, None] * self.window.image_words
        return np.repeat(before + last_taps, self.reduction.serial_beats)

    def latency(self, finish: Finish) -> int:
        """Cycles from taking the last needed beat until the result's beat is offered."""
        return self.window.latency + reduce_latency(self.reduction, finish)


def pool(
    name: str, stream: Stream, shape: PoolShape, reduction: Reduction, finish: Finish, padding: int, reset: WireVector
) -> Stream:
    """Build a pool.

    Args:
        name: prefix of the signals.
        stream: images, of type ``shape.input_type``; its `ready` gets driven.
        shape: of the windows.
        reduction: of a window's elements.
        finish: what becomes of the result.
        padding: the value of taps outside of the image, which must change no result.
        reset: forgets everything.

    Returns:
        The pooled images, of type ``shape.output_type``.

    >>> import pyrtl
    >>> from bitloom.hw.simulate import simulate_stream
    >>> pyrtl.reset_working_block()
    >>> shape = PoolShape(WindowShape(3, 3, 1, kernel=(2, 2)))
    >>> source = Stream.input_ports("source", shape.input_type(IntType(8)))
    >>> sink = Stream.output_ports("sink", shape.output_type(IntType(8)))
    >>> reset = pyrtl.Input(1, "reset")
    >>> pool("pool", source, shape, Reduction.MAXIMUM, Finish(IntType(8)), -128, reset).feed(sink)
    >>> simulate_stream([[1, 2, 3, 4, 5, 6, 7, 8, 9]], source, sink).tensors.tolist()
    [[5, 6, 8, 9]]
    """
    element = stream.type.element
    if stream.type != shape.input_type(element):
        raise HardwareError(f"the pool takes {shape.input_type(element)}, not {stream.type}", where=stream.name)
    image = replace(stream, type=shape.window.input_type(element))
    taps = window(f"{name}_window", image, shape.window, padding, reset)
    taps = replace(taps, type=_of_images(taps.type, shape.images))
    pooled = reduce(name, taps, shape.reduction, reduction, finish, reset)
    return replace(pooled, type=shape.output_type(finish.output))


def _of_images(image: StreamType, images: int) -> StreamType:
    return replace(image, rows=image.rows * images)
