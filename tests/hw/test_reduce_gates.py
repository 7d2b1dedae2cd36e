"""Means and pools after synthesis: their rescales are where multiplier slices are."""

from __future__ import annotations

import numpy as np
import pyrtl
import pytest
from gate_stream import synthesized_stream

from bitloom.arith import Interval, IntType, narrow
from bitloom.arith.division import Division, MeanRescale
from bitloom.hw.pool import PoolShape, pool
from bitloom.hw.reduce import Finish, Positions, ReduceShape, Reduction, reduce
from bitloom.hw.rescale import RescaleConstants
from bitloom.hw.stream import Stream
from bitloom.hw.window_shape import WindowShape

INT8 = IntType(8)


def random_inputs(size: int, element: IntType) -> np.ndarray:
    inputs = np.random.default_rng(size).integers(element.minimum, element.maximum, (12, size), endpoint=True)
    inputs[0], inputs[1] = element.minimum, element.maximum
    return inputs


@pytest.mark.parametrize(
    ("shape", "element", "in_logic"),
    [
        (ReduceShape(1, 7, 6, 2), INT8, False),
        (ReduceShape(3, 12, 1, 4), IntType(8, signed=False), False),
        (ReduceShape(2, 5, 3, 3), INT8, True),
    ],
    ids=str,
)
def test_a_synthesised_mean_is_exact(tmp_path, shape, element, in_logic):
    mean, bias = MeanRescale.of(1.37, shape.reduced), -3 * shape.reduced
    low, high = shape.reduced * element.minimum + bias, shape.reduced * element.maximum + bias
    narrowed = narrow(mean, low, high, -5, Interval(-128, 127))
    lanes = np.ones(shape.result_lanes, np.int64)
    constants = RescaleConstants(bias * lanes, narrowed, low * lanes, high * lanes)
    pyrtl.reset_working_block()
    source = Stream.input_ports("source", shape.input_type(element))
    sink = Stream.output_ports("sink", shape.output_type(INT8))
    finish = Finish(INT8, constants=constants, in_logic=in_logic)
    reduce("mean", source, shape, Reduction.SUM, finish, pyrtl.Input(1, "reset")).feed(sink)
    inputs = random_inputs(shape.outer * shape.reduced * shape.inner, element)
    gates, tensors = synthesized_stream(inputs, source, sink, tmp_path)
    sums = inputs.reshape(-1, shape.outer, shape.reduced, shape.inner).sum(axis=2)
    expected = np.clip(mean.apply(sums + bias) - 5, -128, 127)
    np.testing.assert_array_equal(tensors, expected.reshape(len(inputs), -1))
    assert gates.cells["DSP48E1"] == (0 if in_logic else shape.result_lanes)


def test_a_synthesised_average_divides_by_place(tmp_path):
    window = WindowShape(3, 4, 2, (3, 3), padding=(1, 1, 1, 1), block=2, lanes=2)
    shape, counts = PoolShape(window), window.reads.sum(axis=(2, 3))
    divisors = np.repeat([4, 6, 6, 9], window.lanes)
    narrowed = narrow(Division.by(*divisors.tolist()), -128 * divisors, 127 * divisors, 0, Interval(-128, 127))
    constants = RescaleConstants(0 * divisors, narrowed, -128 * divisors, 127 * divisors)
    finish = Finish(INT8, constants=constants, in_logic=False, positions=Positions((0, 1, 0), (0, 1, 1, 0), 1))
    pyrtl.reset_working_block()
    source = Stream.input_ports("source", shape.input_type(INT8))
    sink = Stream.output_ports("sink", shape.output_type(INT8))
    pool("average", source, shape, Reduction.SUM, finish, 0, pyrtl.Input(1, "reset")).feed(sink)
    inputs = random_inputs(24, INT8)
    gates, tensors = synthesized_stream(inputs, source, sink, tmp_path)
    sums = window.windows(inputs, 0).reshape(len(inputs), 3, 4, 9, 2).sum(axis=3)
    expected = np.sign(sums) * ((np.abs(sums) + counts[..., None] // 2) // counts[..., None])
    np.testing.assert_array_equal(tensors, expected.reshape(len(inputs), -1))
    assert gates.cells["DSP48E1"] == window.lanes
