"""The narrowed rescale against the rescale it replaces: everywhere on small ranges, at the steps of wide ones."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bitloom.arith import Interval, Rescale, Rounding, narrow
from bitloom.arith.rescale import EXACT
from bitloom.errors import ArithmeticDomainError

INT8 = Interval(-128, 127)
RELU6 = Interval(-128, -8)


def reference(rescale, accumulators, zero_point, output):
    return np.clip(rescale.apply(accumulators) + zero_point, output.low, output.high)


def assert_exact(narrowed, rescale, low, high, zero_point, accumulators=None):
    """Equal on the given accumulators of each channel's range (all by default); saturated where not active."""
    low, high = np.atleast_1d(low), np.atleast_1d(high)
    if accumulators is None:
        accumulators = np.arange(low.min(), high.max() + 1)[:, None].repeat(len(low), axis=1)
    inside = (accumulators >= low) & (accumulators <= high)
    expected = reference(rescale, accumulators, zero_point, narrowed.output)
    assert inside.any()
    assert np.array_equal(narrowed.apply(accumulators)[inside], expected[inside])
    for channel, active in enumerate(narrowed.active):
        column, wanted = accumulators[:, channel], expected[:, channel]
        assert (wanted[inside[:, channel] & (column < active.low)] == narrowed.output.low).all()
        assert (wanted[inside[:, channel] & (column > active.high)] == narrowed.output.high).all()
    assert narrowed.inputs == Interval(int(low.min()), int(high.max()))


roundings = st.sampled_from(Rounding)
multipliers = st.one_of(
    st.floats(-14.0, 2.0).map(lambda exponent: 2.0**exponent),
    st.sampled_from([0.5, 0.25, 0.125, 0.75, 1.5, 1.0, 2.0, 3.0, 0.1, 0.3, 0.0, 2.0**-33]),
)
ranges = st.tuples(st.integers(-3000, 2000), st.integers(0, 4000)).map(lambda pair: (pair[0], sum(pair)))
outputs = st.one_of(
    st.sampled_from([INT8, RELU6, Interval(0, 255), Interval(0, 127), Interval(-8, 7), Interval(0, 1), Interval(5, 5)]),
    st.tuples(st.integers(-128, 127), st.integers(-128, 127)).map(lambda ends: Interval(min(ends), max(ends))),
)
zero_points = st.integers(-128, 127)


@settings(max_examples=600, deadline=None)
@given(roundings, st.lists(st.tuples(multipliers, ranges), min_size=1, max_size=5), zero_points, outputs)
# Channels whose whole range is on one side of zero, or does not step: found to go wrong at zero once.
@example(
    Rounding.SINGLE,
    [(0.000138, (-554, 25)), (0.1276, (-1971, -1345)), (0.498, (-1263, 1279)), (0.1088, (-2612, -172))],
    -62,
    INT8,
)
def test_exact_on_every_accumulator(rounding, channels, zero_point, output):
    rescale = Rescale(tuple(real for real, _ in channels), rounding)
    low, high = (np.array([ends[side] for _, ends in channels]) for side in (0, 1))
    assert_exact(narrow(rescale, low, high, zero_point, output), rescale, low, high, zero_point)


@pytest.mark.parametrize("rounding", Rounding)
@pytest.mark.parametrize("real", [1.0, 0.5, 0.25, 0.75, 0.375, 1.5, 2.0, 2.0**-5, 3 * 2.0**-7])
def test_exact_on_multipliers_that_make_halves(rounding, real):
    rescale = Rescale((real,), rounding)
    for zero_point in (-128, -3, 0, 10):
        for output in (INT8, RELU6):
            narrowed = narrow(rescale, -9000, 9000, zero_point, output)
            assert_exact(narrowed, rescale, -9000, 9000, zero_point)


@pytest.mark.parametrize("rounding", [Rounding.HALF_EVEN, Rounding.FLOAT32])
@pytest.mark.parametrize(
    ("real", "multiplier", "shift"), [(0.5, 1, 1), (2.0**-7, 1, 7), (3 / 256, 3, 8), (0.375, 3, 3)]
)
@pytest.mark.parametrize("zero_point", [0, 3, -128])
def test_halves_to_even_are_seen_in_the_total(rounding, real, multiplier, shift, zero_point):
    narrowed = narrow(Rescale((real,), rounding), -60000, 50000, zero_point, INT8)
    assert (narrowed.multipliers, narrowed.shifts, narrowed.ties) == ((multiplier,), (shift,), (1,))
    assert narrowed.exceptions == ()
    assert_exact(narrowed, Rescale((real,), rounding), -60000, 50000, zero_point)


