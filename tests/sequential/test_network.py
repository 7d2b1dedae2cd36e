"""Stating networks, and giving them weights."""

import numpy as np
import pytest

import bitloom as bl
from bitloom.errors import GraphError, UsageError
from bitloom.sequential import (
    ArgMax,
    AvgPool2d,
    Conv2d,
    Flatten,
    Linear,
    MaxPool2d,
    ReLU,
    Sequential,
    SoftMax,
    TruncateLSB,
)

IRIS = bl.load_dataset("iris")


def dense(*, bias: bool = True) -> Sequential:
    layers = [Linear(4, 5, bits=8, bias=bias), TruncateLSB(8), ReLU(), Linear(5, 3, bias=bias), SoftMax()]
    return Sequential(layers, name="small")


def state(*shapes: tuple[int, ...], seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    names = [f"{2 * index}" for index in range(len(shapes))]
    weights = {f"{name}.weight": rng.normal(size=shape) for name, shape in zip(names, shapes, strict=True)}
    biases = {f"{name}.bias": rng.normal(size=shape[0]) for name, shape in zip(names, shapes, strict=True)}
    return {name: values for pair in zip(weights.items(), biases.items(), strict=True) for name, values in pair}


@pytest.mark.parametrize(
    ("layers", "shape", "message"),
    [
        ([Linear(4, 30), ReLU(), Linear(31, 3)], None, r"layer 2 \(Linear\): takes 31 features and gets 30"),
        ([Conv2d(1, 4, 3), Linear(4, 3)], (8, 8, 1), r"layer 1 \(Linear\): takes features, not images of shape \[6, 6"),
        ([Conv2d(3, 4, 3)], (8, 8, 1), r"layer 0 \(Conv2d\): takes 3 channels and gets 1"),
        ([Linear(4, 4), MaxPool2d(2)], None, r"layer 1 \(MaxPool2d\): takes images"),
        ([Conv2d(1, 4, 3), MaxPool2d(7)], (8, 8, 1), r"layer 1 \(MaxPool2d\): a window of 7"),
        ([Conv2d(1, 4, 3), ArgMax()], (8, 8, 1), r"layer 1 \(ArgMax\): takes scores"),
        ([Linear(4, 3), ArgMax(), ReLU()], None, r"layer 1 \(ArgMax\): has layers behind it"),
        ([Linear(4, 3)], (0,), r"an input of shape \[0\]"),
    ],
)
def test_layers_that_do_not_fit_are_named_by_their_index(layers, shape, message) -> None:
    with pytest.raises(GraphError, match=message):
        Sequential(layers, input_shape=shape)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Sequential([]), "without layers"),
        (lambda: Sequential(["Linear"]), "layer 0 is str"),  # type: ignore[list-item]
        (lambda: Sequential([ReLU()]), "does not say what shape"),
        (lambda: Linear(0, 3), "sizes are at least 1"),
        (lambda: Linear(4, 3, bits=0), "Linear: a width of 0 bits; choose 1 to 32"),
        (lambda: Conv2d(1, 3, 3, bits=33), "Conv2d: a width of 33 bits"),
        (lambda: TruncateLSB(40), "TruncateLSB: a width of 40 bits"),
    ],
)
def test_senseless_statements_are_refused(make, message) -> None:
    with pytest.raises(UsageError, match=message):
        make()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda given: given.pop("2.weight"), r"layer 3 \(Linear\).*lacks '2.weight'"),
        (lambda given: given.pop("0.bias"), r"layer 0 \(Linear\).*lacks '0.bias'; or say bias=False"),
        (lambda given: given.update({"4.weight": np.zeros((3, 3))}), "weights for 3 layers .* has 2"),
        (lambda given: given.update({"2.weight": np.zeros((3, 6))}), r"layer 3 \(Linear\).*\[3, 5\].*\[3, 6\]"),
        (lambda given: given.update({"2.weight": np.full((3, 5), np.nan)}), "'2.weight' holds NaN"),
        (lambda given: given.update({"2.weight": [["a"]]}), "'2.weight' is no array of numbers"),
        (lambda given: given.update({"1.running_mean": np.zeros(3)}), "neither a weight nor a bias"),
    ],
)
def test_states_that_do_not_fit_are_refused(change, message) -> None:
    given = state((5, 4), (3, 5))
    change(given)
    with pytest.raises(UsageError, match=message):
        dense().load_state_dict(given)


def test_a_bias_that_is_not_wanted_is_refused() -> None:
    with pytest.raises(UsageError, match="has a bias for it"):
        dense(bias=False).load_state_dict(state((5, 4), (3, 5)))


def test_without_weights_there_is_no_graph() -> None:
    with pytest.raises(UsageError, match=r"layer 0 \(Linear\): has no weights yet"):
        dense().naive(-1, 1)
    with pytest.raises(UsageError, match="has no weights yet"):
        dense().float_graph()


def test_loading_leaves_the_network_as_it_was() -> None:
    network = dense()
    loaded = network.load_state_dict(state((5, 4), (3, 5)))
    assert not network.parameters
    assert loaded.parameters_of(3).weights.shape == (3, 5)


def test_training_is_the_float_half_of_the_recipe_and_reproduces() -> None:
    network = Sequential([Linear(4, 7), TruncateLSB(4), ReLU(), Linear(7, 3), SoftMax()])
    trained = network.train(IRIS, epochs=3)
    recipe = bl.train(IRIS, layers=(7,), epochs=3, quantized_epochs=1)
    for (index, _), weights in zip(trained.weighted, recipe.float_weights, strict=True):
        np.testing.assert_array_equal(trained.parameters_of(index).weights.astype(np.float32), weights)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([Linear(4, 5), Linear(5, 3)], "other layers than Linear with ReLU between"),
        ([Linear(4, 5), ReLU(), Linear(5, 3), ReLU()], "other layers than"),
        ([Linear(5, 5), ReLU(), Linear(5, 3)], "from 5 features to 3 scores"),
        ([Linear(4, 5, bias=False), ReLU(), Linear(5, 3)], "a layer without bias"),
    ],
)
def test_what_training_does_not_know_is_refused(layers, message) -> None:
    with pytest.raises(UsageError, match=message):
        Sequential(layers).train(IRIS)


def test_shapes_of_images() -> None:
    network = Sequential(
        [Conv2d(1, 4, 3, stride=2, padding=1), ReLU(), AvgPool2d(2), Flatten(), Linear(16, 3)], input_shape=(9, 8, 1)
    )
    assert network.shapes == ((9, 8, 1), (5, 4, 4), (5, 4, 4), (2, 2, 4), (16,), (3,))
