"""Adaptive rounding: never worse than the nearest integers, and much better where inputs are correlated."""

import numpy as np
import pytest
from float_networks import FloatNetwork, small_cnn
from hypothesis import given, settings
from hypothesis import strategies as st

from bitloom.quantize import QuantizeOptions, Widths, quantize
from bitloom.quantize.adaptive_rounding import adapted, errors
from bitloom.quantize.compare import compare
from bitloom.quantize.moments import collect_moments, rows_of_weights


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 12), st.integers(1, 7))
def test_integers_stay_within_the_limit(seed: int, taps: int, limit: int) -> None:
    rng = np.random.default_rng(seed)
    inputs = rng.normal(size=(20, taps)) @ rng.normal(size=(taps, taps))
    steps = rng.uniform(-limit, limit, (5, taps))
    found = adapted(steps, inputs.T @ inputs / len(inputs), limit)
    assert np.abs(found).max() <= limit


def test_inputs_without_correlation_leave_the_nearest() -> None:
    steps = np.random.default_rng(0).uniform(-7, 7, (10, 20))
    assert np.array_equal(adapted(steps, np.eye(20), 7), np.rint(steps))


def test_inputs_that_are_always_zero_leave_the_nearest() -> None:
    steps = np.random.default_rng(0).uniform(-7, 7, (3, 4))
    assert np.array_equal(adapted(steps, np.zeros((4, 4)), 7), np.rint(steps))


def test_correlated_inputs_halve_the_error() -> None:
    rng = np.random.default_rng(1)
    inputs = rng.normal(size=(500, 3)) @ rng.normal(size=(3, 30)) + 0.05 * rng.normal(size=(500, 30))
    second = inputs.T @ inputs / len(inputs)
    steps = rng.uniform(-7, 7, (40, 30))
    nearest, found = (errors(steps - each, second).sum() for each in (np.rint(steps), adapted(steps, second, 7)))
    assert found < nearest / 2


def _options(rounding: str, bits: int = 3, *, per_channel: bool = True) -> QuantizeOptions:
    return QuantizeOptions(Widths(bits, 8), adaptive_rounding=rounding, bias_correction="off", per_channel=per_channel)


@pytest.mark.parametrize("per_channel", [True, False])
def test_no_row_of_a_layer_gets_worse(per_channel: bool) -> None:
    net = FloatNetwork((1, 8, 8, 4), seed=5)
    net.conv(net.depthwise(net.conv("x", 8)), 6, stride=2)
    graph, samples = net.graph(), net.samples(20)
    nearest, found = (quantize(graph, samples, _options(name, per_channel=per_channel)).state for name in ("off", "on"))
    moments = collect_moments(found.graph, found.chosen, found.inputs, second=True)
    changed = 0
    for node in found.graph.nodes:
        name, channels = node.outputs[0], found.graph.tensor(node.read[0]).shape[-1]
        assert nearest.weights[name].type == found.weights[name].type
        real = rows_of_weights(node, found.graph.tensor(node.read[1]).constant.astype(np.float64), channels)
        for group, second in enumerate(moments[name].second):
            before, after = (
                errors(real[group] - rows_of_weights(node, state.weights[name].real, channels)[group], second)
                for state in (nearest, found)
            )
            assert (after <= before * (1 + 1e-9)).all()
            changed += int((after < before).sum())
    assert changed > 4


def test_a_network_of_few_bits_is_closer_to_the_real_one() -> None:
    net = small_cnn()
    graph, samples, others = net.graph(), net.samples(200), {"x": net.samples(100, seed=9)}
    made = [quantize(graph, samples, _options(name)) for name in ("off", "on")]
    nearest, found = (compare(each.state.graph, each.graph, others)[-2].decibels for each in made)
    assert found > nearest + 3


def test_auto_refines_below_eight_bits_only() -> None:
    assert not QuantizeOptions().refines("auto")
    assert QuantizeOptions(Widths(4, 8)).refines("auto")
    assert QuantizeOptions(layers={"x": Widths(4, 8)}).refines("auto")
    assert not QuantizeOptions(Widths(4, 8)).refines("off")
