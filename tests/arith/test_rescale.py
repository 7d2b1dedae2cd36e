"""Every rounding against its definition in exact rational arithmetic."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from rounding_definitions import binary64, fixed_point, gemmlowp_double, half_away, half_even, half_up, rescaled

from bitloom.arith import Rescale, Rounding, quantize_multiplier
from bitloom.arith.rescale import EXACT
from bitloom.errors import ArithmeticDomainError

TIES = [0.5, 0.25, 0.125, 0.75, 1.0, 1.5, 2.0, 2.5, 3.0, 2.0**-7, 3 * 2.0**-9]
USUAL = [0.0123, 0.1, 1 / 3, 1 / 7, 0.999, 1.7, 5.3, 1000.1]
EDGES = [0.0, 1e-300, 2.0**-33, 2.0**-32, 2.0**-31, 1.33e-11, 1 - 2.0**-40, 1 + 2.0**-52, 2 - 2.0**-52, 0.5 - 2.0**-54]

multipliers = st.one_of(
    st.sampled_from(TIES + USUAL + EDGES),
    st.floats(-36.0, 10.0).map(lambda exponent: 2.0**exponent),
    st.tuples(st.integers(1, 2**16), st.integers(0, 40)).map(lambda parts: parts[0] * 2.0 ** -parts[1]),
)
roundings = st.sampled_from(Rounding)
EXACT_INTEGERS = {
    Rounding.HALF_EVEN: half_even,
    Rounding.HALF_UP: half_up,
    Rounding.HALF_AWAY: half_away,
    Rounding.TRUNCATE: math.floor,
}


def within_int32(real: float) -> st.SearchStrategy[int]:
    """Accumulators for which the kernels' left shift stays in int32."""
    reach = 2 ** (31 - max(math.frexp(real)[1], 0)) - 1
    near = st.integers(max(-reach - 1, -600), min(reach, 600))
    return st.one_of(st.integers(-reach - 1, reach), near, st.sampled_from([-reach - 1, -reach, -1, 0, 1, reach]))


def takes(rounding: Rounding, *reals: float) -> bool:
    """Whether a rounding is defined for multipliers this large."""
    return rounding is not Rounding.REDUCED or all(fixed_point(real)[1] <= 14 for real in reals)


@pytest.mark.parametrize("rounding", Rounding)
@pytest.mark.parametrize("real", TIES + USUAL + EDGES)
def test_all_ten_bit_accumulators(rounding, real):
    values = np.arange(-512, 512)
    expected = [rescaled(int(value), real, rounding) for value in values]
    assert Rescale((real,), rounding).apply(values).tolist() == expected


@settings(max_examples=1000)
@given(st.data(), multipliers, roundings)
def test_int32_accumulators(data, real, rounding):
    assume(takes(rounding, real))
    value = data.draw(within_int32(real))
    assert Rescale((real,), rounding).apply(value).item() == rescaled(value, real, rounding)


@settings(max_examples=500)
@given(st.data(), st.integers(1, 2**31 - 1), st.integers(0, 70), st.sampled_from(sorted(EXACT, key=str)))
def test_exact_roundings_of_integer_scales_on_all_accumulators(data, scale, shift, rounding):
    assume(scale < 2 ** (30 + shift))
    rescale = Rescale((scale * 2.0**-shift,), rounding)
    largest = int(rescale.largest[0]) - 1
    reach = st.one_of(st.integers(-largest, largest), st.sampled_from([-largest, -1, 0, 1, largest]))
    value = data.draw(reach)
    assert rescale.apply(value).item() == rescaled(value, scale * 2.0**-shift, rounding)
    # As integers are shifted, where they have no more bits than Python's.
    assert rescale.apply(value).item() == EXACT_INTEGERS[rounding](Fraction(value * scale, 2**shift))


@given(st.data(), multipliers)
def test_the_two_definitions_of_double_rounding_agree(data, real):
    value = data.draw(within_int32(real))
    assert rescaled(value, real, Rounding.DOUBLE) == gemmlowp_double(value, *fixed_point(real))


@given(st.data(), st.lists(multipliers, min_size=2, max_size=5), roundings)
def test_channels_are_independent(data, reals, rounding):
    assume(takes(rounding, *reals))
    rows = data.draw(st.lists(st.tuples(*map(within_int32, reals)), min_size=1, max_size=4))
    rescale = Rescale(tuple(reals), rounding)
    separate = [rescale.channel(index).apply([row[index] for row in rows]) for index in range(len(reals))]
    assert np.array_equal(rescale.apply(rows), np.stack(separate, axis=1))
    # The channel is the last axis, whatever stands before it.
    assert np.array_equal(rescale.apply(np.array(rows)[None, :, None, :])[0, :, 0], np.stack(separate, axis=1))


@given(st.floats(0, 1e9, exclude_min=True))
@example(1 - 2.0**-33)
@example(2.0**-32 * (1 - 2.0**-33))
@example(5e-324)
def test_fixed_point_form(real):
    assert quantize_multiplier(real) == fixed_point(real)


@pytest.mark.parametrize(("value", "real"), [(3, 1 / 6), (1, 0.5 - 2.0**-54), (7, 1 / 14), (2**30 + 1, 2.0**-31)])
def test_float64_rounds_the_product_first(value, real):
    product = binary64(Fraction(value) * Fraction(real))
    assert float(product) == value * real
    assert Rescale((real,), Rounding.FLOAT64).apply([value, -value]).tolist() == [
        math.floor(product + Fraction(1, 2)),
        -math.floor(product + Fraction(1, 2)),
    ]


