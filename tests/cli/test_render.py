"""Pictures: exact characters and colours, and plain text where there is no terminal."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from rich.text import Text

from bitloom.cli.render import (
    PLAIN_WIDTH,
    heat_strip,
    image_text,
    is_plain,
    label,
    make_table,
    output_console,
    score_bars,
    significant,
)

COLOUR = Console(file=io.StringIO(), force_terminal=True, color_system="truecolor", width=100, no_color=False)
PLAIN = Console(file=io.StringIO(), force_terminal=False, width=100)
DARK, BRIGHT = (16, 20, 38), (255, 250, 226)


def cells(text: Text) -> list[tuple[str, Any, Any]]:
    """Character, colour and background of each cell, line ends left out."""
    found = []
    for segment in text.render(COLOUR):
        style = segment.style
        colours = [
            None if colour is None else tuple(colour.get_truecolor())
            for colour in ((style.color, style.bgcolor) if style else (None, None))
        ]
        found += [(character, *colours) for character in segment.text if character != "\n"]
    return found


class Utf8(io.StringIO):
    """A terminal of its own encoding."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("environment", "plain"),
    [({}, True), ({"TERM": "dumb"}, True), ({"TERM": "xterm", "NO_COLOR": "1"}, True), ({"TERM": "xterm"}, False)],
)
def test_a_console_is_plain_without_colours(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], plain: bool
) -> None:
    monkeypatch.delenv("TERM", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.stdout", Utf8() if environment else io.StringIO())
    assert is_plain(output_console()) == plain


def test_without_a_terminal_lines_have_100_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setattr("sys.stdout", io.StringIO())
    assert output_console().width == PLAIN_WIDTH == 100


def test_a_character_is_two_pixels() -> None:
    text = image_text(np.array([[0.0, 1.0], [1.0, 0.0]]), COLOUR)
    assert text.plain == "▀▀"
    assert cells(text) == [("▀", DARK, BRIGHT), ("▀", BRIGHT, DARK)]


def test_an_odd_last_row_stands_above_paper() -> None:
    text = image_text(np.ones((3, 1)), COLOUR)
    assert text.plain == "▀\n▀"
    assert cells(text) == [("▀", BRIGHT, BRIGHT), ("▀", BRIGHT, DARK)]


def test_scaled_pixels_are_square() -> None:
    text = image_text(np.array([[1.0, 0.0]]), COLOUR, scale=2)
    assert cells(text) == 2 * [("▀", BRIGHT, BRIGHT)] + 2 * [("▀", DARK, DARK)]


def test_plain_images_are_shades() -> None:
    image = np.array([[0.0, 0.5, 1.0], [0.1, 0.9, 2.0]])
    assert image_text(image, PLAIN, scale=2).plain == "  ==@@\n..%%@@"


def test_heat_strips_are_numbers_from_dark_to_bright() -> None:
    values = np.array([[-128, 0, 127]], np.int8)
    assert heat_strip(values, PLAIN, 40).plain == " -128     0+  127@"
    assert heat_strip(values, PLAIN, 12).plain == " -128     0+\n  127@"
    text = heat_strip(values, COLOUR, 40)
    assert text.plain == " -128    0  127"
    assert [cell[2] for cell in cells(text)][::5] == [(68, 1, 84), (38, 144, 137), (253, 231, 37)]
    assert [cell[1] for cell in cells(text)][::5] == [(255, 255, 255), (255, 255, 255), (0, 0, 0)]


def test_heat_strips_of_equal_or_too_many_elements() -> None:
    assert heat_strip(np.zeros(3, np.int8), PLAIN, 40).plain == " 0  0  0 "
    assert heat_strip(np.arange(100, dtype=np.int8), PLAIN, 400, limit=2).plain.endswith("\n... and 98 more")


def test_bars_mark_what_was_expected_and_what_came() -> None:
    scores = np.array([[-10, 90, 40]], np.int8)
    assert score_bars(scores, ["a", "bb", "c"], 2, 1, PLAIN, 10).plain.splitlines() == [
        " a #          -10",
        "bb ##########  90 <- actual",
        " c #####       40 <- expected",
    ]
    assert score_bars(scores, "abc", 1, 1, COLOUR, 10).plain.splitlines() == [
        "a ▏          -10",
        "b ██████████  90 ◀ expected, actual",
        "c █████       40",
    ]
    assert score_bars(scores, "abc", None, 1, PLAIN, 3).plain.splitlines()[1] == "b ###  90 <- actual"


def test_bars_of_equal_scores_are_full() -> None:
    assert score_bars(np.zeros(2, np.int8), "ab", 0, 0, COLOUR, 2).plain == "a ██ 0 ◀ expected, actual\nb ██ 0"


def test_names_from_files_are_harmless() -> None:
    table = make_table(PLAIN, "name")
    table.add_row(label("[bold]x[/]\x1b[31m\ny"))
    console = Console(file=io.StringIO(), width=60, markup=False)
    console.print(table)
    assert console.file.getvalue().split("\n")[1].rstrip() == "[bold]x[/]?[31m y"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("number", "text"),
    [(9994, "9,990"), (99.95, "100"), (0.9996, "1.00"), (1e-7, "0.000000100"), (123456789, "123,000,000")],
)
def test_three_significant_digits(number: float, text: str) -> None:
    assert significant(number) == text
