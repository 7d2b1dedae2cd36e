"""How results look: tables, images in half-block characters, heat strips and bars; plain text without a terminal."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich import box
from rich.color import Color
from rich.console import Console
from rich.style import Style
from rich.table import Table
from rich.text import Text

from bitloom.cli.errors import one_line

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

PLAIN_WIDTH = 100
"""Columns of output that goes to no terminal."""

_SHADES = " .:-=+*#%@"
_EIGHTHS = "▏▎▍▌▋▊▉█"
# Red, green, blue from 0 to 1 at equal distances: ink on paper at night.
_INK = ((16, 20, 38), (38, 58, 110), (86, 128, 190), (190, 212, 232), (255, 250, 226))
# After the viridis map of matplotlib: dark for low, bright for high, readable to the colour-blind.
_HEAT = ((68, 1, 84), (65, 68, 135), (42, 120, 142), (34, 168, 132), (122, 209, 81), (253, 231, 37))


class _OutputConsole(Console):
    """Leaves a command whose reader has gone to `bitloom.cli.errors`; Rich would end it with status 1."""

    def on_broken_pipe(self) -> None:
        """Called while a BrokenPipeError is handled."""
        raise BrokenPipeError


def output_console() -> Console:
    """The console of standard output: of the terminal's width and colours, or plain and 100 columns wide."""
    width = None if sys.stdout.isatty() else PLAIN_WIDTH
    return _OutputConsole(width=width, markup=False, highlight=False, emoji=False, legacy_windows=False)


def is_plain(console: Console) -> bool:
    """Whether pictures must be made of ASCII characters: no terminal, no colour, or no such characters."""
    return console.color_system is None or console.no_color or not console.encoding.lower().startswith("utf")


def make_table(console: Console, *columns: str, right: Sequence[str] = ()) -> Table:
    """An empty table with headings.

    Args:
        console: it is for.
        columns: the headings.
        right: those of them whose cells are numbers.
    """
    plain = is_plain(console)
    # Two spaces between columns either way: the lines of a box bring one.
    table = Table(
        box=None if plain else box.SIMPLE_HEAD,
        padding=(0, 2 if plain else 1, 0, 0),
        header_style="bold",
        pad_edge=False,
        show_edge=False,
    )
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", no_wrap=True)
    return table


def label(text: str, style: str = "") -> Text:
    """Text from a file or a user, on one line and harmless."""
    return Text(one_line(text), style)


def shortened(text: str, width: int) -> str:
    """A name with its middle left out where it is longer than `width`: both ends tell names apart.

    >>> shortened("functional_1/activation_1/Relu", 16)
    'functio...1/Relu'
    """
    if len(text) <= width:
        return text
    tail = (width - 3) // 2
    return f"{text[: width - 3 - tail]}...{text[len(text) - tail :]}"


def verdict(console: Console, good: bool, text: str) -> None:
    """The last line of a comparison."""
    console.print(Text(text, "bold green" if good else "bold red"), soft_wrap=True)


def seconds_text(seconds: float) -> str:
    """A duration with three significant digits.

    >>> seconds_text(0.000478), seconds_text(0.00123), seconds_text(8.5), seconds_text(123.4)
    ('0.478 ms', '1.23 ms', '8.50 s', '123 s')
    """
    if seconds < 1:
        return f"{significant(seconds * 1000)} ms"
    return f"{significant(seconds)} s"


def significant(number: float) -> str:
    """A number that is not negative with three significant digits, thousands separated, never an exponent.

    >>> significant(52417.2), significant(3.14159), significant(0), significant(0.0123), significant(999.6)
    ('52,400', '3.14', '0', '0.0123', '1,000')
    """
    if number == 0:
        return "0"
    rounded = float(f"{number:.3g}")
    return f"{rounded:,.{max(0, 2 - math.floor(math.log10(rounded)))}f}"


def differ(count: int) -> str:
    """How many elements are not equal.

    >>> differ(1), differ(1200)
    ('1 differs', '1,200 differ')
    """
    return f"{count:,} {'differs' if count == 1 else 'differ'}"


def percent(part: int, whole: int) -> str:
    """A share with two digits behind the point.

    >>> percent(353, 359)
    '98.33 %'
    """
    return f"{100 * part / whole:.2f} %"


