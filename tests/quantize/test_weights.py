"""Weights and biases as integers."""

from __future__ import annotations

import numpy as np
import pytest
from float_networks import FloatNetwork

import bitloom as bl
from bitloom.quantize import Quantized, QuantizeOptions, Widths, quantize
from bitloom.quantize.weights import LayerWeights


def dense(weights: np.ndarray, bias: np.ndarray | None = None, **options: object) -> tuple[Quantized, LayerWeights]:
    net = FloatNetwork((1, weights.shape[1]))
    operands = ["x", weights] if bias is None else ["x", weights, bias]
    net.add("FULLY_CONNECTED", (1, len(weights)), *operands, name="y")
    plain = {"adaptive_rounding": "off", "bias_correction": "off", **options}
    made = quantize(net.graph(), net.samples(50), QuantizeOptions(**plain))  # type: ignore[arg-type]
    return made, made.state.weights["y"]


WEIGHTS = np.random.default_rng(5).normal(0, 1, (4, 9)) * np.array([[1], [0.01], [5], [0.3]])


@pytest.mark.parametrize("bits", [2, 3, 4, 7, 8, 11, 16])
@pytest.mark.parametrize("per_channel", [True, False])
def test_rounded_to_the_nearest(bits, per_channel) -> None:
    options = {"widths": Widths(bits, 8), "per_channel": per_channel, "weight_ranges": "min-max"}
    _, layer = dense(WEIGHTS, **options)
    limit = 2 ** (bits - 1) - 1
    assert np.abs(layer.values).max() == limit
    scales = np.array(layer.type.required_quantization.scales)
    assert len(scales) == (4 if per_channel else 1)
    largest = np.abs(WEIGHTS).max(axis=1 if per_channel else None)
    np.testing.assert_allclose(scales, largest / limit, rtol=1e-6)
    assert (np.abs(layer.real - WEIGHTS) <= 0.5001 * scales.reshape(-1, 1)).all()


@pytest.mark.parametrize("bits", [2, 3, 4])
def test_the_least_squared_error_is_less(bits) -> None:
    errors = []
    for method in ("min-max", "mse", "auto"):
        _, layer = dense(WEIGHTS, widths=Widths(bits, 8), weight_ranges=method)
        errors.append(np.square(layer.real - WEIGHTS).sum(axis=1))
    assert (errors[1] <= errors[0] * (1 + 1e-9)).all()
    assert errors[1].sum() < errors[0].sum()
    np.testing.assert_array_equal(errors[1], errors[2])


def test_eight_bits_keep_every_weight() -> None:
    _, layer = dense(WEIGHTS)
    assert (np.abs(layer.values).max(axis=1) == 127).all()


def test_biases_are_in_steps_of_the_products() -> None:
    bias = np.array([0.5, -1.0, 2.0, 0.0])
    made, layer = dense(WEIGHTS, bias)
    step = made.graph.type("x").required_quantization.scale
    stored = made.graph.value("y/2")
    assert str(stored.type.element) == "int32"
    scales = np.array(layer.type.required_quantization.scales) * step
    np.testing.assert_allclose(stored.type.required_quantization.scales, scales, rtol=1e-6)
    assert (np.abs(stored.constant * scales - bias) <= 0.51 * scales).all()


def test_wide_activations_have_wide_biases() -> None:
    made, _ = dense(WEIGHTS, np.ones(4), widths=Widths(8, 16))
    assert str(made.graph.value("y/2").type.element) == "int64"


def test_a_bias_that_would_not_fit_raises_the_scale() -> None:
    weights = np.array([[1e-12, 2e-12], [1.0, 0.5]])
    made, layer = dense(weights, np.array([30.0, 0.0]))
    stored = made.graph.value("y/2").constant
    assert 2**28 < stored[0] <= 2**30 + 1
    assert np.abs(layer.values[1]).max() == 127
    assert bl.verify(made.graph, bl.random_inputs(made.graph, 20), ["litert", "numpy"]).equal


def test_layers_that_share_weights() -> None:
    net = FloatNetwork((1, 5))
    net.constant("w", np.random.default_rng(0).normal(0, 1, (5, 5)))
    net.constant("b", np.ones(5))
    first = net.add("FULLY_CONNECTED", (1, 5), "x", "w", "b", fused_activation_function="RELU")
    second = net.add("FULLY_CONNECTED", (1, 5), first, "w", "b")
    made = quantize(net.graph(), net.samples(50), QuantizeOptions(layers={second: Widths(4, 8)}))
    assert {str(made.graph.value(f"{name}/weights").type.element) for name in (first, second)} == {"int8", "int4"}
    assert bl.verify(made.graph, bl.random_inputs(made.graph, 20), ["litert", "numpy", "pyrtl"]).equal


@pytest.mark.parametrize("kind", ["CONV_2D", "DEPTHWISE_CONV_2D"])
def test_channels_lie_along_the_right_axis(kind) -> None:
    net = FloatNetwork((1, 4, 4, 3))
    size = np.array([1.0, 10.0, 0.1])
    weights = net.rng.uniform(-1, 1, (3, 3, 3, 3) if kind == "CONV_2D" else (1, 3, 3, 3))
    weights *= size.reshape(3, 1, 1, 1) if kind == "CONV_2D" else size
    attributes = {"padding": "SAME", "stride_h": 1, "stride_w": 1, "dilation_h_factor": 1, "dilation_w_factor": 1}
    if kind == "DEPTHWISE_CONV_2D":
        attributes["depth_multiplier"] = 1
    net.add(kind, (1, 4, 4, 3), "x", weights, np.zeros(3), name="y", **attributes)
    layer = quantize(net.graph(), net.samples(20)).state.weights["y"]
    scales = np.array(layer.type.required_quantization.scales)
    np.testing.assert_allclose(scales * 127 / size, 0.95, atol=0.08)
    assert np.abs(layer.real - weights).max() < 0.05
