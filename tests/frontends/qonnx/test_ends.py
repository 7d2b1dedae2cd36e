"""Where QONNX networks begin and end: real inputs, several of them, reals and indices as outputs."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("onnx")

from onnx import helper
from qonnx_models import QonnxBuilder, assert_hardware_equal, assert_judged_equal, operator_names

from bitloom.frontends import load_onnx


def test_inputs_are_normalized_per_channel_in_binary32() -> None:
    builder = QonnxBuilder((1, 3, 4, 4))
    mean = builder.constant(np.array([0.485, 0.456, 0.406], np.float32).reshape(1, 3, 1, 1))
    deviation = builder.constant(np.array([0.229, 0.224, 0.225], np.float32).reshape(1, 3, 1, 1))
    x = builder.node("Div", builder.node("Sub", "x", mean), deviation)
    builder.quant(x, 0.02, 8)
    model = builder.load()
    assert operator_names(model) == ["quantize_steps", "dequantize"]
    assert_judged_equal(model)


def test_integer_inputs_are_cast() -> None:
    builder = QonnxBuilder((1, 2, 4, 4), "uint8")
    x = builder.node("Div", builder.node("Cast", "x", to=1), builder.constant(np.float32(255)))
    x = builder.quant(x, 1 / 15, 4, signed=0)
    builder.quant(builder.node("Conv", x, builder.weights((3, 2, 2, 2), 4)), 0.25, 4)
    assert_judged_equal(builder.load())


@pytest.mark.parametrize("kind", ["ArgMax", "TopK"])
@pytest.mark.parametrize("last", ["none", "scalars", "bias", "normalized"])
def test_the_index_of_the_largest(kind: str, last: str) -> None:
    builder = QonnxBuilder((1, 16))
    x = builder.node("MatMul", builder.quant("x", 0.25, 3), builder.weights((16, 6), 3, 0.25))
    if last == "scalars":
        x = builder.node(
            "Div", builder.node("Sub", x, builder.constant(np.float32(1.1))), builder.constant(np.float32(18))
        )
    elif last == "bias":
        x = builder.node("Add", x, builder.constant(builder.rng.normal(0, 2, 6).astype(np.float32)))
    elif last == "normalized":
        x = builder.normalized(x, 6, 2.0)
    if kind == "ArgMax":
        builder.node("ArgMax", x, axis=1, keepdims=0)
    else:
        builder.nodes.append(
            helper.make_node("TopK", [x, builder.constant(np.array([1]))], ["values", "index"], axis=-1)
        )
        builder.last = "index"
    model = builder.load()
    assert operator_names(model)[-2:].count("arg_max") == 1
    assert_judged_equal(model)
    assert_hardware_equal(model)


def test_the_end_may_be_a_softmax_in_software() -> None:
    builder = QonnxBuilder((1, 16))
    x = builder.node("Gemm", builder.quant("x", 0.25, 3), builder.weights((5, 16), 3, 0.25), transB=1)
    builder.node("Softmax", x, axis=1)
    model = builder.load()
    assert operator_names(model)[-1] == "dequantize_steps"
    assert_judged_equal(model)


def test_inputs_with_a_scale_per_channel() -> None:
    builder = QonnxBuilder((1, 3, 4, 4))
    x = builder.quant("x", np.array([0.125, 0.25, 0.5]).reshape(1, 3, 1, 1), 4)
    builder.quant(builder.node("Conv", x, builder.weights((3, 1, 2, 2), 3, 0.5), group=3), 0.25, 5)
    model = builder.load()
    assert_judged_equal(model)
    assert_hardware_equal(model, 2)


def test_several_inputs_and_outputs_have_the_files_names() -> None:
    builder = QonnxBuilder((1, 6))
    builder.inputs.append(helper.make_tensor_value_info("z", 1, [1, 6]))
    x = builder.node("Add", builder.quant("x", 0.25, 4), builder.quant("z", 0.25, 4))
    sums = builder.node("MatMul", builder.quant(x, 0.5, 4), builder.weights((6, 3), 3, 0.5))
    last = builder.quant(sums, 0.5, 4)
    names = (last, builder.node("ArgMax", last, axis=1), sums)
    model = load_onnx(builder.content(*names), "test")
    assert (model.graph.inputs, model.graph.outputs) == (("x", "z"), names)
    assert [str(model.graph.type(name).element) for name in names] == ["float32", "int64", "float32"]
    assert_judged_equal(model)
    assert_hardware_equal(model, 3)
