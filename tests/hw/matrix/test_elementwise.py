"""Elementwise circuits and argmax against NumPy and `bitloom.arith`, alone, chained, and under pauses."""

from __future__ import annotations

import numpy as np
import pyrtl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matrix_bench import ChannelBench

from bitloom.arith import Interval, IntType, Rescale, Rounding
from bitloom.errors import HardwareError
from bitloom.hw.matrix.channel import MatrixChannel
from bitloom.hw.matrix.elementwise import add, relu, rescale, rescale_cycles, saturate
from bitloom.hw.matrix.maximum import argmax, argmax_cycles
from bitloom.hw.matrix.multiply import systolic_multiply

INT8 = IntType(8)
SMALL_TYPES = [IntType(bits, signed) for bits in (1, 2, 4) for signed in (True, False)]


def every_value(element):
    return np.arange(element.minimum, element.maximum + 1)


def run(inputs, output, matrices, pause=0.0, seed=0):
    output.output("out")
    count = len(next(iter(matrices.values())))
    return np.array(ChannelBench(inputs, output, pause, seed).run(matrices, count))


@pytest.mark.parametrize("one", SMALL_TYPES, ids=str)
@pytest.mark.parametrize("other", SMALL_TYPES, ids=str)
def test_add_is_exhaustively_exact(one, other):
    pyrtl.reset_working_block()
    inputs = {"a": MatrixChannel.input("a", (), one), "b": MatrixChannel.input("b", (), other)}
    pairs = np.array([(x, y) for x in every_value(one) for y in every_value(other)])
    results = run(inputs, add("sum", inputs["a"], inputs["b"]), {"a": list(pairs[:, 0]), "b": list(pairs[:, 1])})
    assert (results == pairs.sum(axis=1)).all()


def test_add_broadcasts_as_numpy():
    pyrtl.reset_working_block()
    inputs = {"a": MatrixChannel.input("a", (2, 1), INT8), "b": MatrixChannel.input("b", (3,), INT8)}
    results = run(inputs, add("sum", *inputs.values()), {"a": [[[1], [-100]]], "b": [[1, 2, -128]]})
    assert results[0].tolist() == [[2, 3, -127], [-99, -98, -228]]


@pytest.mark.parametrize("element", SMALL_TYPES, ids=str)
def test_relu_is_exhaustively_exact(element):
    pyrtl.reset_working_block()
    x = MatrixChannel.input("x", (), element)
    result = relu("positive", x)
    assert not result.matrix.signed
    values = every_value(element)
    assert (run({"x": x}, result, {"x": list(values)}) == np.maximum(values, 0)).all()


@pytest.mark.parametrize("element", [IntType(4), IntType(4, signed=False)], ids=str)
@pytest.mark.parametrize("low", range(-10, 18, 3))
@pytest.mark.parametrize("span", [0, 2, 9])
def test_saturate_is_exhaustively_exact(element, low, span):
    pyrtl.reset_working_block()
    x = MatrixChannel.input("x", (), element)
    values = every_value(element)
    results = run({"x": x}, saturate("s", x, Interval(low, low + span)), {"x": list(values)})
    assert (results == np.clip(values, low, low + span)).all()


def test_saturate_to_a_type():
    pyrtl.reset_working_block()
    x = MatrixChannel.input("x", (4,), IntType(12))
    result = saturate("s", x, INT8)
    assert result.matrix.type_name == "int8"
    assert run({"x": x}, result, {"x": [[-2000, 127, 128, -129]]}).tolist() == [[-128, 127, 127, -128]]


