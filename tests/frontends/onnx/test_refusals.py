"""ONNX models that cannot be read: one clear error each, that names the place and what to do."""

from __future__ import annotations

import contextlib
import importlib
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx")

from onnx import TensorProto, helper
from onnx_models import OnnxBuilder

from bitloom.errors import BitloomError, MissingExtraError, ModelFormatError, UnsupportedError, UsageError
from bitloom.frontends import load, load_onnx
from bitloom.frontends.onnx.file import is_onnx
from bitloom.run.executor import ExecutorOptions, create_executor, default_executors
from bitloom.run.onnxruntime import OnnxruntimeExecutor


def small() -> OnnxBuilder:
    builder = OnnxBuilder((1, 2, 4, 4))
    x = builder.through("x", 0.05, 3)
    w = builder.weights(np.arange(-9, 9, dtype=np.int8).reshape(1, 2, 3, 3), 0.01)
    builder.through(builder.node("Conv", x, w), 0.1, -4)
    return builder


def float_model(builder: OnnxBuilder) -> None:
    builder.node("Relu", "x")


def unsupported_operator(builder: OnnxBuilder) -> None:
    builder.through(builder.node("Det", builder.through("x", 0.1, 0)), 0.1, 0)


def weights_of_floats(builder: OnnxBuilder) -> None:
    w = builder.constant(np.ones((1, 2, 3, 3), np.float32))
    builder.through(builder.node("Conv", builder.through("x", 0.1, 0), w), 0.1, 0)


def float_between(builder: OnnxBuilder) -> None:
    x = builder.node("Conv", builder.through("x", 0.1, 0), builder.weights(np.ones((2, 2, 1, 1), np.int8), 0.1))
    builder.through(builder.node("GlobalAveragePool", x), 0.1, 0)


def float_at_the_end(builder: OnnxBuilder) -> None:
    builder.node("Softmax", builder.through("x", 0.1, 0))


def averaged_with_dilations_without_padding(builder: OnnxBuilder) -> None:
    builder.opset = 19
    x = builder.through("x", 0.1, 0)
    y = builder.node("AveragePool", x, kernel_shape=[2, 2], dilations=[2, 2], pads=[1, 1, 1, 1])
    builder.through(y, 0.1, 0)


def indices_of_maxima(builder: OnnxBuilder) -> None:
    x = builder.through("x", 0.1, 0)
    builder.nodes.append(helper.make_node("MaxPool", [x], ["pooled", "indices"], kernel_shape=[2, 2]))
    builder.through("pooled", 0.1, 0)


def padding_that_onnx_does_not_know(builder: OnnxBuilder) -> None:
    builder.through(builder.node("MaxPool", builder.through("x", 0.1, 0), kernel_shape=[2, 2], auto_pad="SAME"), 0.1, 0)


def maxima_with_dilations(builder: OnnxBuilder) -> None:
    builder.node("MaxPool", builder.through("x", 0.1, 0), kernel_shape=[2, 2], dilations=[2, 2])


def padded_by_less(builder: OnnxBuilder) -> None:
    pads = builder.constant(np.array([0, 0, -1, 1, 0, 0, 1, 1]))
    builder.through(builder.node("Pad", builder.through("x", 0.1, 0), pads), 0.1, 0)


def padded_by_no_integer(builder: OnnxBuilder) -> None:
    pads, number = builder.constant(np.array([0, 0, 1, 1, 0, 0, 1, 1])), builder.constant(np.float32(0.03))
    builder.through(builder.node("Pad", builder.through("x", 0.1, 0), pads, number), 0.1, 0)


def transposed_convolution(builder: OnnxBuilder) -> None:
    w = builder.weights(np.ones((2, 1, 2, 2), np.int8), 0.1)
    builder.through(builder.node("ConvTranspose", builder.through("x", 0.1, 0), w), 0.1, 0)


