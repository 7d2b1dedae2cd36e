"""Quantized operators of ONNX and of ONNX Runtime, judged by it; exact where it computes integers."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from onnx_models import OnnxBuilder, assert_equal, assert_near

RNG = np.random.default_rng(8)
MICROSOFT = "com.microsoft"


def integers(*shape: int, element: str = "int8") -> np.ndarray:
    limits = np.iinfo(element)
    return RNG.integers(limits.min, limits.max, shape, element, endpoint=True)


@pytest.mark.parametrize("element", ["int8", "uint8"])
@pytest.mark.parametrize("per_axis", [False, True], ids=["", "per_axis"])
@pytest.mark.parametrize(("groups", "depth"), [(1, 4), (2, 2), (4, 1)])
def test_qlinearconv_is_exact(element: str, per_axis: bool, groups: int, depth: int) -> None:
    point = 101 if element == "uint8" else -3
    builder = OnnxBuilder((1, 4, 6, 5), element)
    weights = integers(8, depth, 3, 2)
    scales = np.linspace(0.002, 0.007, 8) if per_axis else 0.0043
    node = builder.node(
        "QLinearConv",
        "x",
        *builder.triple(0.031, point, element),
        builder.constant(weights),
        *builder.triple(scales, [0] * 8 if per_axis else 0),
        *builder.triple(0.0571, point, element),
        builder.constant(RNG.integers(-3000, 3000, 8).astype(np.int32)),
        group=groups,
        pads=[1, 0, 1, 1],
        strides=[1, 2],
    )
    builder.dequantize(node, 0.0571, point, element)
    assert_equal(builder.load())


@pytest.mark.parametrize("element", ["int8", "uint8"])
def test_qlinearmatmul_is_exact(element: str) -> None:
    point = 90 if element == "uint8" else 11
    builder = OnnxBuilder((3, 20), element)
    weights = (builder.constant(integers(20, 7, element=element)), *builder.triple(0.013, 5, element))
    x = ("x", *builder.triple(0.0217, point, element))
    builder.dequantize(
        builder.node("QLinearMatMul", *x, *weights, *builder.triple(0.317, point, element)), 0.317, point, element
    )
    assert_equal(builder.load())


def test_qgemm_is_exact() -> None:
    builder = OnnxBuilder((2, 12), "int8")
    weights = (builder.constant(integers(5, 12)), *builder.triple(np.linspace(0.01, 0.03, 5), [0] * 5))
    bias = builder.constant(RNG.integers(-900, 900, 5).astype(np.int32))
    x = ("x", *builder.triple(0.0217, 6))
    node = builder.node(
        "QGemm", *x, *weights, bias, *builder.triple(0.21, -7), domain=MICROSOFT, transA=0, transB=1, alpha=1.0
    )
    builder.dequantize(node, 0.21, -7)
    assert_equal(builder.load())


@pytest.mark.parametrize("kind", ["QLinearAdd", "QLinearMul"])
@pytest.mark.parametrize("constant", [False, True])
def test_pairs(kind: str, constant: bool) -> None:
    builder = OnnxBuilder((1, 8, 32), "int8")
    other = builder.constant(integers(8, 32)) if constant else "x"
    made = (0.083, 5) if kind == "QLinearAdd" else (0.11, 5)
    operands = ("x", *builder.triple(0.031, 2), other, *builder.triple(0.047, -9))
    builder.dequantize(builder.node(kind, *operands, *builder.triple(*made), domain=MICROSOFT), *made)
    assert_near(builder.load())


@pytest.mark.parametrize(
    ("kind", "attributes"),
    [
        ("QLinearAveragePool", {"kernel_shape": [2, 3], "strides": [2, 1]}),
        ("QLinearGlobalAveragePool", {"channels_last": 0}),
    ],
)
def test_pools(kind: str, attributes: dict[str, object]) -> None:
    builder = OnnxBuilder((1, 5, 8, 7), "int8")
    operands = ("x", *builder.triple(0.0313, 2), *builder.triple(0.0231, -9))
    builder.dequantize(builder.node(kind, *operands, domain=MICROSOFT, **attributes), 0.0231, -9)
    assert_near(builder.load())


@pytest.mark.parametrize("kind", ["QLinearSigmoid", "QLinearLeakyRelu"])
@pytest.mark.parametrize("element", ["int8", "uint8"])
def test_functions_are_exact(kind: str, element: str) -> None:
    builder = OnnxBuilder((1, 256), element)
    point = 119 if element == "uint8" else 4
    operands = ("x", *builder.triple(0.0413, point, element), *builder.triple(0.0113, point, element))
    builder.dequantize(builder.node(kind, *operands, domain=MICROSOFT), 0.0113, point, element)
    assert_equal(builder.load())


def test_softmax() -> None:
    builder = OnnxBuilder((4, 12), "int8")
    operands = ("x", *builder.triple(0.0413, 3), *builder.triple(1 / 256, -128))
    node = builder.node("QLinearSoftmax", *operands, domain=MICROSOFT, opset=17, axis=1)
    builder.dequantize(node, 1 / 256, -128)
    assert_near(builder.load())


def test_concatenation_is_exact() -> None:
    builder = OnnxBuilder((1, 3, 4, 4), "int8")
    pooled = builder.node("MaxPool", "x", kernel_shape=[1, 1])
    parts = (pooled, *builder.triple(0.031, 2), "x", *builder.triple(0.047, -9))
    node = builder.node("QLinearConcat", *builder.triple(0.0413, 1), *parts, domain=MICROSOFT, axis=1)
    builder.dequantize(node, 0.0413, 1)
    assert_equal(builder.load())