@pytest.mark.parametrize("rounding", [Rounding.DOUBLE, Rounding.SINGLE, Rounding.FLOAT64, Rounding.HALF_UP])
@pytest.mark.parametrize("element", [IntType(9), IntType(8, signed=False)], ids=str)
def test_rescale_equals_the_reference_on_every_value(rounding, element):
    pyrtl.reset_working_block()
    factor = Rescale((0.31, 0.07, 0.5), rounding)
    x = MatrixChannel.input("x", (2, 3), element)
    result = rescale("r", x, factor, -3, Interval(-40, 50), lanes=4)
    values = np.resize(every_value(element), (-(-len(every_value(element)) // 2), 2, 1)) + np.zeros((1, 2, 3), int)
    results = run({"x": x}, result, {"x": list(values)}, pause=0.3)
    assert (results == np.clip(factor.apply(values) - 3, -40, 50)).all()


@pytest.mark.parametrize("lanes", [None, 1, 2, 6, 9])
def test_rescale_takes_the_cycles_it_says(lanes):
    pyrtl.reset_working_block()
    x = MatrixChannel.input("x", (2, 3), INT8)
    result = rescale("r", x, Rescale((0.3,), Rounding.SINGLE), 0, INT8, lanes=lanes)
    result.output("out")
    bench = ChannelBench({"x": x}, result)
    bench.run({"x": [np.zeros((2, 3), int)]}, 1)
    assert bench.cycles == [rescale_cycles(6, lanes)]


@settings(max_examples=60, deadline=None)
@given(
    shape=st.lists(st.integers(1, 4), min_size=1, max_size=3).map(tuple),
    axis=st.sampled_from([None, 0, -1]),
    element=st.sampled_from([IntType(1), IntType(2), IntType(8), IntType(2, signed=False), IntType(31)]),
    pause=st.sampled_from([0.0, 0.4]),
    seed=st.integers(0, 2**32 - 1),
)
def test_argmax_is_numpys(shape, axis, element, pause, seed):
    pyrtl.reset_working_block()
    random = np.random.default_rng(seed)
    values = random.integers(element.minimum, element.maximum, (4, *shape), endpoint=True)
    x = MatrixChannel.input("x", shape, element)
    results = run({"x": x}, argmax("best", x, axis), {"x": list(values)}, pause, seed)
    assert [result.tolist() for result in results] == [np.argmax(value, axis).tolist() for value in values]


def test_argmax_exhaustively_with_ties():
    pyrtl.reset_working_block()
    x = MatrixChannel.input("x", (5,), IntType(2))
    values = np.stack(np.meshgrid(*[np.arange(-2, 2)] * 5), axis=-1).reshape(-1, 5)
    results = run({"x": x}, argmax("best", x), {"x": list(values)})
    assert (results == values.argmax(axis=1)).all()


@pytest.mark.parametrize("length", [1, 2, 3, 5, 8, 9])
def test_argmax_takes_the_cycles_it_says(length):
    pyrtl.reset_working_block()
    x = MatrixChannel.input("x", (length,), INT8)
    result = argmax("best", x)
    result.output("out")
    bench = ChannelBench({"x": x}, result)
    bench.run({"x": [np.zeros(length, int)] * 3}, 3)
    cycles = argmax_cycles(length)
    assert bench.cycles == [cycles, cycles + 1, cycles + 2]


@pytest.mark.parametrize("pause", [0.0, 0.5])
def test_a_whole_layer_composes_and_streams(pause):
    """x @ w + bias, ReLU, rescale, argmax: every matrix arrives, in order, whatever pauses."""
    pyrtl.reset_working_block()
    random = np.random.default_rng(11)
    weights, bias = random.integers(-128, 128, (6, 4)), random.integers(-2000, 2000, 4)
    x = MatrixChannel.input("x", (1, 6), INT8)
    factor = Rescale((0.003,), Rounding.DOUBLE)
    hidden = relu("hidden", systolic_multiply("mm", x, MatrixChannel.constant("w", weights), bias=bias).product)
    scores = rescale("scores", hidden, factor, -128, INT8, lanes=2)
    best = argmax("best", scores, axis=1)
    inputs = list(random.integers(-128, 128, (8, 1, 6)))
    expected = [
        np.clip(factor.apply(np.maximum(value @ weights + bias, 0)) - 128, -128, 127).argmax(axis=1).tolist()
        for value in inputs
    ]
    assert run({"x": x}, best, {"x": inputs}, pause).tolist() == expected


def test_a_buffered_chain_has_no_path_between_ports():
    pyrtl.reset_working_block()
    x = MatrixChannel.input("x", (2, 2), INT8)
    result = relu("positive", x.buffered("first"))
    values = [np.full((2, 2), value) for value in range(-20, 20)]
    assert (run({"x": x}, result, {"x": values}, pause=0.5) == np.maximum(values, 0)).all()
    sources, _ = pyrtl.working_block().net_connections()
    pending = [pyrtl.working_block().get_wirevector_by_name("x_ready")]
    while pending:
        wire = pending.pop()
        assert not isinstance(wire, pyrtl.Input)
        if wire in sources and not isinstance(wire, pyrtl.Register):
            pending.extend(sources[wire].args)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda x: add("s", x, MatrixChannel.constant("c", [1, 2])), "cannot add shapes"),
        (lambda x: rescale("r", x, Rescale((0.5, 0.5), Rounding.SINGLE), 0, INT8), "2 multipliers"),
        (lambda x: rescale("r", x, Rescale((0.5,), Rounding.SINGLE), 0, INT8, lanes=0), "0 lanes"),
        (lambda x: argmax("m", x, axis=2), "no axis 2"),
    ],
)
def test_misuse_is_named(build, message):
    pyrtl.reset_working_block()
    with pytest.raises(HardwareError, match=message):
        build(MatrixChannel.input("x", (2, 3), INT8))
