"""Scales and zero points."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitloom.arith import IntType
from bitloom.quantize.scales import activation_quantization

ends = st.floats(0, 1e6, width=32).filter(lambda end: end == 0 or end > 1e-6)


@given(ends, ends, st.sampled_from([2, 3, 4, 7, 8]))
def test_ranges_are_covered(low, high, bits) -> None:
    if not low and not high:
        return
    element = IntType(bits)
    quantization = activation_quantization((-low, high), element)
    scale, zero_point = quantization.scale, quantization.zero_point
    assert float(np.float32(scale)) == scale
    assert element.contains(zero_point, zero_point)
    # Rounding the zero point moves the range by half a step at most.
    assert scale * (element.minimum - zero_point) <= -low + 0.51 * scale
    assert scale * (element.maximum - zero_point) >= high - 0.51 * scale


@pytest.mark.parametrize("bits", [4, 8, 9, 16])
def test_symmetric(bits) -> None:
    quantization = activation_quantization((-1.0, 3.0), IntType(bits), symmetric=True)
    assert quantization.zero_point == 0
    assert quantization.scale == pytest.approx(3 / (2 ** (bits - 1) - 1), rel=1e-6)


def test_wide_ones_are_symmetric() -> None:
    assert activation_quantization((0.0, 3.0), IntType(16)).zero_point == 0


def test_powers_of_two_cover_the_range() -> None:
    assert activation_quantization((-1.0, 1.1), IntType(8), power_of_two=True).scale == 1 / 64
    assert activation_quantization((0.0, 255 / 256), IntType(8), power_of_two=True).scale == 1 / 256


def test_rectified_ranges_use_every_integer() -> None:
    assert activation_quantization((0.0, 2.55), IntType(8)).zero_point == -128
    assert activation_quantization((-2.55, 0.0), IntType(8)).zero_point == 127
