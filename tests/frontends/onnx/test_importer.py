"""ONNX models with QuantizeLinear and DequantizeLinear around operators, judged by ONNX Runtime."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from onnx_models import OnnxBuilder, assert_equal, assert_near, differences

from bitloom.frontends import load
from bitloom.ops.binary32_sum import Binary32Sum
from bitloom.run.executor import create_executor
from bitloom.run.inputs import random_inputs
from data import test_data

RNG = np.random.default_rng(4)


def integers(*shape: int, element: str = "int8") -> np.ndarray:
    limits = np.iinfo(element)
    return RNG.integers(limits.min, limits.max, shape, element, endpoint=True)


CONVOLUTIONS = {
    "same": ((1, 3, 7, 6), (5, 3, 3, 3), {"pads": [1, 1, 1, 1]}),
    "strided": ((1, 2, 8, 7), (4, 2, 3, 2), {"strides": [2, 1], "pads": [0, 1, 1, 0]}),
    "dilated": ((1, 2, 9, 9), (3, 2, 3, 3), {"dilations": [2, 3]}),
    "grouped": ((1, 6, 5, 5), (4, 3, 3, 3), {"group": 2}),
    "depthwise": ((1, 4, 6, 5), (4, 1, 3, 3), {"group": 4, "auto_pad": "SAME_UPPER", "strides": [2, 2]}),
    "multiplier": ((1, 3, 5, 5), (6, 1, 2, 2), {"group": 3, "auto_pad": "SAME_LOWER"}),
    "pixels": ((1, 5, 3, 4), (7, 5, 1, 1), {}),
}


def convolution(case: str, *, element: str = "int8", per_axis: bool = False, relu: bool = False) -> OnnxBuilder:
    shape, kernel, attributes = CONVOLUTIONS[case]
    builder = OnnxBuilder(shape)
    x = builder.through("x", 0.031, 100 if element == "uint8" else -7, element)
    scales = np.linspace(0.002, 0.005, kernel[0]) if per_axis else 0.0031
    points = [0] * kernel[0] if per_axis else 0
    w = builder.weights(integers(*kernel), scales, points, 0 if per_axis else None)
    bias = RNG.integers(-5000, 5000, kernel[0]).astype(np.int32)
    b = builder.dequantize(builder.constant(bias), np.float32(0.031) * np.float32(scales), points, "int32", 0)
    y = builder.node("Conv", x, w, b, **attributes)
    if relu:
        y = builder.node("Relu", y)
    builder.through(y, 0.07, 0 if element == "uint8" else -100, element)
    return builder


@pytest.mark.parametrize("case", CONVOLUTIONS)
@pytest.mark.parametrize("per_axis", [False, True], ids=["", "per_axis"])
def test_convolutions(case: str, per_axis: bool) -> None:
    model = convolution(case, per_axis=per_axis, relu=per_axis).load()
    assert_near(model)
    kinds = [node.operator.name for node in model.graph.nodes]
    assert ("depthwise_conv_2d" in kinds) == (case in ("depthwise", "multiplier"))


def test_unsigned_convolution() -> None:
    assert_near(convolution("same", element="uint8", relu=True).load())


def test_channels_first_leaves_one_transpose_at_each_end() -> None:
    graph = convolution("same").load().graph
    assert [node.operator.name for node in graph.nodes].count("transpose") == 2


def test_flattened_images_need_no_transpose() -> None:
    builder = OnnxBuilder((1, 1, 6, 5))
    x = builder.through("x", 0.03, 3)
    x = builder.through(builder.node("Conv", x, builder.weights(integers(4, 1, 3, 3), 0.004)), 0.09, -20)
    x = builder.through(builder.node("MaxPool", x, kernel_shape=[2, 1], strides=[2, 1]), 0.09, -20)
    x = builder.through(builder.node("Flatten", x), 0.09, -20)
    y = builder.node("Gemm", x, builder.weights(integers(6, 24), 0.01), transB=1)
    builder.through(y, 0.2, 5)
    model = builder.load()
    assert "transpose" not in [node.operator.name for node in model.graph.nodes]
    assert_near(model)


@pytest.mark.parametrize("bias", ["none", "gemm", "added"])
def test_dense_layers(bias: str) -> None:
    builder = OnnxBuilder((2, 9))
    x = builder.through("x", 0.03, 3)
    weights = builder.weights(integers(9, 5), np.linspace(0.01, 0.02, 5), [0] * 5, axis=1)
    numbers = builder.constant(RNG.standard_normal(5).astype(np.float32))
    if bias == "gemm":
        y = builder.node("Gemm", x, weights, numbers)
    else:
        y = builder.node("MatMul", x, weights)
        y = builder.node("Add", y, numbers) if bias == "added" else y
    builder.through(builder.node("Clip", y, builder.constant(np.float32(-3)), builder.constant(np.float32(6))), 0.05, 9)
    assert_near(builder.load())


def test_matrix_product_of_several_axes() -> None:
    builder = OnnxBuilder((1, 3, 4, 6))
    x = builder.through("x", 0.03, 3)
    builder.through(builder.node("MatMul", x, builder.weights(integers(6, 5), 0.01)), 0.1, 5)
    assert_near(builder.load())


@pytest.mark.parametrize("kind", ["Add", "Mul"])
@pytest.mark.parametrize("element", ["int8", "uint8"])
@pytest.mark.parametrize("constant", [None, (3,), (1, 2, 4, 3), ()])
def test_pairs(kind: str, element: str, constant: tuple[int, ...] | None) -> None:
    builder = OnnxBuilder((1, 2, 4, 3))
    point = 100 if element == "uint8" else -9
    x = builder.through("x", 0.031, point, element)
    if constant is None:
        other = builder.through(builder.node("Tanh", x), 0.0079, point, element)
    else:
        other = builder.dequantize(builder.constant(integers(*constant, element=element)), 0.013, 7, element)
    builder.through(builder.node(kind, x, other), 0.043, point, element)
    assert_near(builder.load())


@pytest.mark.parametrize(
    "kind", ["Sigmoid", "Tanh", "LeakyRelu", "Elu", "HardSigmoid", "HardSwish", "Abs", "Neg", "Relu"]
)
@pytest.mark.parametrize("element", ["int8", "uint8"])
def test_functions(kind: str, element: str) -> None:
    builder = OnnxBuilder((1, 256))
    x = builder.through("x", 0.041, 117 if element == "uint8" else 20, element)
    builder.through(builder.node(kind, x), 0.0217, 33, element)
    assert_equal(builder.load())


def test_requantization_is_exact() -> None:
    builder = OnnxBuilder((1, 256), "int8")
    builder.through(builder.dequantize("x", 0.5, 3), 1.0, 7, "uint8")
    assert_equal(builder.load())


@pytest.mark.parametrize(
    ("kind", "attributes"),
    [
        ("MaxPool", {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 0, 1, 1]}),
        ("MaxPool", {"kernel_shape": [2, 2], "auto_pad": "SAME_UPPER"}),
        ("AveragePool", {"kernel_shape": [2, 3], "strides": [1, 2]}),
        ("AveragePool", {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "count_include_pad": 1}),
        ("GlobalAveragePool", {}),
    ],
)
def test_pools(kind: str, attributes: dict[str, object]) -> None:
    builder = OnnxBuilder((1, 3, 6, 7))
    x = builder.through("x", 0.0313, -11)
    scale = (0.0313, -11) if kind == "MaxPool" else (0.0171, 4)
    builder.through(builder.node(kind, x, **attributes), *scale)
    (assert_equal if kind == "MaxPool" else assert_near)(builder.load())


HALVES = {
    "squares": ((1, 4, 8, 8), [2, 2]),
    "columns": ((1, 3, 8, 4), [2, 1]),
    "rows": ((1, 3, 4, 8), [1, 2]),
    "long_columns": ((1, 3, 12, 4), [6, 1]),
    "long_rows": ((1, 3, 2, 16), [1, 8]),
    "gray": ((1, 1, 8, 8), [2, 2]),
    "rest": ((2, 2, 7, 9), [2, 2]),
    "lines": ((1, 3, 16), [4]),
    "whole": ((1, 40, 4, 6), [4, 6]),
    "global": ((1, 40, 4, 4), []),
    "global_square": ((1, 40, 2, 2), []),
    "global_wide": ((1, 20, 5, 8), []),
    "global_line": ((1, 20, 12), []),
}


@pytest.mark.parametrize("case", HALVES)
@pytest.mark.parametrize(("given", "made"), [((0.0313, 0), (0.0313, 0)), ((0.0171, -128), (0.03420001, 5))])
@pytest.mark.parametrize("element", ["int8", "uint8"])
def test_averages_that_are_halves_are_exact(
    case: str, given: tuple[float, int], made: tuple[float, int], element: str
) -> None:
    """A quarter of the sums of four are halves, where binary32's own errors decide."""
    shape, kernel = HALVES[case]
    builder = OnnxBuilder(shape)
    point = 128 if element == "uint8" else 0
    x = builder.through("x", given[0], given[1] + point, element)
    if "global" in case:
        y = builder.node("GlobalAveragePool", x)
    else:
        y = builder.node("AveragePool", x, kernel_shape=kernel, strides=[1, 1] if case == "whole" else kernel)
    builder.through(builder.node("Relu", y) if case == "gray" else y, made[0], made[1] + point, element)
    model = builder.load()
    assert "binary32_sum" in [node.operator.name for node in model.graph.nodes]
    assert_equal(model)


