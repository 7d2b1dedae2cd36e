"""Bias correction: the mean of each output channel is that of the real network again."""

import numpy as np
from float_networks import FloatNetwork

from bitloom.quantize import QuantizeOptions, Widths, quantize
from bitloom.quantize.compare import integer_inputs, real_values
from bitloom.run.float_litert import evaluate_float


def _shift(net: FloatNetwork, correction: str) -> float:
    """The largest difference of the means of a channel of the result."""
    samples = np.abs(net.samples(64))  # means that are not 0
    made = quantize(
        net.graph(), samples, QuantizeOptions(Widths(3, 16), adaptive_rounding="off", bias_correction=correction)
    )
    name = made.graph.outputs[0]
    wanted = evaluate_float(net.graph(), {"x": samples})[name]
    found = real_values(made.graph, made.graph.evaluate(integer_inputs(made.graph, {"x": samples})))[name]
    axes = tuple(range(wanted.ndim - 1))
    return float(np.abs(found.mean(axis=axes) - wanted.mean(axis=axes)).max())


def test_means_of_dense_outputs_return() -> None:
    net = FloatNetwork((1, 20), seed=2)
    net.dense("x", 8)
    assert _shift(net, "on") < 0.002 < 0.02 < _shift(net, "off")


def test_means_of_convolutions_return_also_without_a_bias_and_with_padding() -> None:
    for padding in ("SAME", "VALID"):
        net = FloatNetwork((1, 7, 7, 3), seed=2)
        net.conv("x", 5, bias=None, padding=padding)
        assert _shift(net, "on") < 0.002 < 0.02 < _shift(net, "off")


def test_means_of_depthwise_convolutions_return() -> None:
    net = FloatNetwork((1, 7, 7, 6), seed=2)
    net.depthwise("x")
    assert _shift(net, "on") < 0.002 < 0.01 < _shift(net, "off")


def test_a_bias_that_two_layers_share_is_corrected_for_each() -> None:
    net = FloatNetwork((1, 6), seed=4)
    bias = net.constant("shared", net.rng.normal(size=6))
    options = {"fused_activation_function": "NONE", "keep_num_dims": False}
    first = net.add("FULLY_CONNECTED", (1, 6), "x", net.rng.normal(size=(6, 6)), bias, **options)
    net.add("FULLY_CONNECTED", (1, 6), first, net.rng.normal(size=(6, 6)), bias, **options)
    made = quantize(net.graph(), np.abs(net.samples(32)), QuantizeOptions(Widths(4, 8), bias_correction="on"))
    names = [node.inputs[2] for node in made.state.graph.nodes]
    assert len(set(names)) == 2
    assert "shared" not in {tensor.name for tensor in made.state.graph.tensors}
