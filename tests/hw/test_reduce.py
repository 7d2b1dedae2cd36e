"""Reductions of streams against NumPy: every way to see a tensor, stalls, resets, a beat per cycle."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stream_checks import build_between, combinational_inputs, run_checked

from bitloom.arith import Interval, IntType, narrow
from bitloom.arith.division import Division, MeanRescale
from bitloom.errors import HardwareError
from bitloom.hw.fabric import FABRICS, XC7, Fabric
from bitloom.hw.reduce import (
    Finish,
    Positions,
    ReduceShape,
    Reduction,
    reduce,
    reduce_fifo_depth,
    reduce_latency,
)
from bitloom.hw.rescale import RescaleConstants

INT8 = IntType(8)


def binary32_sum(x: np.ndarray, axis: int) -> np.ndarray:
    """One element after the other."""
    parts = np.moveaxis(x.astype(np.float32), axis, 0)
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total.astype(np.int64)


SUMS = {Reduction.SUM: np.sum, Reduction.MAXIMUM: np.max, Reduction.BINARY32_SUM: binary32_sum}


def build(shape: ReduceShape, reduction: Reduction, finish: Finish, element: IntType = INT8):
    given_type, made_type = shape.input_type(element), shape.output_type(finish.output)
    return build_between(given_type, made_type, lambda s, reset: reduce("unit", s, shape, reduction, finish, reset))


def random_tensors(shape: ReduceShape, element: IntType, tensors: int, seed: int) -> np.ndarray:
    """The first all lowest, the second all highest."""
    size = shape.outer * shape.reduced * shape.inner
    inputs = np.random.default_rng(seed).integers(element.minimum, element.maximum, (tensors, size), endpoint=True)
    inputs[0], inputs[1] = element.minimum, element.maximum
    return inputs


def reduced(inputs: np.ndarray, shape: ReduceShape, reduction: Reduction) -> np.ndarray:
    seen = inputs.reshape(len(inputs), shape.outer, shape.reduced, shape.inner)
    return SUMS[reduction](seen, axis=2).reshape(len(inputs), -1)


def plain(shape: ReduceShape, reduction: Reduction, element: IntType, fabric: Fabric = XC7) -> Finish:
    bounds = reduction.bounds(Interval(element.minimum, element.maximum), shape.reduced)
    return Finish(IntType(bounds.signed_bits), binary32=reduction is Reduction.BINARY32_SUM, fabric=fabric)


@st.composite
def shapes(draw: st.DrawFn) -> ReduceShape:
    lanes = draw(st.integers(1, 5))
    outer, reduced_size, inner = draw(st.integers(1, 3)), draw(st.integers(1, 5)), draw(st.integers(1, 5))
    if inner * lanes == 1 or draw(st.booleans()):
        return ReduceShape(outer, reduced_size * lanes, 1, lanes)
    return ReduceShape(outer, reduced_size, inner * lanes, lanes)


@settings(max_examples=120, deadline=None)
@given(
    shape=shapes(),
    reduction=st.sampled_from(Reduction),
    element=st.builds(IntType, st.sampled_from([1, 3, 8, 16]), st.booleans()),
    fabric=st.sampled_from(FABRICS),
    stall=st.sampled_from([0.0, 0.3, 0.8]),
    seed=st.integers(0, 2**16),
)
def test_equals_numpy(shape, reduction, element, fabric, stall, seed):
    inputs = random_tensors(shape, element, 5, seed)
    finish = plain(shape, reduction, element, fabric)
    run = run_checked(inputs, *build(shape, reduction, finish, element), stall=stall, seed=seed)
    np.testing.assert_array_equal(run.tensors, reduced(inputs, shape, reduction))


@settings(max_examples=40, deadline=None)
@given(
    shape=shapes().filter(lambda shape: shape.inner > 1 or shape.lanes == 1),
    significand=st.integers(2**23, 2**24 - 1),
    stall=st.sampled_from([0.0, 0.5]),
    seed=st.integers(0, 2**16),
)
def test_sums_of_binary32_round_after_each_addition(shape, significand, stall, seed):
    element, reduction = IntType(33), Reduction.BINARY32_SUM
    integers = random_tensors(shape, INT8, 5, seed)
    inputs = (integers.astype(np.float32) * np.float32(significand)).astype(np.int64)
    run = run_checked(
        inputs, *build(shape, reduction, plain(shape, reduction, element), element), stall=stall, seed=seed
    )
    np.testing.assert_array_equal(run.tensors, reduced(inputs, shape, reduction))


def test_sums_of_binary32_are_rounded_at_the_end():
    with pytest.raises(HardwareError, match="binary32 sums are rounded at the end"):
        build(ReduceShape(1, 3, 2), Reduction.BINARY32_SUM, Finish(IntType(10)))


SHAPES = (
    ReduceShape(1, 9, 4, 1),
    ReduceShape(2, 3, 8, 2),
    ReduceShape(3, 4, 2, 2),
    ReduceShape(1, 12, 1, 4),
    ReduceShape(5, 3, 1, 1),
    ReduceShape(4, 2, 1, 2),
    ReduceShape(2, 1, 6, 2),
    ReduceShape(2, 1, 40, 1),
    ReduceShape(7, 1, 1, 1),
    ReduceShape(4, 5, 6, 6, results=2),
    ReduceShape(5, 4, 4, 4, results=1),
)


def mean_finish(shape: ReduceShape, in_logic: bool) -> tuple[Finish, MeanRescale]:
    mean = MeanRescale.of(1.3, shape.reduced)
    low, high = -131 * shape.reduced, 124 * shape.reduced
    narrowed = narrow(mean, low, high, -7, Interval(-128, 127))
    lanes = np.ones(shape.result_lanes, np.int64)
    constants = RescaleConstants(-3 * shape.reduced * lanes, narrowed, low * lanes, high * lanes)
    return Finish(INT8, constants=constants, in_logic=in_logic), mean


@pytest.mark.parametrize("in_logic", [False, True])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_mean_takes_a_beat_every_cycle(shape, in_logic):
    finish, mean = mean_finish(shape, in_logic)
    source, sink = build(shape, Reduction.SUM, finish)
    inputs = random_tensors(shape, INT8, 30, 3)
    run = run_checked(inputs, source, sink)
    sums = reduced(inputs, shape, Reduction.SUM)
    expected = np.clip(mean.apply(sums - 3 * shape.reduced) - 7, -128, 127)
    np.testing.assert_array_equal(run.tensors, expected)
    assert source.type.beats == shape.cycles
    # Taken and given: the first beat is taken in the cycle it is counted in.
    assert run.latency == source.type.beats + reduce_latency(shape, finish)
    assert run.interval == source.type.beats


@pytest.mark.parametrize("stall", [0.2, 0.7])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_mean_under_stalls_and_resets(shape, stall):
    finish, mean = mean_finish(shape, in_logic=True)
    inputs = random_tensors(shape, INT8, 12, 4)
    run = run_checked(inputs, *build(shape, Reduction.SUM, finish), stall=stall, seed=5, resets=(2, 7, 8, 19, 31))
    expected = np.clip(mean.apply(reduced(inputs, shape, Reduction.SUM) - 3 * shape.reduced) - 7, -128, 127)
    np.testing.assert_array_equal(run.tensors, expected)


def test_a_maximum_is_clamped():
    shape = ReduceShape(2, 3, 4, 2)
    inputs = random_tensors(shape, INT8, 20, 6)
    run = run_checked(inputs, *build(shape, Reduction.MAXIMUM, Finish(INT8, Interval(-10, 90))))
    np.testing.assert_array_equal(run.tensors, np.clip(reduced(inputs, shape, Reduction.MAXIMUM), -10, 90))


@pytest.mark.parametrize("stall", [0.0, 0.5])
@pytest.mark.parametrize("rows", [(0, 1, 0), (0,), (1, 0, 0, 0, 1)])
@pytest.mark.parametrize("columns", [(0, 2, 1, 1), (0, 0)])
def test_division_by_place(rows, columns, stall):
    """Each pixel is divided by the product of its row's and its column's count."""
    positions, lanes = Positions(rows, columns, beats=2), 3
    row_counts, column_counts = (2, 3), (1, 3, 2, 2)
    counts = [row_counts[row] * column_counts[column] for row, column in positions.groups for _ in range(lanes)]
    taps = 9
    shape = ReduceShape(len(rows) * len(columns) * 2, taps, lanes, lanes)
    division, sizes = Division.by(*counts), np.array([taps] * len(counts))
    narrowed = narrow(division, -128 * sizes, 127 * sizes, 0, Interval(-128, 127))
    constants = RescaleConstants(0 * sizes, narrowed, -128 * sizes, 127 * sizes)
    finish = Finish(INT8, constants=constants, positions=positions)
    inputs = random_tensors(shape, INT8, 6, 8)
    run = run_checked(inputs, *build(shape, Reduction.SUM, finish), stall=stall, seed=2)
    sums = reduced(inputs, shape, Reduction.SUM).reshape(len(inputs), len(rows), len(columns), -1)
    by_pixel = np.array([[row_counts[r] * column_counts[c] for c in columns] for r in rows])
    expected = np.empty_like(sums)
    for place in np.ndindex(by_pixel.shape):
        expected[:, *place] = np.clip(Division.by(int(by_pixel[place])).apply(sums[:, *place]), -128, 127)
    np.testing.assert_array_equal(run.tensors, expected.reshape(len(inputs), -1))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_no_combinational_path(shape):
    finish, _ = mean_finish(shape, in_logic=True)
    build(shape, Reduction.SUM, finish)
    assert combinational_inputs() == set()


def test_the_fifo_holds_what_is_under_way():
    burst = ReduceShape(1, 2, 64, 1)
    assert reduce_fifo_depth(burst, Finish(INT8)) == 4
    assert reduce_fifo_depth(ReduceShape(1, 100, 1, 1), Finish(INT8)) == 2


def test_lanes_that_do_not_divide_are_refused():
    with pytest.raises(HardwareError, match="4 lanes"):
        ReduceShape(1, 3, 6, 4)
    with pytest.raises(HardwareError, match="2 lanes"):
        ReduceShape(1, 3, 1, 2)
    for outer, reduced_size, inner, lanes, results in [(1, 9, 8, 4, 2), (1, 9, 4, 4, 3), (1, 3, 4, 4, 1)]:
        with pytest.raises(HardwareError, match="keep up"):
            ReduceShape(outer, reduced_size, inner, lanes, results)
    shape = ReduceShape(1, 4, 6, 3)
    with pytest.raises(HardwareError, match="carries"):
        build_between(
            ReduceShape(1, 4, 6, 2).input_type(INT8),
            shape.output_type(INT8),
            lambda s, reset: reduce("unit", s, shape, Reduction.SUM, Finish(INT8), reset),
        )
