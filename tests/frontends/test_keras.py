"""Keras models as float graphs: what is said without TensorFlow, and, where it is installed, what it computes."""

from __future__ import annotations

import importlib
import importlib.util

import numpy as np
import pytest

from bitloom.errors import MissingExtraError, UnsupportedError, UsageError
from bitloom.frontends.keras import from_keras
from bitloom.run.float_litert import evaluate_float

needs_tensorflow = pytest.mark.skipif(
    importlib.util.find_spec("tensorflow") is None, reason="TensorFlow (the extra tensorflow, 2 GB) is not installed"
)


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.import_module

    def absent(name: str, package: str | None = None) -> object:
        if name == "tensorflow":
            raise ImportError(name)
        return found(name, package)

    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(MissingExtraError, match=r"tensorflow, .*; pip install 'bitloom\[tensorflow\]'"):
        from_keras(object())


@needs_tensorflow
def test_layers() -> None:
    from tensorflow import keras

    keras.utils.set_random_seed(1)
    layers = keras.layers
    x = layers.Input((16, 12, 3), name="picture")
    y = layers.ReLU(6)(layers.BatchNormalization()(layers.Conv2D(8, 3, padding="same", use_bias=False)(x)))
    z = layers.Conv2D(8, 1, name="point")(layers.DepthwiseConv2D(3, padding="same", activation="relu")(y))
    z = layers.MaxPooling2D()(layers.Add()([y, z]))
    z = layers.Concatenate()([z, layers.UpSampling2D(2)(layers.AveragePooling2D(2)(z))])
    z = layers.Dense(5, activation="softmax")(layers.Dropout(0.5)(layers.GlobalAveragePooling2D()(z)))
    model = keras.Model(x, z, name="mixed")
    graph = from_keras(model)
    inputs = np.random.default_rng(1).standard_normal((4, 1, 16, 12, 3)).astype(np.float32)
    wanted = np.stack([model(each, training=False).numpy() for each in inputs])
    found = evaluate_float(graph, {graph.inputs[0]: inputs})[graph.outputs[0]]
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
    assert (graph.name, graph.inputs) == ("mixed", ("picture",))


@needs_tensorflow
def test_flattened_images_and_several_inputs() -> None:
    from tensorflow import keras

    layers = keras.layers
    left, right = layers.Input((8, 8, 1), name="left"), layers.Input((5,), name="right")
    y = layers.Concatenate()([layers.Flatten()(layers.Conv2D(2, 3, activation="hard_swish")(left)), right])
    model = keras.Model([left, right], layers.Dense(3)(layers.LeakyReLU()(y)))
    graph = from_keras(model, name="two")
    rng = np.random.default_rng(2)
    shapes = {"left": (1, 8, 8, 1), "right": (1, 5)}
    inputs = {name: rng.standard_normal((1, *shape)).astype(np.float32) for name, shape in shapes.items()}
    wanted = model([inputs["left"][0], inputs["right"][0]]).numpy()
    found = evaluate_float(graph, inputs)[graph.outputs[0]][0]
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
    assert set(graph.inputs) == {"left", "right"}


@needs_tensorflow
def test_what_is_no_model_or_has_no_fixed_shape() -> None:
    from tensorflow import keras

    with pytest.raises(UsageError, match="model: is a dict, and a Keras model is needed"):
        from_keras({})
    with pytest.raises(UsageError, match="build it, or call it once"):
        from_keras(keras.Sequential([keras.layers.Dense(3)]))
    with pytest.raises(UnsupportedError, match="input 0: has the dynamic shape"):
        from_keras(keras.Sequential([keras.layers.Input((None, 4)), keras.layers.Dense(3)]))
