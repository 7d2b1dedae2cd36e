"""The rescale circuit on every accumulator of its range, for every rounding, against the definition."""

from __future__ import annotations

import io

import numpy as np
import pyrtl
import pytest
from gate_level import synthesize_gates
from hypothesis import given, settings
from hypothesis import strategies as st

from bitloom.arith import Interval, IntType, Rescale, Rounding, narrow
from bitloom.hw.fabric import ECP5, FABRICS, XC7
from bitloom.hw.registers import connect
from bitloom.hw.rescale import RescaleConstants, clamp, rescale, rescale_latency, rescale_slices
from bitloom.hw.rescale_form import lane_form, whole_form

INT8 = IntType(8)
ROUNDINGS = [rounding for rounding in Rounding]  # noqa: C416 - an enumeration, in its order


def build(constants, output, lanes, *, in_logic=False, fabric=XC7):
    """One accumulator for all lanes; returns the width of the accumulator and of the group."""
    pyrtl.reset_working_block()
    raw_low, raw_high = int((constants.low - constants.bias).min()), int((constants.high - constants.bias).max())
    bits = Interval(raw_low, raw_high).signed_bits
    groups = -(-constants.channels // lanes)
    value, group = pyrtl.Input(bits, "value"), pyrtl.Input(max(1, (groups - 1).bit_length()), "group")
    options = {"in_logic": in_logic, "fabric": fabric}
    for lane, result in enumerate(rescale("unit", [value] * lanes, group, constants, output, **options)):
        connect(pyrtl.Output(output.bits, f"result{lane}"), result)
    return bits, group.bitwidth


def cases_of(constants, lanes, only=None):
    """(raw accumulator, group) pairs that reach every accumulator of every channel, the groups alternating."""
    groups = -(-constants.channels // lanes)
    raw_low, raw_high = int((constants.low - constants.bias).min()), int((constants.high - constants.bias).max())
    raws = range(raw_low, raw_high + 1)
    return [
        (raw, group)
        for raw in (raws if only is None else sorted(raw for raw in only if raw in raws))
        for group in range(groups)
    ]


def compare(cases, outputs, constants, reference, zero_point, output, lanes):
    """The circuit's words per case and lane with the definition, where the accumulator is of the channel's range."""
    raw, group = (np.array(column) for column in zip(*cases, strict=True))
    for lane in range(lanes):
        channel = group * lanes + lane
        real = channel < constants.channels
        channel = np.minimum(channel, constants.channels - 1)
        accumulator = raw + constants.bias[channel]
        inside = real & (accumulator >= constants.low[channel]) & (accumulator <= constants.high[channel])
        assert inside.any()
        if reference.channels == 1:
            rescaled = reference.apply(accumulator)
        else:
            spread = np.clip(accumulator, constants.low[channel], constants.high[channel])
            per_channel = reference.apply(np.repeat(spread[:, None], constants.channels, axis=1))
            rescaled = per_channel[np.arange(len(channel)), channel]
        bounds = constants.narrowed.output
        wanted = np.clip(rescaled + zero_point, bounds.low, bounds.high)
        got = np.array([step[lane] for step in outputs])
        got -= (got > output.maximum).astype(int) << output.bits
        np.testing.assert_array_equal(got[inside], wanted[inside])


def check(reference, low, high, bias, *, zero_point=0, output=INT8, lanes=1, bounds=None, only=None, **options):
    """Build and compare on every case, or on those whose raw accumulator is among `only`."""
    low, high, bias = (np.array(values, np.int64) for values in (low, high, bias))
    bounds = bounds or Interval(output.minimum, output.maximum)
    constants = RescaleConstants(bias, narrow(reference, low, high, zero_point, bounds), low, high)
    bits, _ = build(constants, output, lanes, **options)
    cases = cases_of(constants, lanes, only)
    simulation, outputs = pyrtl.FastSimulation(tracer=None), []
    latency = rescale_latency(options.get("fabric", XC7))
    for raw, group in [*cases, *[(0, 0)] * latency]:
        simulation.step({"value": raw & ((1 << bits) - 1), "group": group})
        outputs.append([simulation.inspect(f"result{lane}") for lane in range(lanes)])
    compare(cases, outputs[latency:], constants, reference, zero_point, output, lanes)
    return constants


@pytest.mark.parametrize("in_logic", [False, True])
@pytest.mark.parametrize("multiplier", [0.0625, 0.06, 0.011, 0.5, 1.7, 0.0])
@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_every_accumulator(rounding, multiplier, in_logic):
    check(Rescale((multiplier,), rounding), [-1900], [2100], [100], zero_point=-3, in_logic=in_logic)


@pytest.mark.parametrize(("lanes", "fabric"), [(1, XC7), (2, XC7), (3, ECP5)])
@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_every_accumulator_of_every_channel(rounding, lanes, fabric):
    reference = Rescale((0.06, 0.031, 0.125, 0.0, 0.0999), rounding)
    bias = [100, -7, 0, 500, -300]
    low, high = [-1900, -2007, -64, 0, -300], [2100, 1993, 63, 900, -100]
    check(reference, low, high, bias, zero_point=5, lanes=lanes, in_logic=lanes == 2, fabric=fabric)


@pytest.mark.parametrize("lanes", [1, 2, 4])
def test_one_multiplier_for_channels_of_different_bias(lanes):
    bias = [10, -20, 300, 0, 7]
    low, high = [-500 + value for value in bias], [500 + value for value in bias]
    check(Rescale((0.07,), Rounding.FLOAT64), low, high, bias, zero_point=1, lanes=lanes)


def test_offsets_of_their_own_for_negative_accumulators():
    """Halves away from zero at a multiplier where one offset for both signs needs a wide multiplier."""
    constants = check(Rescale((0.5,), Rounding.FLOAT64), [-200], [200], [3])
    assert constants.narrowed.negative_offsets is not None
    shared = check(Rescale((0.5,), Rounding.FLOAT64), [-197, -204], [203, 196], [3, -4])
    assert shared.narrowed.negative_offsets is not None


@pytest.mark.parametrize("lanes", [1, 2])
def test_offsets_of_their_own_for_negative_accumulators_of_some_channels(lanes):
    """The first channel's multiplier rounds so that no single offset serves; the biases put zero anywhere."""
    two = check(Rescale((0.01074, 0.013), Rounding.DOUBLE), [-2000] * 2, [2000] * 2, [300, -40], lanes=lanes)
    assert two.narrowed.negative_offsets is not None


def around_steps(reference, low, high, bias):
    """Raw accumulators of all channels near to where an output changes, near the ends and beyond all steps."""
    chosen = set()
    for real, least, most, more in zip(reference.multipliers, low, high, bias, strict=True):
        points = [least, least + 1, most - 1, most, -(2**17), 2**17, -(2**16), 2**16]
        points += [round((output + 0.5) / real) + by for output in range(-130, 130) for by in (-1, 0, 1)]
        # Python's integers: a NumPy one is looked for in a range by going through it.
        chosen |= {int(point - more) for point in points if least <= point <= most}
    return chosen


@pytest.mark.parametrize("fabric", FABRICS)
@pytest.mark.parametrize("zero_point", [-128, 3])
@pytest.mark.parametrize(
    ("reals", "reach"),
    [
        ((0.0021, 0.0017, 0.0033), 2**19),
        ((0.0021, 1e-11, 0.13), 2**19),
        ((0.0031,), 2**20),
        ((0.0011, 0.0034), 2**20),
    ],
)
def test_values_outside_their_windows(reals, reach, zero_point, fabric):
    """Accumulators wider than a slice, of which only a part makes a difference."""
    bias = np.array([1000, -77_000, 5])[: len(reals)]
    low, high = bias - reach, bias + reach - 1
    if len(reals) == 3:
        bias[1], low[1], high[1] = 2**28, 2**28 - reach, 2**28 + reach - 1
    reference = Rescale(reals, Rounding.DOUBLE)
    only = around_steps(reference, low, high, bias)
    constants = check(reference, low, high, bias, zero_point=zero_point, only=only, fabric=fabric)
    assert whole_form(constants, XC7).windowed
    assert rescale_slices(constants) == 1


@pytest.mark.parametrize("in_logic", [False, True])
def test_wide_accumulators_that_change_nothing(in_logic):
    only = {-(2**28), -1, 0, 1, 2**28 - 1}
    for reals in ((1e-11,), (1e-11, 0.0)):
        low, high = np.array([-(2**28)] * 2), np.array([2**28 - 1] * 2)
        check(Rescale(reals, Rounding.DOUBLE), low, high, [0, 0], zero_point=7, only=only, in_logic=in_logic)


@pytest.mark.parametrize(("lanes", "shifts"), [(1, 3), (2, 2), (3, 1)])
def test_channels_of_very_different_scales(lanes, shifts):
    reference = Rescale((0.9, 0.0041, 3e-5, 0.8, 0.0038, 2.9e-5), Rounding.DOUBLE)
    low, high = np.array([-150, -30_000, -90_000] * 2), np.array([150, 30_000, 90_000] * 2)
    bias = np.array([10, -9, 8, -7, 6, -5])
    only = around_steps(reference, low, high, bias)
    constants = check(reference, low, high, bias, lanes=lanes, only=only)
    forms = [lane_form(constants.of_channels(range(lane, 6, lanes)), XC7) for lane in range(lanes)]
    assert max(len(set(form.shifts)) for form in forms) <= shifts
    assert all(form.slices == 1 for form in forms)


@pytest.mark.parametrize("in_logic", [False, True])
def test_accumulators_listed_as_exceptions(in_logic):
    """0.011 is not a binary fraction: float64 puts some of its halves on the half and others below it."""
    options = {"output": IntType(13), "in_logic": in_logic}
    options["only"] = {raw for half in range(-60_500, 60_500, 500) for raw in range(half - 12, half + 13)}
    one = check(Rescale((0.011,), Rounding.FLOAT64), [-60_000], [60_000], [9], **options)
    reference = Rescale((0.011, 0.02, 0.011), Rounding.FLOAT64)
    each = check(reference, [-60_000, 505, -1000], [60_000, 515, 50_000], [0, 10, -2], lanes=2, **options)
    assert len(one.narrowed.exceptions) > 10
    assert {channel for channel, _ in each.narrowed.exceptions} == {0, 2}


@pytest.mark.parametrize("output", [IntType(1), IntType(4), IntType(8, signed=False), IntType(12), IntType(16)])
def test_output_types(output):
    check(Rescale((0.8,), Rounding.DOUBLE), [-3000], [3000], [0], zero_point=2 if output.bits > 4 else 0, output=output)


def test_a_fused_activation_clamps_first():
    check(Rescale((0.1,), Rounding.DOUBLE), [-3000], [3000], [0], zero_point=-100, bounds=Interval(-100, 20))


@settings(max_examples=40, deadline=None)
@given(
    rounding=st.sampled_from(ROUNDINGS),
    multipliers=st.lists(st.floats(1e-6, 3.0), min_size=1, max_size=4),
    lanes=st.integers(1, 4),
    zero_point=st.integers(-128, 127),
    in_logic=st.booleans(),
    seed=st.integers(0, 2**16),
)
def test_any_multipliers_ranges_and_offsets(rounding, multipliers, lanes, zero_point, in_logic, seed):
    random = np.random.default_rng(seed)
    channels = len(multipliers)
    low = random.integers(-600, 300, channels)
    high, bias = low + random.integers(0, 600, channels), random.integers(-400, 400, channels)
    check(
        Rescale(tuple(multipliers), rounding),
        low,
        high,
        bias,
        zero_point=zero_point,
        lanes=min(lanes, channels),
        in_logic=in_logic,
    )


@pytest.mark.parametrize("bits", [1, 3, 6])
def test_clamp_of_every_small_value(bits):
    for output in (IntType(3), IntType(4, signed=False), IntType(1), IntType(8)):
        for low, high in [(output.minimum, output.maximum), (0, output.maximum), (0, 0)]:
            pyrtl.reset_working_block()
            value = pyrtl.Input(bits, "value")
            connect(pyrtl.Output(output.bits, "limited"), clamp(value, Interval(low, high), output))
            simulation = pyrtl.FastSimulation(tracer=None)
            for number in range(-(1 << (bits - 1)), 1 << (bits - 1)):
                simulation.step({"value": number & ((1 << bits) - 1)})
                assert simulation.inspect("limited") == min(max(number, low), high) & ((1 << output.bits) - 1)


@pytest.mark.parametrize(
    ("scale", "span", "lanes"),
    [
        ((60, 31), 2000, 1),
        ((60,), 2000, 1),
        ((2.1, 1.7), 60_000, 2),
        ((2.1,), 60_000, 1),
        # Windowed, the multiplier from memory and constant; two shifts; two slices.
        ((2.1, 1.7), 500_000, 1),
        ((3.1,), 500_000, 1),
        ((900, 0.031), 100_000, 1),
        ((0.31, 0.43), 900_000, 1),
        # 3/256: ties, which go to even.
        ((11.71875,), 60_000, 1),
    ],
)
def test_synthesised_it_is_still_exact(tmp_path, scale, span, lanes):
    """Through Yosys for xc7, which packs additions around a multiplier into its slice, not always rightly."""
    rounding, zero_point = Rounding.HALF_EVEN if scale == (11.71875,) else Rounding.FLOAT64, 3
    reference = Rescale(tuple(value / 1000 for value in scale), rounding)
    bias = np.array([100, -7])
    low, high = bias - span, bias + span
    constants = RescaleConstants(bias, narrow(reference, low, high, zero_point, Interval(-128, 127)), low, high)
    bits, group_bits = build(constants, INT8, lanes)
    text = io.StringIO()
    pyrtl.output_to_verilog(text, add_reset=True)
    gates = synthesize_gates(text.getvalue(), "toplevel", tmp_path)
    assert gates.cells["DSP48E1"] == lanes * rescale_slices(constants)
    cases = cases_of(constants, lanes)
    chosen = np.random.default_rng(0).choice(len(cases), 2000, replace=False)
    near = around_steps(reference, low, high, bias) if reference.channels == 2 else set()
    near = np.random.default_rng(1).permutation(sorted(near))[:1000].tolist()
    cases = [cases[0], cases[-1], *(cases[index] for index in chosen), *((raw, raw % 2 // lanes) for raw in near)]
    latency = rescale_latency()
    steps = [{"value": raw & ((1 << bits) - 1), "group": group} for raw, group in [*cases, *[(0, 0)] * latency]]
    names = [f"result{lane}" for lane in range(lanes)]
    seen = gates.run({"value": bits, "group": group_bits}, dict.fromkeys(names, 8), steps)
    outputs = [[step[name] for name in names] for step in seen[latency:]]
    compare(cases, outputs, constants, reference, zero_point, INT8, lanes)
