"""The training recipe: float training, then quantization-aware training, then TFLite files judged by LiteRT."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bitloom.data.dataset import Dataset
from bitloom.data.quantized import quantize_inputs
from bitloom.data.random_bits import RandomBits
from bitloom.errors import TrainError
from bitloom.train.exact import Matrix, cosine_decay
from bitloom.train.models import float_model, int8_model, litert_accuracy
from bitloom.train.network import LayerPass, Parameters, cross_entropy, forward, gradients
from bitloom.train.optimizer import Adam
from bitloom.train.quantized import Quantization, observe_ranges, quantize_network, quantized_forward
from bitloom.train.trained import EpochReport, Phase, Trained

Labels = npt.NDArray[np.int64]
Forward = Callable[[Matrix], tuple[Matrix, list[LayerPass]]]


@dataclass(frozen=True)
class Recipe:
    """Everything about training that is not the data.

    Attributes:
        layers: sizes of the hidden layers; the output layer's size is the number of classes.
        epochs: passes over the training samples in float.
        quantized_epochs: passes in quantization-aware training.
        batch_size: samples per step.
        learning_rate: Adam's, at the start of float training; it decays to 0 along half a cosine.
        quantized_learning_rate: the same for quantization-aware training.
        weight_decay: see `bitloom.train.optimizer.Adam`.
        label_smoothing: see `bitloom.train.network.cross_entropy`.
        percentile: see `bitloom.train.quantized.observe_ranges`.
    """

    layers: tuple[int, ...] = (18,)
    epochs: int = 40
    quantized_epochs: int = 20
    batch_size: int = 64
    learning_rate: float = 0.01
    quantized_learning_rate: float = 0.002
    weight_decay: float = 0.0
    label_smoothing: float = 0.0
    percentile: float = 99.99


RECIPES = {
    "digits": Recipe(
        layers=(27, 19), epochs=60, quantized_epochs=30, batch_size=32, weight_decay=0.1, label_smoothing=0.1
    ),
    "iris": Recipe(
        layers=(30, 30), epochs=150, quantized_epochs=50, batch_size=16, weight_decay=0.1, label_smoothing=0.1
    ),
    "mnist": Recipe(layers=(18,), weight_decay=0.02),
}
"""The default recipe of each data set."""

_CALIBRATION_SAMPLES = 8192  # enough for the percentiles of a range
_RANGE_INERTIA = 0.5  # of the moving average over epochs
_FROZEN_SHARE = 0.5  # of the quantized epochs, the last ones, in which ranges no longer move


def train(
    dataset: Dataset,
    layers: tuple[int, ...] | None = None,
    seed: int = 0,
    epochs: int | None = None,
    *,
    quantized_epochs: int | None = None,
    per_channel: bool = False,
    softmax: bool = False,
    progress: Callable[[EpochReport], None] | None = None,
    recipe: Recipe | None = None,
) -> Trained:
    """Train and quantize a multilayer perceptron.

    The same arguments give the same files, byte for byte, on every machine; see `bitloom.train.exact`.

    Args:
        dataset: what to learn.
        layers: sizes of the hidden layers, any number of them; None takes the recipe's.
        seed: of the initial weights and of the order of samples.
        epochs: passes in float; None takes the recipe's.
        quantized_epochs: passes in quantization-aware training; None takes the recipe's.
        per_channel: one weight scale per output of a layer instead of one per layer.
        softmax: end int8.tflite with SOFTMAX instead of the logits.
        progress: called after every epoch.
        recipe: everything else; None takes the data set's own from `RECIPES`, or `Recipe()`.

    Raises:
        TrainError: senseless numbers, or training that diverges.
    """
    recipe = choose_recipe(dataset, recipe, layers, epochs, quantized_epochs)
    random = RandomBits(seed)
    sizes = (dataset.features, *recipe.layers, dataset.classes)
    parameters = Parameters.random(sizes, random)
    history: list[EpochReport] = []

    def report(epoch: EpochReport) -> None:
        history.append(epoch)
        if progress:
            progress(epoch)

    _train_float(dataset, recipe, parameters, random, report)
    description = f"bitloom, {dataset.name}, layers {'-'.join(map(str, sizes))}, seed {seed}"
    as_float = float_model(parameters, description)
    float_weights = tuple(array.astype(np.float32) for array in parameters.weights)
    float_biases = tuple(array.astype(np.float32) for array in parameters.biases)

    quantizations = _train_quantized(dataset, recipe, parameters, random, report, per_channel=per_channel)
    quantized = quantize_network(parameters, quantizations, per_channel=per_channel)
    as_int8 = int8_model(quantized, description, softmax=softmax)
    return Trained(
        dataset=dataset.name,
        layer_sizes=sizes,
        seed=seed,
        float_weights=float_weights,
        float_biases=float_biases,
        layers=tuple(quantized),
        history=tuple(history),
        float_model=as_float,
        int8_model=as_int8,
        float_accuracy=litert_accuracy(as_float, dataset.test_x, dataset.test_y),
        quantized_accuracy=litert_accuracy(as_int8, dataset.test_x, dataset.test_y),
    )


def train_float(
    dataset: Dataset,
    layers: tuple[int, ...] | None = None,
    seed: int = 0,
    epochs: int | None = None,
    *,
    progress: Callable[[EpochReport], None] | None = None,
    recipe: Recipe | None = None,
) -> Parameters:
    """Train a multilayer perceptron in float only: the first half of `train`, with the same weights.

    Arguments and errors are those of `train`.
    """
    recipe = choose_recipe(dataset, recipe, layers, epochs, None)
    random = RandomBits(seed)
    parameters = Parameters.random((dataset.features, *recipe.layers, dataset.classes), random)
    _train_float(dataset, recipe, parameters, random, progress or (lambda _: None))
    return parameters


def _train_float(
    dataset: Dataset,
    recipe: Recipe,
    parameters: Parameters,
    random: RandomBits,
    report: Callable[[EpochReport], None],
) -> None:
    x, test_x = dataset.train_x.astype(np.float64), dataset.test_x.astype(np.float64)
    optimizer = Adam(parameters, recipe.weight_decay)
    phase = _Phase("float", recipe, recipe.epochs, recipe.learning_rate)
    for epoch in range(1, phase.epochs + 1):
        loss, accuracy = _train_epoch(
            phase, epoch, x, dataset.train_y, random, optimizer, lambda batch: forward(parameters, batch)
        )
        test_accuracy = _accuracy(forward(parameters, test_x)[0], dataset.test_y)
        report(EpochReport("float", epoch, phase.epochs, loss, accuracy, test_accuracy))


def _train_quantized(
    dataset: Dataset,
    recipe: Recipe,
    parameters: Parameters,
    random: RandomBits,
    report: Callable[[EpochReport], None],
    *,
    per_channel: bool,
) -> list[Quantization]:
    """Train on with quantized weights and activations; the quantizations of the input and every layer's output."""
    source = Quantization.of_range(float(dataset.train_x.min()), float(dataset.train_x.max()))
    x, test_x = (
        quantize_inputs(values, source.scale, source.zero_point).astype(np.float64) - source.zero_point
        for values in (dataset.train_x, dataset.test_x)
    )
    ranges = observe_ranges(parameters, source, x[:_CALIBRATION_SAMPLES], recipe.percentile, per_channel=per_channel)
    optimizer = Adam(parameters, recipe.weight_decay)
    phase = _Phase("quantized", recipe, recipe.quantized_epochs, recipe.quantized_learning_rate)

    def quantizations() -> list[Quantization]:
        return [source, *(Quantization.of_range(low, high) for low, high in ranges)]

    def quantized(batch: Matrix) -> tuple[Matrix, list[LayerPass]]:
        layers = quantize_network(parameters, quantizations(), per_channel=per_channel)
        return quantized_forward(layers, batch)

    for epoch in range(1, phase.epochs + 1):
        loss, accuracy = _train_epoch(phase, epoch, x, dataset.train_y, random, optimizer, quantized)
        if epoch <= (1 - _FROZEN_SHARE) * phase.epochs:
            seen = observe_ranges(
                parameters, source, x[:_CALIBRATION_SAMPLES], recipe.percentile, per_channel=per_channel
            )
            ranges = [_average(old, new) for old, new in zip(ranges, seen, strict=True)]
        test_accuracy = _accuracy(quantized(test_x)[0], dataset.test_y)
        report(EpochReport("quantized", epoch, phase.epochs, loss, accuracy, test_accuracy))
    return quantizations()


