"""The folded matrix-vector unit against its definition, over foldings, stalls and resets."""

from __future__ import annotations

import numpy as np
import pyrtl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitloom.arith import Interval, IntType, Rescale, Rounding, dot_product_range, narrow
from bitloom.errors import HardwareError
from bitloom.hw.dense import DenseShape, dense
from bitloom.hw.fabric import FABRICS
from bitloom.hw.rescale import RescaleConstants
from bitloom.hw.simulate import simulate_stream
from bitloom.hw.stream import Stream


def build(shape, element, output, seed, *, per_channel=False, rounding=Rounding.FLOAT64, weight_limit=127):
    """A unit in the working block: its ports, and a function that computes what it should give."""
    random = np.random.Generator(np.random.PCG64(seed))
    channels = shape.outputs * shape.groups
    weights = random.integers(-weight_limit, weight_limit, (channels, shape.depth), endpoint=True)
    bias = random.integers(-500, 500, channels)
    low, high = dot_product_range(weights, bias, Interval(element.minimum, element.maximum))
    span = float(np.abs([low, high]).max())
    multipliers = tuple(
        float(value) for value in random.uniform(0.3, 3.0, channels if per_channel else 1) * output.maximum / span
    )
    reference, zero_point = Rescale(multipliers, rounding), int(random.integers(-3, 4)) if output.signed else 0
    bounds = Interval(output.minimum, output.maximum)
    constants = RescaleConstants(bias, narrow(reference, low, high, zero_point, bounds), low, high)
    pyrtl.reset_working_block()
    source = Stream.input_ports("source", shape.input_type(element))
    sink = Stream.output_ports("sink", shape.output_type(output))
    dense("layer", source, shape, weights, constants, output, pyrtl.Input(1, "reset")).feed(sink)

    def expected(inputs):
        vectors = inputs.reshape(len(inputs), shape.rows, shape.blocks, shape.depth, shape.parallel)
        matrices = weights.reshape(shape.blocks, shape.parallel, shape.outputs, shape.depth)
        products = np.einsum("irbkp,bpnk->irbpn", vectors, matrices)
        accumulators = products.reshape(len(inputs), shape.rows, channels) + bias
        return np.clip(reference.apply(accumulators) + zero_point, bounds.low, bounds.high).reshape(len(inputs), -1)

    return source, sink, expected


def send(inputs, source, sink, shape, **options):
    """Simulate; of an input that comes replayed, each row as often as it is read."""
    if shape.replayed:
        rows = inputs.reshape(len(inputs), shape.rows * shape.blocks, -1)
        inputs = np.repeat(rows, shape.passes, axis=1).reshape(len(inputs), -1)
    return simulate_stream(inputs, source, sink, **options)


def random_tensors(shape, element, count, seed):
    size = shape.rows * shape.groups * shape.depth
    return np.random.default_rng(seed).integers(element.minimum, element.maximum, (count, size), endpoint=True)


@st.composite
def shapes(draw):
    depth, outputs = draw(st.integers(1, 20)), draw(st.integers(1, 12))
    simd, pe = draw(st.integers(1, depth)), draw(st.integers(1, outputs))
    return draw(
        with_some_results(
            depth,
            outputs,
            draw(st.integers(1, 3)),
            pe,
            simd,
            rescale_in_logic=draw(st.booleans()),
            fabric=draw(st.sampled_from(FABRICS)),
        )
    )


@st.composite
def grouped_shapes(draw):
    """Groups one after another, side by side, or both; the input once or replayed."""
    depth, outputs, blocks = draw(st.integers(1, 9)), draw(st.integers(1, 5)), draw(st.integers(1, 4))
    parallel = draw(st.integers(1, 4))
    simd, pe = draw(st.integers(1, depth)), outputs if parallel > 1 else draw(st.integers(1, outputs))
    return draw(
        with_some_results(
            depth,
            outputs,
            draw(st.integers(1, 3)),
            pe,
            simd,
            groups=blocks * parallel,
            parallel=parallel,
            replayed=draw(st.booleans()),
            packed=draw(st.booleans()),
        )
    )


def with_some_results(depth, outputs, rows, pe, simd, **more):
    """The shapes with each number of results that they can have; of some foldings none."""
    possible = []
    for results in range(1, pe * more.get("parallel", 1) + 1):
        try:
            possible.append(DenseShape(depth, outputs, rows, pe, simd, results, **more))
        except HardwareError:
            continue
    return st.sampled_from(possible) if possible else st.nothing()


@settings(max_examples=60, deadline=None)
@given(
    shape=shapes(),
    bits=st.sampled_from([(8, True), (8, False), (1, False), (4, True), (12, True)]),
    per_channel=st.booleans(),
    stall=st.sampled_from([0.0, 0.3, 0.8]),
    seed=st.integers(0, 2**16),
)
def test_equals_its_definition_with_any_folding_and_stalls(shape, bits, per_channel, stall, seed):
    element, output = IntType(*bits), IntType(8)
    source, sink, expected = build(shape, element, output, seed, per_channel=per_channel)
    inputs = random_tensors(shape, element, 4, seed)
    run = send(inputs, source, sink, shape, stall=stall, seed=seed)
    np.testing.assert_array_equal(run.tensors, expected(inputs))


