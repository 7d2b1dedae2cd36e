"""Pools of streamed images against NumPy: overlap, gaps, padding, several images, stalls, resets, throughput."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyrtl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stream_checks import build_between, combinational_inputs, run_checked

from bitloom.arith import Interval, IntType, narrow
from bitloom.arith.division import Division
from bitloom.errors import HardwareError
from bitloom.hw.pool import PoolShape, pool
from bitloom.hw.reduce import Finish, Positions, Reduction
from bitloom.hw.rescale import RescaleConstants
from bitloom.hw.stream import StreamType
from bitloom.hw.window_shape import Taps, WindowShape

INT8 = IntType(8)


def build(shape: PoolShape, reduction: Reduction, finish: Finish, padding: int, given_type: StreamType | None = None):
    types = given_type or shape.input_type(INT8), shape.output_type(finish.output)
    return build_between(*types, lambda s, reset: pool("unit", s, shape, reduction, finish, padding, reset))


def random_images(shape: PoolShape, tensors: int, seed: int) -> np.ndarray:
    inputs = np.random.default_rng(seed).integers(-128, 128, (tensors, shape.input_type(INT8).size))
    inputs[0], inputs[1] = -128, 127
    return inputs


def pooled(inputs: np.ndarray, shape: PoolShape, reduction: Reduction, padding: int) -> np.ndarray:
    """Shape (tensors, images, rows, columns, channels)."""
    window = shape.window
    taps = window.windows(inputs.reshape(len(inputs) * shape.images, -1), padding)
    taps = taps.reshape(len(inputs), shape.images, window.out_height, window.out_width, window.blocks, -1, window.lanes)
    values = taps.sum(axis=5) if reduction is Reduction.SUM else taps.max(axis=5)
    return values.reshape(*values.shape[:4], -1)


@st.composite
def shapes(draw: st.DrawFn) -> PoolShape:
    lanes = draw(st.integers(1, 3))
    height, width = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    kernel = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    # Padding at one end is less than the kernel: no window lies in it altogether.
    padding = [draw(st.integers(0, taps - 1)) for taps in kernel for _ in range(2)]
    padding[1] = max(padding[1], kernel[0] - height - padding[0])
    padding[3] = max(padding[3], kernel[1] - width - padding[2])
    window = WindowShape(
        height,
        width,
        lanes * draw(st.integers(1, 2)),
        kernel,
        stride=(draw(st.integers(1, 3)), draw(st.integers(1, 3))),
        padding=tuple(padding),
        block=lanes,
        lanes=lanes,
    )
    return PoolShape(window, draw(st.integers(1, 2)))


@settings(max_examples=60, deadline=None)
@given(shape=shapes(), stall=st.sampled_from([0.0, 0.3, 0.8]), seed=st.integers(0, 2**16))
def test_maxima_equal_numpy(shape, stall, seed):
    inputs = random_images(shape, 4, seed)
    ports = build(shape, Reduction.MAXIMUM, Finish(INT8, Interval(-100, 90)), -128)
    run = run_checked(inputs, *ports, stall=stall, seed=seed)
    expected = np.clip(pooled(inputs, shape, Reduction.MAXIMUM, -128), -100, 90)
    np.testing.assert_array_equal(run.tensors, expected.reshape(len(inputs), -1))


def average_finish(shape: PoolShape) -> tuple[Finish, np.ndarray]:
    """And the elements of each window that are not padding, shape (rows, columns, 1)."""
    window = shape.window
    counts = window.reads.sum(axis=(2, 3))
    rows, columns = window.reads.any(axis=(1, 3)).sum(axis=1), window.reads.any(axis=(0, 2)).sum(axis=1)
    np.testing.assert_array_equal(counts, np.outer(rows, columns))
    row_counts, row_classes = np.unique(rows, return_inverse=True)
    column_counts, column_classes = np.unique(columns, return_inverse=True)
    positions = Positions(tuple(row_classes.tolist()), tuple(column_classes.tolist()), window.blocks)
    divisors = np.repeat(
        [row_counts[r] * column_counts[min(c, len(column_counts) - 1)] for r, c in positions.groups],
        shape.reduction.result_lanes,
    )
    low, high = -128 * divisors, 127 * divisors
    narrowed = narrow(Division.by(*divisors.tolist()), low, high, 0, Interval(-128, 127))
    finish = Finish(INT8, constants=RescaleConstants(0 * divisors, narrowed, low, high), positions=positions)
    return finish, counts[..., None]


PADDED = (
    PoolShape(WindowShape(5, 4, 4, (3, 3), (2, 1), padding=(1, 1, 1, 1), block=2, lanes=2)),
    PoolShape(WindowShape(4, 6, 1, (3, 2), (1, 2), padding=(1, 1, 0, 0), block=1, lanes=1), images=3),
    PoolShape(WindowShape(3, 3, 2, (4, 4), (1, 1), padding=(1, 2, 1, 2), block=1, lanes=1)),
    PoolShape(WindowShape(5, 7, 2, (1, 2), (2, 3), block=2, lanes=2)),
    PoolShape(WindowShape(4, 5, 8, (3, 3), (1, 1), padding=(1, 1, 1, 1), block=4, lanes=4), images=2, results=1),
    PoolShape(WindowShape(4, 5, 4, (2, 1), (2, 1), block=4, lanes=4), results=2),
)


@pytest.mark.parametrize("stall", [0.0, 0.6])
@pytest.mark.parametrize("shape", PADDED, ids=range(len(PADDED)))
def test_averages_do_not_count_padding(shape, stall):
    finish, counts = average_finish(shape)
    inputs = random_images(shape, 6, 1)
    run = run_checked(inputs, *build(shape, Reduction.SUM, finish, 0), stall=stall, seed=3, resets=(5, 30))
    sums = pooled(inputs, shape, Reduction.SUM, 0)
    expected = np.sign(sums) * ((np.abs(sums) + counts // 2) // counts)
    np.testing.assert_array_equal(run.tensors, expected.reshape(len(inputs), -1))


@pytest.mark.parametrize("shape", PADDED, ids=range(len(PADDED)))
def test_a_tap_every_cycle(shape):
    finish, _ = average_finish(shape)
    inputs = random_images(shape, 20, 2)
    run = run_checked(inputs, *build(shape, Reduction.SUM, finish, 0))
    assert run.interval == shape.cycles


@pytest.mark.parametrize("shape", PADDED, ids=range(len(PADDED)))
def test_needed_beats_are_all_that_is_waited_for(shape):
    """With so many beats taken and no more, so many results leave, and not one more."""
    finish = Finish(INT8)
    needed = shape.needed_beats()
    assert len(needed) == shape.output_type(INT8).beats
    inputs = random_images(shape, 2, 4)[1:]
    for beats in sorted({1, *needed.tolist()}):
        build(shape, Reduction.MAXIMUM, finish, -128)
        assert results_of(beats, inputs, shape) == int((needed <= beats).sum())


def results_of(beats: int, inputs: np.ndarray, shape: PoolShape) -> int:
    """How many results leave when only so many beats come."""
    simulation, taken, given_out = pyrtl.FastSimulation(tracer=None), 0, 0
    for _ in range(200 + shape.cycles):
        wires = {"source_data": 0, "source_valid": int(taken < beats), "source_last": 0, "sink_ready": 1, "reset": 0}
        simulation.step(wires)
        taken += taken < beats and simulation.inspect("source_ready")
        given_out += simulation.inspect("sink_valid")
    return given_out


def test_no_combinational_path():
    finish, _ = average_finish(PADDED[0])
    build(PADDED[0], Reduction.SUM, finish, 0)
    assert combinational_inputs() == set()


def test_other_orders_are_refused():
    with pytest.raises(HardwareError, match="one tap"):
        PoolShape(WindowShape(4, 4, 4, (2, 2), lanes=2))
    with pytest.raises(HardwareError, match="one tap"):
        PoolShape(WindowShape(4, 4, 1, (2, 2), taps=Taps.COLUMN))
    with pytest.raises(HardwareError, match=r"carries|takes"):
        build(replace(PADDED[0], images=2), Reduction.SUM, Finish(INT8), 0, given_type=PADDED[0].input_type(INT8))