@pytest.mark.parametrize("rounding", Rounding)
def test_odd_multipliers_need_no_exceptions(rounding):
    narrowed = narrow(Rescale((0.0123, 0.0456), rounding), [-30000, -20000], [30000, 20000], 3, INT8)
    assert narrowed.exceptions == ()


def accumulators_around_steps(rescale, low, high, zero_point, output):
    """Both sides of every step of every channel, found by searching the reference, and the ends; (points, channels)."""
    columns = []
    for channel in range(len(low)):
        single = rescale.channel(channel)
        points = {int(low[channel]), int(high[channel])} | ({-1, 0, 1} if low[channel] < 0 < high[channel] else set())
        for value in range(output.low, output.high + 2):
            below, reached = int(low[channel]), int(high[channel])
            while reached - below > 1:
                middle = (below + reached) // 2
                if single.apply(middle).item() + zero_point >= value:
                    reached = middle
                else:
                    below = middle
            points |= {below - 1, below, reached, reached + 1}
        inside = sorted(point for point in points if low[channel] <= point <= high[channel])
        columns.append(inside)
    longest = max(map(len, columns))
    return np.array([column + column[-1:] * (longest - len(column)) for column in columns]).T


@pytest.mark.parametrize("rounding", Rounding)
@pytest.mark.parametrize(
    ("reals", "reach"),
    [
        ((0.00071,), 2**24),
        ((0.0123,), 2**31 - 1),
        ((0.4999,), 2**31 - 1),
        ((2.0**-20 * 1.1,), 2**26),
        # More than 64 bits of product, where the output has saturated long since, and where it has not.
        ((2.0**-19 * 1.1, 0.9), 2**30),
        ((2.0**-24 * 1.7,), 2**31 - 1),
        ((2.0**-29 * 1.3, 0.0071), 2**30),
        ((3e-5, 0.07, 0.9, 1e-11), 2**22),
        ((5.7,), 2**20),
        ((1000.3, 0.02), 2**10),
    ],
)
def test_exact_at_the_steps_of_wide_ranges(rounding, reals, reach):
    rescale = Rescale(reals, rounding)
    low, high = np.full(len(reals), -reach + 5), np.full(len(reals), reach - 3)
    for zero_point, output in ((-7, INT8), (-128, RELU6)):
        narrowed = narrow(rescale, low, high, zero_point, output)
        points = accumulators_around_steps(rescale, low, high, zero_point, output)
        assert_exact(narrowed, rescale, low, high, zero_point, points)
        random = np.random.default_rng(1).integers(low, high, (20000, len(reals)))
        assert_exact(narrowed, rescale, low, high, zero_point, random)


@pytest.mark.parametrize("rounding", Rounding)
@pytest.mark.parametrize(
    ("low", "high", "zero_point", "output"),
    [
        (-40, 60, 0, INT8),  # never saturates
        (-5, 5, 3, INT8),  # constant, inside the clamp
        (7, 7, 0, INT8),  # one accumulator
        (10**6, 2 * 10**6, 0, INT8),  # saturated high throughout
        (-(10**6), -(10**5), 0, INT8),  # saturated low throughout
        (-(10**5), 10**5, 0, Interval(-3, -3)),  # a clamp to one value
        (100, 90000, -128, RELU6),  # positive accumulators only
        (-90000, -100, 0, Interval(-100, 100)),  # negative accumulators only
    ],
)
def test_ranges_that_hardly_step(rounding, low, high, zero_point, output):
    rescale = Rescale((0.0371,), rounding)
    narrowed = narrow(rescale, low, high, zero_point, output)
    ends = np.unique(np.clip(np.concatenate([np.arange(low, low + 9000), np.arange(high - 9000, high + 1)]), low, high))
    assert_exact(narrowed, rescale, low, high, zero_point, ends[:, None])