@settings(max_examples=60, deadline=None)
@given(
    shape=grouped_shapes(),
    signed=st.booleans(),
    per_channel=st.booleans(),
    stall=st.sampled_from([0.0, 0.3, 0.8]),
    seed=st.integers(0, 2**16),
)
def test_groups_one_after_another_and_side_by_side(shape, signed, per_channel, stall, seed):
    element = IntType(8, signed=signed)
    source, sink, expected = build(shape, element, IntType(8), seed, per_channel=per_channel)
    inputs = random_tensors(shape, element, 3, seed)
    run = send(inputs, source, sink, shape, stall=stall, seed=seed)
    np.testing.assert_array_equal(run.tensors, expected(inputs))


@pytest.mark.parametrize(
    "shape",
    [
        DenseShape(12, 6, 1, pe=6, simd=2, results=1),
        DenseShape(12, 6, 1, pe=2, simd=4, results=1),
        DenseShape(16, 5, 1, pe=5, simd=1, results=1),
        DenseShape(6, 9, 2, pe=3, simd=3, results=3),
        DenseShape(5, 4, 1, pe=1, simd=5, results=1),
        DenseShape(9, 4, 1, pe=4, simd=9, results=4),
        DenseShape(9, 4, 5, pe=2, simd=3, results=1, replayed=True),
        DenseShape(7, 3, 5, pe=2, simd=2, results=1, groups=3),
        DenseShape(9, 1, 5, pe=1, simd=1, results=1, groups=8, parallel=4),
        DenseShape(9, 2, 5, pe=2, simd=3, results=2, groups=4, parallel=2),
        DenseShape(9, 1, 5, pe=1, simd=9, results=4, groups=8, parallel=4),
    ],
    ids=str,
)
def test_interval_is_the_cycles_promised(shape):
    source, sink, expected = build(shape, IntType(8), IntType(8), 1)
    inputs = random_tensors(shape, IntType(8), 12, 0)
    run = send(inputs, source, sink, shape)
    np.testing.assert_array_equal(run.tensors, expected(inputs))
    assert run.interval == shape.cycles


@pytest.mark.parametrize("reset_cycle", [1, 5, 13, 22, 40])
def test_reset_at_any_time_leaves_a_working_unit(reset_cycle):
    shape = DenseShape(10, 6, 1, pe=2, simd=3, results=1)
    source, sink, expected = build(shape, IntType(8), IntType(8), 7)
    inputs = np.random.default_rng(3).integers(-128, 128, (4, 10))
    run = simulate_stream(inputs, source, sink, stall=0.2, seed=reset_cycle, reset_cycles=(reset_cycle,))
    np.testing.assert_array_equal(run.tensors, expected(inputs))


@pytest.mark.parametrize("rounding", [Rounding.FLOAT64, Rounding.HALF_EVEN])
def test_halves_that_go_either_way_are_exact(rounding):
    """0.011 is not a binary fraction: float64 rounds some of its halves to the half and others below it."""
    shape = DenseShape(1, 2, 1, pe=2, simd=1, results=2)
    weights, bias, multiplier = np.array([[100], [125]]), np.array([0, 0]), 0.011
    low, high = dot_product_range(weights, bias, Interval(-2048, 2047))
    reference = Rescale((multiplier,), rounding)
    narrowed = narrow(reference, low, high, 0, Interval(-4096, 4095))
    assert narrowed.exceptions or rounding is Rounding.HALF_EVEN
    pyrtl.reset_working_block()
    source = Stream.input_ports("source", shape.input_type(IntType(12)))
    sink = Stream.output_ports("sink", shape.output_type(IntType(13)))
    constants = RescaleConstants(bias, narrowed, low, high)
    dense("layer", source, shape, weights, constants, IntType(13), pyrtl.Input(1, "reset")).feed(sink)
    inputs = np.arange(-2048, 2048)[:, None]
    expected = np.clip(reference.apply(inputs @ weights.T), -4096, 4095)
    np.testing.assert_array_equal(simulate_stream(inputs, source, sink).tensors, expected)


def test_impossible_foldings_are_refused():
    with pytest.raises(HardwareError, match="pe=5"):
        DenseShape(4, 4, 1, pe=5, simd=1, results=1)
    with pytest.raises(HardwareError, match="too few"):
        DenseShape(4, 4, 1, pe=4, simd=4, results=1)
    with pytest.raises(HardwareError, match="do not divide"):
        DenseShape(8, 9, 1, pe=3, simd=2, results=2)
    with pytest.raises(HardwareError, match="do not divide"):
        DenseShape(8, 5, 1, pe=4, simd=2, results=2, groups=3)
    with pytest.raises(HardwareError, match="side by side"):
        DenseShape(8, 5, 1, pe=4, simd=2, results=1, groups=2, parallel=2)
    with pytest.raises(HardwareError, match="side by side"):
        DenseShape(8, 5, 1, pe=5, simd=2, results=5, groups=3, parallel=2)
