"""The promise behind reproducible training: sums that do not depend on their order."""

import math
import os
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitloom.train.exact import (
    cosine_decay,
    exact_column_sums,
    exact_matmul,
    exp_of_negative,
    on_grid,
    softmax,
)


def wide(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Numbers over many orders of magnitude, where float sums depend on their order."""
    random = np.random.default_rng(seed)
    return random.normal(size=shape) * 10.0 ** random.integers(-6, 6, shape)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20), st.integers(1, 30))
def test_on_grid_rounds_to_few_multiples_of_one_step(values: list[float], bits: int) -> None:
    array = np.array(values)
    rounded = on_grid(array, bits)
    largest = np.abs(array).max()
    if largest == 0:
        assert (rounded == 0).all()
        return
    step = Fraction(2) ** (math.frexp(largest)[1] - bits)
    for before, after in zip(values, rounded.tolist(), strict=True):
        multiple = Fraction(after) / step
        assert multiple.denominator == 1
        assert abs(multiple) <= 2**bits
        assert abs(Fraction(after) - Fraction(before)) <= step / 2


@pytest.mark.parametrize("inner", [1, 2, 3, 64, 129, 1000])
def test_products_are_exact(inner: int) -> None:
    a, b = wide((3, inner), 1), wide((inner, 4), 2)
    bits = (53 - max(inner - 1, 0).bit_length()) // 2
    grid_a, grid_b = on_grid(a, bits), on_grid(b, bits)
    product = exact_matmul(a, b)
    for row in range(3):
        for column in range(4):
            exact = sum(Fraction(x) * Fraction(y) for x, y in zip(grid_a[row], grid_b[:, column], strict=True))
            assert Fraction(product[row, column]) == exact
    # What is lost is small against the largest terms of the sum.
    largest = np.abs(a).max() * np.abs(b).max()
    assert np.abs(product - a @ b).max() <= inner * largest * 2.0 ** (1 - bits)


def test_products_do_not_depend_on_the_order_of_the_sum() -> None:
    a, b = wide((20, 500), 3), wide((500, 20), 4)
    plain_differs = False
    for seed in range(10):
        order = np.random.default_rng(seed).permutation(500)
        np.testing.assert_array_equal(exact_matmul(a[:, order], b[order]), exact_matmul(a, b))
        plain_differs |= not np.array_equal(a[:, order] @ b[order], a @ b)
    assert plain_differs  # otherwise this test shows nothing


def test_column_sums_do_not_depend_on_the_order() -> None:
    values = wide((1000, 7), 5)
    sums = exact_column_sums(values)
    for seed in range(10):
        np.testing.assert_array_equal(exact_column_sums(values[np.random.default_rng(seed).permutation(1000)]), sums)
    np.testing.assert_allclose(sums, values.sum(axis=0), atol=np.abs(values).max() * 1e-9)


@settings(max_examples=200, deadline=None)
@given(st.floats(-700, 0))
def test_exp_is_within_a_few_units_in_the_last_place(x: float) -> None:
    assert exp_of_negative(np.array([x]))[0] == pytest.approx(math.exp(x), rel=2e-15, abs=0)


def test_exp_at_its_ends() -> None:
    assert exp_of_negative(np.array([0.0, -0.0])).tolist() == [1, 1]
    assert 0 < exp_of_negative(np.array([-1e9]))[0] < 1e-300


def test_softmax_is_softmax_and_treats_classes_alike() -> None:
    logits = np.random.default_rng(6).normal(scale=5, size=(50, 10))
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities = softmax(logits)
    np.testing.assert_allclose(probabilities, exponentials / exponentials.sum(1, keepdims=True), atol=1e-12)
    order = np.random.default_rng(7).permutation(10)
    np.testing.assert_array_equal(softmax(logits[:, order]), probabilities[:, order])


def test_cosine_decay_is_half_a_cosine() -> None:
    for progress in np.linspace(0, 1, 101):
        assert cosine_decay(progress) == pytest.approx((1 + math.cos(math.pi * progress)) / 2, abs=1e-14)
        assert cosine_decay(progress) >= 0


SHORT_TRAINING = """
import hashlib
from bitloom.data import load_dataset
from bitloom.train import train
trained = train(load_dataset("digits"), epochs=2, quantized_epochs=2)
print(hashlib.sha256(trained.float_model + trained.int8_model).hexdigest())
"""


def test_other_processors_train_the_same_network() -> None:
    """An old processor is imitated: other BLAS kernels (they add in another order), no vector units in NumPy."""
    vector_units = " ".join(np._core._multiarray_umath.__cpu_dispatch__)  # type: ignore[attr-defined]
    imitations: list[dict[str, str]] = [
        {},
        {"OPENBLAS_CORETYPE": "Prescott", "NPY_DISABLE_CPU_FEATURES": vector_units, "OPENBLAS_NUM_THREADS": "1"},
        {"OPENBLAS_CORETYPE": "Haswell", "OPENBLAS_NUM_THREADS": "2"},
    ]
    digests = {
        subprocess.run(
            [sys.executable, "-W", "ignore", "-c", SHORT_TRAINING],
            env={**os.environ, **imitation},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for imitation in imitations
    }
    assert len(digests) == 1