@pytest.mark.parametrize("real", [2.0**-20 * 1.1, 1.1e-6])
def test_late_steps_are_listed(real):
    """Float32 accumulators of more than 24 bits are steps of their own, on no line: every accumulator about them."""
    rescale = Rescale((real,), Rounding.FLOAT32)
    narrowed = narrow(rescale, -(2**27), 2**27, 3, INT8)
    assert narrowed.exceptions
    points = accumulators_around_steps(rescale, [-(2**27)], [2**27], 3, INT8)
    points = np.unique((points + np.arange(-150, 150)).clip(-(2**27), 2**27))[:, None]
    assert_exact(narrowed, rescale, -(2**27), 2**27, 3, points)


@pytest.mark.parametrize("reach", [2**20, 2**22, 2**24])
@pytest.mark.parametrize("zero_point", [3, -128])
def test_float32_products_of_small_multipliers(reach, zero_point):
    """Rounding the product moves halves by whole accumulators, up or down as the value is even or odd."""
    rescale = Rescale((3.0e-5,), Rounding.FLOAT32)
    narrowed = narrow(rescale, -reach, reach, zero_point, INT8)
    points = accumulators_around_steps(rescale, [-reach], [reach], zero_point, INT8)
    points = np.unique((points + np.arange(-3, 4)).clip(-reach, reach))[:, None]
    assert_exact(narrowed, rescale, -reach, reach, zero_point, points)


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from([Rounding.HALF_EVEN, Rounding.FLOAT32]),
    st.lists(st.tuples(st.integers(1, 63), st.integers(1, 14)), min_size=1, max_size=4),
    st.lists(st.integers(0, 2**24), min_size=4, max_size=4),
    zero_points,
    st.sampled_from([INT8, RELU6, Interval(0, 255), Interval(-8, 7)]),
)
def test_exact_multipliers_at_full_width(rounding, fractions, reaches, zero_point, output):
    """Multipliers m / 2**s, near every half: where ties are."""
    rescale = Rescale(tuple(odd * 2.0**-shift for odd, shift in fractions), rounding)
    reach = np.array(reaches[: len(fractions)])
    narrowed = narrow(rescale, -reach, reach, zero_point, output)
    halves = (np.arange(-300, 300)[:, None] + 0.5) / np.array(rescale.multipliers)
    points = np.floor(halves)[:, None, :] + np.arange(-2, 4)[None, :, None]
    points = points.reshape(-1, len(fractions)).astype(np.int64)
    points = np.concatenate([points.clip(-reach, reach), -reach[None, :], reach[None, :]])
    assert_exact(narrowed, rescale, -reach, reach, zero_point, points)


def has_solution(rescale, low, high, zero_point, output, shift):
    """Whether any multiplier and single offset of this shift is right on the whole range, by trying them all."""
    accumulators = np.arange(low, high + 1)
    values = reference(rescale, accumulators, zero_point, output)
    for multiplier in range(int(rescale.multipliers[0] * 2**shift * 8) + 3):
        lowest = ((values << shift) - multiplier * accumulators)[values > output.low].max(initial=-(2**60))
        highest = (((values + 1) << shift) - 1 - multiplier * accumulators)[values < output.high].min(initial=2**60)
        if lowest <= highest:
            return True
    return False


@settings(max_examples=60, deadline=None)
@given(
    roundings,
    st.lists(
        st.tuples(
            st.floats(-8.0, 0.0).map(lambda exponent: 2.0**exponent), st.integers(-700, 300), st.integers(0, 700)
        ),
        min_size=1,
        max_size=3,
    ),
    zero_points,
    st.sampled_from([INT8, RELU6, Interval(0, 15)]),
)
def test_no_smaller_shift_would_do_for_any_channel(rounding, channels, zero_point, output):
    rescale = Rescale(tuple(real for real, _, _ in channels), rounding)
    low = np.array([low for _, low, _ in channels])
    high = low + [length for _, _, length in channels]
    narrowed = narrow(rescale, low, high, zero_point, output)
    if narrowed.negative_offsets is not None or narrowed.exceptions or any(narrowed.ties):
        return
    for channel, shift in enumerate(narrowed.shifts):
        if shift > 0:
            problem = rescale.channel(channel), low[channel], high[channel], zero_point, output
            assert has_solution(*problem, shift)
            assert not has_solution(*problem, shift - 1)


