"""Means and second moments of what meets weights, against convolutions computed from them."""

import numpy as np
import pytest
from float_networks import FloatNetwork

from bitloom.quantize import QuantizeOptions, quantize
from bitloom.quantize.moments import collect_moments, represented, rows_of_weights, weights_of_rows, windows
from bitloom.run.float_litert import evaluate_float


def _network(kind: str, **options: object) -> FloatNetwork:
    net = FloatNetwork((1, 6, 5, 4), seed=3)
    if kind == "dense":
        net.dense(net.flatten("x"), 3)
    elif kind == "depthwise":
        net.depthwise("x", **options)
    else:
        net.conv("x", 6, **options)
    return net


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("dense", {}),
        ("conv", {}),
        ("conv", {"stride": 2, "padding": "VALID"}),
        ("conv", {"dilation_h_factor": 2, "dilation_w_factor": 3}),
        ("depthwise", {}),
        ("depthwise", {"stride": 2}),
    ],
)
def test_windows_times_weights_are_the_layer(kind: str, options: dict[str, object]) -> None:
    net = _network(kind, **options)
    graph = net.graph()
    node = graph.nodes[-1]
    samples = net.samples(3)
    tensors = evaluate_float(graph, {"x": samples})
    taken = windows(graph, node, tensors[node.read[0]].astype(np.float64))
    channels = graph.tensor(node.read[0]).shape[-1]
    weights = graph.tensor(node.read[1]).constant.astype(np.float64)
    rows = rows_of_weights(node, weights, channels)
    found = np.einsum("ngt,got->ngo", taken, rows).reshape(len(taken), -1) + graph.tensor(node.read[2]).constant
    np.testing.assert_allclose(found.reshape(tensors[node.outputs[0]].shape), tensors[node.outputs[0]], atol=1e-4)
    assert np.array_equal(weights_of_rows(node, rows, weights.shape), weights)


def test_moments_are_means_over_windows() -> None:
    net = _network("conv")
    made = quantize(net.graph(), net.samples(4))
    graph, inputs = made.state.graph, made.state.inputs
    (moments,) = collect_moments(graph, made.state.chosen, inputs, second=True).values()
    node = graph.nodes[-1]
    real = windows(graph, node, inputs["x"].astype(np.float64))
    integers = windows(graph, node, represented(inputs["x"].astype(np.float64), made.state.chosen.types["x"]))
    assert moments.second is not None
    np.testing.assert_allclose(moments.mean, real.mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(moments.quantized_mean, integers.mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(moments.second[0], integers[:, 0].T @ integers[:, 0] / len(integers), atol=1e-12)


def test_second_moments_are_made_only_where_they_are_wanted() -> None:
    net = _network("conv")
    made = quantize(net.graph(), net.samples(4), QuantizeOptions())
    (moments,) = collect_moments(made.state.graph, made.state.chosen, made.state.inputs, second=False).values()
    assert moments.second is None