@pytest.mark.parametrize(
    "attributes",
    [
        {"kernel_shape": [4, 4], "strides": [4, 4]},
        {"kernel_shape": [2, 4], "strides": [1, 3]},
        {"kernel_shape": [2, 2], "strides": [3, 3], "pads": [1, 1, 0, 1], "count_include_pad": 1},
    ],
)
def test_larger_steps_along_rows_are_added_row_by_row(attributes: dict[str, object]) -> None:
    builder = OnnxBuilder((1, 4, 12, 13))
    builder.through(builder.node("AveragePool", builder.through("x", 0.0313, 3), **attributes), 0.0313, 3)
    model = builder.load()
    (sums,) = [node.operator for node in model.graph.nodes if isinstance(node.operator, Binary32Sum)]
    assert not sums.columns_first
    assert_equal(model)


def test_averages_without_halves_need_no_binary32() -> None:
    builder = OnnxBuilder((1, 4, 9, 9))
    x = builder.through("x", 0.0313, 0)
    builder.through(builder.node("AveragePool", x, kernel_shape=[3, 3], strides=[3, 3]), 0.0313, 0)
    model = builder.load()
    assert "binary32_sum" not in [node.operator.name for node in model.graph.nodes]
    assert_equal(model)


@pytest.mark.parametrize(
    "attributes",
    [
        {"kernel_shape": [2, 2]},
        {"kernel_shape": [4, 3], "strides": [1, 2]},
        {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 1, 0, 1], "count_include_pad": 1},
    ],
)
def test_overlapping_averages_that_are_halves_are_exact(attributes: dict[str, object]) -> None:
    builder = OnnxBuilder((1, 4, 8, 8))
    builder.through(builder.node("AveragePool", builder.through("x", 0.0313, 3), **attributes), 0.0313, 3)
    assert_equal(builder.load())


