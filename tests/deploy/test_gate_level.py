"""The short way through Yosys that gate-level tests take ends in the cells of the whole way."""

from __future__ import annotations

import io
from pathlib import Path

import pyrtl
import pytest
from gate_level import cells_counted, run_yosys, synthesize_gates, whole_script

from bitloom.hw.registers import connect


@pytest.mark.parametrize(("address_bits", "memory"), [(7, "LUT6"), (10, "RAMB18E1")])
def test_the_short_way_ends_in_the_same_cells(tmp_path: Path, address_bits: int, memory: str) -> None:
    """A product of a word from memory, which is look-up tables, or a block memory and takes the whole way itself."""
    pyrtl.reset_working_block()
    address = pyrtl.Input(address_bits, "address")
    words = pyrtl.RomBlock(16, address_bits, [i * 40503 & 0xFFFF for i in range(1 << address_bits)], name="words")
    word = pyrtl.Register(16, "word")
    word.next <<= words[address]
    product = pyrtl.Register(32, "product")
    product.next <<= word * word
    total = pyrtl.Register(32, "total")
    total.next <<= total + product
    connect(pyrtl.Output(32, "sum"), total)
    text = io.StringIO()
    pyrtl.output_to_verilog(text, add_reset=True)
    short = synthesize_gates(text.getvalue(), "toplevel", tmp_path)
    run_yosys(f"{whole_script('toplevel')}; tee -q -o whole.txt stat", tmp_path)
    assert short.cells == cells_counted(tmp_path / "whole.txt")
    assert short.cells["DSP48E1"] == 1
    assert short.cells[memory] >= 1
