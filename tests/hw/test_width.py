"""Width conversion: every pair of lane counts, odd rows, rows cut elsewhere, stalls, resets and its promised cycles."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stream_checks import build_between, run_checked

from bitloom.arith import IntType
from bitloom.hw.stream import StreamType
from bitloom.hw.width import conversion_beats, convert_width, intermediate_lanes

INT8 = IntType(8)


def build(source, target):
    return build_between(source, target, lambda s, reset: convert_width("convert", s, target, reset))


def check(source, target, **options):
    inputs = np.random.default_rng(source.row).integers(-128, 128, (5, source.size))
    run = run_checked(inputs, *build(source, target), **options)
    np.testing.assert_array_equal(run.tensors, inputs)
    return run


@pytest.mark.parametrize(("given", "made"), list(itertools.product(range(1, 8), repeat=2)))
def test_every_pair_of_lanes(given, made):
    for row in (1, 5, 7, 12):
        for rows in (1, 2):
            source, target = StreamType(INT8, row, rows, given), StreamType(INT8, row, rows, made)
            check(source, target, stall=0.3, seed=row)
            assert check(source, target).interval == conversion_beats(source, target)


@pytest.mark.parametrize("cuts", [(12, 1), (1, 12), (4, 3), (3, 4), (2, 6)])
@pytest.mark.parametrize("lanes", [(1, 1), (2, 2), (2, 4), (4, 2), (3, 2), (5, 5), (12, 1), (1, 12), (7, 12)])
def test_rows_cut_elsewhere(cuts, lanes):
    for other in [(12, 1), (6, 2), (3, 4)]:
        source, target = StreamType(INT8, *cuts, lanes[0]), StreamType(INT8, *other, lanes[1])
        check(source, target, stall=0.3)
        assert check(source, target).interval == conversion_beats(source, target)


@settings(max_examples=60, deadline=None)
@given(
    element=st.builds(IntType, st.sampled_from([1, 3, 8]), st.booleans()),
    row=st.integers(1, 25),
    rows=st.integers(1, 3),
    lanes=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    stall=st.sampled_from([0.0, 0.3, 0.8]),
    resets=st.lists(st.integers(1, 60), max_size=3),
    seed=st.integers(0, 2**16),
)
def test_any_conversion_with_stalls_and_resets(element, row, rows, lanes, stall, resets, seed):
    source, target = (StreamType(element, row, rows, count) for count in lanes)
    inputs = np.random.default_rng(seed).integers(element.minimum, element.maximum, (4, row * rows), endpoint=True)
    run = run_checked(inputs, *build(source, target), stall=stall, seed=seed, resets=tuple(resets))
    np.testing.assert_array_equal(run.tensors, inputs)


@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 12), st.integers(1, 12))
def test_the_lanes_passed_through_divide_both(row, other, given_lanes, made_lanes):
    source, target = StreamType(INT8, row, other, given_lanes), StreamType(INT8, other, row, made_lanes)
    lanes = intermediate_lanes(source, target)
    assert given_lanes % lanes == 0
    assert made_lanes % lanes == 0


def test_equal_types_need_no_circuit():
    stream_type = StreamType(INT8, 7, 2, 3)
    assert check(stream_type, stream_type, stall=0.3).tensors.shape == (5, 14)
    assert conversion_beats(stream_type, stream_type) == stream_type.beats
