"""``bitloom matrix``."""

from __future__ import annotations

import re

import numpy as np
import pytest


def matrix_after(lines, title):
    """The numbers below a title."""
    start = next(index for index, line in enumerate(lines) if line.startswith(title)) + 1
    rows = []
    while lines[start].strip():
        rows.append([int(word) for word in lines[start].split()])
        start += 1
    return np.array(rows)


@pytest.mark.parametrize("sizes", [(2, 3, 2), (1, 1, 1), (4, 5, 3)])
def test_the_product_is_the_product(program, sizes):
    rows, terms, columns = sizes
    ended = program("matrix", "--rows", rows, "--terms", terms, "--cols", columns, "--seed", 5)
    assert (ended.status, ended.err) == (0, "")
    a, b = matrix_after(ended.lines, "a: "), matrix_after(ended.lines, "b: ")
    assert (a.shape, b.shape) == ((rows, terms), (terms, columns))
    for title in ("a @ b, as the array computes it", "a @ b, as NumPy computes it"):
        np.testing.assert_array_equal(matrix_after(ended.lines, title), a @ b)
    assert ended.lines[-2].startswith(f"{rows * columns} cells, {rows * terms * columns} products in ")
    assert ended.lines[-1] == "equal"
    assert any(line.split()[:1] == ["c_valid"] for line in ended.lines)


def test_the_same_seed_gives_the_same_matrices(program):
    one, two, other = (program("matrix", "--seed", seed, "--no-waveform").out for seed in (1, 1, 2))
    assert one == two != other
    assert "c_valid" not in one


def test_a_wrong_product_ends_with_status_1(program, monkeypatch):
    monkeypatch.setattr("bitloom.hw.matrix.demo.MatrixDemo.equal", False)
    ended = program("matrix")
    assert (ended.status, ended.lines[-1]) == (1, "different")


def unnumbered(text):
    """Without the numbers of unnamed wires, which count on through the process."""
    return re.sub(r"tmp\d+", "tmp", text)


def test_verilog_goes_to_a_file_or_to_standard_output(program, tmp_path):
    ended = program("matrix", "--verilog", tmp_path / "mm.v")
    assert ended.lines[-1] == f"Verilog written to {tmp_path}/mm.v"
    text = (tmp_path / "mm.v").read_text()
    assert re.search(r"^module systolic_multiply\(", text, re.MULTILINE)
    assert unnumbered(program("matrix", "--verilog", "-").out) == unnumbered(text)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--rows", "0"], "argument --rows: 0 is too small, give at least 1"),
        (["--cols", "1000"], "argument --cols: 1000 is too large to look at, give at most 64"),
        (["--seed", "-1"], "argument --seed: -1 is too small"),
        (["--verilog", "/none/mm.v"], "/none/mm.v: cannot be written"),
    ],
)
def test_bad_input_is_one_line(program, arguments, line):
    ended = program("matrix", *arguments)
    assert (ended.status, ended.out, len(ended.err.splitlines())) == (2, "", 1)
    assert line in ended.err
