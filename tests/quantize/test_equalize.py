"""Equalization: the same function with ranges of channels alike."""

import numpy as np
import pytest
from float_networks import FloatNetwork

from bitloom.ir import FloatGraph
from bitloom.quantize import QuantizeOptions, Widths, quantize
from bitloom.quantize.compare import compare
from bitloom.quantize.equalize import equalize
from bitloom.run.float_litert import evaluate_float


def _uneven(between: str = "RELU") -> FloatNetwork:
    """Layers whose channels differ a hundredfold, scaled back by the next layer."""
    net = FloatNetwork((1, 8, 8, 3), seed=6)
    first = net.conv("x", 8, fused_activation_function=between)
    second = net.depthwise(first, fused_activation_function=between)
    net.conv(second, 5)
    factors = np.exp(net.rng.uniform(-2.3, 2.3, 8))
    for name, axis, by in (("conv_2d_0/1", 0, factors), ("conv_2d_0/2", 0, factors), ("conv_2d_2/1", 3, 1 / factors)):
        tensor = net.tensors[name]
        lying = [-1 if each == axis else 1 for each in range(len(tensor.shape))]
        net.constant(name, tensor.constant * by.reshape(lying))
    return net


def _spread(graph: FloatGraph) -> float:
    """The largest quotient of channels' largest weights in the first layer."""
    largest = np.abs(graph.tensor(graph.nodes[0].read[1]).constant).max(axis=(1, 2, 3))
    return float(largest.max() / largest.min())


def test_the_function_stays_and_the_ranges_meet() -> None:
    net = _uneven()
    graph, samples = net.graph(), net.samples(5)
    found = equalize(graph)
    wanted = evaluate_float(graph, {"x": samples})["conv_2d_2"]
    np.testing.assert_allclose(evaluate_float(found, {"x": samples})["conv_2d_2"], wanted, rtol=1e-4, atol=1e-4)
    assert _spread(found) < _spread(graph) / 5


@pytest.mark.parametrize("between", ["RELU6", "RELU_N1_TO_1"])
def test_activations_that_are_not_homogeneous_stop_it(between: str) -> None:
    graph = _uneven(between).graph()
    assert equalize(graph) == graph


def test_results_that_others_read_stay() -> None:
    net = FloatNetwork((1, 6, 6, 4), seed=1)
    first = net.conv("x", 4)
    second = net.conv(first, 4)
    net.pair("ADD", first, second)
    graph = net.graph()
    assert equalize(graph) == graph


def test_max_pools_and_rectifiers_let_it_through() -> None:
    net = FloatNetwork((1, 8, 8, 3), seed=6)
    net.conv(net.pool("MAX", net.same("RELU", net.conv("x", 8))), 5)
    graph, samples = net.graph(), net.samples(4)
    found = equalize(graph)
    assert found != graph
    name = graph.outputs[0]
    wanted = evaluate_float(graph, {"x": samples})[name]
    np.testing.assert_allclose(evaluate_float(found, {"x": samples})[name], wanted, rtol=1e-4, atol=1e-4)


def test_weights_with_one_scale_gain() -> None:
    net = _uneven()
    graph, samples, others = net.graph(), net.samples(100), {"x": net.samples(50, seed=8)}
    decibels = []
    for wanted in (False, True):
        made = quantize(graph, samples, QuantizeOptions(Widths(8, 8), per_channel=False, equalize=wanted))
        decibels.append(compare(made.state.graph, made.graph, others)[-1].decibels)
    assert decibels[1] > decibels[0] + 3