def test_averages_of_counts_that_differ_are_off_at_halves_only() -> None:
    builder = OnnxBuilder((1, 4, 8, 8))
    x = builder.through("x", 0.0313, 0)
    builder.through(builder.node("AveragePool", x, kernel_shape=[3, 3], pads=[1, 1, 1, 1]), 0.0313, 0)
    elements, apart, largest = differences(builder.load())
    assert largest <= 1
    assert apart <= elements * 0.05


@pytest.mark.parametrize("scale", [1 / 256, 1 / 255])
def test_softmax(scale: float) -> None:
    builder = OnnxBuilder((3, 12))
    builder.through(builder.node("Softmax", builder.through("x", 0.05, 9), axis=1), scale, -128)
    assert_near(builder.load())


def test_movement() -> None:
    builder = OnnxBuilder((1, 2, 3, 4))
    x = builder.through("x", 0.05, 9)
    x = builder.through(builder.node("Transpose", x, perm=[0, 2, 1, 3]), 0.05, 9)
    x = builder.through(builder.node("Reshape", x, builder.constant(np.array([0, -1, 2]))), 0.05, 9)
    x = builder.through(builder.node("Unsqueeze", x, builder.constant(np.array([1]))), 0.05, 9)
    x = builder.through(builder.node("Pad", x, builder.constant(np.array([0, 0, 1, 0, 0, 1, 0, 2]))), 0.05, 9)
    x = builder.through(builder.node("Squeeze", x, builder.constant(np.array([0]))), 0.05, 9)
    assert_equal(builder.load())


