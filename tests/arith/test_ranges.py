"""Intervals and the range of a dot product, against all values they stand for."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitloom.arith import Interval, dot_product_range
from bitloom.errors import ArithmeticDomainError

intervals = st.tuples(st.integers(-9, 9), st.integers(0, 9)).map(lambda pair: Interval(pair[0], sum(pair)))


def members(interval):
    return set(range(interval.low, interval.high + 1))


def test_an_empty_interval_is_refused():
    with pytest.raises(ArithmeticDomainError, match="low end 3"):
        Interval(3, 2)


@given(intervals, intervals)
def test_sum_and_union_are_the_smallest_intervals(one, two):
    sums = {a + b for a in members(one) for b in members(two)}
    assert members(one + two) == sums
    both = members(one) | members(two)
    assert one.union(two) == Interval(min(both), max(both))


@given(intervals)
def test_widths(interval):
    assert interval.type.contains(interval.low, interval.high)
    bits = interval.signed_bits
    assert -(2 ** (bits - 1)) <= interval.low
    assert interval.high < 2 ** (bits - 1)
    # One bit less would not do, where there is one to take away.
    assert bits <= 2 or interval.low < -(2 ** (bits - 2)) or interval.high >= 2 ** (bits - 2)


@given(
    st.integers(1, 3).flatmap(
        lambda terms: st.tuples(
            st.lists(st.lists(st.integers(-5, 5), min_size=terms, max_size=terms), min_size=1, max_size=3),
            st.tuples(st.integers(-4, 4), st.integers(0, 4)),
            st.lists(st.integers(-50, 50), min_size=3, max_size=3),
        )
    )
)
def test_dot_product_range_is_attained(drawn):
    rows, (start, length), biases = drawn
    weights, bias, inputs = np.array(rows), np.array(biases[: len(rows)]), Interval(start, start + length)
    low, high = dot_product_range(weights, bias, inputs)
    points = np.array(list(itertools.product(members(inputs), repeat=weights.shape[1])))
    results = points @ weights.T + bias
    assert low.tolist() == results.min(axis=0).tolist()
    assert high.tolist() == results.max(axis=0).tolist()


@given(
    st.lists(st.integers(-127, 127), min_size=1, max_size=20),
    st.integers(-1000, 1000),
    st.data(),
)
def test_partial_sums_in_any_order_stay_within_the_range_widened_by_zero_and_bias(row, bias, data):
    inputs = Interval(-128, 127)
    low, high = dot_product_range(np.array([row]), np.array([bias]), inputs)
    bounds = Interval(int(low[0]), int(high[0])).union(Interval(min(0, bias), max(0, bias)))
    values = data.draw(st.lists(st.sampled_from([-128, 0, 127]), min_size=len(row), max_size=len(row)))
    terms = data.draw(st.permutations([weight * value for weight, value in zip(row, values, strict=True)]))
    for total in itertools.accumulate([bias, *terms]):
        assert bounds.low <= total <= bounds.high
