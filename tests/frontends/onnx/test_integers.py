"""ConvInteger and MatMulInteger: sums as they are, and sums that constants scale; judged by ONNX Runtime."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from onnx import TensorProto
from onnx_models import OnnxBuilder, assert_equal, assert_near

from bitloom.errors import UnsupportedError
from bitloom.frontends import load_onnx
from bitloom.run.executor import create_executor
from bitloom.run.inputs import random_inputs

RNG = np.random.default_rng(9)
FLOAT = TensorProto.FLOAT
POINTS = {"int8": -9, "uint8": 117}


def integers(*shape: int, element: str = "int8") -> np.ndarray:
    limits = np.iinfo(element)
    return RNG.integers(limits.min, limits.max, shape, element, endpoint=True)


def product(builder: OnnxBuilder, element: str = "int8", columns: int = 5) -> str:
    points = (builder.constant(np.array(POINTS[element], element)), builder.constant(np.array(3, "int8")))
    return builder.node("MatMulInteger", "x", builder.constant(integers(12, columns)), *points)


@pytest.mark.parametrize("element", ["int8", "uint8"])
@pytest.mark.parametrize("points", [0, 1, 2])
def test_products_as_they_are(element: str, points: int) -> None:
    builder = OnnxBuilder((3, 12), element)
    zero_points = [builder.constant(np.array(POINTS[element], element)), builder.constant(np.array(3, "int8"))][:points]
    builder.node("MatMulInteger", "x", builder.constant(integers(12, 5)), *zero_points)
    model = builder.load()
    assert str(model.graph.type(model.graph.outputs[0])) == "int32[3, 5] scale=1.0 zero_point=0"
    assert_equal(model)


# ONNX Runtime's ConvInteger takes uint8 only.
@pytest.mark.parametrize(("groups", "depth"), [(1, 4), (2, 2), (4, 1)])
@pytest.mark.parametrize("weights", ["uint8"])
@pytest.mark.parametrize("points", [0, 1, 2])
def test_convolutions_as_they_are(groups: int, depth: int, weights: str, points: int) -> None:
    builder = OnnxBuilder((1, 4, 6, 5), "uint8")
    zero_points = [builder.constant(np.array(point, "uint8")) for point in (117, 99)][:points]
    kernel = builder.constant(integers(8, depth, 3, 2, element=weights))
    builder.node("ConvInteger", "x", kernel, *zero_points, group=groups, pads=[1, 0, 1, 1], strides=[1, 2])
    assert_equal(builder.load())


@pytest.mark.parametrize("scales", [0.0043, np.linspace(0.002, 0.006, 5)])
@pytest.mark.parametrize("bias", ["none", "real", "integral"])
def test_products_scaled(scales: float | np.ndarray, bias: str) -> None:
    """As dynamic quantization writes them, with constant scales."""
    builder = OnnxBuilder((3, 12), "int8")
    y = product(builder)
    if bias == "integral":
        y = builder.node("Add", y, builder.constant(RNG.integers(-900, 900, 5).astype(np.int32)))
    y = builder.node("Mul", builder.node("Cast", y, to=FLOAT), builder.constant(np.array(scales, np.float32)))
    if bias == "real":
        y = builder.node("Add", y, builder.constant(RNG.standard_normal(5).astype(np.float32)))
    builder.through(builder.node("Relu", y), 0.51, -100)
    assert_near(builder.load())


@pytest.mark.parametrize("scales", [0.0043, np.linspace(0.002, 0.006, 8).reshape(8, 1, 1)])
def test_convolutions_scaled(scales: float | np.ndarray) -> None:
    builder = OnnxBuilder((1, 4, 6, 5), "uint8")
    y = builder.node("ConvInteger", "x", builder.constant(integers(8, 4, 3, 2, element="uint8")))
    y = builder.node("Mul", builder.node("Cast", y, to=FLOAT), builder.constant(np.array(scales, np.float32)))
    y = builder.node("Add", y, builder.constant(RNG.standard_normal((1, 8, 1, 1)).astype(np.float32)))
    builder.through(y, 14.3, -128)
    assert_near(builder.load())


def test_one_scale_is_left_to_the_output() -> None:
    builder = OnnxBuilder((3, 12), "int8")
    builder.node("Mul", builder.node("Cast", product(builder), to=FLOAT), builder.constant(np.float32(0.37)))
    model = builder.load()
    assert [node.operator.name for node in model.graph.nodes] == ["fully_connected", "dequantize"]
    inputs = random_inputs(model.graph, 20, 3)
    judged, found = (create_executor(name, model).run(inputs).tensors for name in ("onnxruntime", "numpy"))
    np.testing.assert_array_equal(judged[model.graph.outputs[0]], found[model.graph.outputs[0]])


def test_what_several_read_alike_is_computed_once() -> None:
    builder = OnnxBuilder((3, 12), "int8")
    sums = product(builder)
    y = builder.node("Mul", builder.node("Cast", sums, to=FLOAT), builder.constant(np.float32(0.0043)))
    ends = [builder.through(y, 0.51, -100), builder.through(y, 0.51, -100)]
    model = load_onnx(builder.content(*ends, sums), "test", "test.onnx")
    kinds = [node.operator.name for node in model.graph.nodes]
    assert kinds.count("fully_connected") == 2  # once scaled, and once as it is
    assert_near(model)


def test_scales_of_dequantize_linear() -> None:
    builder = OnnxBuilder((3, 12), "int8")
    scale = builder.constant(np.float32(0.0037))
    builder.through(builder.node("DequantizeLinear", product(builder), scale), 0.43, 3)
    assert_near(builder.load())


def test_integers_cast_to_reals() -> None:
    builder = OnnxBuilder((1, 2, 128), "int8")
    builder.through(builder.node("Cast", "x", to=FLOAT), 2.0, 3)
    assert_equal(builder.load())


def test_several_scales_at_the_output_are_reals() -> None:
    builder = OnnxBuilder((3, 12), "int8")
    builder.node("Mul", builder.node("Cast", product(builder), to=FLOAT), builder.constant(np.ones(5, np.float32) / 7))
    with pytest.raises(UnsupportedError, match="is computed in floating point"):
        builder.load()


@pytest.mark.parametrize(
    ("element", "message"), [("float16", "casts computed numbers to another type"), ("int8", "another type")]
)
def test_casts_to_other_types(element: str, message: str) -> None:
    builder = OnnxBuilder((3, 12), "int8")
    builder.node("Cast", product(builder), to=getattr(TensorProto, element.upper()))
    with pytest.raises(UnsupportedError, match=message):
        builder.load()


def test_weights_with_zero_points_of_their_own() -> None:
    builder = OnnxBuilder((3, 12), "int8")
    points = (builder.constant(np.array(0, "int8")), builder.constant(np.arange(5, dtype=np.int8)))
    builder.node("MatMulInteger", "x", builder.constant(integers(12, 5)), *points)
    with pytest.raises(UnsupportedError, match="zero points that differ; quantize weights symmetrically"):
        builder.load()
