"""What each rule cuts off."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from bitloom.quantize.options import RANGES
from bitloom.quantize.ranges import Grid, activation_range, power_of_two_above, squared_error
from bitloom.quantize.statistics import TensorStatistics

GRID = Grid(8)


def statistics(values: np.ndarray) -> TensorStatistics:
    return TensorStatistics.of(values.astype(np.float32), histogram=True)


def bounds(values: np.ndarray, method: str, grid: Grid = GRID, percentile: float = 99.0) -> tuple[float, float]:
    return activation_range(statistics(values), method, grid, percentile=percentile)


@pytest.fixture(scope="module")
def tails() -> np.ndarray:
    """A normal distribution and one far outlier on either side."""
    values = np.random.default_rng(0).normal(0, 1, 100_000)
    values[:2] = -40, 60
    return values


def test_min_max_is_everything(tails) -> None:
    assert bounds(tails, "min-max") == (-40, 60)


@pytest.mark.parametrize("method", RANGES)
def test_zero_is_inside(method) -> None:
    low, high = bounds(np.array([3.0, 4.0, 5.0]), method)
    assert low == 0
    assert 2.5 < high <= 5
    low, high = bounds(np.array([-3.0, -4.0]), method)
    assert high == 0
    assert -4 <= low < -2.5


@pytest.mark.parametrize("method", ["percentile", "mse", "entropy"])
def test_outliers_are_cut_off(tails, method) -> None:
    low, high = bounds(tails, method, Grid(4))
    assert -8 < low < -1.5
    assert 1.5 < high < 8


@pytest.mark.parametrize("percentile", [90.0, 99.0, 99.9])
def test_percentile_is_numpys(tails, percentile) -> None:
    low, high = bounds(tails, "percentile", percentile=percentile)
    width = (60 + 40) / 2048
    assert high == pytest.approx(np.percentile(tails, percentile), abs=2 * width)
    assert low == pytest.approx(np.percentile(tails, 100 - percentile), abs=2 * width)


def test_hundred_percent_is_everything(tails) -> None:
    assert bounds(tails, "percentile", percentile=100.0) == (-40, 60)


@pytest.mark.parametrize(("bits", "symmetric"), list(itertools.product((2, 3, 4, 8), (False, True))))
def test_mse_is_the_least_of_all_candidates(bits, symmetric) -> None:
    values = np.random.default_rng(1).laplace(0.2, 1, 2000)
    grid = Grid(bits, symmetric)
    counts = np.ones(values.size)
    found = squared_error(counts, values, bounds(values, "mse", grid), grid)
    shares = np.linspace(1, 0.05, 40)
    lows, highs = (shares * values.min(), shares * values.max())
    ends = zip(lows, highs, strict=True) if symmetric else itertools.product(lows, highs)
    assert found <= 1.02 * min(squared_error(counts, values, end, grid) for end in ends)


def test_error_is_that_of_integers() -> None:
    values = np.array([-0.9, 0.2, 0.7, 5.0])
    # Four levels of one third: -1/3 to 2/3.
    expected = sum((value - level) ** 2 for value, level in zip(values, (-1 / 3, 1 / 3, 2 / 3, 2 / 3), strict=True))
    assert squared_error(np.ones(4), values, (-0.3, 0.7), Grid(2)) == pytest.approx(expected)
    expected = sum((value - level) ** 2 for value, level in zip(values, (-0.5, 0.0, 0.5, 0.5), strict=True))
    assert squared_error(np.ones(4), values, (-0.3, 0.5), Grid(2, symmetric=True)) == pytest.approx(expected)


@pytest.mark.parametrize("scale", [0.3, 0.25, 1e-9, 7.0])
def test_powers_of_two(scale) -> None:
    power = power_of_two_above(scale)
    assert scale <= power < 2 * scale
    assert np.log2(power).is_integer()


@pytest.mark.parametrize("method", RANGES)
def test_a_value_that_is_there_over_and_over(method) -> None:
    """What a filter makes of a black background: half of everything, near zero."""
    values = np.abs(np.random.default_rng(0).normal(0, 1, 100_000))
    low, high = bounds(np.concatenate([values, np.full(100_000, 0.013)]), method)
    assert low == 0
    assert high > 2
