"""The naive integer path: explicit integers, the same in software and circuits."""

import numpy as np
import pytest

import bitloom as bl
from bitloom.errors import UsageError
from bitloom.sequential import (
    AvgPool2d,
    Conv2d,
    Flatten,
    Integers,
    Linear,
    MaxPool2d,
    ReLU,
    ReLU6,
    Sequential,
    Sigmoid,
    SoftMax,
    TruncateLSB,
)


def weights(network: Sequential, seed: int = 0, spread: float = 1.0) -> Sequential:
    rng = np.random.default_rng(seed)
    state = {}
    for index, layer in network.weighted:
        state[f"{index}.weight"] = rng.normal(0, spread, layer.weight_shape)
        state[f"{index}.bias"] = rng.normal(0, spread, layer.outputs)
    return network.load_state_dict(state)


DENSE = weights(
    Sequential([Linear(4, 6, bits=8), TruncateLSB(8), ReLU(), Linear(6, 5, bits=4), ReLU(), TruncateLSB(3), SoftMax()])
)


def test_integers_are_those_one_writes_down() -> None:
    """Step by step, in plain NumPy."""
    graph = DENSE.naive(-2.0, 1.0)
    x = np.random.default_rng(1).integers(-127, 128, (50, 4))
    found = graph.evaluate({"input": x.astype(np.int8)[:, None]})
    for index, dropped in ((0, 8), (3, 3)):
        parameters, limit = DENSE.parameters_of(index), 127 if index == 0 else 7
        whole = np.rint(parameters.weights / (np.abs(parameters.weights).max() / limit))
        bias = np.rint(parameters.bias / (np.abs(parameters.bias).max() / limit))
        x = np.maximum(np.floor((x @ whole.T + bias) / 2**dropped), 0).astype(np.int64)
        np.testing.assert_array_equal(found[f"linear_{index}"][:, 0], x)
    np.testing.assert_array_equal(found["softmax_6"][:, 0], x.argmax(axis=1))


def test_types_are_as_narrow_as_the_weights_allow() -> None:
    graph = DENSE.naive(-2.0, 1.0)
    for name in ("linear_0", "linear_3"):
        element = graph.type(name).integer
        assert not element.signed
        node = graph.producer(name)
        assert node is not None
        high = graph.evaluate(bl.random_inputs(graph, 3))[name].max()
        assert high <= node.operator.activation.high <= element.maximum  # type: ignore[attr-defined]
        assert node.operator.activation.high > element.maximum // 2  # type: ignore[attr-defined]


@pytest.mark.parametrize("inputs", [Integers(8, signed=False), Integers(6, symmetric=False), Integers(4, signed=False)])
@pytest.mark.parametrize("signed", [True, False])
def test_every_kind_of_integers_is_the_same_in_circuits(inputs: Integers, signed: bool) -> None:
    layers = [Linear(3, 4, bits=5, signed=signed, symmetric=signed), TruncateLSB(3), ReLU6(), Linear(4, 3, bits=2)]
    graph = weights(Sequential(layers)).naive(-1.0, 0.5, inputs=inputs)
    assert graph.type("input").quantization.zero_point == inputs.of_range(-1.0, 0.5).zero_point  # type: ignore[union-attr]
    assert bl.verify(graph, bl.random_inputs(graph, 12), ["numpy", "pyrtl"], stalls=True).equal


def test_convolutions_pools_and_tables_are_the_same_in_circuits() -> None:
    layers = [
        Conv2d(2, 3, 3, padding=1, bits=4), TruncateLSB(4), ReLU(), MaxPool2d(2),
        Conv2d(3, 4, (1, 2), stride=(2, 1), bits=3), ReLU(), TruncateLSB(5), AvgPool2d(1, 2), Flatten(), ReLU(),
        Linear(4, 3, bits=4), TruncateLSB(6), Sigmoid(), SoftMax(),
    ]  # fmt: skip
    graph = weights(Sequential(layers, input_shape=(7, 7, 2))).naive(0.0, 1.0, inputs=Integers(4))
    assert [node.operator.name for node in graph.nodes] == [
        "conv_2d", "max_pool_2d", "conv_2d", "average_pool_2d", "reshape", "fully_connected", "lookup", "arg_max",
    ]  # fmt: skip
    assert bl.verify(graph, bl.random_inputs(graph, 6), ["numpy", "pyrtl"], stalls=True).equal


@pytest.mark.parametrize("aligned", [False, True])
def test_wide_weights_and_sums_are_exact(aligned: bool) -> None:
    """Sums beyond 32 bits, and biases in their steps."""
    network = weights(Sequential([Linear(3, 4, bits=32), TruncateLSB(9), ReLU(), Linear(4, 2, bits=16)]))
    graph = network.naive(-1.0, 1.0, aligned_biases=aligned)
    assert graph.type("linear_0").integer.bits > 24
    parameters = network.parameters_of(0)
    scale = np.abs(parameters.weights).max() / (2**31 - 1)
    step = scale / 127 if aligned else np.abs(parameters.bias).max() / (2**31 - 1)
    x = np.random.default_rng(1).integers(-127, 128, (20, 3))
    sums = x @ np.rint(parameters.weights / scale).astype(np.int64).T + np.rint(parameters.bias / step).astype(np.int64)
    found = graph.evaluate({"input": x.astype(np.int8)[:, None]})["linear_0"][:, 0]
    np.testing.assert_array_equal(found, np.maximum(sums >> 9, 0))
    assert bl.verify(graph, bl.random_inputs(graph, 8), ["numpy", "pyrtl"]).equal


def test_rectifiers_clamp_at_the_real_6() -> None:
    network = weights(Sequential([Linear(2, 3, bits=8), TruncateLSB(4), ReLU6()]), spread=20.0)
    graph = network.naive(-1.0, 1.0)
    result = graph.evaluate(bl.random_inputs(graph, 200))["linear_0"]
    scale = graph.type("linear_0").quantization.scale  # type: ignore[union-attr]
    assert result.min() == 0
    assert result.max() == round(6 / scale)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([Linear(4, 4, bits=8), Sigmoid()], r"layer 1 \(Sigmoid\).*put TruncateLSB\(\d+\) or more in front"),
        ([ReLU(), TruncateLSB(3)], r"layer 1 \(TruncateLSB\): stands behind no sums"),
    ],
)
def test_layers_without_integers_are_refused(layers, message) -> None:
    with pytest.raises(UsageError, match=message):
        weights(Sequential(layers, input_shape=(4,))).naive(-1.0, 1.0)


@pytest.mark.parametrize("extremes", [(1.0, 0.0), (float("nan"), 1.0), (0.0, float("inf"))])
def test_senseless_extremes_are_refused(extremes) -> None:
    with pytest.raises(UsageError, match="smallest and the largest"):
        DENSE.naive(*extremes)


def test_the_naive_iris_is_bad_because_of_its_biases() -> None:
    """A third of the flowers is taken for others; with biases in the steps of the products hardly any is."""
    iris = bl.load_dataset("iris")
    layers = [Linear(4, 30, bits=8), TruncateLSB(8), ReLU(), Linear(30, 30, bits=8), TruncateLSB(8), ReLU()]
    network = Sequential([*layers, Linear(30, 3, bits=8), SoftMax()], name="iris").train(iris)

    def right(graph: bl.Graph) -> float:
        samples = bl.dataset_samples(graph, "iris")
        return float((bl.run(graph, samples.inputs).tensors["softmax_7"].ravel() == samples.labels).mean())

    assert right(network.naive(0.0, 1.0)) < 0.75
    assert right(network.naive(0.0, 1.0, aligned_biases=True)) > 0.95
