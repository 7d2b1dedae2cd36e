"""Progress bars on standard error: only on a terminal, only for what takes longer than a second."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

_PATIENCE_SECONDS = 1.0


class Report(Protocol):
    """Told how far the work is."""

    def __call__(self, description: str, done: int = 0, total: int | None = None) -> None:
        """Show `done` of `total`, or a moving bar where the total is not known."""


@contextmanager
def progress(*, shown: bool = True) -> Iterator[Report]:
    """A bar that appears once the work has taken a second, and goes away with it.

    Args:
        shown: false where lines printed meanwhile show well enough how far the work is.
    """
    if not shown or not sys.stderr.isatty():
        yield _silent
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
        # The bar must not take standard output along to standard error.
        redirect_stdout=False,
        redirect_stderr=False,
    )
    task = bar.add_task("", total=None)
    timer = threading.Timer(_PATIENCE_SECONDS, bar.start)
    timer.daemon = True
    timer.start()

    def report(description: str, done: int = 0, total: int | None = None) -> None:
        nonlocal task
        if not done:
            # Building and compiling have no steps to count, and a task with a total cannot lose it.
            bar.remove_task(task)
            task = bar.add_task(description, total=None)
        else:
            bar.update(task, description=description, completed=done, total=total)

    try:
        yield report
    finally:
        timer.cancel()
        timer.join()
        bar.stop()


def _silent(description: str, done: int = 0, total: int | None = None) -> None:
    """Progress nobody sees."""
