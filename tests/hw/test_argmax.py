"""The streaming argmax against NumPy: ties, partly filled beats, every lane count, stalls and resets."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stream_checks import HoldsStill, build_between, combinational_inputs, run_checked

from bitloom.arith import IntType
from bitloom.errors import HardwareError
from bitloom.hw.argmax import argmax, argmax_latency
from bitloom.hw.stream import StreamType


def build(element, row, rows, lanes, output=IntType(32)):  # noqa: B008 - a frozen value
    given_type, made_type = StreamType(element, row, rows, lanes), StreamType(output, 1, rows)
    return build_between(given_type, made_type, lambda s, reset: argmax("best", s, output, reset))


def expected(inputs, rows):
    return inputs.reshape(len(inputs), rows, -1).argmax(axis=-1)


@settings(max_examples=60, deadline=None)
@given(
    element=st.builds(IntType, st.sampled_from([1, 2, 3, 8, 32]), st.booleans()),
    row=st.integers(1, 14),
    rows=st.integers(1, 3),
    lanes=st.integers(1, 9),
    output=st.sampled_from([IntType(32), IntType(64), IntType(4, signed=False), IntType(5)]),
    stall=st.sampled_from([0.0, 0.3, 0.8]),
    seed=st.integers(0, 2**16),
)
def test_equals_numpy(element, row, rows, lanes, output, stall, seed):
    inputs = np.random.default_rng(seed).integers(element.minimum, element.maximum, (6, row * rows), endpoint=True)
    run = run_checked(inputs, *build(element, row, rows, lanes, output), stall=stall, seed=seed)
    np.testing.assert_array_equal(run.tensors, expected(inputs, rows))


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("lanes", [1, 2, 3, 4])
def test_every_row_of_four_small_elements(lanes, signed):
    element = IntType(2, signed)
    values = range(element.minimum, element.maximum + 1)
    inputs = np.array(list(itertools.product(values, repeat=4)))
    run = run_checked(inputs, *build(element, 4, 1, lanes))
    np.testing.assert_array_equal(run.tensors, expected(inputs, 1))


@pytest.mark.parametrize("lanes", [2, 3, 4, 7])
def test_lanes_beyond_the_row_are_ignored(lanes):
    """The producer may leave anything in them, even what would be the maximum."""
    build(IntType(8), 5, 1, lanes)
    row, padded = [-128, -128, -128, -127, -128], -(-5 // lanes) * lanes
    word_lanes = np.array(row + [127] * (padded - 5)).reshape(-1, lanes) & 0xFF
    simulation, results = HoldsStill(), []
    for cycle in range(40):
        beat = word_lanes[cycle % len(word_lanes)]
        word = sum(int(value) << (8 * lane) for lane, value in enumerate(beat))
        simulation.step({"source_data": word, "source_valid": 1, "source_last": 0, "sink_ready": 1, "reset": 0})
        if simulation.inspect("sink_valid"):
            results.append(simulation.inspect("sink_data"))
    assert len(results) >= 5
    assert set(results) == {3}


@pytest.mark.parametrize(("row", "lanes"), [(10, 1), (10, 2), (10, 10), (12, 5), (1, 1), (3, 8)])
def test_a_beat_every_cycle_and_the_latency_promised(row, lanes):
    source, sink = build(IntType(8), row, 2, lanes)
    inputs = np.random.default_rng(0).integers(-128, 128, (9, 2 * row))
    run = run_checked(inputs, source, sink)
    np.testing.assert_array_equal(run.tensors, expected(inputs, 2))
    assert run.interval == source.type.beats
    assert run.latency == source.type.beats + argmax_latency(source.type)


@pytest.mark.parametrize("cycle", [1, 2, 3, 5, 8, 13, 17])
def test_reset_at_any_time_leaves_a_working_unit(cycle):
    inputs = np.random.default_rng(cycle).integers(-3, 3, (6, 14))
    ports = build(IntType(8), 7, 2, 3)
    run = run_checked(inputs, *ports, stall=0.3, seed=cycle, resets=(cycle, cycle + 4))
    np.testing.assert_array_equal(run.tensors, expected(inputs, 2))


def test_the_largest_index_a_signed_type_holds():
    inputs = np.full((1, 32), -5)
    inputs[0, 31] = 4
    assert run_checked(inputs, *build(IntType(8), 32, 1, 4, IntType(6))).tensors.tolist() == [[31]]


def test_no_combinational_path():
    build(IntType(8), 7, 1, 3)
    assert combinational_inputs() == set()


def test_an_index_that_does_not_fit_is_refused():
    with pytest.raises(HardwareError, match="17 elements does not fit uint4"):
        build(IntType(8), 17, 1, 1, IntType(4, signed=False))
