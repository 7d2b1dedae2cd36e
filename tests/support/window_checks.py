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
