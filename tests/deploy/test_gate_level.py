"""The short way through Yosys that gate-level tests take ends in the cells of the whole way."""

from __future__ import annotations

import io
from pathlib import Path

import pyrtl
from gate_level import cells_counted, run_yosys, synthesize_gates, whole_script

from bitloom.hw.registers import connect


def test_the_short_way_ends_in_the_same_cells(tmp_path: Path) -> None:
    """A memory that becomes look-up tables, one that becomes distributed memory, and a product."""
    pyrtl.reset_working_block()
    address = pyrtl.Input(6, "address")
    words = pyrtl.RomBlock(16, 6, [index * 40503 & 0xFFFF for index in range(64)], name="words")
    kept = pyrtl.MemBlock(16, 6, name="kept")
    word, before = pyrtl.Register(16, "word"), pyrtl.Register(16, "before")
    word.next <<= words[address]
    before.next <<= kept[address]
    kept[address] <<= word
    product = pyrtl.Register(32, "product")
    product.next <<= word * before
    total = pyrtl.Register(32, "total")
    total.next <<= total + product
    connect(pyrtl.Output(32, "sum"), total)
    text = io.StringIO()
    pyrtl.output_to_verilog(text, add_reset=True)
    short = synthesize_gates(text.getvalue(), "toplevel", tmp_path)
    run_yosys(f"{whole_script('toplevel')}; tee -q -o whole.txt stat", tmp_path)
    assert short.cells == cells_counted(tmp_path / "whole.txt")
    assert short.cells["DSP48E1"] == 1
    assert short.cells["LUT6"] > 1
    assert sum(count for name, count in short.cells.items() if name.startswith("RAM")) >= 1
