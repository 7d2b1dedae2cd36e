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

from onnx_models import OnnxBuilder

from bitloom.errors import BitloomError, MissingExtraError, ModelFormatError, UnsupportedError, UsageError
from bitloom.frontends import load, load_onnx
from bitloom.frontends.onnx_file import is_onnx
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
    builder.through(builder.node("Erf", builder.through("x", 0.1, 0)), 0.1, 0)


def weights_of_floats(builder: OnnxBuilder) -> None:
    w = builder.constant(np.ones((1, 2, 3, 3), np.float32))
    builder.through(builder.node("Conv", builder.through("x", 0.1, 0), w), 0.1, 0)


def float_between(builder: OnnxBuilder) -> None:
    x = builder.node("Conv", builder.through("x", 0.1, 0), builder.weights(np.ones((2, 2, 1, 1), np.int8), 0.1))
    builder.through(builder.node("GlobalAveragePool", x), 0.1, 0)


def float_at_the_end(builder: OnnxBuilder) -> None:
    builder.node("Softmax", builder.through("x", 0.1, 0))


def averaged_without_padding(builder: OnnxBuilder) -> None:
    x = builder.through("x", 0.1, 0)
    builder.through(builder.node("AveragePool", x, kernel_shape=[3, 3], pads=[1, 1, 1, 1]), 0.1, 0)


def reflected(builder: OnnxBuilder) -> None:
    pads = builder.constant(np.array([0, 0, 1, 1, 0, 0, 1, 1]))
    builder.through(builder.node("Pad", builder.through("x", 0.1, 0), pads, mode="reflect"), 0.1, 0)


def softmax_over_channels(builder: OnnxBuilder) -> None:
    builder.through(builder.node("Softmax", builder.through("x", 0.1, 0), axis=1), 0.1, 0)


REFUSED: list[tuple[Callable[[OnnxBuilder], None], str]] = [
    (float_model, "is a float model.*quantize it to int8"),
    (unsupported_operator, r"node \d+ Erf .*Erf is not supported; supported: Abs, Add"),
    (weights_of_floats, "weights that are not quantized to 8 bits"),
    (float_between, "in floating point, and integers are needed.*quantize the whole model"),
    (float_at_the_end, "output 'softmax_2': is computed in floating point"),
    (averaged_without_padding, "averages windows without their padding.*count_include_pad"),
    (reflected, "pads by reflect; supported: constant"),
    (softmax_over_channels, "is over axis 1 of 4; supported: the last"),
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


def test_several_outputs() -> None:
    builder = small()
    with pytest.raises(UnsupportedError, match="has 2 outputs; models of one are supported"):
        load_onnx(builder.content("dequantizelinear_1", builder.last), "test")


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


def test_corrupt_files_give_errors_of_bitloom() -> None:
    content, chance = small().content(), random.Random(3)
    for _ in range(300):
        broken = bytearray(content)
        for _ in range(chance.randint(1, 4)):
            broken[chance.randrange(len(broken))] = chance.randrange(256)
        broken = broken[: chance.randrange(len(broken))] if chance.random() < 0.3 else broken
        with contextlib.suppress(BitloomError):  # any other error, or a crash, fails
            load_onnx(bytes(broken), "broken")


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
