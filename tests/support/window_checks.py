"""Shapes of windows for property tests, and a window between ports."""

from __future__ import annotations

import numpy as np
import pyrtl
from hypothesis import strategies as st
from stream_checks import build_between

from bitloom.arith import IntType
from bitloom.errors import HardwareError
from bitloom.hw.stream import Stream
from bitloom.hw.window import Taps, WindowShape, window

INT8 = IntType(8)
PAD = -77


SAME = WindowShape(8, 8, 4, (3, 3), padding=(1, 1, 1, 1), lanes=2)
CASES = {
    "same": SAME,
    "stride 2, padded at the end": WindowShape(8, 6, 4, (3, 3), (2, 2), padding=(0, 1, 0, 1), lanes=2),
    "blocks repeated": WindowShape(5, 5, 8, (3, 3), padding=(1, 1, 1, 1), block=4, lanes=2, repeats=3),
    "last row and column unread": WindowShape(8, 8, 2, (3, 3), (2, 2)),
    "most of it unread": WindowShape(9, 9, 2, (1, 1), (4, 4)),
    "kernel larger than the image": WindowShape(3, 2, 1, (5, 4), padding=(2, 2, 2, 1)),
    "dilated": WindowShape(7, 7, 1, (3, 2), dilation=(2, 3), padding=(2, 2, 1, 2)),
    "cropped": WindowShape(7, 7, 1, (2, 2), padding=(-2, -1, -1, -2)),
    "whole rows of padding": WindowShape(3, 3, 1, (2, 2), padding=(4, 4, 3, 3)),
    "padding at first, unread rows at last": WindowShape(6, 2, 2, (1, 1), (4, 1), padding=(1, 0, -1, 0), repeats=2),
    "one row": WindowShape(1, 40, 2, (1, 5), padding=(0, 0, 2, 2), lanes=2),
    "one row, stride beyond the kernel": WindowShape(1, 41, 2, (1, 2), (1, 5)),
    "one column": WindowShape(30, 1, 2, (5, 1), padding=(2, 2, 0, 0)),
    "one pixel": WindowShape(1, 1, 1, (1, 1)),
}


def build(shape: WindowShape) -> tuple[Stream, Stream]:
    """A window between ports ``source`` and ``sink``."""
    given, made = shape.input_type(INT8), shape.output_type(INT8)
    return build_between(given, made, lambda stream, reset: window("window", stream, shape, PAD, reset))


def images(shape: WindowShape, count: int, seed: int = 0) -> np.ndarray:
    size = shape.height * shape.width * shape.channels
    return np.random.default_rng(seed).integers(-128, 128, (count, size))


@st.composite
def shapes(draw: st.DrawFn, taps: Taps = Taps.ONE, largest: int = 7, most_padding: int = 4) -> WindowShape:
    """Any window over a small image that has outputs and touches the image.

    Args:
        draw: by hypothesis.
        taps: of the shape.
        largest: height and width of the image.
        most_padding: on each side; windows can be nothing but padding where it is as wide as the kernel.
    """
    height, width = draw(st.integers(1, largest)), draw(st.integers(1, largest))
    lanes, words, blocks = (draw(st.integers(1, 2)) for _ in range(3))
    kernel = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    stride = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    dilation = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    spans = [(size - 1) * step for size, step in zip(kernel, dilation, strict=True) for _ in range(2)]
    padding = tuple(draw(st.integers(-1, max(most_padding, span))) for span in spans)
    block, repeats = lanes * words, draw(st.integers(1, 3))
    channels = block * blocks
    try:
        return WindowShape(height, width, channels, kernel, stride, dilation, padding, block, lanes, repeats, taps)
    except HardwareError:
        # Enough padding for the kernel to fit, and none beyond it.
        whole = (spans[0], spans[1], spans[2], spans[3])
        return WindowShape(height, width, channels, kernel, stride, dilation, whole, block, lanes, repeats, taps)


class Pins:
    """A circuit driven cycle by cycle; the producer has `left` beats to give, the consumer takes `wants`."""

    def __init__(self) -> None:
        self.simulation = pyrtl.FastSimulation(tracer=None)
        self.taken = self.given = 0

    def run(self, cycles: int, left: int = 0, wants: int = 0, reset: int = 0) -> None:
        """Run so many cycles while the producer offers up to `left` beats and the consumer up to `wants`."""
        for _ in range(cycles):
            offers, takes = int(self.taken < left), int(self.given < wants)
            self.simulation.step(
                {"source_data": 0, "source_valid": offers, "source_last": 0, "sink_ready": takes, "reset": reset}
            )
            if not reset:
                self.taken += offers & self.simulation.inspect("source_ready")
                self.given += takes & self.simulation.inspect("sink_valid")
