"""``bitloom convert``: between formats, whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import bitloom as bl


def test_tflite_and_text_say_the_same(program: Any, digits: Path, tmp_path: Path) -> None:
    text, file = tmp_path / "digits.bitloom", tmp_path / "digits.tflite"
    assert program("convert", digits, "-o", text).status == 0
    ended = program("convert", text, "-o", file)
    assert (ended.status, ended.out, ended.err) == (0, "", "")
    assert bl.load(file).graph.nodes == bl.load(digits).graph.nodes
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_onnx_files_read_back(program: Any, digits: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    file, again = tmp_path / "digits.onnx", tmp_path / "again.onnx"
    assert program("convert", digits, "-o", file).status == 0
    assert program("verify", file, "--executors", "onnxruntime,numpy", "--random", 20).status == 0
    # What was read from ONNX can be written as ONNX.
    assert program("convert", file, "-o", again).status == 0
    assert bl.load(again).graph.nodes == bl.load(file).graph.nodes


@pytest.mark.parametrize(
    ("model", "output", "message"),
    [
        ("digits", "digits.pb", "no format"),
        ("digits", "missing/digits.onnx", "cannot be written"),
        ("digits", ".", "no format"),
        ("missing.tflite", "digits.onnx", "no such file"),
    ],
)
def test_what_cannot_be_written(program: Any, tmp_path: Path, model: str, output: str, message: str) -> None:
    ended = program("convert", model, "-o", tmp_path / output)
    assert ended.status == 2
    assert message in ended.err
    assert ended.err.count("\n") <= 1
    assert list(tmp_path.iterdir()) == []


def test_what_a_format_cannot_say_leaves_nothing(program: Any, tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    x = bl.define.placeholder((1, 2), "int8", "x")
    text = tmp_path / "integers.bitloom"
    weights = bl.define.variable((3, 2), "int8", "w", value=[[1, 2], [3, 4], [5, 6]])
    bl.save(bl.define.graph(bl.define.matmul(x, weights, shift=2, name="y")), text)
    for format, message in (("onnx", "has no scale"), ("tflite", "TFLite|quantization")):
        kept = tmp_path / f"kept.{format}"
        kept.write_bytes(b"kept")
        ended = program("convert", text, "-o", kept)
        assert ended.status == 2
        assert any(part in ended.err for part in message.split("|"))
        assert kept.read_bytes() == b"kept"
