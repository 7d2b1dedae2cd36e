"""Output files of commands: checked before the long work, written whole or not at all."""

from __future__ import annotations

import json
import math
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from bitloom.errors import ExportError, UsageError
from bitloom.export.atomic import check_replaceable, replace_file, unwritable

STANDARD_OUTPUT = "-"


def check_file(path: str | None) -> None:
    """Check that a file can be written, without leaving a trace.

    Raises:
        ExportError: it cannot.
    """
    if path is None or path == STANDARD_OUTPUT:
        return
    target = Path(path)
    if target.is_dir():
        raise ExportError("is a folder, not a file to write", where=path, remedy="name a file in it")
    try:
        if _is_special(target):
            with target.open("ab"):
                return
        check_replaceable(target)
    except OSError as error:
        raise unwritable(path, error) from error


def check_other(output: str, source: str) -> None:
    """Check that an output does not take the place of what it is made of, and which cannot be made of it again.

    Raises:
        UsageError: both are the same file.
    """
    if Path(output).exists() and Path(source).exists() and Path(output).samefile(source):
        raise UsageError("is the model itself, which would be lost", where=output, remedy="choose another name")


def check_folder(path: str) -> None:
    """Check that a folder can be made, or written into if it is there, without leaving a trace.

    Raises:
        ExportError: it cannot.
    """
    nearest = Path(path).resolve()
    while not nearest.exists() and nearest != nearest.parent:
        nearest = nearest.parent
    if not nearest.is_dir():
        raise ExportError("is a file, not a folder", where=str(nearest), remedy="choose another folder")
    try:
        os.rmdir(tempfile.mkdtemp(dir=nearest))  # noqa: PTH106 - what mkdtemp gives
    except OSError as error:
        raise unwritable(path, error) from error


def write_text(path: str, text: str) -> None:
    """Write a file whole: under another name first, then renamed. ``-`` is standard output.

    Raises:
        ExportError: it cannot be written.
    """
    if path == STANDARD_OUTPUT:
        sys.stdout.write(text)
        return
    target = Path(path)
    try:
        if _is_special(target):
            target.write_text(text, encoding="utf-8")
        else:
            replace_file(target.resolve(), text.encode("utf-8"))
    except OSError as error:
        raise unwritable(path, error) from error


def write_json(path: str, content: Any) -> None:
    """Write plain values as JSON, numbers that are not finite as null; see `write_text`."""
    write_text(path, json.dumps(_finite(content), indent=2, allow_nan=False) + "\n")


def _finite(content: Any) -> Any:
    match content:
        case dict():
            return {name: _finite(value) for name, value in content.items()}
        case list() | tuple():
            return [_finite(value) for value in content]
        case float():
            return content if math.isfinite(content) else None
    return content


def _is_special(path: Path) -> bool:
    """Whether it is a device or a pipe, which no file may take the place of."""
    return path.exists() and not path.is_file()
