"""Packed products after synthesis: half the slices, in cascades, and still exact."""

from __future__ import annotations

import io

import numpy as np
import pyrtl
import pytest
from gate_level import synthesize_gates
from gate_stream import synthesized_stream
from product_units import ProductUnit

from bitloom.arith import Interval, IntType, Rescale, Rounding, dot_product_range, narrow
from bitloom.hw.dense import DenseShape, dense
from bitloom.hw.packed_products import Packing, packed_multipliers
from bitloom.hw.rescale import RescaleConstants
from bitloom.hw.stream import Stream

RANDOM = np.random.default_rng(0)
INT8 = IntType(8)
# Z is PCIN, X and Y the product: the sum of the slice before comes by the cascade (UG479, table 2-7).
CASCADED = "OPMODE(7'h15)"


def check_gates(unit, folder):
    """Synthesise a unit and send it extremes and random activations."""
    text = io.StringIO()
    pyrtl.output_to_verilog(text, add_reset=True)
    gates = synthesize_gates(text.getvalue(), "toplevel", folder)
    random = np.random.default_rng(1)
    lanes = unit.simd * unit.groups
    beats = random.integers(-128, 128, (120, lanes))
    beats[:60] = random.choice([-128, 127, -1, 0], (60, lanes))
    beats[0], beats[1] = -128, 127
    addresses = np.arange(len(beats)) % len(unit.weights)
    seen = gates.run(unit.inputs, unit.outputs, unit.steps(addresses, beats))
    np.testing.assert_array_equal(unit.sums(seen, len(beats)), unit.expected(addresses, beats))
    return gates


@pytest.mark.parametrize(
    ("weights", "groups"),
    [
        # As trained layers are: many small weights, a few large ones. One chain.
        pytest.param(np.clip(RANDOM.laplace(0, 20, (24, 2, 8)).round(), -127, 127).astype(np.int64), 1, id="trained"),
        # Three chains, whose carries meet in a tree; one element alone in each of two groups.
        pytest.param(RANDOM.choice([-127, 127], (12, 6, 9)), 2, id="extremes"),
        # Fields 16 bits apart.
        pytest.param(RANDOM.choice([-128, 127, -1], (12, 2, 3)), 1, id="minus 128"),
        # Signs that never change, above and below.
        pytest.param(np.stack([RANDOM.integers(0, 60, (8, 4)), RANDOM.integers(-128, 0, (8, 4))], 1), 1, id="one sign"),
        # One word: what synthesis would see as constants.
        pytest.param(RANDOM.integers(-127, 128, (1, 4, 3)), 1, id="one word"),
    ],
)
def test_synthesised_it_is_one_slice_a_pair_in_cascades_and_still_exact(tmp_path, weights, groups):
    _, elements, simd = weights.shape
    unit = ProductUnit(weights, INT8, groups)
    gates = check_gates(unit, tmp_path)
    packing = Packing.of(weights, INT8, groups=groups)
    columns = len(packing.pairs) + len(packing.singles)
    assert gates.cells["DSP48E1"] == packed_multipliers(elements, simd, groups) == columns * simd
    assert gates.netlist.read_text().count(CASCADED) == columns * (simd - packing.chains)


def test_weights_that_never_change_are_exact_though_synthesis_would_see_constants(tmp_path):
    """Also of products that are not packed: of these weights, Yosys got a quarter of the sums wrong."""
    weights = np.random.default_rng(2).integers(-127, 128, (1, 2, 4))
    gates = check_gates(ProductUnit(weights, INT8, packed=False), tmp_path)
    assert gates.cells["DSP48E1"] == weights.size


def test_a_packed_layer_takes_half_the_slices_and_is_still_exact_under_stalls(tmp_path):
    shape = DenseShape(depth=18, outputs=8, rows=1, pe=4, simd=6, results=2, rescale_in_logic=True, packed=True)
    random = np.random.default_rng(2)
    matrix, bias = random.integers(-127, 128, (8, 18)), random.integers(-500, 500, 8)
    low, high = dot_product_range(matrix, bias, Interval(0, 255))
    reference = Rescale((127 / float(np.abs([low, high]).max()),), Rounding.DOUBLE)
    constants = RescaleConstants(bias, narrow(reference, low, high, 3, Interval(-128, 127)), low, high)
    pyrtl.reset_working_block()
    source = Stream.input_ports("source", shape.input_type(IntType(8, signed=False)))
    sink = Stream.output_ports("sink", shape.output_type(INT8))
    dense("layer", source, shape, matrix, constants, INT8, pyrtl.Input(1, "reset")).feed(sink)
    inputs = random.integers(0, 256, (24, 18))
    inputs[0], inputs[1] = 0, 255
    gates, tensors = synthesized_stream(inputs, source, sink, tmp_path)
    np.testing.assert_array_equal(tensors, np.clip(reference.apply(inputs @ matrix.T + bias) + 3, -128, 127))
    assert gates.cells["DSP48E1"] == shape.multipliers == shape.pe * shape.simd // 2
