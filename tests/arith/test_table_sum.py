"""Sums of two tables and slopes: equal to the function on every pair, and an error where none can be."""

import numpy as np
import pytest

from bitloom.arith import Interval, Rescale, Rounding
from bitloom.arith.slopes import Products, slopes
from bitloom.arith.table_sum import LARGEST_SHIFT, table_sum
from bitloom.errors import ArithmeticDomainError

NIBBLE = np.arange(-8, 8)
CLAMP = Interval(-8, 7)


def halves_away(values: np.ndarray) -> np.ndarray:
    return (np.sign(values) * np.floor(np.abs(values) + 0.5)).astype(np.int64)


@pytest.mark.parametrize("seed", range(40))
def test_every_sum(seed: int) -> None:
    """Random scales, and multiples of 1/8, whose sums are halves again and again; also differences."""
    rng = np.random.default_rng(seed)
    one, other = rng.uniform(0.05, 2, 2) if seed % 2 else rng.integers(1, 16, 2) / 8
    other *= rng.choice([-1, 1])
    zero = int(rng.integers(-6, 6))
    wanted = np.clip(halves_away(one * NIBBLE[:, None] + other * NIBBLE) + zero, CLAMP.low, CLAMP.high)
    found = table_sum(wanted, CLAMP, one * NIBBLE, other * NIBBLE + zero + 0.5)
    np.testing.assert_array_equal(found.results(), wanted)
    # Sixteen upper conditions at most on a cycle.
    assert 0 <= found.shift <= 4 <= LARGEST_SHIFT


def test_what_is_no_sum_is_an_error() -> None:
    wanted = np.array([[0, 1], [1, 0]])
    with pytest.raises(ArithmeticDomainError, match="no sum of two tables"):
        table_sum(wanted, Interval(-8, 7), np.zeros(2), np.zeros(2))


@pytest.mark.parametrize("seed", range(40))
def test_every_product(seed: int) -> None:
    """Double rounding at random multipliers and at those that make halves."""
    rng = np.random.default_rng(seed)
    multiplier = float(rng.uniform(0.02, 1.5) if seed % 2 else rng.integers(1, 12) / 2.0 ** rng.integers(2, 6))
    rescale = Rescale((multiplier,), Rounding.DOUBLE)
    left, right = NIBBLE - int(rng.integers(-8, 8)), NIBBLE - int(rng.integers(-8, 8))
    zero = int(rng.integers(-6, 6))
    outputs = np.clip(rescale.apply(left[:, None] * right) + zero, CLAMP.low, CLAMP.high)
    wanted = Products(left, right, outputs, np.ones(outputs.shape, np.bool_), zero, CLAMP)
    found = slopes(wanted, [-int(rescale.fixed_point()[1][0])])
    np.testing.assert_array_equal(found.outputs(wanted), outputs)
    assert found.weights.min() >= 0


def test_what_is_no_product_is_an_error() -> None:
    outputs = np.array([[0, 5], [5, 0]])
    wanted = Products(np.array([1, 2]), np.array([1, 2]), outputs, np.ones((2, 2), np.bool_), 0, CLAMP)
    with pytest.raises(ArithmeticDomainError, match="no weights"):
        slopes(wanted, [])