def test_float32_rounds_three_times():
    # 2**24 + 1 to 2**24 and 2**24 + 3 to 2**24 + 4, before anything else.
    assert Rescale((1.0,), Rounding.FLOAT32).apply([2**24 + 1, 2**24 + 3]).tolist() == [2**24, 2**24 + 4]
    # The multiplier, which as a float64 is below one half; and the product, which is above it by less than 2**-24.
    assert Rescale((0.5 - 2.0**-30,), Rounding.FLOAT32).apply([1, 3]).tolist() == [0, 2]
    real = float(np.float32(2.0**-24 * (1 + 2.0**-23)))
    assert Rescale((real,), Rounding.FLOAT32).apply([2**23, 2**23 + 1]).tolist() == [1, 1]
    assert Rescale((real,), Rounding.FLOAT32).apply([2**23 - 1]).tolist() == [0]


def test_ties_go_where_each_rounding_says():
    halves = np.array([-5, -3, -1, 1, 3, 5])
    where = {rounding: Rescale((0.5,), rounding).apply(halves).tolist() for rounding in Rounding}
    assert where == {
        Rounding.DOUBLE: [-2, -1, 0, 1, 2, 3],
        Rounding.SINGLE: [-2, -1, 0, 1, 2, 3],
        Rounding.FLOAT64: [-3, -2, -1, 1, 2, 3],
        Rounding.REDUCED: [-2, -1, 0, 1, 2, 3],
        Rounding.FLOAT32: [-2, -2, 0, 0, 2, 2],
        Rounding.HALF_EVEN: [-2, -2, 0, 0, 2, 2],
        Rounding.HALF_UP: [-2, -1, 0, 1, 2, 3],
        Rounding.HALF_AWAY: [-3, -2, -1, 1, 2, 3],
        Rounding.TRUNCATE: [-3, -2, -1, 0, 1, 2],
    }


def test_ties_of_double_rounding_depend_on_the_shift():
    # The first step, at 1/2, sends halves up; the second, at 1/4, away from zero.
    assert Rescale((0.5,), Rounding.DOUBLE).apply([-3, 3]).tolist() == [-1, 2]
    assert Rescale((0.25,), Rounding.DOUBLE).apply([-6, 6]).tolist() == [-2, 2]


def test_shapes_are_kept():
    assert Rescale((0.5,), Rounding.SINGLE).apply(7).shape == ()
    assert Rescale((0.5,), Rounding.FLOAT64).apply(np.zeros((2, 3, 4), np.int32)).shape == (2, 3, 4)
    assert Rescale((0.5, 0.25), Rounding.DOUBLE).apply(np.zeros((3, 2), np.int32)).shape == (3, 2)


@pytest.mark.parametrize("rounding", Rounding)
def test_large_arrays_are_rescaled_in_parts(rounding):
    values = np.random.default_rng(1).integers(-(2**30), 2**30, (3, 2003, 7))
    rescale = Rescale(tuple((1 / np.arange(5, 12)).tolist()), rounding)
    rows = [rescale.apply(row) for row in values.reshape(-1, 7)]
    assert np.array_equal(rescale.apply(values), np.stack(rows).reshape(values.shape))
    one = rescale.channel(0)
    assert np.array_equal(
        one.apply(values), np.stack([one.apply(row) for row in values.reshape(-1, 7)]).reshape(3, 2003, 7)
    )


def test_double_rounding_differs_from_single_off_ties():
    # 0.4375 = 7/16 becomes 4/8 = 1/2 in the first step, and 1 in the second.
    rescale = Rescale((2.0**-4 * (1 - 2.0**-20),), Rounding.DOUBLE)
    values = np.arange(-4096, 4096)
    single = Rescale(rescale.multipliers, Rounding.SINGLE)
    assert (rescale.apply(values) != single.apply(values)).any()


def test_half_even_of_python_agrees_with_the_definition():
    assert all(half_even(Fraction(n, 8)) == round(Fraction(n, 8)) for n in range(-100, 100))


@pytest.mark.parametrize("real", [-1.0, -1e-30, math.inf, math.nan, 2.0**30, 1e30])
def test_refused_multipliers(real):
    with pytest.raises(ArithmeticDomainError):
        Rescale((0.5, real), Rounding.SINGLE)


def test_the_largest_multiplier():
    largest = math.nextafter(2.0**30, 0)
    # Rounds up to Q = 2**31, which takes one more left shift than there is.
    with pytest.raises(ArithmeticDomainError):
        Rescale((largest,), Rounding.SINGLE)
    below = 2.0**30 - 1
    assert Rescale((below,), Rounding.SINGLE).apply([1, -1]).tolist() == [2**30 - 1, -(2**30) + 1]


def test_the_largest_reduced_multiplier():
    with pytest.raises(ArithmeticDomainError):
        Rescale((2.0**14,), Rounding.REDUCED)
    assert Rescale((2.0**13,), Rounding.REDUCED).apply([3, -3]).tolist() == [3 * 2**13, -3 * 2**13]


def test_reduced_rounding_takes_48_bits():
    values = [2**47 - 1, -(2**47), 2**31, 12345678901]
    reals = (2.0**-17, 0.7 * 2.0**-17, 3e-7, 2.0**-20 * (1 - 2.0**-40))
    expected = [[rescaled(value, real, Rounding.REDUCED) for real in reals] for value in values]
    assert Rescale(reals, Rounding.REDUCED).apply(np.array(values)[:, None].repeat(4, 1)).tolist() == expected


def test_no_multiplier_is_refused():
    with pytest.raises(ArithmeticDomainError, match="at least one"):
        Rescale((), Rounding.SINGLE)
