"""Graphs as files: all formats, and nothing half-written."""

from __future__ import annotations

import pytest
from models import dense_network

import bitloom as bl
from bitloom.errors import ExportError, UnsupportedError
from bitloom.export.save import check_destination, save
from bitloom.ir import Graph, TensorType, Value


@pytest.fixture(scope="module")
def graph() -> Graph:
    return dense_network((4, 3), 0)


@pytest.mark.parametrize("suffix", [".bitloom", ".tflite"])
def test_saved_and_loaded(graph, suffix, tmp_path) -> None:
    path = tmp_path / f"net{suffix}"
    bl.save(graph, path)
    again = bl.load(path).graph
    assert [node.operator for node in again.nodes] == [node.operator for node in graph.nodes]
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    assert path.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("name", ["net", "net.txt", ""])
def test_names_of_no_format(graph, name, tmp_path) -> None:
    with pytest.raises(ExportError, match=r"no format; let it end with .bitloom or .tflite or .onnx"):
        save(graph, tmp_path / name if name else "")
    assert not list(tmp_path.iterdir())


def test_destinations_that_cannot_be(tmp_path) -> None:
    (tmp_path / "folder.tflite").mkdir()
    with pytest.raises(ExportError, match="is a folder"):
        check_destination(tmp_path / "folder.tflite")
    with pytest.raises(ExportError, match="cannot be written"):
        check_destination(tmp_path / "missing" / "net.tflite")


def test_what_the_format_cannot_say_leaves_the_old_file(graph, tmp_path) -> None:
    path = tmp_path / "net.tflite"
    path.write_text("before")
    element = graph.type("x").integer.__class__(5)
    odd = Graph("odd", ("x",), ("x",), (Value("x", TensorType((1,), element)),), ())
    with pytest.raises(UnsupportedError, match="no tensors of int5"):
        save(odd, path)
    assert path.read_text() == "before"
    assert len(list(tmp_path.iterdir())) == 1
