"""A graph as a file, whose format its name says: written whole, or not at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from bitloom.errors import ExportError
from bitloom.export.atomic import check_replaceable, replace_file, unwritable
from bitloom.ir import Graph, print_graph


def _text(graph: Graph) -> bytes:
    return print_graph(graph).encode()


def _tflite(graph: Graph) -> bytes:
    from bitloom.export.tflite import graph_to_tflite

    return graph_to_tflite(graph)


def _onnx(graph: Graph) -> bytes:
    from bitloom.export.onnx import graph_to_onnx

    return graph_to_onnx(graph)


FORMATS: Mapping[str, Callable[[Graph], bytes]] = MappingProxyType(
    {".bitloom": _text, ".tflite": _tflite, ".onnx": _onnx}
)
"""Writers by the end of a file's name."""


def check_destination(path: str | Path) -> None:
    """Check that a graph can be saved there, before the long work.

    Raises:
        ExportError: the name says no format, or the file cannot be written.
    """
    target = Path(path)
    if target.suffix not in FORMATS:
        raise ExportError(
            f"the name ends with '{target.suffix}', which is no format",
            where=str(path) or "''",
            remedy=f"let it end with {' or '.join(FORMATS)}",
        )
    if target.is_dir():
        raise ExportError("is a folder, not a file to write", where=str(path), remedy="name a file in it")
    try:
        check_replaceable(target)
    except OSError as error:
        raise unwritable(path, error) from error


def save(graph: Graph, path: str | Path) -> None:
    """Write a graph as ``.bitloom`` (text, with its constants), ``.tflite`` or ``.onnx`` (QDQ).

    Args:
        graph: to write.
        path: of the file; one that is there is replaced.

    Raises:
        ExportError: the name says no format, or the file cannot be written.
        UnsupportedError: the format cannot say the graph.
    """
    check_destination(path)
    content = FORMATS[Path(path).suffix](graph)
    target = Path(path).resolve()
    try:
        replace_file(target, content)
    except OSError as error:
        raise unwritable(path, error) from error
