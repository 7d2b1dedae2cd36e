"""ONNX Runtime as an executor: what it shows, how elements lie, narrow types, and its errors."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from onnx_models import OnnxBuilder, array_type

from bitloom.errors import ExecutionError, UsageError
from bitloom.frontends import Model, load_onnx
from bitloom.frontends.model import OnnxSource
from bitloom.run.executor import create_executor
from bitloom.run.inputs import random_inputs


def convolution() -> Model:
    builder = OnnxBuilder((1, 2, 4, 5))
    weights = np.arange(-9, 9, dtype=np.int8).reshape(1, 2, 3, 3).repeat(3, axis=0)
    x = builder.through("x", 0.05, 3)
    builder.through(builder.node("Conv", x, builder.weights(weights, 0.01), pads=[1, 1, 1, 1]), 0.1, -4)
    return builder.load()


def test_every_tensor_of_the_file_is_shown_as_it_lies_in_the_graph() -> None:
    model = convolution()
    inputs = random_inputs(model.graph, 3, 1)
    shown = create_executor("onnxruntime", model).run(inputs).tensors
    assert set(shown) == {"quantizelinear_0", "quantizelinear_4", "dequantizelinear_5"}
    for name, tensor in shown.items():
        made = model.graph.type(name)
        assert tensor.shape == (3, *made.shape)
        assert tensor.dtype == made.element.dtype
    # Channels lie last within the graph, second in the file.
    assert shown["quantizelinear_4"].shape == (3, 1, 4, 5, 3)
    reals = (shown["quantizelinear_4"].astype(np.float32) + 4) * np.float32(0.1)
    np.testing.assert_array_equal(reals.transpose(0, 1, 4, 2, 3), shown["dequantizelinear_5"])


def test_results_are_the_same_each_time() -> None:
    model = convolution()
    executor, inputs = create_executor("onnxruntime", model), random_inputs(model.graph, 4, 2)
    first, second = (executor.run(inputs).tensors for _ in range(2))
    for name, tensor in first.items():
        np.testing.assert_array_equal(tensor, second[name])


@pytest.mark.parametrize("element", ["int4", "uint4"])
def test_elements_of_less_than_a_byte_come_and_go_as_bytes(element: str) -> None:
    builder = OnnxBuilder((1, 4), element, opset=21)
    builder.through(builder.dequantize("x", 0.5, 2, element), 0.25, 1, element)
    model = builder.load()
    limits = model.graph.type("x").integer
    values = np.array([[[limits.minimum, 0, 1, limits.maximum]]]).astype(array_type(element)).astype(np.int8)
    shown = create_executor("onnxruntime", model).run({"x": values.astype(limits.dtype)}).tensors
    expected = np.clip((values.astype(int) - 2) * 2 + 1, limits.minimum, limits.maximum)
    np.testing.assert_array_equal(shown["quantizelinear_1"], expected)
    assert shown["quantizelinear_1"].dtype == limits.dtype


def test_an_operator_set_that_it_does_not_know(capfd: pytest.CaptureFixture[str]) -> None:
    builder = OnnxBuilder((1, 4), opset=28)
    builder.through("x", 0.05, 3)
    with pytest.raises(ExecutionError, match="'test': ONNX Runtime refuses the model: "):
        create_executor("onnxruntime", builder.load())
    # It says so only once.
    assert capfd.readouterr().err == ""


def test_a_graph_that_is_not_the_file_s() -> None:
    model, builder = convolution(), OnnxBuilder((1, 2, 4, 5))
    builder.through("x", 0.05, 3, "uint8")
    other = load_onnx(builder.content(), "test")
    assert other.onnx is not None
    views = {"quantizelinear_0": other.onnx.views["quantizelinear_0"]}
    mixed = Model(model.graph, "mixed", onnx=OnnxSource(other.onnx.content, views))
    with pytest.raises(ExecutionError, match=r"ONNX Runtime makes uint8\[1, 2, 4, 5\], the graph says int8"):
        create_executor("onnxruntime", mixed).run(random_inputs(model.graph, 1, 0))


def test_models_of_other_formats() -> None:
    model = convolution()
    with pytest.raises(UsageError, match=r"onnxruntime computes ONNX files.*choose litert or numpy"):
        create_executor("onnxruntime", Model(model.graph, "elsewhere"))
