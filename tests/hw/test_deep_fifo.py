"""FIFOs of any depth: order, exact capacity, throughput, reset; and that deep ones become block RAM."""

from __future__ import annotations

import numpy as np
import pyrtl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stream_checks import build_between, combinational_inputs, run_checked

from bitloom.arith import IntType
from bitloom.errors import HardwareError
from bitloom.hw.deep_fifo import deep_fifo
from bitloom.hw.stream import StreamType

DEPTHS = [1, 2, 3, 5, 8, 13]


def build(depth, stream_type):
    return build_between(stream_type, stream_type, lambda s, reset: deep_fifo("buffer", s, depth, reset))


@settings(max_examples=40, deadline=None)
@given(
    depth=st.sampled_from(DEPTHS),
    stream_type=st.builds(
        StreamType,
        st.builds(IntType, st.integers(1, 12), st.booleans()),
        row=st.integers(1, 9),
        rows=st.integers(1, 3),
        lanes=st.integers(1, 3),
    ),
    stall=st.sampled_from([0.0, 0.3, 0.8]),
    resets=st.lists(st.integers(1, 40), max_size=2),
    seed=st.integers(0, 2**16),
)
def test_what_goes_in_comes_out(depth, stream_type, stall, resets, seed):
    element = stream_type.element
    inputs = np.random.default_rng(seed).integers(
        element.minimum, element.maximum, (5, stream_type.size), endpoint=True
    )
    run = run_checked(inputs, *build(depth, stream_type), stall=stall, seed=seed, resets=tuple(resets))
    np.testing.assert_array_equal(run.tensors, inputs)


@pytest.mark.parametrize("depth", DEPTHS)
def test_a_beat_every_cycle_from_a_depth_of_three(depth):
    run = run_checked(np.arange(40).reshape(4, 10), *build(depth, StreamType(IntType(8), 10)))
    assert run.interval == {1: 30, 2: 15}.get(depth, 10)
    assert depth < 3 or run.latency == 12


@pytest.mark.parametrize("depth", DEPTHS)
def test_holds_its_depth_and_no_more(depth):
    build(depth, StreamType(IntType(8), 1))
    simulation, taken = pyrtl.FastSimulation(tracer=None), 0
    for cycle in range(3 * depth + 5):
        simulation.step({"source_data": cycle, "source_valid": 1, "source_last": 0, "sink_ready": 0, "reset": 0})
        taken += simulation.inspect("source_ready")
    assert taken == depth
    results = []
    for _ in range(3 * depth):
        simulation.step({"source_data": 0, "source_valid": 0, "source_last": 0, "sink_ready": 1, "reset": 0})
        if simulation.inspect("sink_valid"):
            results.append(simulation.inspect("sink_data"))
    assert results == list(range(depth))


def test_no_combinational_path():
    build(5, StreamType(IntType(8), 5))
    assert combinational_inputs() == set()


def test_a_depth_of_nothing_is_refused():
    with pytest.raises(HardwareError, match="a FIFO of 0 beats"):
        build(0, StreamType(IntType(8), 5))