def test_concatenation_of_scales_of_their_own_with_channels_last() -> None:
    builder = OnnxBuilder((1, 2, 4, 3))
    x = builder.through("x", 0.05, 9)
    left = builder.through(builder.node("Conv", x, builder.weights(integers(3, 2, 1, 1), 0.0117)), 0.0831, 1)
    right = builder.through(builder.node("Conv", x, builder.weights(integers(2, 2, 1, 1), 0.0213)), 0.1171, -5)
    builder.through(builder.node("Concat", left, right, axis=1), 0.1031, 0)
    assert_near(builder.load())


def test_a_batch_that_may_change_is_one_inference() -> None:
    builder = OnnxBuilder(("N", 4))
    builder.through("x", 0.05, 9)
    assert builder.load().graph.type("x").shape == (1, 4)


@pytest.mark.parametrize(("name", "exact"), [("qoperator", True), ("qdq", False)])
def test_keyword_networks(name: str, exact: bool) -> None:
    model = load(test_data(f"onnx/micro_kws_m_static_{name}.onnx"))
    assert "transpose" not in [node.operator.name for node in model.graph.nodes]
    elements, apart, _ = differences(model, 40)
    assert apart == 0 if exact else apart < elements / 5_000
    inputs = random_inputs(model.graph, 40, 1)
    judged, found = (
        create_executor(executor, model).run(inputs).tensors[model.graph.outputs[0]].argmax(axis=-1)
        for executor in ("onnxruntime", "numpy")
    )
    np.testing.assert_array_equal(judged, found)


@pytest.mark.parametrize("name", ["qoperator", "qdq"])
def test_keyword_networks_operator_by_operator(name: str) -> None:
    """Each operator on what ONNX Runtime computed: at most one unit on at most 0.1 % of all elements."""
    model = load(test_data(f"onnx/micro_kws_m_static_{name}.onnx"))
    inputs = random_inputs(model.graph, 40, 2)
    judged = create_executor("onnxruntime", model).run(inputs).tensors
    elements = apart = 0
    known = {**inputs, **judged}
    for node in model.graph.nodes:
        name_of_result = node.outputs[0]
        operands = [value.data if value.data is not None else known[value.name] for value in model.graph.operands(node)]
        result = node.operator.evaluate(operands)[0]
        if name_of_result not in judged:
            known[name_of_result] = result
        elif judged[name_of_result].dtype.kind != "f":
            difference = np.abs(result.astype(int) - judged[name_of_result].astype(int))
            assert difference.max() <= (0 if name == "qoperator" else 1)
            elements, apart = elements + difference.size, apart + int((difference > 0).sum())
    assert apart <= elements / 50_000