def every_offset(narrowed):
    """The same form with the largest offsets, and with others between."""
    for part in (1, 2, 3):
        yield replace(
            narrowed,
            offsets=tuple(between(offset, part) for offset in narrowed.offsets),
            negative_offsets=narrowed.negative_offsets and tuple(between(o, part) for o in narrowed.negative_offsets),
        )


def between(interval, part):
    value = interval.low + (interval.high - interval.low) * part // 3
    return Interval(value, value)


@settings(max_examples=300, deadline=None)
@given(roundings, st.lists(st.tuples(multipliers, ranges), min_size=1, max_size=4), zero_points, outputs)
def test_every_offset_serves_at_every_larger_shift(rounding, channels, zero_point, output):
    rescale = Rescale(tuple(real for real, _ in channels), rounding)
    low, high = (np.array([ends[side] for _, ends in channels]) for side in (0, 1))
    narrowed = narrow(rescale, low, high, zero_point, output)
    for form in (narrowed, narrowed.at_shifts([shift + 1 + 2 * (shift % 2) for shift in narrowed.shifts])):
        for one in (form, *every_offset(form)):
            assert_exact(one, rescale, low, high, zero_point)


@settings(max_examples=300, deadline=None)
@given(roundings, st.lists(st.tuples(multipliers, ranges), min_size=1, max_size=5), st.integers(0, 6))
def test_channels_share_the_fewest_shifts(rounding, channels, spare):
    rescale = Rescale(tuple(real for real, _ in channels), rounding)
    low, high = (np.array([ends[side] for _, ends in channels]) for side in (0, 1))
    narrowed = narrow(rescale, low, high, 0, INT8)
    bits = narrowed.multiplier_bits + spare
    shared = narrowed.sharing(bits)
    assert shared.multiplier_bits <= bits
    assert_exact(shared, rescale, low, high, 0)
    if not any(narrowed.multipliers):
        return
    # Every choice of fewer shifts leaves a channel out.
    spans = [
        range(shift, shift + bits - value.bit_length() + 1)
        for shift, value in zip(narrowed.shifts, narrowed.multipliers, strict=True)
        if value
    ]
    possible = sorted({shift for span in spans for shift in span})
    for fewer in itertools.combinations(possible, len(set(shared.shifts)) - 1):
        assert any(not set(span) & set(fewer) for span in spans)


def test_a_smaller_shift_is_refused():
    with pytest.raises(ArithmeticDomainError, match="smaller shift"):
        narrow(Rescale((0.3,), Rounding.DOUBLE), -100, 100, 0, INT8).at_shifts([0])


def test_forms_of_some_channels():
    rescale = Rescale((0.5, 0.3, 0.25), Rounding.HALF_EVEN)
    low, high = [-1000, -50, -300], [900, 60, 20]
    some = narrow(rescale, low, high, 2, INT8).of_channels([2, 0, 0])
    assert some.ties == (1, 1, 1)
    assert narrow(rescale, low, high, 2, INT8).of_channels([1, 2]).ties == (0, 1)
    part = Rescale((0.25, 0.5, 0.5), Rounding.HALF_EVEN)
    accumulators = np.stack([np.linspace(low[c], high[c], 2000).astype(np.int64) for c in (2, 0, 0)], axis=1)
    assert np.array_equal(some.apply(accumulators), reference(part, accumulators, 2, INT8))


def test_narrow_is_narrow():
    # The kernel multiplies by 31 bits; 255 steps on 17 bits of accumulator are told apart by far fewer.
    assert narrow(Rescale((0.0123,), Rounding.FLOAT64), -70000, 70000, 0, INT8).multiplier_bits <= 16


def test_a_second_offset_only_where_it_pays():
    # Ties away from zero at a power of two: with two offsets there is nothing left to multiply.
    split = narrow(Rescale((0.25,), Rounding.FLOAT64), -600, 600, 0, INT8)
    assert split.negative_offsets is not None
    assert split.multiplier_bits == 1
    assert narrow(Rescale((0.25,), Rounding.HALF_UP), -600, 600, 0, INT8).negative_offsets is None
    # Here there is, and one offset does; here it does not.
    assert narrow(Rescale((0.25, 0.5), Rounding.FLOAT64), [-600] * 2, [600] * 2, 0, INT8).negative_offsets is None
    assert narrow(Rescale((0.01074,), Rounding.DOUBLE), -2000, 2000, 0, INT8).negative_offsets is not None


