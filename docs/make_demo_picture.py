"""Make ``demo.svg``, the picture of the README, from what `bitloom demo` really prints: ``make demo-picture``."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import tempfile
import termios
from pathlib import Path

from rich.console import Console
from rich.text import Text

COLUMNS, ROWS = 100, 40
PICTURE = Path(__file__).parent / "demo.svg"


def terminal_output(command: list[str], folder: str) -> str:
    """What a program prints to a terminal of that size with 24-bit colour, escape codes included.

    Raises:
        subprocess.CalledProcessError: it ends with another exit status than 0.
    """
    reader, writer = pty.openpty()
    fcntl.ioctl(writer, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS", "LINES")}
    environment |= {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
    # Progress bars go to standard error, and are no part of the picture.
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=writer, stderr=subprocess.DEVNULL
    ) as program:
        os.close(writer)
        printed = b"".join(iter(lambda: _read(reader), b""))
    os.close(reader)
    if program.returncode:
        raise subprocess.CalledProcessError(program.returncode, command)
    return printed.decode().replace("\r\n", "\n")


def _read(terminal: int) -> bytes:
    """The next piece; nothing at the end, which Linux reports as an error."""
    try:
        return os.read(terminal, 1 << 16)
    except OSError:
        return b""


def picture(printed: str, title: str) -> str:
    """The same as SVG, in whatever monospaced font the viewer has."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(Text.from_ansi(printed))
    # A picture inside a page may not load fonts, so that naming a place to get them is of no use.
    svg = re.sub(r"@font-face\s*\{.*?\}", "", console.export_svg(title=title, unique_id="demo"), flags=re.DOTALL)
    # Trailing spaces and blank lines are the template's.
    return "\n".join(line.rstrip() for line in svg.splitlines() if line.strip()) + "\n"


def main() -> None:
    """Run the demo and write the picture."""
    with tempfile.TemporaryDirectory() as folder:
        printed = terminal_output([sys.executable, "-m", "bitloom", "demo"], folder)
    PICTURE.write_text(picture(printed, "bitloom demo"), encoding="utf-8")


if __name__ == "__main__":
    main()
