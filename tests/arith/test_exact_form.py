"""Exact roundings of accumulators of any width, and their forms written down where outputs are too wide for steps."""

import numpy as np
import pytest

from bitloom.arith import Interval, Rescale, narrow
from bitloom.arith.rescale import EXACT
from bitloom.errors import ArithmeticDomainError

INT8 = Interval(-128, 127)


@pytest.mark.parametrize("rounding", sorted(EXACT, key=str))
def test_exact_roundings_take_accumulators_wider_than_int32(rounding):
    rescale = Rescale((181 * 2.0**-34, 3 * 2.0**-29), rounding)
    reach = 2**41
    narrowed = narrow(rescale, [-reach, -1000], [reach - 1, reach], 3, INT8)
    rng = np.random.default_rng(3)
    values = rng.integers([-reach, -1000], [reach - 1, reach], (5000, 2), endpoint=True)
    assert np.array_equal(narrowed.apply(values), np.clip(rescale.apply(values) + 3, INT8.low, INT8.high))
    with pytest.raises(ArithmeticDomainError, match="62 bits"):
        narrow(Rescale(((2**30 - 1) * 2.0**-4,), rounding), -(2**33), 2**33, 0, INT8)


@pytest.mark.parametrize("rounding", sorted(EXACT, key=str))
@pytest.mark.parametrize("zero_point", [0, 5, 8])
@pytest.mark.parametrize("real", [1.0, 6.0, 0.5, 5 / 8, 181 * 2.0**-12])
def test_outputs_too_wide_for_steps_have_the_form_of_their_definition(rounding, zero_point, real):
    rescale = Rescale((real,), rounding)
    narrowed = narrow(rescale, -40000, 40000, zero_point, Interval(-(2**31), 2**31 - 1))
    values = np.arange(-40000, 40001)
    assert np.array_equal(narrowed.apply(values), rescale.apply(values) + zero_point)
