"""What TFLite cannot say of ONNX models is refused, naming the node; what both mean alike is written and judged."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("ai_edge_litert")

from models import assert_litert_agrees
from onnx_models import OnnxBuilder

from bitloom.errors import UnsupportedError
from bitloom.export.tflite import graph_to_tflite
from bitloom.passes.float_edges import split_float_edges
from bitloom.run.inputs import random_inputs

RNG = np.random.default_rng(2)


def integers(*shape: int) -> np.ndarray:
    return RNG.integers(-128, 127, shape, "int8", endpoint=True)


def conv(builder: OnnxBuilder, x: str) -> tuple[str, float, int]:
    bias = builder.constant(np.ones(3, np.float32))
    return builder.node("Conv", x, builder.weights(integers(3, 4, 1, 1), 0.01), bias), 0.07, 3


def depthwise(builder: OnnxBuilder, x: str) -> tuple[str, float, int]:
    return builder.node("Conv", x, builder.weights(integers(4, 1, 2, 2), 0.01), group=4), 0.07, 3


def dense(builder: OnnxBuilder, x: str) -> tuple[str, float, int]:
    return builder.node("MatMul", x, builder.weights(integers(6, 5), 0.01)), 0.07, 3


def added(builder: OnnxBuilder, x: str) -> tuple[str, float, int]:
    return builder.node("Add", x, x), 0.07, 3


def multiplied(builder: OnnxBuilder, x: str) -> tuple[str, float, int]:
    return builder.node("Mul", x, x), 0.07, 3


def averaged(builder: OnnxBuilder, x: str) -> tuple[str, float, int]:
    return builder.node("AveragePool", x, kernel_shape=[2, 2]), 0.0313, 3


def halved(builder: OnnxBuilder, x: str) -> tuple[str, float, int]:
    return builder.node("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2]), 0.03, 3


def reduced(builder: OnnxBuilder, x: str) -> tuple[str, float, int]:
    return builder.node("ReduceMean", x, axes=[2]), 0.07, 3


def softmax(builder: OnnxBuilder, x: str) -> tuple[str, float, int]:
    return builder.node("Softmax", x), 1 / 256, -128


def sigmoid(builder: OnnxBuilder, x: str) -> tuple[str, float, int]:
    return builder.node("Sigmoid", x), 1 / 256, -128


def rescaled(builder: OnnxBuilder, x: str) -> tuple[str, float, int]:
    return x, 0.07, 3


ROUNDED = (conv, depthwise, dense, added, multiplied, averaged, halved, reduced, softmax, sigmoid, rescaled)


def core(make: Callable[[OnnxBuilder, str], tuple[str, float, int]]):
    builder = OnnxBuilder((1, 4, 4, 6))
    y, scale, point = make(builder, builder.through("x", 0.03, 3))
    builder.through(y, scale, point)
    return split_float_edges(builder.load().graph).core


@pytest.mark.parametrize("make", ROUNDED)
def test_roundings_of_onnx_are_refused(make: Callable[[OnnxBuilder, str], tuple[str, float, int]]) -> None:
    graph = core(make)
    with pytest.raises(
        UnsupportedError, match=r"has no form in TFLite|TFLite has no tensors of|would not compute the same"
    ) as caught:
        graph_to_tflite(graph)
    assert any(node.name in str(caught.value) for node in graph.nodes) or "tensor '" in str(caught.value)


def test_quantized_operators_are_refused() -> None:
    builder = OnnxBuilder((2, 12), "int8")
    weights = (builder.constant(integers(12, 5)), *builder.triple(0.01, 0))
    node = builder.node("QLinearMatMul", "x", *builder.triple(0.03, 3), *weights, *builder.triple(0.3, 4))
    builder.dequantize(node, 0.3, 4)
    with pytest.raises(UnsupportedError, match="FULLY_CONNECTED would not compute the same"):
        graph_to_tflite(split_float_edges(builder.load().graph).core)


def pooled(builder: OnnxBuilder, x: str) -> tuple[str, float, int]:
    return builder.node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2]), 0.03, 3


def sliced(builder: OnnxBuilder, x: str) -> tuple[str, float, int]:
    starts, ends = (builder.constant(np.array(indices)) for indices in ([0, 1], [3, 100]))
    return builder.node("Slice", x, starts, ends), 0.03, 3


@pytest.mark.parametrize("make", [pooled, sliced])
def test_what_both_mean_alike_is_written(make: Callable[[OnnxBuilder, str], tuple[str, float, int]]) -> None:
    graph = core(make)
    assert_litert_agrees(graph, random_inputs(graph, 10, 1))
