"""The dense unit after synthesis: chains of multiplier slices are where Yosys has been wrong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyrtl
import pytest
from gate_stream import synthesized_stream

from bitloom.arith import Interval, IntType, Rescale, Rounding, dot_product_range, narrow
from bitloom.hw.dense import DenseShape, dense
from bitloom.hw.rescale import RescaleConstants, rescale_slices
from bitloom.hw.stream import Stream

INT8 = IntType(8)
# Two passes over three lanes: a chain whose first sums are narrower than a product. Two chains and a tree.
CHAIN = DenseShape(depth=9, outputs=4, rows=1, pe=2, simd=3, results=1)
TREE = DenseShape(depth=12, outputs=2, rows=1, pe=1, simd=10, results=1, rescale_in_logic=True)
# Depthwise: two channels side by side, in lanes of their own, two outputs of each in one slice or in two.
SIDE = DenseShape(depth=9, outputs=2, rows=1, pe=2, simd=2, results=2, groups=4, parallel=2)
# Two groups one after another, of which each comes again for every pass.
REPLAYED = DenseShape(depth=8, outputs=4, rows=1, pe=2, simd=4, results=1, groups=2, replayed=True, packed=True)


@pytest.mark.parametrize(
    ("shape", "element", "weights", "channels", "rounding"),
    [
        (CHAIN, INT8, (-60, 60), 4, Rounding.FLOAT64),
        (TREE, IntType(8, signed=False), (-128, -1), 1, Rounding.DOUBLE),
        (CHAIN, IntType(4, signed=False), (-127, 127), 1, Rounding.HALF_EVEN),
        (SIDE, INT8, (-127, 127), 8, Rounding.DOUBLE),
        (replace(SIDE, packed=True), INT8, (-127, 127), 8, Rounding.DOUBLE),
        (REPLAYED, IntType(8, signed=False), (-127, 127), 8, Rounding.DOUBLE),
    ],
)
def test_synthesised_it_is_one_slice_a_lane_and_still_exact(tmp_path, shape, element, weights, channels, rounding):
    random = np.random.default_rng(shape.simd + element.bits)
    matrix = random.integers(*weights, (shape.groups * shape.outputs, shape.depth), endpoint=True)
    bias = random.integers(-500, 500, len(matrix))
    low, high = dot_product_range(matrix, bias, Interval(element.minimum, element.maximum))
    scale = 127 / np.abs([low, high]).max()
    reference = Rescale(tuple(float(value) for value in random.uniform(0.5, 3.0, channels) * scale), rounding)
    constants = RescaleConstants(bias, narrow(reference, low, high, -5, Interval(-128, 127)), low, high)
    pyrtl.reset_working_block()
    source = Stream.input_ports("source", shape.input_type(element))
    sink = Stream.output_ports("sink", shape.output_type(INT8))
    dense("layer", source, shape, matrix, constants, INT8, pyrtl.Input(1, "reset")).feed(sink)

    size = (30, shape.blocks, 1, shape.depth, shape.parallel)
    inputs = random.integers(element.minimum, element.maximum, size, endpoint=True)
    inputs[0], inputs[1] = element.minimum, element.maximum
    sent = np.repeat(inputs, shape.passes if shape.replayed else 1, axis=2).reshape(len(inputs), -1)
    gates, tensors = synthesized_stream(sent, source, sink, tmp_path)
    matrices = matrix.reshape(shape.blocks, shape.parallel, shape.outputs, shape.depth)
    sums = np.einsum("ibrkp,bpnk->ibpn", inputs, matrices).reshape(len(inputs), -1)
    rescaled = np.clip(reference.apply(sums + bias) - 5, -128, 127)
    np.testing.assert_array_equal(tensors, rescaled)
    slices = shape.results * rescale_slices(constants)
    # A narrow limb of the rescale may be cheaper in logic.
    assert shape.multipliers <= gates.cells["DSP48E1"] <= shape.multipliers + (not shape.rescale_in_logic) * slices
