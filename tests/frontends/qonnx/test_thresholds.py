"""Where functions of integers and of binary32 numbers step: looked at everywhere, and found by bisection."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitloom.errors import UnsupportedError
from bitloom.frontends.qonnx import thresholds as qonnx_thresholds
from bitloom.frontends.qonnx.thresholds import FLOAT_KEYS, Pieces, find_pieces, floats_of


def values_of(pieces: Pieces, keys: np.ndarray) -> np.ndarray:
    """What the pieces say, shape (keys, channels)."""
    found = zip(pieces.starts, pieces.values, strict=True)
    return np.stack([values[np.searchsorted(starts, keys, side="right")] for starts, values in found], axis=1)


@st.composite
def affine_steps(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, int]:
    channels = draw(st.integers(1, 3))
    factors = draw(st.lists(st.sampled_from([-3.5, -0.7, -0.01, 0.0, 0.02, 0.3, 1.0, 8.0]), min_size=3, max_size=3))
    offsets = draw(st.lists(st.floats(-50, 50, width=32), min_size=3, max_size=3))
    return np.array(factors[:channels], np.float32), np.array(offsets[:channels], np.float32), draw(st.integers(1, 60))


@given(affine_steps(), st.integers(-200, 0), st.integers(0, 200))
def test_bisection_finds_what_looking_everywhere_does(
    steps: tuple[np.ndarray, np.ndarray, int], low: int, high: int
) -> None:
    factors, offsets, limit = steps

    def evaluate(keys: np.ndarray, channels: np.ndarray) -> np.ndarray:
        reals = keys.astype(np.float32) * factors[channels] + offsets[channels]
        return np.rint(np.clip(reals, -limit, limit)).astype(np.int64)

    channels = np.arange(len(factors))
    ends = np.full(len(factors), low), np.full(len(factors), high)
    direction = np.where(factors < 0, -1, 1)
    keys = np.arange(low, high + 1)
    expected = evaluate(keys[:, None].repeat(len(factors), axis=1), channels)
    everywhere = find_pieces(evaluate, *ends, None)
    bisected = qonnx_thresholds._bisected(evaluate, *ends, direction)
    for pieces in (everywhere, bisected):
        np.testing.assert_array_equal(values_of(pieces, keys), expected)
        assert all((np.diff(starts) > 0).all() for starts in pieces.starts)
        assert all((np.diff(values) != 0).all() for values in pieces.values)
    starts, values = everywhere.padded(high)
    assert starts.shape[1] + 1 == values.shape[1]


def test_floats_are_found_to_the_last_place() -> None:
    """The number from which on 3x - 1 rounds to 1, in binary32."""

    def evaluate(keys: np.ndarray, channels: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore"):
            reals = floats_of(keys) * np.float32(3) - np.float32(1)
        return np.rint(np.clip(reals, 0, 1)).astype(np.int64)

    end = np.array([FLOAT_KEYS])
    pieces = find_pieces(evaluate, -end, end, np.array([1]))
    (start,) = floats_of(pieces.starts[0])
    below = np.nextafter(start, np.float32(0))
    assert np.rint(start * np.float32(3) - np.float32(1)) == 1
    assert np.rint(below * np.float32(3) - np.float32(1)) == 0


def test_keys_are_in_the_order_of_numbers() -> None:
    keys = np.array([-FLOAT_KEYS, -1000, -1, 0, 1, 1000, FLOAT_KEYS])
    floats = floats_of(keys)
    assert (np.diff(floats) > 0).all()
    assert floats[-1] == np.finfo(np.float32).max
    assert floats[0] == -floats[-1]


def test_limits() -> None:
    many = np.array([1 << 40])
    with pytest.raises(UnsupportedError, match="not known to be monotone"):
        find_pieces(lambda keys, _: keys * 0, -many, many, None)
    with pytest.raises(UnsupportedError, match="different steps"):
        find_pieces(lambda keys, _: keys, -many, many, np.array([1]))
