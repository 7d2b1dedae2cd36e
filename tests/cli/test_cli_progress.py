"""Progress bars: on a terminal, after a second, on standard error, and gone at the end."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import time

import pytest

from bitloom.cli import progress as progress_module
from bitloom.cli.progress import progress

PROGRAM = """
import sys, time
from bitloom.cli import progress as module
module._PATIENCE_SECONDS = float(sys.argv[1])
with module.progress() as report:
    report("first: preparing")
    time.sleep(0.3)
    report("first", 3, 8)
    time.sleep(0.3)
    report("second: preparing")
    time.sleep(0.3)
print("result")
"""


def seen_on_terminal(patience: float) -> tuple[str, str]:
    """What reaches the terminal, and what reaches a pipe as standard output."""
    master, slave = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "80"}
    command = [sys.executable, "-c", PROGRAM, str(patience)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=slave, env=environment, text=True)
    os.close(slave)
    seen = b""
    while True:
        try:
            part = os.read(master, 4096)
        except OSError:  # the other end has closed
            break
        if not part:
            break
        seen += part
    os.close(master)
    output = process.communicate(timeout=20)[0]
    assert process.returncode == 0
    return seen.decode(), output


def test_long_work_shows_a_bar_that_goes_away() -> None:
    seen, output = seen_on_terminal(0.01)
    assert output == "result\n"
    assert "first: preparing" in seen
    assert "3/8" in seen
    assert "second: preparing" in seen
    # The line is erased and the cursor shown again.
    assert seen.rstrip().endswith("\x1b[2K")
    assert "\x1b[?25h" in seen


def test_short_work_shows_nothing() -> None:
    assert seen_on_terminal(60) == ("", "result\n")


def test_nothing_is_shown_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    patience = progress_module._PATIENCE_SECONDS
    progress_module._PATIENCE_SECONDS = 0.001
    try:
        with progress() as report:
            report("working", 1, 2)
            time.sleep(0.05)
    finally:
        progress_module._PATIENCE_SECONDS = patience
    assert capsys.readouterr() == ("", "")
