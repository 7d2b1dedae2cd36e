"""``bitloom demo``: every executor is shown and compared, and a difference ends it with status 1."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import bitloom as bl
from bitloom.data import SHIPPED_DIGITS
from bitloom.ir.operator import Array
from bitloom.run import RunResult
from bitloom.run.numpy_executor import NumpyExecutor

QUICK = ["--executors", "litert,numpy"]


def test_the_whole_demo(program: Any, tmp_path: Path) -> None:
    ended = program("demo", "-o", tmp_path / "made")
    assert (ended.status, ended.err) == (0, "")
    assert ended.out.isascii()
    assert max(len(line) for line in ended.lines if "written" not in line) <= 100
    text = ended.out
    for name in ("litert", "numpy", "pyrtl", "verilog"):
        assert re.search(rf"(?m)^{name}: .*---$", text)
    assert text.count("<- expected, actual") == 4
    assert text.count("dense_1  int8[27]") == 4
    rows = {line.split()[0]: line.split()[1:] for line in ended.lines if re.search(r" \d+/\d+ ", line)}
    assert rows["litert"][:3] == ["judge"] * 3
    assert all(rows[name][:3] == ["equal"] * 3 for name in ("numpy", "pyrtl", "verilog"))
    right = {name: row[3] for name, row in rows.items()}
    assert right == {"litert": "353/359", "numpy": "353/359", "pyrtl": "98/100", "verilog": "353/359"}
    assert rows["numpy"][4] == "-"
    # Both simulators count the same cycles: latency / interval.
    assert rows["pyrtl"][4:7] == rows["verilog"][4:7]
    assert rows["pyrtl"][5] == "/"
    assert "98.33 %: 353 of the 359 test digits are read rightly" in ended.lines
    assert f"Verilog written: {tmp_path / 'made' / 'digits.v'}, beside it" in text
    assert ended.lines[-1] == "every executor computed the same integers in every layer"
    assert "module digits (" in (tmp_path / "made" / "digits.v").read_text()
    report = json.loads((tmp_path / "made" / "report.json").read_text())
    assert [report["latency_cycles"], report["interval_cycles"]] == [int(rows["pyrtl"][4]), int(rows["pyrtl"][6])]


def test_the_picture_is_the_digit_and_the_numbers_are_its_layers(program: Any, tmp_path: Path) -> None:
    ended = program("demo", *QUICK, "--image", 25, "-o", tmp_path / "made")
    assert ended.status == 0
    samples = bl.dataset_samples(SHIPPED_DIGITS, "digits", start=25, count=1)
    assert samples.images is not None
    shades = " .:-=+*#%@"
    start = next(index for index, line in enumerate(ended.lines) if line.startswith("litert: ")) + 1
    for row, line in zip(samples.images[0], ended.lines[start : start + 8], strict=True):
        expected = "".join(shades[round(float(pixel) * 9)] * 2 for pixel in row)
        assert line.ljust(16)[:16] == expected
    section = "\n".join(ended.lines[start : ended.lines.index("", start)])
    tensors = bl.run(SHIPPED_DIGITS, samples.inputs).tensors
    for name in ("dense_1", "dense_2"):
        for value in tensors[name].ravel():
            assert re.search(rf" {value}[ .:=+*#%@-]", section)
    # Image 25 is a nine that the network reads as an eight.
    assert re.search(r"(?m)8 #+ +68 <- actual$", section)
    assert re.search(r"(?m)9 #+ +-25 <- expected$", section)


def test_colours_of_24_bits_on_a_terminal(program: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.setenv("TERM", "xterm-256color")
    ended = program("demo", *QUICK, "-o", tmp_path / "made")
    assert ended.status == 0
    # The first two pixels of the picture: paper above paper.
    assert "\x1b[38;2;16;20;38;48;2;16;20;38m▀" in ended.out
    assert "◀ expected, actual" in ended.out
    assert ended.out.count("▀") > 2 * 8 * 16

    monkeypatch.setenv("NO_COLOR", "1")
    plain = program("demo", *QUICK, "-o", tmp_path / "made")
    assert plain.status == 0
    assert "38;2" not in plain.out
    assert "▀" not in plain.out
    assert "<- expected, actual" in plain.out


def test_a_difference_ends_with_status_1(program: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = NumpyExecutor.run

    def wrong(self: NumpyExecutor, inputs: Mapping[str, Array]) -> RunResult:
        result = right(self, inputs)
        tensors = {name: tensor.copy() for name, tensor in result.tensors.items()}
        tensors["dense_1"][0, 0, 3] ^= 1
        return dataclasses.replace(result, tensors=tensors)

    monkeypatch.setattr(NumpyExecutor, "run", wrong)
    ended = program("demo", *QUICK, "-o", tmp_path / "made")
    assert (ended.status, ended.err) == (1, "")
    row = next(line for line in ended.lines if re.match(r"numpy +\d", line))
    assert re.match(r"numpy +\d+ differ +equal +equal +353/359", row)
    assert ended.lines[-1] == "the executors differ"


def test_folders_of_others_are_left_alone(program: Any, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    ended = program("demo", *QUICK, "-o", tmp_path)
    assert (ended.status, ended.out) == (2, "")
    assert ended.err.startswith(f"bitloom: error: {tmp_path}")
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
