"""What every first-in first-out buffer must do, whatever its memory."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyrtl
from hypothesis import strategies as st
from stream_checks import build_between, run_checked

from bitloom.arith import IntType
from bitloom.hw.stream import Stream, StreamType

MakeFifo = Callable[[str, Stream, int, pyrtl.WireVector], Stream]

STREAM_TYPES = st.builds(
    StreamType,
    st.builds(IntType, st.integers(1, 12), st.booleans()),
    row=st.integers(1, 9),
    rows=st.integers(1, 3),
    lanes=st.integers(1, 3),
)
STALLS = st.sampled_from([0.0, 0.3, 0.8])
RESETS = st.lists(st.integers(1, 40), max_size=2)
SEEDS = st.integers(0, 2**16)


def build_fifo(make: MakeFifo, depth: int, stream_type: StreamType) -> tuple[Stream, Stream]:
    """A FIFO between ports of its own."""
    return build_between(stream_type, stream_type, lambda stream, reset: make("buffer", stream, depth, reset))


def check_order(
    make: MakeFifo, depth: int, stream_type: StreamType, stall: float, resets: list[int], seed: int
) -> None:
    """What goes in comes out, stalls and resets or not."""
    element, random = stream_type.element, np.random.default_rng(seed)
    inputs = random.integers(element.minimum, element.maximum, (5, stream_type.size), endpoint=True)
    run = run_checked(inputs, *build_fifo(make, depth, stream_type), stall=stall, seed=seed, resets=tuple(resets))
    np.testing.assert_array_equal(run.tensors, inputs)


def check_capacity(make: MakeFifo, depth: int, cycles: int) -> None:
    """It holds its depth and no more.

    Args:
        make: the FIFO.
        depth: of it.
        cycles: enough to fill it, and enough to empty it.
    """
    build_fifo(make, depth, StreamType(IntType(8), 1))
    simulation, taken = pyrtl.FastSimulation(tracer=None), 0
    for cycle in range(cycles):
        simulation.step({"source_data": cycle, "source_valid": 1, "source_last": 0, "sink_ready": 0, "reset": 0})
        taken += simulation.inspect("source_ready")
    assert taken == depth
    results = []
    for _ in range(cycles):
        simulation.step({"source_data": 0, "source_valid": 0, "source_last": 0, "sink_ready": 1, "reset": 0})
        if simulation.inspect("sink_valid"):
            results.append(simulation.inspect("sink_data"))
    assert results == list(range(depth))
