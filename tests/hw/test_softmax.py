"""The softmax unit against the NumPy rule (which other tests compare with LiteRT)."""

from __future__ import annotations

import numpy as np
import pytest
from gate_stream import synthesized_stream
from hypothesis import given, settings
from hypothesis import strategies as st
from stream_checks import build_between, combinational_inputs, run_checked

from bitloom.arith import IntType
from bitloom.arith.fixed_point import divide_by_power, multiply_high, reciprocal
from bitloom.errors import HardwareError
from bitloom.hw.softmax import LARGEST_ROW, SOFTMAX_MULTIPLIERS, softmax, softmax_cycles
from bitloom.hw.stream import StreamType
from bitloom.ops.softmax import Softmax

INT8, UINT8, INT16 = IntType(8), IntType(8, signed=False), IntType(16)
ONE = 2**31 - 1


def build(table, row, rows=1, element=INT8, output=INT8):
    given_type, made_type = StreamType(element, row, rows), StreamType(output, row, rows)
    return build_between(given_type, made_type, lambda s, reset: softmax("softmax", s, table, reset, output))


def from_table(table, inputs, row, output=INT8):
    """The rule for any table of exponentials."""
    x = inputs.reshape(-1, row)
    exponentials = np.asarray(table)[x.max(axis=-1, keepdims=True) - x]
    mantissa, over_unit = reciprocal(divide_by_power(exponentials, 12).sum(axis=-1, keepdims=True), 12)
    scaled = divide_by_power(multiply_high(mantissa, exponentials), over_unit + 31 - output.bits)
    return output.clamp(scaled + output.minimum).reshape(inputs.shape)


def rows_of(seed, count, row, element=INT8):
    """Random rows, some of few different values, some of one."""
    random = np.random.default_rng(seed)
    inputs = random.integers(element.minimum, element.maximum, (count, row), endpoint=True)
    inputs[1::4] = random.choice([element.minimum, element.maximum, 3], inputs[1::4].shape)
    inputs[2::4] = random.integers(element.minimum, element.maximum, (len(inputs[2::4]), 1))
    return inputs


@settings(max_examples=40, deadline=None)
@given(
    element=st.sampled_from([INT8, UINT8, IntType(4)]),
    output=st.sampled_from([INT8, UINT8, INT16]),
    row=st.one_of(st.integers(1, 12), st.sampled_from([16, 31, 64])),
    rows=st.integers(1, 3),
    scale=st.sampled_from([1e-5, 0.003, 0.05, 0.1, 0.9, 7.0]),
    stall=st.sampled_from([0.0, 0.3, 0.8]),
    seed=st.integers(0, 2**16),
)
def test_equals_the_operator(element, output, row, rows, scale, stall, seed):
    operator = Softmax(element, output, scale)
    inputs = rows_of(seed, 5, row * rows, element)
    run = run_checked(inputs, *build(operator.exp_table(), row, rows, element, output), stall=stall, seed=seed)
    (wanted,) = operator.evaluate([inputs.reshape(len(inputs), rows, row)])
    np.testing.assert_array_equal(run.tensors, wanted.reshape(inputs.shape))


@settings(max_examples=25, deadline=None)
@given(
    row=st.integers(2, 20),
    table=st.lists(st.one_of(st.integers(0, ONE), st.just(ONE), st.just(0)), min_size=15, max_size=15),
    seed=st.integers(0, 2**16),
)
def test_any_sum_and_any_exponential(row, table, seed):
    """Arbitrary tables reach sums that no scale does."""
    whole, element = [ONE, *table], IntType(4)
    inputs = rows_of(seed, 12, row, element)
    run = run_checked(inputs, *build(whole, row, 1, element, INT16))
    np.testing.assert_array_equal(run.tensors, from_table(whole, inputs, row, INT16))


