"""Files written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from bitloom.errors import ExportError


def replace_file(target: Path, content: bytes) -> None:
    """Write a file beside its place and move it there; one that is there stays until then.

    Args:
        target: an absolute path, links resolved.
        content: of the file.

    Raises:
        OSError: it cannot be written; nothing is left behind.
    """
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # temporary files are private, this one no longer is
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def check_replaceable(target: Path) -> None:
    """Find out before long work whether `replace_file` will do.

    Raises:
        OSError: it would not.
    """
    if target.exists() and not os.access(target, os.W_OK):
        raise PermissionError(None, "the file is write-protected")
    with tempfile.TemporaryFile(dir=target.resolve().parent):
        return


def unwritable(path: str | Path, error: OSError) -> ExportError:
    """The error that says why a file could not be written."""
    reason = error.strerror or str(error)
    return ExportError(f"cannot be written: {reason}", where=str(path), remedy="choose another place")
