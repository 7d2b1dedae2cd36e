"""Gradients against finite differences; the optimizer against its formulas."""

import numpy as np
import pytest

from bitloom.data.random_bits import RandomBits
from bitloom.train.network import Parameters, cross_entropy, forward, gradients
from bitloom.train.optimizer import Adam

SIZES = (5, 7, 6, 3)


def problem(smoothing: float) -> tuple[Parameters, np.ndarray, np.ndarray]:
    random = np.random.default_rng(1)
    parameters = Parameters.random(SIZES, RandomBits(2))
    for bias in parameters.biases:
        bias += random.normal(size=bias.shape) * 0.3
    return parameters, random.normal(size=(11, 5)), random.integers(0, 3, 11)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_gradients_are_the_slopes_of_the_loss(smoothing: float) -> None:
    parameters, x, y = problem(smoothing)
    logits, record = forward(parameters, x)
    computed = gradients(record, cross_entropy(logits, y, smoothing)[1])

    def loss() -> float:
        return cross_entropy(forward(parameters, x)[0], y, smoothing)[0]

    step = 1e-3  # the exact products round operands to about 1e-7, so smaller steps see that rounding
    for kind in ("weights", "biases"):
        for array, slopes in zip(getattr(parameters, kind), getattr(computed, kind), strict=True):
            assert array.shape == slopes.shape
            for index in np.ndindex(array.shape):
                kept = array[index]
                array[index] = kept + step
                above = loss()
                array[index] = kept - step
                below = loss()
                array[index] = kept
                assert slopes[index] == pytest.approx((above - below) / (2 * step), abs=2e-4)


def test_forward_is_dense_layers_with_relu_between() -> None:
    parameters, x, _ = problem(0.0)
    expected = x
    for index, (weights, bias) in enumerate(zip(parameters.weights, parameters.biases, strict=True)):
        expected = expected @ weights.T + bias
        if index < 2:
            expected = np.maximum(expected, 0)
    np.testing.assert_allclose(forward(parameters, x)[0], expected, atol=1e-5)


def test_initial_weights_have_the_variance_of_he() -> None:
    parameters = Parameters.random((400, 300, 10), RandomBits(3))
    assert parameters.weights[0].shape == (300, 400)
    assert parameters.weights[0].var() == pytest.approx(2 / 400, rel=0.02)
    assert all((bias == 0).all() for bias in parameters.biases)


def test_the_loss_of_a_certain_right_answer_is_zero() -> None:
    loss, slope = cross_entropy(np.array([[100.0, 0.0]]), np.array([0]), 0.0)
    assert loss == pytest.approx(0, abs=1e-12)
    assert np.abs(slope).max() < 1e-12
    assert cross_entropy(np.array([[0.0, 0.0]]), np.array([1]), 0.0)[0] == pytest.approx(np.log(2))


def test_adam_follows_its_formulas() -> None:
    parameters = Parameters([np.array([[1.0, -2.0]])], [np.array([0.5])])
    weight_decay, rate = 0.1, 0.01
    optimizer = Adam(parameters, weight_decay)
    values = {"w": np.array([[1.0, -2.0]]), "b": np.array([0.5])}
    means = dict.fromkeys(values, 0.0)
    squares = dict.fromkeys(values, 0.0)
    random = np.random.default_rng(4)
    for t in range(1, 6):
        steps = {"w": random.normal(size=(1, 2)), "b": random.normal(size=1)}
        for key, gradient in steps.items():
            means[key] = 0.9 * means[key] + 0.1 * gradient
            squares[key] = 0.999 * squares[key] + 0.001 * gradient**2
            change = (means[key] / (1 - 0.9**t)) / (np.sqrt(squares[key] / (1 - 0.999**t)) + 1e-8)
            decay = weight_decay * values[key] if key == "w" else 0.0
            values[key] = values[key] - rate * (change + decay)
        optimizer.step(Parameters([steps["w"]], [steps["b"]]), rate)
    np.testing.assert_allclose(parameters.weights[0], values["w"], rtol=1e-12)
    np.testing.assert_allclose(parameters.biases[0], values["b"], rtol=1e-12)
