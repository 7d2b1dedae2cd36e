"""Weights as stored bits and digits: every set of narrow weights, and how few bits they take."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitloom.hw.weight_code import WeightCode, fixed_digits


@given(st.sets(st.integers(-300, 300), min_size=1))
def test_digits_are_the_weight_whatever_the_set(values):
    weights = np.array(sorted(values), np.int64)
    code = WeightCode.of(values)
    digits = code.digit_values(weights)
    total = sum(part << digit.exponent for part, digit in zip(digits, code.digits, strict=True))
    np.testing.assert_array_equal(total, weights)
    stored = code.encode(weights)
    assert 0 <= stored.min() <= stored.max() < 1 << code.bits
    assert all(value == 0 or abs(value).bit_count() == 1 for digit in code.digits for value in digit.values)
    assert all(len(digit.values) == 1 << len(digit.positions) for digit in code.digits)


@given(st.sets(st.sampled_from([0, *(sign << place for place in range(9) for sign in (1, -1))]), min_size=1))
def test_powers_of_two_are_a_choice_or_cheaper(values):
    code = WeightCode.of(values)
    assert code.is_single or len(values) > 4


@pytest.mark.parametrize(
    ("values", "bits", "digits"),
    [
        ([-1, 1], 1, 1),
        ([0, 1], 1, 1),
        ([-64, 64], 1, 1),
        ([8], 1, 1),
        ([-1, 0, 1], 2, 1),
        ([-2, -1, 0, 1], 2, 1),
        ([0, 1, -1, 2, -2, 4, -4], 3, 1),
        ([0, 1, -1, 2, -2, 4, -4, 8, -8, 16, -16], 4, 1),
        (range(-4, 4), 3, 2),
        (range(-8, 8), 4, 2),
        (range(16), 5, 3),
        (range(-128, 128), 8, 4),
    ],
)
def test_how_weights_are_stored(values, bits, digits):
    code = WeightCode.of(values)
    assert (code.bits, len(code.digits)) == (bits, digits)
    assert code.is_single == (digits == 1)


def test_signs_of_logarithmic_weights_are_a_bit_of_their_own():
    (digit,) = WeightCode.of([0, 1, -1, 2, -2, 4, -4]).digits
    assert digit.values == (0, 1, 2, 4, 0, -1, -2, -4)


@given(st.integers(-(1 << 15), (1 << 15) - 1))
def test_weights_that_never_change_have_no_more_digits(weight):
    digits = fixed_digits(weight)
    assert sum(sign << exponent for exponent, sign in digits) == weight
    assert len(digits) <= len(WeightCode.of([weight]).digits)