def test_the_active_range_ends_at_the_outermost_steps():
    rescale = Rescale((0.5, 0.0, 0.5, 0.0, 0.0), Rounding.TRUNCATE)
    low, high = [-(10**5), -(10**5), -100, -50, -50], [10**5, 10**5, 90, 70, 70]
    narrowed = narrow(rescale, low, high, 0, INT8)
    # 127 is reached at 254 and -127 at -254; where an end of the clamp is not reached, the range's own end counts.
    assert narrowed.active[0] == Interval(-255, 254)
    assert narrowed.active[2] == Interval(-100, 90)
    for zero_point, active in ((-128, Interval(70, 70)), (-500, Interval(70, 70)), (127, Interval(-50, -50))):
        assert narrow(rescale, low, high, zero_point, INT8).active[3] == active


def test_a_channel_that_never_changes_multiplies_by_nothing():
    rescale = Rescale((1e-11, 0.01, 0.03), Rounding.DOUBLE)
    low, high = [2**30, -500, 10**6], [2**30 + 10**6, 500, 10**7]
    narrowed = narrow(rescale, low, high, 3, INT8)
    assert (narrowed.multipliers[0], narrowed.offsets[0], narrowed.shifts[0]) == (0, Interval(3, 3), 0)
    assert (narrowed.multipliers[2], narrowed.offsets[2], narrowed.shifts[2]) == (0, Interval(127, 127), 0)
    assert narrowed.multiplier_bits < 12


def test_no_channel_is_clamped_out_of_its_own_range():
    # The first channel is saturated wherever it goes, which the steps of the second say nothing about.
    rescale = Rescale((1.0, 1.0), Rounding.TRUNCATE)
    for low, high in (([1000, -5], [2000, 5]), ([-2000, -5], [-1000, 5])):
        narrowed = narrow(rescale, low, high, 0, INT8)
        assert_exact(narrowed, rescale, low, high, 0)


def test_one_multiplier_serves_channels_of_different_ranges():
    rescale = Rescale((0.3,), Rounding.DOUBLE)
    narrowed = narrow(rescale, [-50, -1000, 20], [10, 40, 900], 2, INT8)
    assert narrowed.inputs == Interval(-1000, 900)
    assert_exact(narrowed, rescale, -1000, 900, 2)


@pytest.mark.parametrize(
    ("real", "low", "high", "zero_point", "message"),
    [
        (0.5, -(2**31) - 1, 0, 0, "beyond the int32"),
        (0.5, 0, 2**31, 0, "beyond the int32"),
        (3.0, -(2**30), 0, 0, "beyond the int32"),
        (0.9, -(2**31) + 1, 2**31 - 1, 2**30, "leaves int32"),
        (0.5, 5, 4, 0, "low end"),
    ],
)
@pytest.mark.parametrize("rounding", sorted(set(Rounding) - EXACT, key=str))
def test_undefined_ranges_are_refused(real, low, high, zero_point, message, rounding):
    with pytest.raises(ArithmeticDomainError, match=message):
        narrow(Rescale((real,), rounding), low, high, zero_point, INT8)


def test_ranges_that_do_not_fit_the_channels_are_refused():
    rescale = Rescale((0.5, 0.25, 0.125), Rounding.SINGLE)
    with pytest.raises(ArithmeticDomainError, match="3 multipliers"):
        narrow(rescale, [-5, -5], [5, 5], 0, INT8)
    with pytest.raises(ArithmeticDomainError, match="3 multipliers"):
        narrow(rescale, [-5, -5, -5], [5, 5], 0, INT8)


def test_outputs_too_wide_for_steps_are_refused():
    with pytest.raises(ArithmeticDomainError, match="too many output values"):
        narrow(Rescale((0.5,), Rounding.SINGLE), -5, 5, 0, Interval(-(2**31), 2**31 - 1))


@pytest.mark.parametrize("rounding", [Rounding.SINGLE, Rounding.FLOAT64, Rounding.DOUBLE])
def test_sixteen_bit_outputs(rounding):
    rescale = Rescale((0.37,), rounding)
    narrowed = narrow(rescale, -200000, 200000, 11, Interval(-(2**15), 2**15 - 1))
    assert_exact(narrowed, rescale, -200000, 200000, 11)
