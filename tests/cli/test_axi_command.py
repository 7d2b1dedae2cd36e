"""``bitloom axi``."""

from __future__ import annotations

import re

import pytest


def test_the_values_sent_are_summed_and_read_back(program):
    ended = program("axi", "--values=-10,20,30")
    assert (ended.status, ended.err) == (0, "")
    sent = re.findall(r"^ *\d+ +s_axis +beat (-?\d+)$", "\n".join(ended.lines), re.MULTILINE)
    words = re.findall(r"s_axi +read word \(0x01c\) -> (-?\d+)$", "\n".join(ended.lines), re.MULTILINE)
    assert sent == words == ["-10", "20", "30"]
    assert any("read sum_low (0x010) -> 40" in line for line in ended.lines)
    assert re.fullmatch(r"equal: sum 40, NumPy's 40, after \d+ cycles; 3 words read back", ended.lines[-1])
    assert any(line.split()[:1] == ["s_axis_tvalid"] for line in ended.lines)
    assert "0x00c   count" in ended.out


def test_pauses_change_when_but_not_what(program):
    steady, paused = (program("axi", "--count", 6, "--seed", 4, "--no-waveform", *more) for more in ((), ("--pauses",)))
    assert steady.status == paused.status == 0
    assert "s_axis_tvalid" not in steady.out

    def beats(ended):
        return re.findall(r"^ *(\d+) +s_axis +beat (-?\d+)$", "\n".join(ended.lines), re.MULTILINE)

    assert [value for _, value in beats(steady)] == [value for _, value in beats(paused)]
    assert [cycle for cycle, _ in beats(steady)] != [cycle for cycle, _ in beats(paused)]


def test_a_wrong_sum_ends_with_status_1(program, monkeypatch):
    monkeypatch.setattr("bitloom.hw.axi.demo.AxiDemo.equal", False)
    ended = program("axi", "--no-waveform")
    assert ended.status == 1
    assert ended.lines[-1].startswith("different: ")


def unnumbered(text):
    """Without the numbers of unnamed wires, which count on through the process."""
    return re.sub(r"tmp\d+", "tmp", text)


def test_verilog_goes_to_a_file_or_to_standard_output(program, tmp_path):
    ended = program("axi", "--verilog", tmp_path / "axi.v")
    assert ended.lines[-1] == f"Verilog written to {tmp_path}/axi.v"
    text = (tmp_path / "axi.v").read_text()
    assert re.search(r"^module axi_sum\(", text, re.MULTILINE)
    assert unnumbered(program("axi", "--verilog", "-").out) == unnumbered(text)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--values=1,x"], "argument --values: '1,x' is no list of whole numbers, such as 10,-20,30"),
        (["--values="], "argument --values: '' is no list of whole numbers"),
        (["--values=1", "--count", "2"], "argument --count: not allowed with argument --values"),
        ([f"--values={2**31}"], "axi demo: a value is no signed 32-bit integer"),
        (["--count", "0"], "argument --count: 0 is too small"),
        (["--count", "257"], "argument --count: 257 values are too many to look at, give at most 256"),
        (["--verilog", "/none/axi.v"], "/none/axi.v: cannot be written"),
    ],
)
def test_bad_input_is_one_line(program, arguments, line):
    ended = program("axi", *arguments)
    assert (ended.status, ended.out, len(ended.err.splitlines())) == (2, "", 1)
    assert line in ended.err
