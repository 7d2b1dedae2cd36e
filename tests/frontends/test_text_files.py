"""Models as text: what ``bitloom show --full`` writes is read as a model file."""

from pathlib import Path

import pytest
from models import dense_network, every_operator_network

from bitloom.data import SHIPPED_DIGITS
from bitloom.errors import GraphError, ModelFormatError
from bitloom.frontends import load
from bitloom.frontends.text import is_graph_text
from bitloom.ir import print_graph


@pytest.mark.parametrize("seed", range(3))
def test_printed_graphs_are_read_back(tmp_path: Path, seed: int) -> None:
    for graph in (dense_network((5, 4, 3), seed), every_operator_network(seed)):
        file = tmp_path / "model.bitloom"
        file.write_text(print_graph(graph))
        model = load(file)
        assert model.graph == graph
        assert model.name == "model"
        assert model.flatbuffer is None


def test_the_shipped_model_survives_text_with_comments_and_a_byte_order_mark(tmp_path: Path) -> None:
    graph = load(SHIPPED_DIGITS).graph
    file = tmp_path / "digits.txt"
    file.write_text('\ufeff// a comment\n\n  // graph "no"\n' + print_graph(graph), encoding="utf-8")
    assert load(file).graph == graph


def test_digests_are_not_weights(tmp_path: Path) -> None:
    file = tmp_path / "short.bitloom"
    file.write_text(print_graph(dense_network((9, 4), 0), constants="digest"))
    with pytest.raises(GraphError, match=r"short.bitloom:\d+:\d+: .*digest of 'w0'; .*bitloom show --full"):
        load(file)


def test_text_that_does_not_parse_says_where(tmp_path: Path) -> None:
    file = tmp_path / "bad.bitloom"
    file.write_text('graph "bad" {\n  input %x: int8[4]\n  %y: int8[4] = magic @m (%x)\n}\n')
    with pytest.raises(GraphError, match=r"bad.bitloom:3:17: there is no operator 'magic'; known: .*reshape"):
        load(file)
    file.write_bytes(b'graph "bad\xff" {}')
    with pytest.raises(ModelFormatError, match=r"not UTF-8 \(byte 10\)"):
        load(file)


@pytest.mark.parametrize("content", [b"", b"graphite", b'// graph "x"', b"  \n" * 10_000, b"graph {", b"hello"])
def test_other_content_is_no_graph(content: bytes) -> None:
    assert not is_graph_text(content)


def test_unknown_files_are_told_the_formats(tmp_path: Path) -> None:
    file = tmp_path / "x"
    file.write_bytes(b"hello")
    formats = r"TFLite \(.tflite\), ONNX \(.onnx\), graph text \(.bitloom\)"
    with pytest.raises(ModelFormatError, match=f"not a model file.*{formats}"):
        load(file)
