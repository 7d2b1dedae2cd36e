"""The softmax of exact divisions against integers of Python, for any table and step, under stalls and resets."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from gate_stream import synthesized_stream
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from stream_checks import build_between, combinational_inputs, run_checked

from bitloom.arith import IntType
from bitloom.errors import HardwareError
from bitloom.hw.rounded_softmax import Quotient, rounded_softmax
from bitloom.hw.stream import StreamType

INT8 = IntType(8)
EXPONENTIALS = tuple(int(value) for value in np.rint(np.exp(-0.07 * np.arange(256)) * 2**30))
TWO_HUNDRED_FIFTY_FIFTH = float(np.float32(1 / 255)).as_integer_ratio()
STEPS = Quotient(EXPONENTIALS, TWO_HUNDRED_FIFTY_FIFTH[0], TWO_HUNDRED_FIFTY_FIFTH[1].bit_length() - 1)


def expected(rows: np.ndarray, quotient: Quotient, zero_point: int, output: IntType) -> np.ndarray:
    """By Python's integers, for rows along the last axis."""
    powers = np.array(quotient.exponentials, object)[rows.max(axis=-1, keepdims=True) - rows]
    doubled = powers << (quotient.places + 1)
    divisors = powers.sum(axis=-1, keepdims=True) * quotient.multiplier
    whole = doubled // 2 // divisors
    left = doubled - 2 * whole * divisors
    up = (left > divisors) | ((left == divisors) & (whole % 2 == 1))
    return np.clip((whole + up + zero_point).astype(np.int64), output.minimum, output.maximum)


def build(given_type, quotient, zero_point=0, output=INT8):
    made = replace(given_type, element=output)
    return build_between(
        given_type,
        made,
        lambda stream, reset: rounded_softmax("softmax", stream, quotient, zero_point, output, reset),
    )


@settings(max_examples=60, deadline=None)
@given(
    bits=st.integers(1, 8),
    signed=st.booleans(),
    row=st.integers(1, 13),
    rows=st.integers(1, 3),
    multiplier=st.integers(1, 1 << 24),
    places=st.integers(0, 50),
    exponential_bits=st.integers(1, 30),
    output=st.builds(IntType, st.integers(1, 16), st.booleans()),
    stall=st.sampled_from([0.0, 0.3, 0.8]),
    seed=st.integers(0, 2**16),
)
def test_is_the_quotient_rounded_once(
    bits, signed, row, rows, multiplier, places, exponential_bits, output, stall, seed
):
    assume(((1 << places) // multiplier).bit_length() <= 31)
    random, element = np.random.default_rng(seed), IntType(bits, signed=signed)
    table = np.sort(random.integers(0, 1 << exponential_bits, 1 << bits))[::-1]
    quotient = Quotient((max(1, int(table[0])), *(int(value) for value in table[1:])), multiplier, places)
    zero_point = int(random.integers(output.minimum, output.maximum, endpoint=True))
    source, sink = build(StreamType(element, row, rows), quotient, zero_point, output)
    assert not combinational_inputs()
    inputs = random.integers(element.minimum, element.maximum, (4, rows, row), endpoint=True)
    run = run_checked(inputs.reshape(4, -1), source, sink, stall=stall, seed=seed)
    np.testing.assert_array_equal(run.tensors, expected(inputs, quotient, zero_point, output).reshape(4, -1))
    if not stall:
        assert run.interval == rows * quotient.cycles(row)
        assert rows > 1 or run.latency == row + quotient.latency(row) + (row - 1) * quotient.element_cycles


def test_halves_go_to_even():
    """Equal elements: 1/2 of 1, 3, 5, ... steps."""
    for places in range(8):
        source, sink = build(StreamType(INT8, 2), Quotient(EXPONENTIALS, 1, places))
        wanted = int(np.rint(2.0 ** (places - 1)))
        assert run_checked(np.array([[5, 5]]), source, sink).tensors.tolist() == [[min(wanted, 127)] * 2]
    source, sink = build(StreamType(INT8, 2), Quotient(EXPONENTIALS, 7, 4), -3)
    assert run_checked(np.array([[5, 5]]), source, sink).tensors.tolist() == [[1 - 3] * 2]
    halves = {multiplier: int(np.rint(16 / multiplier)) for multiplier in (32, 3, 5)}
    for multiplier, wanted in halves.items():
        source, sink = build(StreamType(INT8, 1), Quotient(EXPONENTIALS, multiplier, 4))
        assert run_checked(np.array([[5]]), source, sink).tensors.tolist() == [[wanted]]


@pytest.mark.parametrize("reset_cycle", [2, 9, 30, 70, 150])
def test_reset_at_any_time_leaves_a_working_unit(reset_cycle):
    source, sink = build(StreamType(INT8, 6), STEPS, -128)
    inputs = np.random.default_rng(1).integers(-128, 128, (3, 6))
    run = run_checked(inputs, source, sink, stall=0.2, seed=reset_cycle, resets=(reset_cycle,))
    np.testing.assert_array_equal(run.tensors, expected(inputs, STEPS, -128, INT8))


def test_a_row_of_twelve_takes_sixteen_cycles_an_element():
    assert STEPS.bits == 8
    assert STEPS.cycles(12) / 12 < 20


def test_synthesised_it_is_exact_and_takes_no_multiplier(tmp_path):
    source, sink = build(StreamType(INT8, 5), STEPS, -128)
    inputs = np.random.default_rng(2).integers(-60, 60, (6, 5))
    gates, tensors = synthesized_stream(inputs, source, sink, tmp_path)
    np.testing.assert_array_equal(tensors, expected(inputs, STEPS, -128, INT8))
    assert gates.cells["DSP48E1"] == 0


def test_what_it_does_not_take():
    with pytest.raises(HardwareError, match="one lane"):
        build(StreamType(INT8, 6, lanes=2), STEPS)
    with pytest.raises(HardwareError, match="65537 elements"):
        build(StreamType(INT8, 65537), STEPS)
    with pytest.raises(HardwareError, match="16 exponentials"):
        build(StreamType(IntType(4), 6), STEPS)
    with pytest.raises(HardwareError, match="none is larger"):
        build(StreamType(IntType(1), 6), Quotient((1, 2), 1, 8))