def scales_found_in_the_data(builder: OnnxBuilder) -> None:
    builder.nodes.append(helper.make_node("DynamicQuantizeLinear", ["x"], ["y", "scale", "zero_point"]))
    builder.last = "y"


def scales_per_block(builder: OnnxBuilder) -> None:
    builder.opset = 21
    scales = builder.constant(np.full((1, 1, 2, 4), 0.1, np.float32))
    builder.dequantize(builder.node("QuantizeLinear", "x", scales, block_size=2, axis=2), 0.1, 0)


def scales_per_channel_of_activations(builder: OnnxBuilder) -> None:
    builder.node("QuantizeLinear", "x", *builder.triple([0.1, 0.2], [0, 0]), axis=1)


def divided_in_float16(builder: OnnxBuilder) -> None:
    builder.opset = 23
    builder.node("QuantizeLinear", "x", *builder.triple(0.1, 0), precision=TensorProto.FLOAT16)


def quantized_to_float8(builder: OnnxBuilder) -> None:
    builder.opset = 23
    scale = builder.constant(np.float32(0.1))
    builder.node("QuantizeLinear", "x", scale, output_dtype=TensorProto.FLOAT8E4M3FN)


def product_of_computed_matrices(builder: OnnxBuilder) -> None:
    x = builder.through("x", 0.1, 0)
    builder.through(builder.node("MatMul", x, x), 0.1, 0)


def quotient_of_computed_tensors(builder: OnnxBuilder) -> None:
    x = builder.through("x", 0.1, 0)
    builder.through(builder.node("Div", x, x), 0.1, 0)


def function_that_is_not_finite(builder: OnnxBuilder) -> None:
    builder.through(builder.node("Log", builder.through("x", 0.1, 0)), 0.1, 0)


def function_of_sixteen_bits(builder: OnnxBuilder) -> None:
    builder.opset = 21
    builder.through(builder.node("Exp", builder.through("x", 0.001, 0, "int16")), 0.1, 0)


def resized_linearly(builder: OnnxBuilder) -> None:
    x = builder.through("x", 0.1, 0)
    builder.through(builder.node("Resize", x, "", builder.constant(np.ones(4, np.float32)), mode="linear"), 0.1, 0)


def computed_weights(builder: OnnxBuilder) -> None:
    x = builder.through("x", 0.1, 0)
    builder.through(builder.node("Conv", x, x), 0.1, 0)


def computed_shape(builder: OnnxBuilder) -> None:
    x = builder.through("x", 0.1, 0)
    y = builder.node("Conv", x, builder.weights(np.ones((2, 2, 1, 1), np.int8), 0.1))
    builder.through(builder.node("Reshape", x, builder.node("Shape", y)), 0.1, 0)


REFUSED: list[tuple[Callable[[OnnxBuilder], None], str]] = [
    (float_model, "is a float model.*quantize it to int8"),
    (unsupported_operator, r"node \d+ Det .*Det is not supported; supported: Abs, Add(?!.*Dynamic)"),
    (weights_of_floats, "weights that are not quantized; quantize them, too"),
    (float_between, "in floating point, and integers are needed.*quantize the whole model"),
    (float_at_the_end, "output 'softmax_2': is computed in floating point"),
    (averaged_with_dilations_without_padding, "averages dilated windows without their padding.*count_include_pad"),
    (indices_of_maxima, "makes indices as well"),
    (maxima_with_dilations, "pools with dilations"),
    (padding_that_onnx_does_not_know, "auto_pad 'SAME'; supported: NOTSET, SAME_UPPER, SAME_LOWER, VALID"),
    (padded_by_less, r"pads 4 axes by \[0, 0, -1, 1, 0, 0, 1, 1\]"),
    (padded_by_no_integer, "pads with 0.03, which no integer of scale 0.1 stands for"),
    (transposed_convolution, "ConvTranspose is not supported"),
    (scales_found_in_the_data, "finds scales in the data while the network runs.*quantize statically"),
    (scales_per_block, r"scales per block of 2 \(block_size\); quantize per tensor or per axis"),
    (scales_per_channel_of_activations, "has 2 scales or zero points for 'x', not one"),
    (divided_in_float16, "divides in another precision than float32; set precision"),
    (quantized_to_float8, "quantizes to float8e4m3fn; supported: int2"),
    (product_of_computed_matrices, "multiplies two computed tensors; make one of them constant"),
    (quotient_of_computed_tensors, "computes Div of two computed tensors"),
    (function_that_is_not_finite, "not finite for every input integer"),
    (function_of_sixteen_bits, "functions of int16; supported: 8 bits; quantize it"),
    (resized_linearly, "resizes by linear; supported: nearest"),
    (computed_weights, "has weights that are computed"),
    (computed_shape, "asks for the shape of what no QuantizeLinear has rounded yet"),
]