def image_text(image: npt.NDArray[Any], console: Console, scale: int = 1) -> Text:
    """A grey image: half-block characters, each two colours above each other; or plain a line of shades a row.

    Args:
        image: (rows, columns) in [0, 1].
        console: it is for.
        scale: characters per pixel, across.
    """
    if is_plain(console):
        lines = ("".join(_shade(pixel) * scale for pixel in row) for row in image)
        return Text("\n".join(lines))
    import numpy as np

    pixels = np.repeat(np.repeat(image, scale, axis=0), scale, axis=1)
    if len(pixels) % 2:
        pixels = np.vstack([pixels, np.zeros_like(pixels[:1])])
    text = Text()
    for upper, lower in zip(pixels[::2], pixels[1::2], strict=True):
        if text:
            text.append("\n")
        for above, below in zip(upper, lower, strict=True):
            text.append("▀", Style(color=_color(above, _INK), bgcolor=_color(below, _INK)))
    return text


def heat_strip(values: npt.NDArray[np.integer[Any]], console: Console, columns: int, limit: int = 64) -> Text:
    """The elements of a tensor as numbered cells, lowest dark and highest bright, in rows of as many as fit.

    Args:
        values: of one inference, any shape.
        console: it is for.
        columns: characters across.
        limit: cells at most.
    """
    flat = values.ravel()
    low, high = float(flat.min()), float(flat.max())
    cell = max(len(str(value)) for value in flat.tolist()) + 1
    plain = is_plain(console)
    across = max(1, columns // (cell + plain))
    text = Text()
    for index, value in enumerate(flat[:limit].tolist()):
        if index and index % across == 0:
            text.append("\n")
        height = (value - low) / (high - low) if high > low else 0.0
        if plain:
            text.append(f"{value:>{cell}}{_shade(height)}")
        else:
            dark = height > 0.6
            style = Style(
                color=Color.from_rgb(*((0, 0, 0) if dark else (255, 255, 255))), bgcolor=_color(height, _HEAT)
            )
            text.append(f"{value:>{cell}}", style)
    if len(flat) > limit:
        text.append(f"\n... and {len(flat) - limit:,} more", "dim")
    return text


def score_bars(
    scores: npt.NDArray[Any], names: Sequence[str], expected: int | None, actual: int, console: Console, width: int
) -> Text:
    """A bar for each class, its score, and which class was expected and which the network says.

    Args:
        scores: one per class.
        names: of the classes.
        expected: the right class, if it is known.
        actual: the network's answer.
        console: it is for.
        width: characters of the longest bar.
    """
    values = scores.ravel().tolist()
    low, high = min(values), max(values)
    name_width = max(len(name) for name in names)
    number_width = max(len(str(value)) for value in values)
    text = Text()
    for index, value in enumerate(values):
        if index:
            text.append("\n")
        chosen = index in (expected, actual)
        style = ("green" if index == expected else "red") if chosen else "blue"
        share = (value - low) / (high - low) if high > low else 1.0
        text.append(f"{one_line(names[index]):>{name_width}} ", "bold" if chosen else "")
        text.append(_bar(share, width, plain=is_plain(console)), style)
        text.append(f" {value:>{number_width}}", "bold" if chosen else "dim")
        marks = [word for word, marked in (("expected", expected), ("actual", actual)) if marked == index]
        if marks:
            text.append(f" <- {', '.join(marks)}" if is_plain(console) else f" ◀ {', '.join(marks)}", f"bold {style}")
    return text


def _bar(share: float, width: int, *, plain: bool) -> str:
    """A bar of a share of the width, at least a trace, filled up with spaces."""
    if plain:
        return ("#" * max(1, round(share * width))).ljust(width)
    eighths = max(1, round(share * width * 8))
    full, rest = divmod(eighths, 8)
    return ("█" * full + (_EIGHTHS[rest - 1] if rest else "")).ljust(width)


def _shade(value: float) -> str:
    """The character for a brightness in [0, 1]."""
    return _SHADES[round(min(max(float(value), 0.0), 1.0) * (len(_SHADES) - 1))]


def _color(value: float, ramp: Sequence[tuple[int, int, int]]) -> Color:
    """The colour at a height in [0, 1] of a ramp, between its two nearest steps."""
    position = min(max(float(value), 0.0), 1.0) * (len(ramp) - 1)
    step = min(int(position), len(ramp) - 2)
    part = position - step
    red, green, blue = (round(a + (b - a) * part) for a, b in zip(ramp[step], ramp[step + 1], strict=True))
    return Color.from_rgb(red, green, blue)
