"""Histograms: parts add up to the whole, whatever the parts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitloom.quantize.statistics import Histogram, TensorStatistics

numbers = st.lists(
    st.floats(-1e6, 1e6, width=32).filter(lambda number: number == 0 or abs(number) > 1e-20), min_size=1, max_size=30
)


def as_array(values: list[float]) -> np.ndarray:
    return np.array(values, np.float32)


@settings(deadline=None)
@given(st.lists(numbers, min_size=1, max_size=5))
def test_parts_add_up(parts: list[list[float]]) -> None:
    added = Histogram.of(as_array(parts[0]))
    for part in parts[1:]:
        added = added.plus(Histogram.of(as_array(part)))
    every = as_array([number for part in parts for number in part])
    assert added.zeros == int((every == 0).sum())
    assert added.counts.sum() == (every != 0).sum()
    assert added.counts.size <= 4096
    assert added.sums.sum() == pytest.approx(every.astype(np.float64).sum(), rel=1e-9, abs=1e-6)
    edges = added.edges
    for index in np.flatnonzero(added.counts):
        inside = every[(every >= edges[index]) & (every < edges[index + 1]) & (every != 0)]
        assert inside.size == added.counts[index]


def test_order_does_not_matter() -> None:
    rng = np.random.default_rng(3)
    parts = [Histogram.of(rng.normal(0, scale, 100).astype(np.float32)) for scale in (1, 300, 1e-3)]
    one = parts[0].plus(parts[1]).plus(parts[2])
    other = parts[2].plus(parts[0].plus(parts[1]))
    assert one.exponent == other.exponent
    assert one.first == other.first
    assert np.array_equal(one.counts, other.counts)


def test_zeros_only() -> None:
    zeros = Histogram.of(np.zeros(7, np.float32))
    assert zeros.zeros == 7
    assert zeros.counts.size == 0
    more = zeros.plus(Histogram.of(np.ones(2, np.float32))).plus(zeros)
    assert more.zeros == 14
    assert more.counts.sum() == 2


def test_extremes() -> None:
    statistics = TensorStatistics.of(np.array([3, -2], np.float32), histogram=False)
    both = statistics.plus(TensorStatistics.of(np.array([7.5], np.float32), histogram=False))
    assert (both.low, both.high, both.histogram) == (-2.0, 7.5, None)
