"""Any number of lanes to any other at full rate: exact under stalls and resets, as fast as the slower side."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stream_checks import build_between, combinational_inputs, run_checked

from bitloom.arith import IntType
from bitloom.errors import HardwareError
from bitloom.hw.gearbox import gearbox
from bitloom.hw.stream import StreamType
from bitloom.hw.width import MOST_HELD, conversion_beats, convert_width, shifts_gears

INT8 = IntType(8)
PAIRS = [pair for pair in itertools.product(range(2, 10), repeat=2) if max(pair) % min(pair)]


def build(source, target):
    return build_between(source, target, lambda stream, reset: gearbox("gearbox", stream, target.lanes, reset))


@pytest.mark.parametrize(("brought", "taken"), PAIRS)
def test_every_pair_of_lanes_at_full_rate(brought, taken):
    for laps in (1, 5):
        size = laps * math.lcm(brought, taken)
        source, target = StreamType(INT8, size, 1, brought), StreamType(INT8, size, 1, taken)
        ports = build(source, target)
        assert not combinational_inputs()
        inputs = np.random.default_rng(size).integers(-128, 128, (12, size))
        run = run_checked(inputs, *ports)
        np.testing.assert_array_equal(run.tensors, inputs)
        assert run.interval == max(source.beats, target.beats)


@settings(max_examples=60, deadline=None)
@given(
    pair=st.sampled_from(PAIRS),
    laps=st.integers(1, 4),
    bits=st.sampled_from([1, 3, 8]),
    stall=st.sampled_from([0.2, 0.8]),
    resets=st.lists(st.integers(1, 60), max_size=3),
    seed=st.integers(0, 2**16),
)
def test_stalls_and_resets(pair, laps, bits, stall, resets, seed):
    size = laps * math.lcm(*pair)
    source, target = (StreamType(IntType(bits, signed=False), size, 1, lanes) for lanes in pair)
    inputs = np.random.default_rng(seed).integers(0, 1 << bits, (4, size))
    run = run_checked(inputs, *build(source, target), stall=stall, seed=seed, resets=tuple(resets))
    np.testing.assert_array_equal(run.tensors, inputs)


def test_pixels_of_three_channels_come_from_a_bus_of_four_bytes():
    source, target = StreamType(INT8, 144, 1, 4), StreamType(INT8, 3, 48, 3)
    assert shifts_gears(source, target)
    assert conversion_beats(source, target) == 48
    inputs = np.random.default_rng(0).integers(-128, 128, (4, 144))
    ports = build_between(source, target, lambda stream, reset: convert_width("convert", stream, target, reset))
    run = run_checked(inputs, *ports)
    np.testing.assert_array_equal(run.tensors, inputs)
    assert run.interval == 48


def test_where_other_conversions_serve():
    assert not shifts_gears(StreamType(INT8, 24, 1, 4), StreamType(INT8, 24, 1, 2))
    assert not shifts_gears(StreamType(INT8, 25, 1, 4), StreamType(INT8, 25, 1, 3))
    wide = math.lcm(32, 33)
    assert wide > MOST_HELD
    assert not shifts_gears(StreamType(INT8, wide, 1, 32), StreamType(INT8, wide, 1, 33))
    for row, rows in ((25, 1), (12, 2)):
        with pytest.raises(HardwareError, match="full beats of one row"):
            build(StreamType(INT8, row, rows, 4), StreamType(INT8, row, rows, 3))
