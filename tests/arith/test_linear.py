"""Integer products through floating point, against Python's integers."""

import numpy as np
import pytest

from bitloom.arith.linear import exact_matmul


@pytest.mark.parametrize("limit", [2**3, 2**11, 2**12, 2**13, 2**24, 2**26, 2**30])
def test_equal_to_python_at_every_magnitude(limit):
    # Products reach limit**2 * 7: on both sides of the binary32 and binary64 thresholds.
    random = np.random.default_rng(limit)
    left, right = random.integers(-limit, limit + 1, (2, 3, 7)), random.integers(-limit, limit + 1, (7, 4))
    left[0, 0], right[:, 0] = limit, limit - 1
    magnitude = int((np.abs(left).astype(object) @ np.abs(right).astype(object)).max())
    expected = left.astype(object) @ right.astype(object)
    result = exact_matmul(left, right, magnitude)
    assert result.dtype == np.int64
    assert (result == expected).all()


@pytest.mark.parametrize("magnitude", [2**24 - 1, 2**53 - 1])
def test_exact_just_below_the_thresholds(magnitude):
    left = np.array([[magnitude - 2, 1, 1]])
    assert exact_matmul(left, np.ones((3, 1), np.int64), magnitude).item() == magnitude


def test_stacks_of_matrices():
    random = np.random.default_rng(0)
    left, right = random.integers(-9, 10, (3, 4, 5)), random.integers(-9, 10, (3, 5, 2))
    assert (exact_matmul(left.astype(np.float32), right, 81 * 5) == left @ right).all()


@pytest.mark.parametrize("pixels", [1, 6, 7, 8, 100])
@pytest.mark.parametrize("magnitude", [2**20, 2**40, 2**60])
def test_products_cut_into_rows(pixels, magnitude):
    # 2**18 // (576 * 64) is 7 rows.
    random = np.random.default_rng(pixels)
    left, right = random.integers(-9, 10, (pixels, 576)), random.integers(-9, 10, (64, 576)).T
    expected = left @ right
    assert (exact_matmul(left, right, magnitude) == expected).all()
    assert (exact_matmul(left[None, :, None], right, magnitude) == expected[None, :, None]).all()


def test_empty_sums_are_zero():
    assert exact_matmul(np.zeros((5, 0), np.int8), np.zeros((0, 3), np.int8), 0).tolist() == [[0] * 3] * 5
