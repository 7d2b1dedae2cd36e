"""Quantized operators of ONNX and of ONNX Runtime over shapes, parameters, signs and scales, judged by it.

Exact where the operator's arithmetic is known to the last bit, ties included; QLinearAdd, QLinearMul and QLinearSoftmax
round once here and several times in binary32 there, which is measured.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from onnx_models import OnnxBuilder, assert_equal, differences

MICROSOFT = "com.microsoft"
SEEDS = pytest.mark.parametrize("seed", range(8))


@dataclass
class Draw:
    """Random choices of one seed; the odd ones are of powers of two, where exact halves are frequent."""

    seed: int
    rng: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)

    @property
    def element(self) -> str:
        """int8 and uint8 in turn."""
        return "uint8" if self.seed & 2 else "int8"

    def size(self, low: int, high: int) -> int:
        return int(self.rng.integers(low, high, endpoint=True))

    def scale(self, near: float) -> float:
        if self.seed & 1:
            return float(2.0 ** np.rint(np.log2(near)))
        return float(np.float32(near * self.rng.uniform(0.5, 2)))

    def point(self, element: str) -> int:
        limits = np.iinfo(element)
        return int(self.rng.choice([limits.min, limits.max, *range(limits.min + 100, limits.max - 100)]))

    def triple(self, builder: OnnxBuilder, near: float, element: str | None = None) -> tuple[tuple[str, str], Any]:
        """Names of scale and zero point, and what they are."""
        element = element or self.element
        chosen = (self.scale(near), self.point(element), element)
        return builder.triple(*chosen), chosen

    def integers(self, *shape: int, element: str = "int8") -> np.ndarray:
        limits = np.iinfo(element)
        return self.rng.integers(limits.min, limits.max, shape, element, endpoint=True)

    def weights(self, builder: OnnxBuilder, shape: tuple[int, ...], axis: int) -> tuple[str, str, str]:
        """Constant weights; of int8 those behind int8, with one scale or several."""
        element = self.element if self.rng.integers(2) else "int8"
        element = "int8" if self.element == "int8" else element
        outputs = shape[axis] if self.rng.integers(2) else 1
        scales = np.array([self.scale(0.004) for _ in range(outputs)], np.float32)
        points = np.zeros(outputs, element) if outputs > 1 else np.array([self.point(element) // 4], element)
        names = (builder.constant(self.integers(*shape, element=element)), builder.constant(scales))
        return (*names, builder.constant(points))


@SEEDS
def test_convolutions(seed: int) -> None:
    draw = Draw(seed)
    groups = int(draw.rng.choice([1, 2, 3]))
    channels, outputs = groups * draw.size(1, 3), groups * draw.size(1, 3)
    kernel = (draw.size(1, 3), draw.size(1, 3))
    builder = OnnxBuilder((draw.size(1, 2), channels, draw.size(5, 8), draw.size(5, 8)), draw.element)
    x, _ = draw.triple(builder, 0.03)
    weights = draw.weights(builder, (outputs, channels // groups, *kernel), 0)
    y, made = draw.triple(builder, 0.05)
    bias = [builder.constant(draw.rng.integers(-9000, 9000, outputs).astype(np.int32))] if draw.rng.integers(2) else []
    attributes = {"strides": [draw.size(1, 2), draw.size(1, 3)], "pads": [draw.size(0, 1) for _ in range(4)]}
    node = builder.node("QLinearConv", "x", *x, *weights, *y, *bias, group=groups, **attributes)
    builder.dequantize(node, *made)
    assert_equal(builder.load())


@SEEDS
def test_convolutions_of_lines(seed: int) -> None:
    draw = Draw(seed)
    builder = OnnxBuilder((1, 3, draw.size(7, 12)), draw.element)
    x, _ = draw.triple(builder, 0.03)
    weights = draw.weights(builder, (4, 3, draw.size(1, 4)), 0)
    y, made = draw.triple(builder, 0.05)
    builder.dequantize(builder.node("QLinearConv", "x", *x, *weights, *y, dilations=[draw.size(1, 2)]), *made)
    assert_equal(builder.load())


@SEEDS
def test_matrix_products(seed: int) -> None:
    draw = Draw(seed)
    depth = draw.size(1, 40)
    builder = OnnxBuilder((*[draw.size(1, 3) for _ in range(draw.size(1, 3))], depth), draw.element)
    x, _ = draw.triple(builder, 0.03)
    weights = draw.weights(builder, (depth, draw.size(1, 9)), 1)
    y, made = draw.triple(builder, 0.2)
    builder.dequantize(builder.node("QLinearMatMul", "x", *x, *weights, *y), *made)
    assert_equal(builder.load())


@SEEDS
def test_gemm(seed: int) -> None:
    draw = Draw(seed)
    depth, outputs, turned = draw.size(1, 40), draw.size(1, 9), draw.size(0, 1)
    builder = OnnxBuilder((draw.size(1, 4), depth), draw.element)
    x, _ = draw.triple(builder, 0.03)
    shape = (outputs, depth) if turned else (depth, outputs)
    weights = draw.weights(builder, shape, 1 - turned)
    bias = builder.constant(draw.rng.integers(-9000, 9000, outputs).astype(np.int32)) if draw.size(0, 1) else ""
    y, made = draw.triple(builder, 0.2)
    node = builder.node("QGemm", "x", *x, *weights, bias, *y, domain=MICROSOFT, transB=turned)
    builder.dequantize(node, *made)
    assert_equal(builder.load())


POOLS: list[dict[str, Any]] = [
    {"kernel_shape": [2, 2], "strides": [2, 2]},
    {"kernel_shape": [2, 2], "strides": [1, 1]},
    {"kernel_shape": [4, 2], "strides": [2, 3]},
    {"kernel_shape": [3, 3], "strides": [2, 1], "pads": [1, 0, 1, 1], "count_include_pad": 1},
    {"kernel_shape": [3, 3], "ceil_mode": 0},
]


@SEEDS
@pytest.mark.parametrize("attributes", POOLS)
@pytest.mark.parametrize("channels_last", [0, 1])
@pytest.mark.parametrize("same", [False, True], ids=["", "same_scale"])
def test_average_pools(seed: int, attributes: dict[str, Any], channels_last: int, same: bool) -> None:
    draw = Draw(seed)
    shape = [1, 3, draw.size(5, 8), draw.size(5, 8)]
    builder = OnnxBuilder([shape[axis] for axis in (0, 2, 3, 1)] if channels_last else shape, draw.element)
    x, given = draw.triple(builder, 0.03)
    y, made = (x, given) if same else draw.triple(builder, 0.03)
    options = {"domain": MICROSOFT, "channels_last": channels_last}
    builder.dequantize(builder.node("QLinearAveragePool", "x", *x, *y, **options, **attributes), *made)
    assert_equal(builder.load())


@SEEDS
@pytest.mark.parametrize("channels_last", [0, 1])
def test_global_average_pools(seed: int, channels_last: int) -> None:
    draw = Draw(seed)
    shape = [1, 30, draw.size(1, 6), draw.size(1, 6)]
    builder = OnnxBuilder([shape[axis] for axis in (0, 2, 3, 1)] if channels_last else shape, draw.element)
    x, given = draw.triple(builder, 0.03)
    y, made = (x, given) if seed & 4 else draw.triple(builder, 0.03)
    options = {"domain": MICROSOFT, "channels_last": channels_last}
    builder.dequantize(builder.node("QLinearGlobalAveragePool", "x", *x, *y, **options), *made)
    assert_equal(builder.load())


@SEEDS
@pytest.mark.parametrize("kind", ["QLinearSigmoid", "QLinearLeakyRelu"])
def test_functions(seed: int, kind: str) -> None:
    draw = Draw(seed)
    builder = OnnxBuilder((1, 256), draw.element)
    x, _ = draw.triple(builder, 0.04)
    y, made = draw.triple(builder, 0.005 if "Sigmoid" in kind else 0.03)
    options = {"alpha": float(draw.rng.uniform(0, 1))} if "Relu" in kind else {}
    builder.dequantize(builder.node(kind, "x", *x, *y, domain=MICROSOFT, **options), *made)
    assert_equal(builder.load())


@SEEDS
def test_concatenations(seed: int) -> None:
    draw = Draw(seed)
    builder = OnnxBuilder((1, 2, 4, 4), draw.element)
    y, made = draw.triple(builder, 0.03)
    parts = []
    for _ in range(draw.size(2, 4)):
        part, _ = draw.triple(builder, 0.03)
        parts += [builder.node("MaxPool", "x", kernel_shape=[1, 1]), *part]
    builder.dequantize(builder.node("QLinearConcat", *y, *parts, domain=MICROSOFT, axis=draw.size(0, 3) - 1), *made)
    assert_equal(builder.load())


def near(builders: list[OnnxBuilder]) -> None:
    """At most one unit on at most 0.1 % of elements, of all together."""
    counts = [differences(builder.load()) for builder in builders]
    elements, apart = (sum(count[index] for count in counts) for index in (0, 1))
    assert max(count[2] for count in counts) <= 1
    assert apart <= elements / 1000


@pytest.mark.parametrize("kind", ["QLinearAdd", "QLinearMul"])
@pytest.mark.parametrize("broadcast", [False, True], ids=["", "broadcast"])
def test_pairs(kind: str, broadcast: bool) -> None:
    """ONNX Runtime folds scales and zero points into one binary32 number, and rounds behind the zero point."""
    builders = []
    for seed in range(0, 16, 2):
        draw = Draw(seed)
        builder = OnnxBuilder((1, 16, 16), draw.element)
        x, _ = draw.triple(builder, 0.03)
        z, _ = draw.triple(builder, 0.03)
        y, made = draw.triple(builder, 0.06)
        axes = builder.constant(np.array([-1]))
        if broadcast:
            constant = builder.constant(draw.integers(16, element=draw.element))
            builder.node(kind, "x", *x, constant, *z, *y, domain=MICROSOFT)
        else:
            turned = builder.node("Transpose", "x", perm=[0, 2, 1])
            turned = builder.node("Squeeze", builder.node("Unsqueeze", turned, axes), axes)
            builder.node(kind, "x", *x, turned, *z, *y, domain=MICROSOFT)
        builder.dequantize(builder.last, *made)
        builders.append(builder)
    near(builders)


@pytest.mark.parametrize("axis", [1, 2])
def test_softmax(axis: int) -> None:
    builders = []
    for seed in range(8):
        draw = Draw(seed)
        builder = OnnxBuilder((2, draw.size(2, 20), draw.size(2, 20)), draw.element)
        x, _ = draw.triple(builder, 0.04)
        lowest = np.iinfo(draw.element).min
        y = builder.triple(1 / 256, lowest, draw.element)
        node = builder.node("QLinearSoftmax", "x", *x, *y, domain=MICROSOFT, opset=17, axis=axis)
        builder.dequantize(node, 1 / 256, lowest, draw.element)
        builders.append(builder)
    near(builders)
