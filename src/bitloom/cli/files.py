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
        if target.exists() and not os.access(target, os.W_OK):
            raise PermissionError(None, "the file is write-protected")
        with tempfile.TemporaryFile(dir=target.resolve().parent):
            return
    except OSError as error:
        raise _unwritable(path, error) from error


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
        raise _unwritable(path, error) from error


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
            _replace(target.resolve(), text)
    except OSError as error:
        raise _unwritable(path, error) from error


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


def _replace(target: Path, text: str) -> None:
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # temporary files are private, this one no longer is
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _unwritable(path: str, error: OSError) -> ExportError:
    reason = error.strerror or str(error)
    return ExportError(f"cannot be written: {reason}", where=path, remedy="choose another place")