def test_sums_at_and_beside_every_power_of_two():
    """Where the reciprocal saturates, is smallest, and changes its exponent."""
    element, rows, tables = IntType(2), [], []
    for near in (-2, -1, 0, 1, 2):
        tables.append([ONE, (near + (1 << 19)) % (1 << 19) << 12, ONE - (abs(near) << 12), 1 << 11])
    for row in (1, 2, 3, 4, 7, 8, 15, 16):
        rows.append(np.full((4, row), -2) + (np.arange(row) == 0) * np.arange(4)[:, None])
        for table in tables:
            run = run_checked(rows[-1], *build(table, row, 1, element, INT16))
            np.testing.assert_array_equal(run.tensors, from_table(table, rows[-1], row, INT16))


def test_newton_error_stays_within_its_register():
    """|1 - h * x| < 2**25 in Q2.29 for every step, from the start's error of 1/17 on."""
    h = np.concatenate([np.arange(1 << 30, 1 << 31, 997), (1 << 31) - 1 - np.arange(2000)])
    estimate = 1515870810 + multiply_high(h, -1010580540)
    for _ in range(3):
        error = (1 << 29) - multiply_high(h, estimate)
        assert -(1 << 25) <= error.min()
        assert error.max() < 1 << 25
        estimate = estimate + 4 * multiply_high(estimate, error)
        assert 0 < estimate.min()
        assert estimate.max() < 1 << 31


@pytest.mark.parametrize("row", [511, LARGEST_ROW])
def test_long_rows(row):
    """All equal: the sum is as large as it can be."""
    table = Softmax(INT8, INT8, 0.02).exp_table()
    inputs = np.stack([np.full(row, -7), rows_of(row, 1, row)[0]])
    run = run_checked(inputs, *build(table, row))
    np.testing.assert_array_equal(run.tensors, from_table(table, inputs, row))


@pytest.mark.parametrize("row", [1, 2, 10, 37, 100])
def test_interval_is_the_cycles_promised(row):
    operator, inputs = Softmax(INT8, INT8, 0.1), rows_of(1, 8, row)
    run = run_checked(inputs, *build(operator.exp_table(), row))
    np.testing.assert_array_equal(run.tensors, operator.evaluate([inputs])[0])
    # The first rows come faster than later ones can.
    assert np.diff(run.last_beats)[3:].tolist() == [softmax_cycles(row)] * 4


@pytest.mark.parametrize("stall", [0.0, 0.5])
def test_reset_at_any_time_leaves_a_working_unit(stall):
    operator, inputs = Softmax(INT8, INT8, 0.1), rows_of(2, 5, 10)
    ports = build(operator.exp_table(), 5, 2)
    (wanted,) = operator.evaluate([inputs.reshape(5, 2, 5)])
    for cycle in np.random.default_rng(0).integers(1, 300, 40).tolist():
        run = run_checked(inputs, *ports, stall=stall, seed=cycle, resets=(cycle, cycle + 31))
        np.testing.assert_array_equal(run.tensors, wanted.reshape(5, 10))


def test_no_combinational_path():
    build(Softmax(INT8, INT8, 0.1).exp_table(), 5)
    assert combinational_inputs() == set()


def test_synthesised_it_is_still_exact(tmp_path):
    operator, inputs = Softmax(INT8, INT8, 0.1), rows_of(4, 12, 6)
    source, sink = build(operator.exp_table(), 6)
    gates, tensors = synthesized_stream(inputs, source, sink, tmp_path)
    np.testing.assert_array_equal(tensors, operator.evaluate([inputs])[0])
    assert gates.cells["DSP48E1"] == SOFTMAX_MULTIPLIERS


@pytest.mark.parametrize(
    ("row", "table", "element", "problem"),
    [
        (LARGEST_ROW + 1, [ONE] * 256, INT8, "4096 elements"),
        (4, [ONE] * 16, INT8, "table of 256"),
        (4, [ONE] * 512, IntType(9), "up to 8 bits"),
        (4, [2**31] + [0] * 255, INT8, "not a Q0.31"),
        (4, [2**30] + [0] * 255, INT8, "exponential of zero"),
    ],
)
def test_what_cannot_be_built_is_refused(row, table, element, problem):
    with pytest.raises(HardwareError, match=problem):
        build(table, row, 1, element)
