"""The sliding window after synthesis: the same in every cycle, block memories where deep, and few cells."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pyrtl
import pytest
from gate_level import synthesize_gates
from gate_stream import synthesized_stream
from window_checks import PAD, build, images

from bitloom.hw.window import Taps, WindowShape

SMALL = WindowShape(5, 5, 4, (3, 3), (2, 1), padding=(1, 0, 1, 1), lanes=2)
DEEP = WindowShape(32, 32, 16, (3, 3), padding=(1, 1, 1, 1), lanes=4)


@pytest.mark.parametrize("taps", Taps)
def test_synthesised_it_does_the_same(tmp_path, taps):
    shape = replace(SMALL, taps=taps)
    source, sink = build(shape)
    given = images(shape, 2)
    gates, made = synthesized_stream(given, source, sink, tmp_path)
    np.testing.assert_array_equal(made, shape.windows(given, PAD))
    assert not [cell for cell in gates.cells if cell.startswith("RAMB")], "a small memory is no block memory"


@pytest.mark.parametrize(("taps", "blocks", "most_luts"), [(Taps.ONE, 1, 80), (Taps.COLUMN, 3, 230)])
def test_a_deep_one_is_block_memory_and_little_else(tmp_path, taps, blocks, most_luts):
    build(replace(DEEP, taps=taps))
    text = io.StringIO()
    pyrtl.output_to_verilog(text, add_reset=False)
    cells = synthesize_gates(text.getvalue(), "toplevel", tmp_path).cells
    assert cells["RAMB18E1"] == blocks
    assert not [cell for cell in cells if cell.startswith(("RAM32", "RAM64", "RAMB36", "DSP"))]
    assert sum(count for cell, count in cells.items() if cell.startswith("LUT")) <= most_luts
