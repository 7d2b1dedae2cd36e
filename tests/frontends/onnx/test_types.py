"""Element types of quantized ONNX models, operator sets, and attributes of the conversions; judged by ONNX Runtime."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

import onnx
from onnx import TensorProto
from onnx_models import OnnxBuilder, array_type, assert_equal, assert_near

from bitloom.arith import IntType
from bitloom.frontends import load_onnx
from bitloom.run.executor import create_executor

RNG = np.random.default_rng(21)
POINTS = {"int4": -3, "uint4": 5, "int8": -9, "uint8": 117, "int16": 1000, "uint16": 31000}
ELEMENTS = pytest.mark.parametrize("element", POINTS)


def integers(element: str, *shape: int) -> np.ndarray:
    limits = IntType.parse(element)
    return RNG.integers(limits.minimum, limits.maximum, shape, endpoint=True).astype(array_type(element))


@ELEMENTS
def test_activations(element: str) -> None:
    builder = OnnxBuilder((1, 64), opset=21)
    builder.through("x", 3 / 2 ** IntType.parse(element).bits, POINTS[element], element)
    model = builder.load()
    assert str(model.graph.values[1].type.element) == element
    assert_equal(model)


@ELEMENTS
def test_inputs_of_integers(element: str) -> None:
    builder = OnnxBuilder((1, 2, 3), element, opset=21)
    x = builder.dequantize(builder.node("Transpose", "x", perm=[0, 2, 1]), 0.25, POINTS[element], element)
    builder.through(x, 0.5, 0)
    assert_equal(builder.load())


@pytest.mark.parametrize("element", ["int4", "uint4", "int8", "uint8"])
@pytest.mark.parametrize("made", ["int4", "uint8", "int16"])
def test_other_scales(element: str, made: str) -> None:
    builder = OnnxBuilder((1, 64), opset=21)
    x = builder.through("x", 0.043, POINTS[element], element)
    builder.through(builder.node("Tanh", x), 2 / 2 ** IntType.parse(made).bits, POINTS[made], made)
    assert_near(builder.load())


@pytest.mark.parametrize("made", ["int8", "int16", "uint16"])
def test_other_scales_of_sixteen_bits(made: str) -> None:
    builder = OnnxBuilder((1, 512), opset=21)
    x = builder.through("x", 0.00017, 11, "int16")
    builder.through(x, 7 / 2 ** IntType.parse(made).bits, POINTS[made], made)
    assert_near(builder.load())


@pytest.mark.parametrize("kind", ["Conv", "Gemm"])
@pytest.mark.parametrize("element", ["int4", "uint4", "int8", "uint8", "int16"])
@pytest.mark.parametrize("per_axis", [False, True], ids=["", "per_axis"])
def test_weights(kind: str, element: str, per_axis: bool) -> None:
    builder = OnnxBuilder((1, 4, 5, 5) if kind == "Conv" else (2, 9), opset=21)
    x = builder.through("x", 0.031, 7)
    weights = integers(element, 6, 4, 3, 3) if kind == "Conv" else integers(element, 6, 9)
    largest = 2.0 ** -IntType.parse(element).bits
    scales = np.linspace(largest, 2 * largest, 6) if per_axis else largest
    points = [0] * 6 if per_axis else min(POINTS[element], 100)
    w = builder.weights(weights, scales, points, 0 if per_axis else None)
    y = builder.node(kind, x, w) if kind == "Conv" else builder.node(kind, x, w, transB=1)
    builder.through(y, 0.041, 3)
    assert_near(builder.load())


def test_activations_of_sixteen_bits_through_layers() -> None:
    builder = OnnxBuilder((1, 3, 6, 6), opset=21)
    x = builder.through("x", 0.0001, 0, "int16")
    w = builder.weights(integers("int8", 4, 3, 3, 3), 0.01)
    x = builder.through(builder.node("Conv", x, w), 0.0007, 0, "int16")
    x = builder.through(builder.node("MaxPool", x, kernel_shape=[2, 2]), 0.0007, 0, "int16")
    builder.through(builder.node("GlobalAveragePool", x), 0.0003, 0, "int16")
    assert_near(builder.load())


@pytest.mark.parametrize("opset", [13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25])
def test_operator_sets(opset: int) -> None:
    builder = OnnxBuilder((1, 2, 6, 6), opset=opset)
    x = builder.through("x", 0.05, 3)
    x = builder.node("Conv", x, builder.weights(integers("int8", 3, 2, 3, 3), 0.01))
    x = builder.through(builder.node("Relu", x), 0.2, -4)
    x = builder.through(builder.node("AveragePool", x, kernel_shape=[2, 2]), 0.1317, 1)
    builder.through(builder.node("Flatten", x), 0.1317, 1)
    assert_near(builder.load())


def test_the_newest_operator_set() -> None:
    """ONNX Runtime reads no newer ones than it knows, so that only NumPy computes."""
    builder = OnnxBuilder((1, 6), opset=onnx.defs.onnx_opset_version())
    builder.through(
        builder.node("Gemm", builder.through("x", 0.05, 3), builder.weights(integers("int8", 6, 2), 1)), 1, 0
    )
    model = builder.load()
    assert [node.operator.name for node in model.graph.nodes] == ["quantize_linear", "fully_connected", "dequantize"]


@pytest.mark.parametrize("element", ["int8", "uint16"])
def test_output_dtype_names_the_type(element: str) -> None:
    builder = OnnxBuilder((1, 64), opset=21)
    scale = builder.constant(np.float32(0.02))
    dtype = getattr(TensorProto, element.upper())
    builder.node("DequantizeLinear", builder.node("QuantizeLinear", "x", scale, output_dtype=dtype), scale)
    model = builder.load()
    assert str(model.graph.values[1].type.element) == element
    assert_equal(model)


def test_without_zero_points_results_are_unsigned() -> None:
    builder = OnnxBuilder((1, 64), opset=13)
    scale = builder.constant(np.float32(0.02))
    builder.node("DequantizeLinear", builder.node("QuantizeLinear", "x", scale), scale)
    assert_equal(builder.load())


def test_attributes_that_change_nothing() -> None:
    builder = OnnxBuilder((1, 64), opset=23)
    options = {"axis": 0, "saturate": 1, "block_size": 0, "precision": TensorProto.FLOAT}
    q = builder.node("QuantizeLinear", "x", *builder.triple(0.02, 3), **options)
    builder.node("DequantizeLinear", q, *builder.triple(0.02, 3), axis=1, output_dtype=TensorProto.FLOAT)
    assert_equal(builder.load())


@pytest.mark.parametrize("axis", [0, 1])
def test_float_weights_behind_quantize_linear_are_constants(axis: int) -> None:
    builder = OnnxBuilder((2, 6))
    x = builder.through("x", 0.05, 3)
    numbers = builder.constant(RNG.standard_normal((5, 6) if axis == 0 else (6, 5)).astype(np.float32))
    triple = builder.triple(np.linspace(0.01, 0.02, 5), [0] * 5)
    w = builder.node("QuantizeLinear", numbers, *triple, axis=axis)
    w = builder.node("DequantizeLinear", w, *triple, axis=axis)
    builder.through(builder.node("Gemm", x, w, transB=1 - axis), 0.09, 1)
    assert_near(builder.load())


def test_transposed_weights_keep_their_scales() -> None:
    builder = OnnxBuilder((2, 6))
    x = builder.through("x", 0.05, 3)
    w = builder.weights(integers("int8", 5, 6), np.linspace(0.01, 0.02, 5), [0] * 5, axis=0)
    w = builder.node("Reshape", builder.node("Transpose", w, perm=[1, 0]), builder.constant(np.array([6, -1])))
    builder.through(builder.node("MatMul", x, w), 0.09, 1)
    assert_near(builder.load())


def test_several_outputs() -> None:
    builder = OnnxBuilder((1, 3, 4, 4))
    x = builder.through("x", 0.05, 3)
    left = builder.through(builder.node("Relu", x), 0.03, -128)
    right = builder.through(builder.node("GlobalAveragePool", x), 0.021, 5)
    model = load_onnx(builder.content(left, right), "test", "test.onnx")
    assert model.graph.outputs == (left, right)
    assert_near(model)


def test_an_output_that_others_read() -> None:
    builder = OnnxBuilder((1, 8), "int8")
    x = builder.node("MaxPool", builder.node("Unsqueeze", "x", builder.constant(np.array([0]))), kernel_shape=[2])
    y = builder.dequantize(x, 0.5, 3)
    model = load_onnx(builder.content(x, y), "test", "test.onnx")
    outputs = create_executor("numpy", model).run({"x": np.arange(8, dtype=np.int8)[None, None]}).tensors
    np.testing.assert_array_equal(outputs[model.graph.outputs[1]], (outputs[model.graph.outputs[0]] - 3.0) * 0.5)
