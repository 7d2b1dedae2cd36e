"""Training as a whole: reproducible, accurate, judged by LiteRT."""

import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest

from bitloom.data import SHIPPED_DIGITS, SHIPPED_IRIS, Dataset, load_dataset
from bitloom.errors import TrainError
from bitloom.train import EpochReport, Recipe, Trained, train
from bitloom.train.models import litert_outputs

TEST_DATA = os.environ.get("BITLOOM_TEST_DATA")
DIGITS = load_dataset("digits")
IRIS = load_dataset("iris")


@pytest.fixture(scope="module")
def digits() -> Trained:
    return train(DIGITS)


def test_the_shipped_model_is_what_the_recipe_makes(digits: Trained) -> None:
    """If the recipe changed on purpose: python -m bitloom.train.ship."""
    assert digits.int8_model == SHIPPED_DIGITS.read_bytes()


def test_the_digits_network_is_good_and_small(digits: Trained) -> None:
    assert digits.quantized_accuracy >= 0.98
    assert digits.float_accuracy >= 0.98
    assert digits.layer_sizes == (64, 27, 19, 10)
    assert len(digits.int8_model) < 5000


def test_accuracies_are_litert_s(digits: Trained) -> None:
    for model, accuracy in (
        (digits.int8_model, digits.quantized_accuracy),
        (digits.float_model, digits.float_accuracy),
    ):
        answers = litert_outputs(model, DIGITS.test_x).argmax(axis=1)
        assert np.mean(answers == DIGITS.test_y) == accuracy
    assert litert_outputs(digits.int8_model, DIGITS.test_x).dtype == np.int8


def test_the_last_epoch_s_accuracy_is_the_model_s(digits: Trained) -> None:
    """Training evaluates with its own integers; they are the model's."""
    assert digits.history[-1].test_accuracy == digits.quantized_accuracy


def test_the_history_has_every_epoch(digits: Trained) -> None:
    phases = [(report.phase, report.epoch, report.epochs) for report in digits.history]
    assert phases == [("float", n, 60) for n in range(1, 61)] + [("quantized", n, 30) for n in range(1, 31)]
    assert digits.history[59].loss < digits.history[0].loss / 2
    assert digits.history[-1].train_accuracy > 0.99


def test_float_weights_are_those_of_the_float_model(digits: Trained) -> None:
    x = DIGITS.test_x[:20].astype(np.float64)
    for index, (weights, bias) in enumerate(zip(digits.float_weights, digits.float_biases, strict=True)):
        x = x @ weights.T + bias
        x = np.maximum(x, 0) if index < 2 else x
    np.testing.assert_allclose(litert_outputs(digits.float_model, DIGITS.test_x[:20]), x, atol=1e-4)


def short(dataset: Dataset = IRIS, **changes: object) -> Trained:
    return train(dataset, **{"epochs": 3, "quantized_epochs": 2, **changes})  # type: ignore[arg-type]


def test_the_seed_decides_everything() -> None:
    assert short().int8_model == short().int8_model
    assert short(seed=1).int8_model != short().int8_model


@pytest.mark.parametrize("layers", [(), (1,), (13, 11, 9, 7, 5)])
@pytest.mark.parametrize("per_channel", [False, True])
def test_any_number_of_layers(layers: tuple[int, ...], per_channel: bool) -> None:
    trained = short(layers=layers, per_channel=per_channel)
    assert trained.layer_sizes == (4, *layers, 3)
    assert [layer.weights.shape for layer in trained.layers] == [
        (outputs, inputs) for inputs, outputs in zip((4, *layers), (*layers, 3), strict=True)
    ]
    scales = [len(layer.weight_scales) for layer in trained.layers]
    assert scales == ([*layers, 3] if per_channel else [1] * (len(layers) + 1))
    assert [layer.relu for layer in trained.layers] == [True] * len(layers) + [False]


def test_iris_is_learned_and_shipped() -> None:
    """If the recipe changed on purpose: python -m bitloom.train.ship."""
    trained = train(IRIS)
    assert trained.layer_sizes == (4, 30, 30, 3)
    assert trained.quantized_accuracy >= trained.float_accuracy - 1 / len(IRIS.test_y) >= 0.93
    assert trained.int8_model == SHIPPED_IRIS.read_bytes()


def test_softmax_can_be_in_the_model_and_keeps_the_answers() -> None:
    logits = litert_outputs(short(epochs=40).int8_model, IRIS.test_x)
    probabilities = litert_outputs(short(epochs=40, softmax=True).int8_model, IRIS.test_x).astype(int) + 128
    assert np.abs(probabilities.sum(axis=1) - 256).max() <= 3
    # Probabilities round coarsely and may tie where logits do not, but what was largest still is.
    answers = logits.argmax(axis=1)[:, None]
    np.testing.assert_array_equal(np.take_along_axis(probabilities, answers, 1)[:, 0], probabilities.max(axis=1))


def test_progress_is_told_after_every_epoch() -> None:
    told: list[EpochReport] = []
    trained = short(progress=told.append)
    assert tuple(told) == trained.history
    assert len(told) == 5


def test_a_data_set_of_one_s_own_has_the_general_recipe() -> None:
    own = dataclasses.replace(IRIS, name="flowers")
    assert short(own).layer_sizes == (4, 18, 3)
    assert short(own, recipe=Recipe(layers=(5,))).layer_sizes == (4, 5, 3)
    assert short(own, recipe=Recipe(layers=(5,)), layers=(6, 7)).layer_sizes == (4, 6, 7, 3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layers": (3, 0)}, "layer sizes are at least 1, not 3, 0"),
        ({"epochs": 0}, "epochs is at least 1, not 0"),
        ({"quantized_epochs": -1}, "quantized_epochs is at least 1, not -1"),
        ({"recipe": Recipe(batch_size=0)}, "batch_size is at least 1"),
        ({"recipe": Recipe(percentile=0.0)}, "percentile is above 0"),
        ({"recipe": Recipe(percentile=101.0)}, "percentile is above 0 and at most 100, not 101"),
    ],
)
def test_senseless_numbers_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(TrainError, match=message):
        short(**changes)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_divergence_is_an_error() -> None:
    with pytest.raises(TrainError, match=r"diverged in float epoch \d; use a smaller learning rate"):
        short(recipe=Recipe(learning_rate=1e200))


@pytest.mark.skipif(
    not (TEST_DATA and Path(TEST_DATA, "mnist").is_dir()), reason="BITLOOM_TEST_DATA names no folder with mnist/ in it"
)
def test_mnist_reaches_pyrtlnet_s_accuracy_in_a_quarter_of_the_epochs() -> None:
    """The full recipe (about 25 s) reaches 96 %; pyrtlnet's network of the same shape 94.15 %."""
    trained = train(load_dataset("mnist", folder=Path(str(TEST_DATA), "mnist")), epochs=10, quantized_epochs=5)
    assert trained.layer_sizes == (144, 18, 10)
    assert trained.quantized_accuracy >= 0.945
