"""The fixed-point primitives against exact fractions, and the functions against real arithmetic."""

import math
from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from rounding_definitions import half_away, half_up

from bitloom.arith.fixed_point import (
    divide_by_power,
    exponential,
    fixed,
    multiply_by_power,
    multiply_high,
    one_over_one_plus,
    reciprocal,
)

INT32_MIN, INT32_MAX = -(2**31), 2**31 - 1
int32 = st.one_of(st.integers(INT32_MIN, INT32_MAX), st.sampled_from([INT32_MIN, INT32_MIN + 1, -1, 0, 1, INT32_MAX]))


@given(int32, int32)
def test_multiply_high_rounds_halves_up_and_saturates(left, right):
    expected = min(half_up(Fraction(left * right, 2**31)), INT32_MAX)
    assert multiply_high(left, right).item() == expected


@given(int32, st.integers(0, 31))
def test_divide_by_power_rounds_halves_away_from_zero(value, exponent):
    assert divide_by_power(value, exponent).item() == half_away(Fraction(value, 2**exponent))


def test_divide_by_power_on_small_numbers():
    for exponent in range(6):
        values = np.arange(-100, 100)
        assert divide_by_power(values, exponent).tolist() == [half_away(Fraction(int(v), 2**exponent)) for v in values]


@given(int32, st.integers(0, 8))
def test_multiply_by_power_saturates(value, exponent):
    assert multiply_by_power(value, exponent).item() == max(INT32_MIN, min(INT32_MAX, value * 2**exponent))


@given(st.floats(-1, 1), st.integers(0, 5))
def test_fixed_is_the_nearest(real, integer_bits):
    expected = half_up(Fraction(real) * 2 ** (31 - integer_bits))
    assert fixed(real, integer_bits) == min(expected, INT32_MAX)


def test_exponential_is_close_and_monotone():
    raw = -np.unique(np.geomspace(1, 2**31 - 1, 5000).astype(np.int64))[::-1]
    result = exponential(raw, 5) / 2**31
    # What the fourth power leaves out of the series: (1/8)**5 / 120.
    assert np.abs(result - np.exp(raw / 2**26)).max() < 2.6e-7
    assert (np.diff(result) >= -2e-9).all()
    assert exponential(0, 5).item() == INT32_MAX


def test_one_over_one_plus_is_close():
    raw = np.linspace(0, 2**31 - 1, 5001).astype(np.int64)
    assert np.abs(one_over_one_plus(raw) / 2**31 - 1 / (1 + raw / 2**31)).max() < 2e-8


def test_reciprocal_is_close():
    raw = np.unique(np.geomspace(1, 2**31 - 1, 5000).astype(np.int64))
    mantissa, bits = reciprocal(raw, 12)
    result = mantissa * 2.0 ** (-31 - bits)
    exact = 1 / (raw / 2**19)
    assert (np.abs(result - exact) <= 1e-7 * exact).all()
    assert math.isclose(exact[0], 2**19)
