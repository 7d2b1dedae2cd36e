"""The training recipe through TensorFlow: Keras, its model optimization toolkit, and the TFLite converter.

The same interface and the same kind of result as `bitloom.train.train`, for those who want TensorFlow's own
quantization-aware training and converter. It needs the extra ``bitloom[tensorflow]`` (over 2 GB); nothing else in
bitloom does. Its results are reproducible on one machine from a seed, but not between machines.

Source: the TensorFlow Model Optimization guide, "Quantization aware training in Keras example".
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

from bitloom.data.dataset import Dataset
from bitloom.errors import MissingExtraError, TrainError
from bitloom.train.models import int8_model, litert_accuracy, read_int8_layers
from bitloom.train.recipe import Recipe, choose_recipe
from bitloom.train.trained import EpochReport, Phase, Trained

_CALIBRATION_SAMPLES = 100  # for ranges that quantization-aware training did not learn


def train_with_tensorflow(
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
    """Train and quantize a multilayer perceptron with TensorFlow.

    Arguments and errors are those of `bitloom.train.train`, but that the recipe's weight decay and percentile are not
    used (Keras' Adam has no weight decay; the toolkit finds ranges its own way), and:

    Raises:
        MissingExtraError: TensorFlow or its model optimization toolkit is not installed.
        TrainError: `per_channel` is asked for, which the toolkit does not offer for dense layers; or the converter
            gave something other than int8 dense layers.
    """
    tensorflow, optimization, keras = _import_tensorflow()
    if per_channel:
        raise TrainError(
            "TensorFlow's quantization-aware training has one weight scale per dense layer",
            remedy="leave per_channel out, or train without TensorFlow",
        )
    recipe = choose_recipe(dataset, recipe, layers, epochs, quantized_epochs)
    keras.utils.set_random_seed(seed)
    history: list[EpochReport] = []

    def report(epoch: EpochReport) -> None:
        history.append(epoch)
        if progress:
            progress(epoch)

    hidden = [keras.layers.Dense(size, activation="relu") for size in recipe.layers]
    model = keras.Sequential(
        [keras.layers.InputLayer(input_shape=(dataset.features,)), *hidden, keras.layers.Dense(dataset.classes)]
    )
    _fit(keras, model, dataset, recipe, "float", report)
    weights = [layer.get_weights() for layer in model.layers if isinstance(layer, keras.layers.Dense)]
    as_float = tensorflow.lite.TFLiteConverter.from_keras_model(model).convert()

    quantized = optimization.quantization.keras.quantize_model(model)
    _fit(keras, quantized, dataset, recipe, "quantized", report)
    as_int8 = _convert(tensorflow, quantized, dataset)
    quantized_layers = read_int8_layers(as_int8)
    if softmax:  # written by us: in training the logits must stay logits
        as_int8 = int8_model(quantized_layers, f"bitloom through TensorFlow, {dataset.name}, seed {seed}", softmax=True)
    return Trained(
        dataset=dataset.name,
        layer_sizes=(dataset.features, *recipe.layers, dataset.classes),
        seed=seed,
        float_weights=tuple(np.ascontiguousarray(kernel.T, np.float32) for kernel, _ in weights),
        float_biases=tuple(bias.astype(np.float32) for _, bias in weights),
        layers=quantized_layers,
        history=tuple(history),
        float_model=as_float,
        int8_model=as_int8,
        float_accuracy=litert_accuracy(as_float, dataset.test_x, dataset.test_y),
        quantized_accuracy=litert_accuracy(as_int8, dataset.test_x, dataset.test_y),
    )


def require_tensorflow() -> None:
    """Fail early where the extra is not installed.

    Raises:
        MissingExtraError: a package is missing; the message names the extra.
    """
    _import_tensorflow()


def _import_tensorflow() -> tuple[Any, Any, Any]:
    """TensorFlow, its model optimization toolkit, and the Keras that toolkit works with (Keras 2, not 3)."""
    try:
        tensorflow = importlib.import_module("tensorflow")
        optimization = importlib.import_module("tensorflow_model_optimization")
        compatibility = importlib.import_module("tensorflow_model_optimization.python.core.keras.compat")
    except ImportError as error:
        raise MissingExtraError(
            f"training with TensorFlow needs packages that are not installed ({error.name or error})",
            remedy="pip install 'bitloom[tensorflow]', or train without TensorFlow",
        ) from error
    return tensorflow, optimization, compatibility.keras


def _fit(
    keras: Any, model: Any, dataset: Dataset, recipe: Recipe, phase: Phase, report: Callable[[EpochReport], None]
) -> None:
    """Train a Keras model with the recipe's numbers; a float one or one with quantization in it."""
    epochs = recipe.epochs if phase == "float" else recipe.quantized_epochs
    learning_rate = recipe.learning_rate if phase == "float" else recipe.quantized_learning_rate
    steps = epochs * -(-len(dataset.train_y) // recipe.batch_size)
    model.compile(
        optimizer=keras.optimizers.legacy.Adam(keras.optimizers.schedules.CosineDecay(learning_rate, steps)),
        loss=keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=recipe.label_smoothing),
        metrics=["accuracy"],
    )

    def after_epoch(epoch: int, logs: dict[str, float]) -> None:
        report(EpochReport(phase, epoch + 1, epochs, logs["loss"], logs["accuracy"], logs["val_accuracy"]))

    one_hot = np.eye(dataset.classes, dtype=np.float32)
    model.fit(
        dataset.train_x,
        one_hot[dataset.train_y],
        batch_size=recipe.batch_size,
        epochs=epochs,
        validation_data=(dataset.test_x, one_hot[dataset.test_y]),
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=after_epoch)],
        verbose=0,
    )


def _convert(tensorflow: Any, model: Any, dataset: Dataset) -> bytes:
    """The int8 .tflite of a quantization-aware model, int8 at its input and output too."""
    converter = tensorflow.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tensorflow.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: (
        [dataset.train_x[index : index + 1]] for index in range(min(_CALIBRATION_SAMPLES, len(dataset.train_y)))
    )
    converter.target_spec.supported_ops = [tensorflow.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tensorflow.int8
    converter.inference_output_type = tensorflow.int8
    return bytes(converter.convert())
