"""``bitloom show``: text that people and every command can read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import bitloom as bl


def test_digest_text_parses_with_the_constants_beside_it(program: Any, digits: Path) -> None:
    graph = bl.load(digits).graph
    ended = program("show", digits)
    assert (ended.status, ended.err) == (0, "")
    constants = {value.name: value.data for value in graph.values if value.data is not None}
    assert bl.parse_graph(ended.out, constants) == graph
    assert ended.lines[0] == f"// {digits}: input int8[1, 64] to logits int8[1, 10]"
    assert ended.lines[1] == "// 3 nodes, 2,431 multiply-accumulates, 2,487 constants of 21,240 bits"
    assert ended.lines[2] == 'graph "digits" {  // macs 2431'
    for part in ("fully_connected @fully_connected_0 (%input,", "scale=0.0138", "zero_point=-128", "digest"):
        assert part in ended.out
    # Ranges and chosen widths.
    assert "// macs 1728; accumulator [-308564, 247293] int20; rescale by" in ended.out
    assert max(map(len, ended.lines)) <= 120


@pytest.mark.parametrize("flags", [[], ["--no-notes"]])
def test_full_text_is_a_model(program: Any, digits: Path, tmp_path: Path, flags: list[str]) -> None:
    text = tmp_path / "digits.bitloom"
    ended = program("show", digits, "--full", "-o", text, *flags)
    assert (ended.status, ended.out, ended.err) == (0, "", "")
    assert text.read_text().startswith("//" if not flags else "graph")
    assert ("accumulator" in text.read_text()) == (not flags)
    assert bl.load(text).graph == bl.load(digits).graph
    again = program("show", text, "--full", *flags).out
    # All but the first line, which names the file.
    assert again.splitlines()[1:] == text.read_text().splitlines()[1:]
    assert program("verify", text, "--executors", "litert,numpy", "--num-images", 20).status == 0
    assert list(tmp_path.iterdir()) == [text]


def test_colours_on_a_terminal_change_no_character(program: Any, digits: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from rich.text import Text

    plain = program("show", digits).out
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    coloured = program("show", digits).out
    assert "\x1b[" in coloured
    assert Text.from_ansi(coloured).plain.splitlines() == plain.splitlines()
