"""Reading models: formats only, no operator logic.

A front end turns a file into values and neutral source nodes, and hands each node to the operator that the file's
format spells so. To add a format, add its module and one line to `_FRONT_ENDS`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from bitloom.errors import ModelFormatError
from bitloom.frontends import define
from bitloom.frontends.float_onnx.importer import load_float_onnx
from bitloom.frontends.model import Model
from bitloom.frontends.onnx.file import is_onnx
from bitloom.frontends.onnx.importer import load_onnx
from bitloom.frontends.text import is_graph_text, load_graph_text
from bitloom.frontends.tflite.floats import load_float_tflite
from bitloom.frontends.tflite.importer import is_tflite, load_tflite
from bitloom.ir.float_graph import FloatGraph

__all__ = [
    "Model",
    "define",
    "load",
    "load_float",
    "load_float_onnx",
    "load_float_tflite",
    "load_graph_text",
    "load_onnx",
    "load_tflite",
]

_Loaded = TypeVar("_Loaded")
# A format's name, whether content is of it, and its reader.
_FrontEnd = tuple[str, Callable[[bytes], bool], Callable[[bytes, str, str], _Loaded]]

_FRONT_ENDS: tuple[_FrontEnd[Model], ...] = (
    ("TFLite (.tflite)", is_tflite, load_tflite),
    ("ONNX (.onnx)", is_onnx, load_onnx),
    ("graph text (.bitloom)", is_graph_text, load_graph_text),
)
_FLOAT_FRONT_ENDS: tuple[_FrontEnd[FloatGraph], ...] = (
    ("TFLite (.tflite)", is_tflite, load_float_tflite),
    ("ONNX (.onnx)", is_onnx, load_float_onnx),
)


def load(path: str | Path) -> Model:
    """Read a model file of any known format, told by its content.

    Args:
        path: of the file.

    Raises:
        ModelFormatError: the file is missing, unreadable, of no known format, truncated or corrupt.
        UnsupportedError: the model uses something bitloom does not support.
    """
    return _read(path, _FRONT_ENDS)


def load_float(path: str | Path) -> FloatGraph:
    """Read a file of a network in real numbers, for the quantizer; its format is told by its content.

    Args:
        path: of the file.

    Raises:
        ModelFormatError: the file is missing, unreadable, of no known format, truncated or corrupt.
        UnsupportedError: the model is quantized already, or uses something bitloom does not support.
    """
    return _read(path, _FLOAT_FRONT_ENDS)


def _read(path: str | Path, front_ends: Sequence[_FrontEnd[_Loaded]]) -> _Loaded:
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
    for _, matches, read in front_ends:
        if matches(content):
            return read(content, file.stem, where)
    known = ", ".join(name for name, _, _ in front_ends)
    what = "is empty" if not content else "is not a model file of a known format"
    raise ModelFormatError(what, where=where, remedy=f"known formats: {known}")
