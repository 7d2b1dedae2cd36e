"""Estimates against synthesis: multiplier slices and block memories exactly, look-up tables about."""

from __future__ import annotations

import io

import pyrtl
import pytest
from gate_level import synthesize_gates
from stream_checks import build_between

from bitloom.circuits.streaming import Folding
from bitloom.deploy.flows import FAMILIES
from bitloom.ops.conv_2d import Conv2d
from bitloom.ops.depthwise_conv_2d import DepthwiseConv2d
from bitloom.ops.shared.convolution_examples import ExampleConvolution

conv, depthwise = ExampleConvolution(Conv2d), ExampleConvolution(DepthwiseConv2d)
CASES = {
    "window": (conv("window", (1, 8, 8, 16), (16, 3, 3, 16), per_channel=True), Folding(8, 4, 1)),
    "packed": (conv("packed", (1, 8, 8, 16), (16, 3, 3, 16), per_channel=True), Folding(8, 4, 1, packed=True)),
    "pixels": (conv("pixels", (1, 8, 8, 48), (24, 1, 1, 48), per_channel=True), Folding(4, 8, 1)),
    "four bits": (
        conv("four_bits", (1, 8, 8, 16), (16, 3, 3, 16), elements=("int8", "int4", "int32"), per_channel=True),
        Folding(4, 8, 1, products_in_logic=True, rescale_in_logic=True),
    ),
    "columns": (depthwise("columns", (1, 8, 8, 32), (1, 3, 3, 32), per_channel=True), Folding(4, 3, 2)),
}


@pytest.mark.parametrize("name", CASES)
def test_estimates_are_what_synthesis_finds(tmp_path, name: str) -> None:
    example, folding = CASES[name]
    (node,) = example.graph.nodes
    circuit = node.operator.circuit(example.graph.operands(node), example.graph.results(node))
    (given,) = circuit.input_types(folding)
    build_between(
        given, circuit.output_type(folding), lambda stream, reset: circuit.build("layer", folding, [stream], reset)
    )
    text = io.StringIO()
    pyrtl.output_to_verilog(text, add_reset=True)
    found = FAMILIES["xc7"].used(synthesize_gates(text.getvalue(), "toplevel", tmp_path).cells)
    estimate = circuit.estimate(folding)
    assert found["dsp"] == estimate.dsp
    assert found["bram36"] * 2 == estimate.ram_blocks
    assert found["lut"] == pytest.approx(estimate.logic, rel=0.3)
