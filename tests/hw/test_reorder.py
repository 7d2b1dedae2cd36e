"""Streams read along any path through a memory: against NumPy, under stalls and resets, in the promised cycles."""

from __future__ import annotations

import numpy as np
import pyrtl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stream_checks import build_between, combinational_inputs, run_checked

from bitloom.arith import IntType
from bitloom.errors import HardwareError
from bitloom.hw.reorder import LATENCY, Reordering, reorder
from bitloom.hw.stream import Stream, StreamType

INT8 = IntType(8)


def expected_beats(order, frames):
    """Which beat of the tensor each beat of the result is, by NumPy."""
    path = np.zeros(1, int)
    for axis in order.path:
        path = (path[:, None] + np.array(axis)[None]).reshape(-1)
    return np.concatenate(
        [np.tile(frame * order.frame + path, order.repeats[frame % len(order.repeats)]) for frame in range(frames)]
    )


def check(order, frames, lanes=1, **options):
    beats = expected_beats(order, frames)
    given = StreamType(INT8, order.frame * frames * lanes, 1, lanes)
    made = StreamType(INT8, len(beats) * lanes, 1, lanes)
    ports = build_between(given, made, lambda s, reset: reorder("reorder", s, order, made, reset))
    assert not combinational_inputs()
    inputs = np.random.default_rng(frames).integers(-128, 128, (5, given.size))
    run = run_checked(inputs, *ports, **options)
    np.testing.assert_array_equal(run.tensors, inputs.reshape(5, -1, lanes)[:, beats].reshape(5, -1))
    return run


@st.composite
def orders(draw):
    path = tuple(
        tuple(draw(st.lists(st.integers(0, 6), min_size=1, max_size=4))) for _ in range(draw(st.integers(1, 3)))
    )
    frame = sum(max(axis) for axis in path) + draw(st.integers(1, 3))
    return Reordering(frame, path, tuple(draw(st.lists(st.integers(1, 3), min_size=1, max_size=3))))


@settings(max_examples=60, deadline=None)
@given(
    order=orders(),
    periods=st.integers(1, 2),
    lanes=st.integers(1, 3),
    stall=st.sampled_from([0.0, 0.3, 0.8]),
    resets=st.lists(st.integers(1, 80), max_size=2),
    seed=st.integers(0, 2**16),
)
def test_any_path_with_stalls_and_resets(order, periods, lanes, stall, resets, seed):
    check(order, periods * len(order.repeats), lanes, stall=stall, resets=tuple(resets), seed=seed)


@settings(max_examples=40, deadline=None)
@given(order=orders(), periods=st.integers(1, 3))
def test_the_interval_is_the_promised_one(order, periods):
    frames = periods * len(order.repeats)
    run = check(order, frames)
    assert run.last_beats[-1] - run.last_beats[-2] == order.steady_cycles(frames)


@pytest.mark.parametrize(("rows", "columns"), [(2, 3), (7, 5), (1, 9), (16, 16)])
def test_a_transpose_moves_a_beat_in_every_cycle(rows, columns):
    order = Reordering(rows * columns, (tuple(range(columns)), tuple(range(0, rows * columns, columns))))
    run = check(order, 1)
    assert run.interval == rows * columns == order.steady_cycles(1)
    # All beats but the last arrive, then the last, then the result leaves.
    assert run.latency == rows * columns + LATENCY + rows * columns - 1


def test_repeated_rows_move_a_beat_in_every_cycle():
    # Nearest neighbour by 2 and 2: every pixel twice, every row twice.
    order = Reordering(4, ((0, 0, 1, 1, 2, 2, 3, 3),), (2,))
    assert check(order, 3).interval == 48


@pytest.mark.parametrize(
    ("frame", "path", "repeats"), [(6, ((0, 3), (0, 3)), (1,)), (6, ((0, -1),), (1,)), (6, ((0,),), (0,))]
)
def test_paths_that_make_no_sense(frame, path, repeats):
    with pytest.raises(HardwareError, match="a path over"):
        Reordering(frame, path, repeats)


def test_streams_that_do_not_fit():
    pyrtl.reset_working_block()
    source = Stream.declare("source", StreamType(INT8, 6))
    with pytest.raises(HardwareError, match="do not make"):
        reorder("reorder", source, Reordering(4, ((0,),)), StreamType(INT8, 2), pyrtl.Input(1, "reset"))
    with pytest.raises(HardwareError, match="do not make"):
        reorder("reorder", source, Reordering(3, ((0,),)), StreamType(INT8, 2, 1, 2), pyrtl.Input(1, "reset"))
