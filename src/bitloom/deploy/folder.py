"""The folder of a build: written whole or not at all, replaced only if bitloom wrote it, read back for synthesis."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from bitloom.design.names import identifier
from bitloom.errors import ExportError
from bitloom.report import REPORT_FORMAT, report_page

REPORT = "report.json"
PAGE = "report.html"
WRITTEN_BY = "written_by"
"""Key of the report by which a folder is known to be bitloom's."""

# What the Makefile and synthesis leave in the folder; it may go with the build.
_LEFT_BEHIND = ("obj_dir", "*_tb.vvp", "synth-*.log")


def check_replaceable(folder: Path) -> None:
    """Refuse a place that a build may not take.

    Free are: a path that does not exist below a folder that does or can be made, an empty folder, and a folder in
    which everything was written by a build or by what its Makefile and synthesis left there.

    Raises:
        ExportError: something else is there.
    """
    where = str(folder)
    try:
        if folder.resolve() == Path.cwd():
            raise ExportError("is the current folder", where=where, remedy="name a folder in it, to be made")
        if not folder.exists() and not folder.is_symlink():
            _check_parents(folder)
            return
        if not folder.is_dir():
            raise ExportError("is a file, not a folder", where=where, remedy="choose another folder")
        present = sorted(path.name for path in folder.iterdir())
    except OSError as error:
        raise _unwritable(folder, error) from error
    if not present:
        return
    report = _report(folder)
    if report is None:
        raise ExportError(
            f"is not empty and bitloom did not write it ('{present[0]}' is in it)",
            where=where,
            remedy="choose another folder, or empty this one",
        )
    left_behind = {name for name in present if any(fnmatchcase(name, pattern) for pattern in _LEFT_BEHIND)}
    foreign = sorted(set(present) - set(report["files"]) - left_behind)
    if foreign:
        raise ExportError(
            f"holds '{foreign[0]}', which bitloom did not write",
            where=where,
            remedy="move it away, or choose another folder",
        )


def _check_parents(folder: Path) -> None:
    nearest = folder.absolute().parent
    while not nearest.exists() and nearest != nearest.parent:
        nearest = nearest.parent
    if not nearest.is_dir():
        raise ExportError("is a file, not a folder", where=str(nearest), remedy="choose another folder")
    # Whether something can be made here is seen by making it.
    with tempfile.TemporaryDirectory(dir=nearest):
        pass


def write_folder(folder: Path, files: Mapping[str, str]) -> tuple[Path, ...]:
    """Put a folder of files in place: complete in a temporary folder beside it, then renamed.

    Args:
        folder: to write; what `check_replaceable` allows.
        files: text by name.

    Returns:
        The paths.

    Raises:
        ExportError: it may not be replaced, or cannot be written.
    """
    check_replaceable(folder)
    target = folder.resolve()
    try:
        with _parents(target), tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as beside:
            made = Path(beside) / "new"
            made.mkdir()
            for name, text in files.items():
                (made / name).write_text(text, encoding="utf-8")
            _swap(made, target, Path(beside) / "old")
    except OSError as error:
        raise _unwritable(folder, error) from error
    return tuple(folder / name for name in files)


@contextlib.contextmanager
def _parents(target: Path) -> Iterator[None]:
    """The folders above the target; those that were made are removed again if the work fails."""
    missing = [parent for parent in target.parents if not parent.exists()]
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        for parent in missing:
            with contextlib.suppress(OSError):
                parent.rmdir()
        raise


def _swap(made: Path, target: Path, old: Path) -> None:
    """Rename the new folder into place; if that fails or is interrupted, the old one returns."""
    replacing = target.exists()
    try:
        if replacing:
            target.rename(old)
        made.rename(target)
    except BaseException:
        if replacing and old.exists() and not target.exists():
            old.rename(target)
        raise


def read_report(folder: Path) -> dict[str, Any]:
    """The report of a folder that a build wrote.

    Raises:
        ExportError: there is no such folder, or it is something else.
    """
    remedy = "name a folder that `bitloom build` wrote"
    if not folder.is_dir():
        raise ExportError("no such folder", where=str(folder), remedy=remedy)
    report = _report(folder)
    if report is None:
        raise ExportError(f"has no {REPORT} of bitloom", where=str(folder), remedy=remedy)
    if report["format"] != REPORT_FORMAT:
        raise ExportError(f"was written by {report[WRITTEN_BY]}", where=str(folder), remedy="build it again")
    damaged = [key for key in ("top", "target", "macs", "totals", "resources") if key not in report]
    if damaged or not isinstance(report["top"], str) or identifier(report["top"]) != report["top"]:
        what = f"lacks '{damaged[0]}'" if damaged else "names no top module"
        raise ExportError(f"{REPORT} {what}", where=str(folder), remedy="build it again")
    return report


def write_report(folder: Path, report: Mapping[str, Any]) -> None:
    """Replace the report of a folder, whole, and its page if it has one.

    Raises:
        ExportError: it cannot be written.
    """
    texts = {REPORT: report_text(report)}
    if PAGE in report.get("files", ()):
        texts[PAGE] = report_page(report)
    try:
        with tempfile.TemporaryDirectory(dir=folder, prefix=".report.") as beside:
            for name, text in texts.items():
                made = Path(beside) / name
                made.write_text(text, encoding="utf-8")
                made.replace(folder / name)
    except OSError as error:
        raise _unwritable(folder, error) from error


def report_text(report: Mapping[str, Any]) -> str:
    """A report as JSON."""
    return json.dumps(report, indent=2, allow_nan=False) + "\n"


def _report(folder: Path) -> dict[str, Any] | None:
    """The folder's report, None if there is none that bitloom wrote."""
    try:
        report = json.loads((folder / REPORT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(report, dict) or not str(report.get(WRITTEN_BY, "")).startswith("bitloom "):
        return None
    return report if isinstance(report.get("files"), list) and "format" in report else None


def _unwritable(folder: Path, error: OSError) -> ExportError:
    reason = error.strerror or str(error)
    return ExportError(f"cannot be written: {reason}", where=str(folder), remedy="choose a folder you may write to")
