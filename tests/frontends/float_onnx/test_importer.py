"""Float ONNX models as float graphs: ONNX Runtime on the file, LiteRT on the graph, every tensor that both have."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

import onnx
from float_models import agrees, assert_agrees, kinds
from onnx import helper
from onnx_models import OnnxBuilder

from bitloom.frontends.float_onnx.importer import load_float_onnx
from data import test_data

RNG = np.random.default_rng(11)


def normal(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def conv(builder: OnnxBuilder, x: str, outputs: int, inputs: int, *size: int, **attributes: object) -> str:
    weights = builder.constant(normal(outputs, inputs, *(size or (3, 3))))
    return builder.node("Conv", x, weights, builder.constant(normal(outputs)), **attributes)


CONVOLUTIONS = {
    "same": ((1, 3, 7, 6), (5, 3, 3, 3), {"pads": [1, 1, 1, 1]}),
    "valid": ((1, 3, 7, 6), (5, 3, 3, 3), {"auto_pad": "VALID"}),
    "strided": ((1, 2, 8, 7), (4, 2, 3, 2), {"strides": [2, 1], "pads": [0, 1, 1, 0]}),
    "symmetric": ((1, 2, 8, 8), (4, 2, 3, 3), {"strides": [2, 2], "pads": [1, 1, 1, 1]}),
    "dilated": ((1, 2, 9, 9), (3, 2, 3, 3), {"dilations": [2, 3]}),
    "dilated_same": ((1, 2, 9, 9), (3, 2, 3, 3), {"dilations": [2, 2], "pads": [2, 2, 2, 2]}),
    "grouped": ((1, 6, 5, 5), (4, 3, 3, 3), {"group": 2}),
    "depthwise": ((1, 4, 6, 5), (4, 1, 3, 3), {"group": 4, "auto_pad": "SAME_UPPER", "strides": [2, 2]}),
    "multiplier": ((1, 3, 5, 5), (6, 1, 2, 2), {"group": 3, "auto_pad": "SAME_LOWER"}),
    "one_channel": ((1, 1, 5, 5), (6, 1, 2, 2), {"group": 1}),
    "pixels": ((1, 5, 3, 4), (7, 5, 1, 1), {}),
    "sequence": ((1, 5, 9), (7, 5, 3), {"pads": [1, 1], "strides": [2]}),
    "sequence_depthwise": ((1, 5, 9), (5, 1, 4), {"group": 5, "dilations": [2]}),
    "batch": ((3, 2, 5, 5), (4, 2, 3, 3), {}),
}


@pytest.mark.parametrize("case", CONVOLUTIONS)
@pytest.mark.parametrize("bias", [False, True], ids=["", "bias"])
def test_convolutions(case: str, bias: bool) -> None:
    shape, kernel, attributes = CONVOLUTIONS[case]
    builder = OnnxBuilder(shape)
    operands = [builder.constant(normal(*kernel)), *([builder.constant(normal(kernel[0]))] if bias else [])]
    builder.node("Conv", "x", *operands, **attributes)
    found = kinds(agrees(builder))
    assert ("DEPTHWISE_CONV_2D" in found) == (case in ("depthwise", "multiplier", "sequence_depthwise"))
    assert ("PAD" in found) == (case in ("strided", "symmetric", "multiplier"))


def test_images_in_the_middle_are_never_transposed() -> None:
    builder = OnnxBuilder((1, 1, 12, 10))
    x = builder.node("Relu", conv(builder, "x", 4, 1, pads=[1, 1, 1, 1]))
    y = builder.node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    left = builder.node("Relu", conv(builder, y, 4, 4, pads=[1, 1, 1, 1]))
    joined = builder.node("Concat", builder.node("Add", left, y), y, axis=1)
    flat = builder.node("Flatten", joined)
    builder.node("Gemm", flat, builder.constant(normal(6, 240)), builder.constant(normal(6)), transB=1)
    assert "TRANSPOSE" not in kinds(agrees(builder))


def test_the_ends_have_the_order_of_the_file_or_channels_last() -> None:
    builder = OnnxBuilder((1, 3, 5, 4))
    conv(builder, "x", 2, 3)
    graph = agrees(builder)
    assert kinds(graph).count("TRANSPOSE") == 2
    assert graph.tensor("x").shape == (1, 3, 5, 4)
    last = agrees(builder, inputs_last=True)
    assert "TRANSPOSE" not in kinds(last)
    assert last.tensor("x").shape == (1, 5, 4, 3)
    assert (last.outputs, last.tensor(last.outputs[0]).shape) == (graph.outputs, (1, 3, 2, 2))


@pytest.mark.parametrize("opset", [9, 11, 13, 17, 21])
def test_operator_sets(opset: int) -> None:
    builder = OnnxBuilder((1, 3, 8, 6), opset=opset)
    x = conv(builder, "x", 4, 3, pads=[1, 1, 1, 1])
    x = builder.node("BatchNormalization", x, *(builder.constant(np.abs(normal(4)) + 0.1) for _ in range(4)))
    if opset < 11:
        x = builder.node("Clip", x, min=0.0, max=6.0)
        x = builder.node("Upsample", x, builder.constant(np.float32([1, 1, 2, 2])), mode="nearest")
        x = builder.node("Pad", x, pads=[0, 0, 1, 0, 0, 0, 0, 2])
    else:
        x = builder.node("Clip", x, builder.constant(np.float32(0)), builder.constant(np.float32(6)))
        x = builder.node("Resize", x, builder.constant(np.float32([])), builder.constant(np.float32([1, 1, 2, 2])))
        x = builder.node("Pad", x, builder.constant(np.array([0, 0, 1, 0, 0, 0, 0, 2])))
    axes = {"axes": [2, 3]} if opset < 18 else {}
    x = builder.node("ReduceMean", x, *([] if axes else [builder.constant(np.array([2, 3]))]), keepdims=1, **axes)
    if opset < 13:
        x = builder.node("Squeeze", x, axes=[2, 3])
    else:
        x = builder.node("Squeeze", x, builder.constant(np.array([2, 3])))
    x = builder.node("Gemm", x, builder.constant(normal(4, 5)), builder.constant(normal(5)), alpha=0.5, beta=2.0)
    builder.node("Softmax", x, axis=1)
    assert "TRANSPOSE" in kinds(agrees(builder))


@pytest.mark.parametrize("shape", [(1, 5), (1, 5, 7), (1, 5, 3, 4)])
def test_batch_normalization(shape: tuple[int, ...]) -> None:
    builder = OnnxBuilder(shape)
    numbers = [normal(5), normal(5), normal(5), np.abs(normal(5)) + 0.01]
    builder.node("BatchNormalization", "x", *(builder.constant(each) for each in numbers), epsilon=1e-3)
    agrees(builder)


@pytest.mark.parametrize("shape", [(1, 9), (4, 9), (1, 4, 9), (1, 2, 4, 9)])
def test_matrix_products(shape: tuple[int, ...]) -> None:
    builder = OnnxBuilder(shape)
    y = builder.node("MatMul", "x", builder.constant(normal(9, 5)))
    builder.node("Add", y, builder.constant(normal(5)))
    agrees(builder)


def test_dense_layer_on_channels_of_images() -> None:
    builder = OnnxBuilder((1, 3, 6, 4))
    x = builder.node("Transpose", conv(builder, "x", 5, 3), perm=[0, 2, 3, 1])
    x = builder.node(
        "Gelu" if builder.opset >= 20 else "Tanh", builder.node("MatMul", x, builder.constant(normal(5, 7)))
    )
    x = builder.node("Transpose", x, perm=[0, 3, 1, 2])
    conv(builder, x, 2, 7, 1, 1)
    assert kinds(agrees(builder)).count("TRANSPOSE") == 2


@pytest.mark.parametrize("kind", ["Add", "Sub", "Mul"])
@pytest.mark.parametrize("shape", [(1, 4, 3, 5), (4, 1, 1), (5,), (1, 1, 3, 5), ()])
@pytest.mark.parametrize("first", [False, True])
def test_pairs_with_constants(kind: str, shape: tuple[int, ...], first: bool) -> None:
    builder = OnnxBuilder((1, 2, 5, 7))
    x, other = conv(builder, "x", 4, 2), builder.constant(normal(*shape))
    builder.node(kind, *((other, x) if first else (x, other)))
    agrees(builder)


@pytest.mark.parametrize("kind", ["Add", "Sub", "Mul"])
def test_pairs_of_tensors(kind: str) -> None:
    builder = OnnxBuilder((1, 2, 5, 7))
    x, y = conv(builder, "x", 4, 2), conv(builder, "x", 4, 2)
    gate = builder.node("Sigmoid", builder.node("GlobalAveragePool", y))
    builder.node(kind, builder.node(kind, x, y), gate)
    agrees(builder)


def test_quotients_and_sums() -> None:
    builder = OnnxBuilder((1, 6))
    x = builder.node("Div", "x", builder.constant(np.float32([1, 2, 3, 4, 5, -6])))
    y = builder.node("Neg", builder.node("Pow", x, builder.constant(np.float32(2))))
    builder.node("Sum", x, y, builder.constant(normal(6)), x)
    agrees(builder)


FUNCTIONS = {
    "Relu": {},
    "LeakyRelu": {"alpha": 0.2},
    "Sigmoid": {},
    "HardSigmoid": {"alpha": 0.25, "beta": 0.4},
    "HardSwish": {},
    "Tanh": {},
    "Abs": {},
    "Neg": {},
}


@pytest.mark.parametrize("kind", FUNCTIONS)
def test_functions(kind: str) -> None:
    builder = OnnxBuilder((1, 2, 5, 7))
    builder.node(kind, conv(builder, "x", 3, 2), **FUNCTIONS[kind])
    agrees(builder, scale=4.0)


@pytest.mark.parametrize("slopes", [(3, 1, 1), (1,), (3, 3, 5)])
def test_prelu(slopes: tuple[int, ...]) -> None:
    builder = OnnxBuilder((1, 2, 5, 7))
    builder.node("PRelu", conv(builder, "x", 3, 2), builder.constant(normal(*slopes)))
    agrees(builder)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 6, ["RELU6"]),
        (-1, 1, ["RELU_N1_TO_1"]),
        (0, None, ["RELU"]),
        (0, 1, ["RELU", "MINIMUM"]),
        (-2, 3, ["MAXIMUM", "MINIMUM"]),
        (None, 3, ["MINIMUM"]),
        (None, None, []),
    ],
)
def test_clips(low: float | None, high: float | None, expected: list[str]) -> None:
    builder = OnnxBuilder((1, 8))
    bounds = ["" if bound is None else builder.constant(np.float32(bound)) for bound in (low, high)]
    builder.node("Clip", builder.node("Tanh", "x"), *bounds)
    builder.node("Clip", builder.node("Abs", builder.last), *bounds)
    assert kinds(agrees(builder, scale=9.0)) == ["TANH", *expected, "ABS", *expected]


@pytest.mark.parametrize("form", ["hard_sigmoid", "clip", "clip_then_product", "clip_of_parts"])
def test_hard_swish_as_exporters_write_it(form: str) -> None:
    builder = OnnxBuilder((1, 8))
    zero, one, three, six = (builder.constant(np.float32(number)) for number in (0, 1, 3, 6))
    if form == "hard_sigmoid":
        gate = builder.node("HardSigmoid", "x", alpha=1 / 6, beta=0.5)
        builder.node("Mul", "x", gate)
    elif form == "clip":
        gate = builder.node("Div", builder.node("Clip", builder.node("Add", "x", three), zero, six), six)
        builder.node("Mul", gate, "x")
    elif form == "clip_then_product":
        gate = builder.node("Clip", builder.node("Add", three, "x"), zero, six)
        builder.node("Div", builder.node("Mul", "x", gate), six)
    else:
        half = builder.constant(np.float32(0.5))
        gate = builder.node("Clip", builder.node("Add", builder.node("Div", "x", six), half), zero, one)
        builder.node("Mul", "x", gate)
    assert kinds(agrees(builder, scale=4.0)) == ["HARD_SWISH"]


def test_a_gate_of_another_tensor_stays_a_product() -> None:
    builder = OnnxBuilder((1, 8))
    gate = builder.node("HardSigmoid", "x", alpha=1 / 6, beta=0.5)
    builder.node("Mul", builder.node("Tanh", "x"), gate)
    assert "HARD_SWISH" not in kinds(agrees(builder, scale=4.0))


@pytest.mark.parametrize("form", ["half_last", "half_first", "half_of_sum"])
def test_gelu_as_exporters_write_it(form: str) -> None:
    builder = OnnxBuilder((1, 16))
    half, one, root = (builder.constant(np.float32(number)) for number in (0.5, 1, np.sqrt(2)))
    erf = builder.node("Add", builder.node("Erf", builder.node("Div", "x", root)), one)
    if form == "half_last":
        builder.node("Mul", builder.node("Mul", "x", erf), half)
    elif form == "half_first":
        builder.node("Mul", builder.node("Mul", "x", half), erf)
    else:
        builder.node("Mul", "x", builder.node("Mul", half, erf))
    assert kinds(agrees(builder, tolerance=1e-4)) == ["GELU"]


def test_a_hard_sigmoid_under_other_axes_is_no_gate() -> None:
    builder = OnnxBuilder((1, 4, 4))
    gate = builder.node("HardSigmoid", "x", alpha=1 / 6, beta=0.5)
    builder.node("Mul", "x", builder.node("Transpose", gate, perm=[0, 2, 1]))
    assert "HARD_SWISH" not in kinds(agrees(builder, scale=4.0))


@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_gelu(approximate: str) -> None:
    builder = OnnxBuilder((1, 16), opset=20)
    builder.node("Gelu", "x", approximate=approximate)
    agrees(builder, tolerance=1e-4)


@pytest.mark.parametrize(
    ("kind", "attributes"),
    [
        ("MaxPool", {"kernel_shape": [3, 2], "strides": [2, 1]}),
        ("MaxPool", {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}),
        ("MaxPool", {"kernel_shape": [2, 2], "auto_pad": "SAME_UPPER"}),
        ("MaxPool", {"kernel_shape": [3, 2], "strides": [2, 2], "ceil_mode": 1}),
        ("AveragePool", {"kernel_shape": [2, 3], "strides": [1, 2]}),
        ("AveragePool", {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "count_include_pad": 1}),
        ("AveragePool", {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}),
        ("AveragePool", {"kernel_shape": [3, 2], "pads": [1, 0, 0, 1], "strides": [2, 2]}),
        ("GlobalAveragePool", {}),
        ("GlobalMaxPool", {}),
    ],
)
@pytest.mark.parametrize("rectified", [False, True], ids=["", "rectified"])
def test_pools(kind: str, attributes: dict[str, object], rectified: bool) -> None:
    builder = OnnxBuilder((1, 3, 6, 8))
    x = builder.node("Relu", "x") if rectified else "x"
    builder.node("Tanh", builder.node(kind, x, **attributes))
    agrees(builder)


def test_pools_of_sequences() -> None:
    builder = OnnxBuilder((1, 3, 9))
    x = builder.node("MaxPool", conv(builder, "x", 4, 3, 3), kernel_shape=[3], pads=[1, 1], strides=[2])
    x = builder.node("AveragePool", x, kernel_shape=[3], pads=[1, 1], strides=[1])
    builder.node("Flatten", builder.node("GlobalAveragePool", x))
    agrees(builder)


@pytest.mark.parametrize("axes", [[2, 3], [1], [-1], [1, 2], [0, 1, 2, 3]])
@pytest.mark.parametrize("keep", [0, 1])
@pytest.mark.parametrize("kind", ["ReduceMean", "ReduceSum"])
def test_means(axes: list[int], keep: int, kind: str) -> None:
    builder = OnnxBuilder((1, 2, 6, 8), opset=18)
    x = conv(builder, "x", 4, 2)
    builder.node("Tanh", builder.node(kind, x, builder.constant(np.array(axes)), keepdims=keep))
    agrees(builder)


@pytest.mark.parametrize(("axis", "keep"), [(1, 0), (1, 1), (-1, 0), (2, 1)])
def test_arg_max(axis: int, keep: int) -> None:
    builder = OnnxBuilder((1, 2, 6, 8))
    builder.node("ArgMax", conv(builder, "x", 4, 2), axis=axis, keepdims=keep)
    agrees(builder)


@pytest.mark.parametrize(("axis", "opset"), [(1, 13), (-1, 13), (2, 13), (1, 11), (3, 11)])
def test_softmax(axis: int, opset: int) -> None:
    builder = OnnxBuilder((1, 2, 6, 8), opset=opset)
    builder.node("Softmax", conv(builder, "x", 4, 2), axis=axis)
    agrees(builder)


def test_the_keyword_network() -> None:
    graph = assert_agrees(test_data("onnx/micro_kws_m_static_fp32.onnx").read_bytes(), tolerance=1e-4)
    assert "TRANSPOSE" not in kinds(graph)


def test_a_batch_that_may_change_is_one_inference() -> None:
    builder = OnnxBuilder(("N", 4))
    builder.node("Relu", "x")
    assert load_float_onnx(builder.content(), "net").tensor("x").shape == (1, 4)


def test_functions_that_the_file_defines() -> None:
    body = [helper.make_node("Abs", ["a"], ["b"]), helper.make_node("Add", ["a", "b"], ["c"])]
    opset = helper.make_opsetid("", 17)
    function = helper.make_function("own", "Twice", ["a"], ["c"], body, [opset])
    ends = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, (1, 5)) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Twice", ["x"], ["y"], domain="own")], "net", ends[:1], ends[1:])
    imports = [opset, helper.make_opsetid("own", 1)]
    model = helper.make_model(graph, functions=[function], opset_imports=imports, ir_version=8)
    assert kinds(assert_agrees(model.SerializeToString())) == ["ABS", "ADD"]
