"""Reading models: formats only, no operator logic.

A front end turns a file into values and neutral source nodes, and hands each node to the operator that the file's
format spells so. To add a format, add its module and one line to `_FRONT_ENDS`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bitloom.errors import ModelFormatError
from bitloom.frontends.model import Model
from bitloom.frontends.onnx import load_onnx
from bitloom.frontends.onnx_file import is_onnx
from bitloom.frontends.text import is_graph_text, load_graph_text
from bitloom.frontends.tflite import is_tflite, load_tflite

__all__ = ["Model", "load", "load_graph_text", "load_onnx", "load_tflite"]

_FRONT_ENDS: tuple[tuple[str, Callable[[bytes], bool], Callable[[bytes, str, str], Model]], ...] = (
    ("TFLite (.tflite)", is_tflite, load_tflite),
    ("ONNX (.onnx)", is_onnx, load_onnx),
    ("graph text (.bitloom)", is_graph_text, load_graph_text),
)


def load(path: str | Path) -> Model:
    """Read a model file of any known format, told by its content.

    Args:
        path: of the file.

    Raises:
        ModelFormatError: the file is missing, unreadable, of no known format, truncated or corrupt.
        UnsupportedError: the model uses something bitloom does not support.
    """
    file = Path(path)
    where = str(path) or "''"
    if file.is_dir():
        raise ModelFormatError("is a folder, not a model file", where=where, remedy="name the file inside it")
    try:
        content = file.read_bytes()
    except FileNotFoundError as error:
        raise ModelFormatError("no such file", where=where, remedy="check the path") from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ModelFormatError(f"cannot be read: {reason}", where=where) from error
    for _, matches, read in _FRONT_ENDS:
        if matches(content):
            return read(content, file.stem, where)
    known = ", ".join(name for name, _, _ in _FRONT_ENDS)
    what = "is empty" if not content else "is not a model file of a known format"
    raise ModelFormatError(what, where=where, remedy=f"known formats: {known}")