def _average(old: tuple[float, float], new: tuple[float, float]) -> tuple[float, float]:
    low, high = (_RANGE_INERTIA * was + (1 - _RANGE_INERTIA) * now for was, now in zip(old, new, strict=True))
    return low, high


@dataclass(frozen=True)
class _Phase:
    """One of the two halves of training."""

    name: Phase
    recipe: Recipe
    epochs: int
    learning_rate: float


def _train_epoch(
    phase: _Phase,
    epoch: int,
    x: Matrix,
    y: Labels,
    random: RandomBits,
    optimizer: Adam,
    network: Forward,
) -> tuple[float, float]:
    """One pass over all samples in random order; the mean loss and accuracy on the way."""
    batches = list(_batches(random.permutation(len(y)), phase.recipe.batch_size))
    loss = right = 0.0
    for index, samples in enumerate(batches):
        logits, record = network(x[samples])
        batch_loss, by_logits = cross_entropy(logits, y[samples], phase.recipe.label_smoothing)
        done = (epoch - 1 + index / len(batches)) / phase.epochs
        optimizer.step(gradients(record, by_logits), phase.learning_rate * cosine_decay(done))
        loss += batch_loss * len(samples)
        right += _accuracy(logits, y[samples]) * len(samples)
    if not math.isfinite(loss):
        raise TrainError(f"training diverged in {phase.name} epoch {epoch}", remedy="use a smaller learning rate")
    return loss / len(y), right / len(y)


def _batches(order: Labels, size: int) -> Iterator[Labels]:
    for start in range(0, len(order), size):
        yield order[start : start + size]


def _accuracy(logits: Matrix, labels: Labels) -> float:
    return float(np.mean(logits.argmax(axis=1) == labels))


def choose_recipe(
    dataset: Dataset,
    recipe: Recipe | None,
    layers: tuple[int, ...] | None,
    epochs: int | None,
    quantized_epochs: int | None,
) -> Recipe:
    """The recipe given, or the data set's own, with whatever else is given in place of its values.

    Raises:
        TrainError: senseless numbers.
    """
    recipe = recipe or RECIPES.get(dataset.name, Recipe())
    recipe = dataclasses.replace(
        recipe,
        layers=recipe.layers if layers is None else tuple(layers),
        epochs=recipe.epochs if epochs is None else epochs,
        quantized_epochs=recipe.quantized_epochs if quantized_epochs is None else quantized_epochs,
    )
    if any(size < 1 for size in recipe.layers):
        raise TrainError(f"layer sizes are at least 1, not {', '.join(map(str, recipe.layers))}")
    for name in ("epochs", "quantized_epochs", "batch_size"):
        if getattr(recipe, name) < 1:
            raise TrainError(f"{name} is at least 1, not {getattr(recipe, name)}")
    if not 0 < recipe.percentile <= 100:
        raise TrainError(f"percentile is above 0 and at most 100, not {recipe.percentile}")
    return recipe
