"""Quantized ONNX models as circuits: every tensor of the simulated circuit is what NumPy computes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from onnx import TensorProto
from onnx_models import OnnxBuilder, array_type

from bitloom import verify
from bitloom.frontends import Model, load_onnx
from bitloom.run.inputs import random_inputs

RNG = np.random.default_rng(6)


def integers(*shape: int, element: str = "int8") -> np.ndarray:
    low, high = {"int4": (-8, 7), "uint4": (0, 15), "uint8": (0, 255)}.get(element, (-128, 127))
    return RNG.integers(low, high, shape, endpoint=True).astype(array_type(element))


def narrow_weights() -> Model:
    builder = OnnxBuilder((1, 3, 5, 5), opset=21)
    x = builder.through("x", 0.3, -3, "int4")
    y = builder.node("Conv", x, builder.weights(integers(4, 3, 2, 2, element="int4"), 0.2))
    x = builder.through(builder.node("Relu", y), 0.9, 2, "uint4")
    x = builder.through(builder.node("Flatten", x), 0.9, 2, "uint4")
    y = builder.node("Gemm", x, builder.weights(integers(5, 64, element="int4"), 0.2), transB=1)
    builder.through(y, 1.3, 0, "int8")
    return builder.load()


def lines() -> Model:
    builder = OnnxBuilder((1, 2, 12))
    x = builder.through("x", 0.05, 3)
    x = builder.through(builder.node("Conv", x, builder.weights(integers(4, 2, 3), 0.01), pads=[1, 1]), 0.07, -4)
    x = builder.through(builder.node("AveragePool", x, kernel_shape=[2], strides=[2]), 0.07, -4)
    builder.through(builder.node("GlobalMaxPool", x), 0.07, -4)
    return builder.load()


def halves() -> Model:
    builder = OnnxBuilder((1, 2, 8, 8), "int8")
    x = builder.dequantize("x", 0.0313, 5)
    x = builder.through(builder.node("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2]), 0.0313, 5)
    x = builder.through(builder.node("AveragePool", x, kernel_shape=[2, 2], strides=[1, 3]), 0.0171, 5)
    builder.through(builder.node("Identity", x), 0.0171, 5)
    return builder.load()


def averages() -> Model:
    builder = OnnxBuilder((1, 3, 6, 6), "uint8")
    x = builder.dequantize("x", 0.031, 99, "uint8")
    y = builder.node("AveragePool", x, kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[2, 1], ceil_mode=1)
    x = builder.through(y, 0.0217, 7)
    builder.through(builder.node("ReduceMean", x, axes=[1], keepdims=0), 0.0171, 5)
    return builder.load()


def quantized_averages() -> Model:
    builder = OnnxBuilder((1, 4, 4, 3), "int8")
    options = {"domain": "com.microsoft", "channels_last": 1}
    triple = builder.triple(0.031, 5)
    x = builder.node("QLinearAveragePool", "x", *triple, *triple, kernel_shape=[2, 2], **options)
    x = builder.node("QLinearGlobalAveragePool", x, *triple, *builder.triple(0.0171, 3), **options)
    builder.dequantize(x, 0.0171, 3)
    return builder.load()


def sums() -> Model:
    builder = OnnxBuilder((2, 12), "int8")
    y = builder.node("MatMulInteger", "x", builder.constant(integers(12, 5)), builder.constant(np.int8(4)))
    y = builder.node("Mul", builder.node("Cast", y, to=TensorProto.FLOAT), builder.constant(np.float32(0.0031)))
    builder.through(y, 0.3, 5)
    return load_onnx(builder.content(), "test")


def sums_as_they_are() -> Model:
    builder = OnnxBuilder((1, 2, 4, 4), "uint8")
    builder.node("ConvInteger", "x", builder.constant(integers(3, 2, 2, 2, element="uint8")))
    return builder.load()


def two_outputs() -> Model:
    builder = OnnxBuilder((1, 4, 4, 4))
    x = builder.through("x", 0.05, 3)
    left = builder.through(builder.node("Conv", x, builder.weights(integers(3, 4, 1, 1), 0.01)), 0.07, -4)
    ends = builder.constant(np.array([2, 0])), builder.constant(np.array([4, 3])), builder.constant(np.array([1, 2]))
    right = builder.through(builder.node("Slice", x, *ends), 0.05, 3)
    return load_onnx(builder.content(left, right), "test")


def pairs() -> Model:
    builder = OnnxBuilder((1, 6, 6), opset=18)
    x = builder.through("x", 0.05, 3)
    turned = builder.through(builder.node("Transpose", x, perm=[0, 2, 1]), 0.05, 3)
    x = builder.through(builder.node("Sub", x, turned), 0.07, 1)
    x = builder.through(builder.node("Softmax", x, axis=1), 1 / 256, -128)
    x = builder.through(builder.node("Mul", x, builder.constant(np.float32(3))), 0.0123, -128)
    builder.through(builder.node("Clip", x, builder.constant(np.float32(0.1))), 0.0123, -128)
    return builder.load()


@pytest.mark.parametrize(
    "make",
    [narrow_weights, lines, halves, averages, quantized_averages, sums, sums_as_they_are, two_outputs, pairs],
    ids=lambda make: make.__name__,
)
def test_circuits(make: Callable[[], Model]) -> None:
    model = make()
    report = verify(model, random_inputs(model.graph, 6, 4), ["numpy", "pyrtl"])
    assert report.equal