@pytest.mark.parametrize(("make", "message"), REFUSED, ids=[make.__name__ for make, _ in REFUSED])
def test_refused(make: Callable[[OnnxBuilder], None], message: str) -> None:
    builder = OnnxBuilder((1, 2, 4, 4))
    make(builder)
    with pytest.raises(UnsupportedError, match=message) as caught:
        builder.load()
    assert str(caught.value).startswith("test.onnx")


def test_dynamic_axes() -> None:
    builder = OnnxBuilder((1, 2, "height", 4))
    builder.through("x", 0.1, 0)
    with pytest.raises(UnsupportedError, match=r"input 'x': has the dynamic axis 2 \('height'\); fix it"):
        builder.load()


def test_windows_over_three_dimensions() -> None:
    builder = OnnxBuilder((1, 2, 4, 4, 4))
    w = builder.weights(np.ones((1, 2, 2, 2, 2), np.int8), 0.1)
    builder.through(builder.node("Conv", builder.through("x", 0.1, 0), w), 0.1, 0)
    with pytest.raises(UnsupportedError, match=r"windows over 3 dimensions .*supported: 1 and 2"):
        builder.load()


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("where", ["scale", "weights", "bias"])
def test_constants_that_are_not_finite(value: float, where: str) -> None:
    builder = OnnxBuilder((1, 4))
    x = builder.through("x", value if where == "scale" else 0.1, 0)
    numbers = np.ones((4, 2), np.float32)
    numbers[1, 1] = value if where == "weights" else 1
    scale, point = builder.triple(0.1, 0)
    w = builder.node("DequantizeLinear", builder.node("QuantizeLinear", builder.constant(numbers), scale, point), scale)
    bias = builder.constant(np.array([0, value if where == "bias" else 1], np.float32))
    builder.through(builder.node("Gemm", x, w, bias), 0.1, 0)
    with pytest.raises(ModelFormatError, match=r"test\.onnx: the constant 'c\d+' holds values that are not finite"):
        builder.load()


def test_an_old_operator_set() -> None:
    builder = small()
    builder.opset = 11
    with pytest.raises(UnsupportedError, match="operator set 11, and 13 or newer is needed"):
        builder.load()


def test_a_scale_that_is_not_positive() -> None:
    builder = OnnxBuilder((1, 4))
    builder.through("x", -0.5, 0)
    with pytest.raises(ModelFormatError, match="scale"):
        builder.load()


def moved() -> OnnxBuilder:
    builder = OnnxBuilder((1, 4, 6, 8), opset=19)
    x = builder.through("x", 0.05, 3)
    x = builder.node("Slice", x, *(builder.constant(np.array(at)) for at in ([1, 0], [3, 100], [2, 1])))
    x = builder.node("Resize", x, "", builder.constant(np.array([1, 1, 2, 0.7], np.float32)))
    x = builder.node("Pad", x, builder.constant(np.array([0, 0, 1, 0, 0, 1, 0, 2])), mode="edge")
    x = builder.node("Gather", x, builder.constant(np.array([2, 0])), axis=3)
    builder.through(builder.node("Transpose", builder.node("Squeeze", x), perm=[1, 0, 2]), 0.07, -4)
    return builder


