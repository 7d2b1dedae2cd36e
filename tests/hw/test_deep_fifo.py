"""FIFOs of any depth: order, exact capacity, throughput, reset."""

from __future__ import annotations

import numpy as np
import pytest
from fifo_checks import RESETS, SEEDS, STALLS, STREAM_TYPES, build_fifo, check_capacity, check_order
from hypothesis import given, settings
from hypothesis import strategies as st
from stream_checks import combinational_inputs, run_checked

from bitloom.arith import IntType
from bitloom.errors import HardwareError
from bitloom.hw.deep_fifo import deep_fifo
from bitloom.hw.stream import StreamType

DEPTHS = [1, 2, 3, 5, 8, 13]


@settings(max_examples=40, deadline=None)
@given(depth=st.sampled_from(DEPTHS), stream_type=STREAM_TYPES, stall=STALLS, resets=RESETS, seed=SEEDS)
def test_what_goes_in_comes_out(depth, stream_type, stall, resets, seed):
    check_order(deep_fifo, depth, stream_type, stall, resets, seed)


@pytest.mark.parametrize("depth", DEPTHS)
def test_a_beat_every_cycle_from_a_depth_of_three(depth):
    run = run_checked(np.arange(40).reshape(4, 10), *build_fifo(deep_fifo, depth, StreamType(IntType(8), 10)))
    assert run.interval == {1: 30, 2: 15}.get(depth, 10)
    assert depth < 3 or run.latency == 12


@pytest.mark.parametrize("depth", DEPTHS)
def test_holds_its_depth_and_no_more(depth):
    check_capacity(deep_fifo, depth, 3 * depth + 5)


def test_no_combinational_path():
    build_fifo(deep_fifo, 5, StreamType(IntType(8), 5))
    assert combinational_inputs() == set()


def test_a_depth_of_nothing_is_refused():
    with pytest.raises(HardwareError, match="a FIFO of 0 beats"):
        build_fifo(deep_fifo, 0, StreamType(IntType(8), 5))
