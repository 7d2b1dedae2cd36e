"""Windows of ONNX over lines and images: padding that counts or not, windows that hang over, reductions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from onnx_models import OnnxBuilder, assert_equal, assert_near

from bitloom.errors import UnsupportedError

RNG = np.random.default_rng(12)
X, MADE = (0.0313, -11), (0.01713, 4)


def integers(*shape: int) -> np.ndarray:
    return RNG.integers(-128, 127, shape, "int8", endpoint=True)


def pooled(kind: str, shape: tuple[int, ...], attributes: dict[str, Any], opset: int = 17) -> OnnxBuilder:
    builder = OnnxBuilder(shape, opset=opset)
    y = builder.node(kind, builder.through("x", *X), **attributes)
    builder.through(y, *(X if "Max" in kind else MADE))
    return builder


@pytest.mark.parametrize("count", [0, 1])
@pytest.mark.parametrize(
    "attributes",
    [
        {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]},
        {"kernel_shape": [3, 2], "pads": [1, 0, 0, 1], "strides": [2, 1]},
        {"kernel_shape": [2, 3], "auto_pad": "SAME_UPPER", "strides": [2, 2]},
        {"kernel_shape": [2, 2], "auto_pad": "SAME_LOWER"},
        {"kernel_shape": [2, 2], "auto_pad": "VALID", "strides": [3, 2]},
        {"kernel_shape": [5, 6], "pads": [2, 3, 2, 2]},
    ],
)
def test_padding_of_averages(attributes: dict[str, Any], count: int) -> None:
    assert_near(pooled("AveragePool", (1, 3, 6, 7), {**attributes, "count_include_pad": count}).load())


CEILINGS = [
    {"kernel_shape": [2, 2], "strides": [2, 2]},
    {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]},
    {"kernel_shape": [3, 2], "strides": [3, 4], "pads": [0, 1, 1, 0]},
    {"kernel_shape": [1, 1], "strides": [2, 3]},
    {"kernel_shape": [2, 2], "strides": [3, 3], "pads": [0, 0, 1, 1]},
]


@pytest.mark.parametrize("attributes", CEILINGS)
@pytest.mark.parametrize("kind", ["AveragePool", "MaxPool"])
def test_windows_that_hang_over(kind: str, attributes: dict[str, Any]) -> None:
    model = pooled(kind, (1, 2, 7, 8), {**attributes, "ceil_mode": 1}, opset=22).load()
    (assert_equal if kind == "MaxPool" else assert_near)(model)


def test_counted_padding_of_windows_that_hang_over() -> None:
    attributes = {"kernel_shape": [2, 2], "strides": [2, 2], "pads": [1, 1, 0, 0], "count_include_pad": 1}
    with pytest.raises(UnsupportedError, match=r"counts padding in windows that hang over it \(ceil_mode\); set ceil"):
        pooled("AveragePool", (1, 2, 6, 6), {**attributes, "ceil_mode": 1}).load()


@pytest.mark.parametrize(
    "attributes",
    [
        {"kernel_shape": [2, 3], "dilations": [2, 1]},
        {"kernel_shape": [2, 2], "dilations": [2, 3], "pads": [1, 1, 1, 1], "count_include_pad": 1},
    ],
)
def test_dilated_averages(attributes: dict[str, Any]) -> None:
    assert_near(pooled("AveragePool", (1, 2, 7, 8), attributes, opset=19).load())


@pytest.mark.parametrize(
    ("kind", "attributes"),
    [
        ("MaxPool", {"kernel_shape": [3], "strides": [2], "pads": [1, 0]}),
        ("AveragePool", {"kernel_shape": [3], "strides": [2], "pads": [1, 1]}),
        ("AveragePool", {"kernel_shape": [2], "ceil_mode": 1, "strides": [2]}),
        ("GlobalAveragePool", {}),
        ("GlobalMaxPool", {}),
    ],
)
def test_lines(kind: str, attributes: dict[str, Any]) -> None:
    model = pooled(kind, (2, 3, 9), attributes).load()
    (assert_equal if "Max" in kind else assert_near)(model)


def test_global_maximum_of_images() -> None:
    assert_equal(pooled("GlobalMaxPool", (1, 3, 5, 4), {}).load())


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("bias", [False, True])
def test_convolutions_of_lines(groups: int, bias: bool) -> None:
    builder = OnnxBuilder((1, 4, 11))
    x = builder.through("x", *X)
    w = builder.weights(integers(8, 4 // groups, 3), 0.0031)
    extra = [builder.constant(RNG.standard_normal(8).astype(np.float32))] if bias else []
    y = builder.node("Conv", x, w, *extra, group=groups, pads=[2, 1], strides=[2], dilations=[2])
    x = builder.through(builder.node("Relu", y), 0.0417, -120)
    x = builder.through(builder.node("MaxPool", x, kernel_shape=[2], strides=[2]), 0.0417, -120)
    builder.through(builder.node("Flatten", x), 0.0417, -120)
    model = builder.load()
    assert_near(model)
    assert [node.operator.name for node in model.graph.nodes].count("transpose") <= 2


REDUCED = [((1, 4, 5, 6), axes) for axes in ([2, 3], [1], [-1], [1, 3], [0, 1, 2, 3], [0, 2])] + [((3, 7), [0])]


@pytest.mark.parametrize("keepdims", [0, 1])
@pytest.mark.parametrize(("shape", "axes"), REDUCED)
@pytest.mark.parametrize("kind", ["ReduceMean", "ReduceSum", "ReduceMax"])
def test_reductions(kind: str, shape: tuple[int, ...], axes: list[int], keepdims: int) -> None:
    builder = OnnxBuilder(shape, opset=18)
    x = builder.through("x", *X)
    y = builder.node(kind, x, builder.constant(np.array(axes)), keepdims=keepdims)
    made = {"ReduceMean": MADE, "ReduceSum": (0.317, 4), "ReduceMax": X}[kind]
    builder.through(y, *made)
    (assert_equal if kind == "ReduceMax" else assert_near)(builder.load())


@pytest.mark.parametrize("kind", ["ReduceMean", "ReduceMax"])
def test_reductions_of_images_with_channels_last(kind: str) -> None:
    builder = OnnxBuilder((1, 2, 5, 6), opset=13)
    x = builder.through("x", *X)
    x = builder.through(builder.node("Conv", x, builder.weights(integers(3, 2, 2, 2), 0.0031)), 0.0417, -5)
    builder.through(builder.node(kind, x, axes=[2, 3], keepdims=0), *((0.0417, -5) if "Max" in kind else MADE))
    model = builder.load()
    assert_near(model)
    assert [node.operator.name for node in model.graph.nodes].count("transpose") == 1


def test_all_axes_where_none_is_named() -> None:
    builder = OnnxBuilder((1, 4, 5), opset=18)
    builder.through(builder.node("ReduceMean", builder.through("x", *X), keepdims=0), *MADE)
    assert_near(builder.load())
