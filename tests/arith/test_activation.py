"""Fused activations as clamps."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitloom.arith import Interval, IntType
from bitloom.arith.activation import FUSED_ACTIVATIONS, activation_range, quantize_real
from bitloom.errors import ArithmeticDomainError


@pytest.mark.parametrize(
    ("activation", "scale", "zero_point", "expected"),
    [
        ("NONE", 0.5, 3, Interval(-128, 127)),
        ("RELU", 0.5, -128, Interval(-128, 127)),
        ("RELU", 0.5, 3, Interval(3, 127)),
        ("RELU6", 0.05, -128, Interval(-128, -8)),
        ("RELU6", 0.02, -100, Interval(-100, 127)),
        ("RELU_N1_TO_1", 0.25, 10, Interval(6, 14)),
        # Halves go away from zero: -1 / 0.4 = -2.5.
        ("RELU_N1_TO_1", 0.4, 0, Interval(-3, 3)),
    ],
)
def test_clamps_of_int8(activation, scale, zero_point, expected):
    assert activation_range(activation, scale, zero_point, IntType(8)) == expected


def test_every_activation_stays_within_the_type():
    for activation in FUSED_ACTIVATIONS:
        bounds = activation_range(activation, 0.001, -7, IntType(4))
        assert IntType(4).contains(bounds.low, bounds.high)


@given(st.floats(-8, 8, width=32), st.floats(2.0**-20, 4, width=32), st.integers(-128, 127))
def test_quantize_real_rounds_the_binary32_quotient_half_away(real, scale, zero_point):
    ratio = Fraction(float(np.float32(real) / np.float32(scale)))
    nearest = math.floor(abs(ratio) + Fraction(1, 2))
    assert quantize_real(real, scale, zero_point) == zero_point + (nearest if ratio >= 0 else -nearest)


def test_a_scale_too_small_for_the_bound_is_refused():
    with pytest.raises(ArithmeticDomainError, match="scale"):
        activation_range("RELU6", 1e-45, 0, IntType(8))
