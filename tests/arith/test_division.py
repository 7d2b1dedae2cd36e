"""Means' roundings against their definitions in fractions; narrowing finds circuits for both."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitloom.arith import Interval, narrow
from bitloom.arith.division import Division, MeanRescale, divide
from bitloom.arith.rescale import quantize_multiplier
from bitloom.errors import ArithmeticDomainError


def half_away(value: Fraction) -> int:
    return int(math.copysign(math.floor(abs(value) + Fraction(1, 2)), value))


@given(value=st.integers(-(2**30), 2**30), count=st.integers(1, 2**16))
def test_division_rounds_halves_away(value: int, count: int) -> None:
    expected = half_away(Fraction(value, count))
    assert Division.by(count).apply(value).item() == expected
    assert divide(np.array(value), np.array(count)).item() == expected


def test_division_keeps_the_integers_given() -> None:
    assert divide(np.array([7, -7], np.int32), np.array([2], np.int32)).dtype == np.int32


@given(
    value=st.integers(-(2**20), 2**20),
    count=st.integers(1, 5000),
    ratio=st.floats(2.0**-40, 8) | st.sampled_from([1.0, 0.5, 2.0, 1.5]),
)
def test_mean_rounds_twice_after_cutting_its_multiplier(value: int, count: int, ratio: float) -> None:
    multiplier, shift = quantize_multiplier(ratio)
    left = min(int(math.log2(count)), 31 + shift)
    multiplier, shift = (multiplier << left) // count, shift - left
    high = (value << max(shift, 0)) * multiplier
    # The first rounding sends halves up, the second away from zero.
    first = math.floor(Fraction(high, 2**31) + Fraction(1, 2))
    assert MeanRescale.of(ratio, count).apply(value).item() == half_away(Fraction(first, 2 ** max(-shift, 0)))


@pytest.mark.parametrize("counts", [(1,), (2,), (9,), (49,), (64,), (4, 6, 9), (1, 2, 3, 4, 6, 9)])
def test_division_has_a_narrow_circuit(counts: tuple[int, ...]) -> None:
    division, sizes = Division.by(*counts), np.array(counts)
    narrowed = narrow(division, -128 * sizes, 127 * sizes, 0, Interval(-128, 127))
    for channel, count in enumerate(counts):
        sums = np.arange(-128 * count, 127 * count + 1)
        columns = np.zeros((len(sums), len(counts)), np.int64)
        columns[:, channel] = sums
        got = narrowed.apply(columns if len(counts) > 1 else sums).reshape(len(sums), -1)[:, channel]
        np.testing.assert_array_equal(got, division.channel(channel).apply(sums))
    assert narrowed.multiplier_bits <= 14


@pytest.mark.parametrize("count", [1, 3, 49, 64, 125])
@pytest.mark.parametrize("ratio", [1.0, 0.5, 1.37])
def test_mean_has_a_narrow_circuit(count: int, ratio: float) -> None:
    mean, sums = MeanRescale.of(ratio, count), np.arange(-255 * count, 255 * count + 1)
    narrowed = narrow(mean, sums[0], sums[-1], 3, Interval(-128, 127))
    np.testing.assert_array_equal(narrowed.apply(sums), np.clip(mean.apply(sums) + 3, -128, 127))
    assert mean.channel(0) == mean


def test_no_count_is_refused() -> None:
    with pytest.raises(ArithmeticDomainError):
        Division.by(3, 0)
    with pytest.raises(ArithmeticDomainError):
        MeanRescale.of(1.0, 0)
