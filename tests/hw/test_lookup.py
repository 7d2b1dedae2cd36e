"""Look-up units against NumPy indexing, over types, lanes, stalls and resets."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stream_checks import build_between, combinational_inputs, run_checked

from bitloom.arith import IntType
from bitloom.errors import HardwareError
from bitloom.hw.fifo import fifo
from bitloom.hw.lookup import LATENCY, lookup
from bitloom.hw.stream import StreamType


def build(table, element, output, row, rows, lanes):
    given_type, made_type = (StreamType(kind, row, rows, lanes) for kind in (element, output))
    return build_between(given_type, made_type, lambda s, reset: lookup("table", s, table, output, reset))


def random_case(element, output, size, count, seed):
    random = np.random.default_rng(seed)
    table = random.integers(output.minimum, output.maximum, 1 << element.bits, endpoint=True)
    return table, random.integers(element.minimum, element.maximum, (count, size), endpoint=True)


@settings(max_examples=30, deadline=None)
@given(
    element=st.builds(IntType, st.integers(1, 9), st.booleans()),
    output=st.builds(IntType, st.integers(1, 17), st.booleans()),
    row=st.integers(1, 9),
    rows=st.integers(1, 3),
    lanes=st.integers(1, 5),
    stall=st.sampled_from([0.0, 0.3, 0.8]),
    seed=st.integers(0, 2**16),
)
def test_equals_indexing(element, output, row, rows, lanes, stall, seed):
    table, inputs = random_case(element, output, row * rows, 5, seed)
    run = run_checked(inputs, *build(table, element, output, row, rows, lanes), stall=stall, seed=seed)
    np.testing.assert_array_equal(run.tensors, table[inputs % (1 << element.bits)])


@pytest.mark.parametrize("element", [IntType(8), IntType(8, signed=False), IntType(12)])
def test_every_input_of_a_type(element):
    table, _ = random_case(element, IntType(8), 1, 1, 3)
    inputs = np.arange(element.minimum, element.maximum + 1).reshape(1, -1)
    run = run_checked(inputs, *build(table, element, IntType(8), inputs.size, 1, 2))
    np.testing.assert_array_equal(run.tensors, table[inputs % (1 << element.bits)])


def test_a_table_of_equal_values():
    run = run_checked(np.array([[1, -2, 3]]), *build([-7] * 256, IntType(8), IntType(8), 3, 1, 2), stall=0.5)
    assert run.tensors.tolist() == [[-7, -7, -7]]


def test_a_beat_every_cycle():
    table, inputs = random_case(IntType(8), IntType(8), 12, 6, 1)
    run = run_checked(inputs, *build(table, IntType(8), IntType(8), 12, 1, 3))
    assert run.interval == 4
    assert run.latency == 4 + LATENCY


@pytest.mark.parametrize("cycle", range(1, 12))
def test_reset_at_any_time_leaves_a_working_unit(cycle):
    table, inputs = random_case(IntType(8), IntType(8), 5, 4, cycle)
    ports = build(table, IntType(8), IntType(8), 5, 1, 2)
    run = run_checked(inputs, *ports, stall=0.3, seed=cycle, resets=(cycle, cycle + 7))
    np.testing.assert_array_equal(run.tensors, table[inputs % 256])


def test_addresses_may_come_through_logic():
    table, inputs = random_case(IntType(8), IntType(8), 4, 4, 2)
    stream_type = StreamType(IntType(8), 4)
    ports = build_between(
        stream_type, stream_type, lambda s, reset: lookup("t", fifo("f", s, 2, reset), table, IntType(8), reset)
    )
    np.testing.assert_array_equal(run_checked(inputs, *ports, stall=0.3).tensors, table[inputs % 256])


def test_no_combinational_path():
    build(np.arange(256) // 2, IntType(8), IntType(8), 5, 1, 2)
    assert combinational_inputs() == set()


def test_what_cannot_be_built_is_refused():
    with pytest.raises(HardwareError, match="too large"):
        build(np.zeros(1 << 13), IntType(13), IntType(8), 4, 1, 1)
    with pytest.raises(HardwareError, match="256 values"):
        build(np.zeros(255), IntType(8), IntType(8), 4, 1, 1)
    with pytest.raises(HardwareError, match="do not fit int4"):
        build(np.arange(256) // 2, IntType(8), IntType(4), 4, 1, 1)