def summed() -> OnnxBuilder:
    builder = OnnxBuilder((1, 2, 12), "uint8", opset=18)
    y = builder.node("ConvInteger", "x", builder.constant(np.arange(18, dtype=np.uint8).reshape(3, 2, 3)))
    y = builder.node("Mul", builder.node("Cast", y, to=TensorProto.FLOAT), builder.constant(np.float32(0.0031)))
    x = builder.through(builder.node("Relu", y), 0.3, 5)
    x = builder.through(builder.node("AveragePool", x, kernel_shape=[2], strides=[2]), 0.3, 5)
    builder.through(builder.node("ReduceMean", x, builder.constant(np.array([2])), keepdims=0), 0.2, 5)
    return builder


@pytest.mark.parametrize("make", [small, moved, summed], ids=lambda make: make.__name__)
def test_corrupt_files_give_errors_of_bitloom(make: Callable[[], OnnxBuilder]) -> None:
    content, chance = make().content(), random.Random(3)
    for _ in range(300):
        broken = bytearray(content)
        for _ in range(chance.randint(1, 4)):
            broken[chance.randrange(len(broken))] = chance.randrange(256)
        broken = broken[: chance.randrange(len(broken))] if chance.random() < 0.3 else broken
        with contextlib.suppress(BitloomError):  # any other error, or a crash, fails
            load_onnx(bytes(broken), "broken")


@pytest.mark.parametrize("kind", ["Resize", "Pad"])
def test_sizes_that_would_fill_the_memory(kind: str) -> None:
    builder = OnnxBuilder((1, 4), opset=19)
    x = builder.through("x", 0.05, 3)
    if kind == "Resize":
        builder.node("Resize", x, "", "", builder.constant(np.array([1, 2**40])))
    else:
        builder.node("Pad", x, builder.constant(np.array([0, 0, 0, 2**40])), mode="edge")
    builder.through(builder.last, 0.05, 3)
    with pytest.raises(BitloomError, match=rf"node \d+ {kind} .*1048576"):
        builder.load()


@pytest.mark.parametrize("text", [b"QuantizeLinear", b"quantizelinear_0", b"Conv"])
def test_names_that_are_no_text(text: bytes) -> None:
    content = small().content()
    with pytest.raises(BitloomError, match="broken"):
        load_onnx(content.replace(text, b"\xff" + text[1:]), "broken")


def test_files_are_told_by_their_content(tmp_path: Path) -> None:
    content = small().content()
    assert is_onnx(content)
    (tmp_path / "model.bin").write_bytes(content)
    assert load(tmp_path / "model.bin").onnx is not None
    (tmp_path / "cut.onnx").write_bytes(content[: len(content) // 2])
    with pytest.raises(ModelFormatError, match=r"cut\.onnx: is no ONNX file, or a corrupt one"):
        load(tmp_path / "cut.onnx")


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    model, content, found = small().load(), small().content(), importlib.import_module

    def without(name: str, *rest: Any) -> Any:
        if name in ("onnx", "onnxruntime"):
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)
        return found(name, *rest)

    monkeypatch.setattr(importlib, "import_module", without)
    with pytest.raises(MissingExtraError, match=r"pip install 'bitloom\[onnx\]'"):
        load_onnx(content, "test")
    with pytest.raises(MissingExtraError, match=r"pip install 'bitloom\[onnx\]'"):
        OnnxruntimeExecutor(model, ExecutorOptions())


def test_each_format_has_its_judge() -> None:
    model = small().load()
    assert default_executors(model) == ("onnxruntime", "numpy", "pyrtl", "verilog")
    with pytest.raises(UsageError, match="choose onnxruntime"):
        create_executor("litert", model)
