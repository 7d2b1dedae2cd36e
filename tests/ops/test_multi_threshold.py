"""Step functions of integers: against counting thresholds one by one, and what is refused."""

from __future__ import annotations

import numpy as np
import pyrtl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyrtl import reset_working_block

from bitloom.arith import IntType
from bitloom.errors import GraphError
from bitloom.hw.simulate import simulate_stream
from bitloom.hw.stream import Stream, StreamType
from bitloom.hw.thresholds import StepTables, thresholds
from bitloom.ir import TensorType, Value
from bitloom.ops.multi_threshold import MultiThreshold


def counted(x: np.ndarray, rows: np.ndarray, values: np.ndarray) -> np.ndarray:
    """By definition."""
    reached = (rows[None] <= x[..., None]).sum(axis=-1)
    return np.take_along_axis(np.broadcast_to(values, (*x.shape, values.shape[1])), reached[..., None], axis=-1)[..., 0]


@pytest.mark.parametrize("bits", [3, 8, 33, 60, 64])
def test_evaluation_is_counting(bits: int) -> None:
    rng, element = np.random.default_rng(bits), IntType(bits)
    rows = np.sort(rng.integers(element.minimum, element.maximum, (5, 6), endpoint=True), axis=1)
    values = rng.integers(-8, 8, (5, 7))
    x = rng.integers(element.minimum, element.maximum, (40, 5), endpoint=True)
    x[:6] = rows.T
    operator = MultiThreshold(element, IntType(4))
    (found,) = operator.evaluate([x, rows, values])
    np.testing.assert_array_equal(found, counted(x, rows, values))


@st.composite
def step_tables(draw: st.DrawFn) -> StepTables:
    element = IntType(draw(st.integers(1, 5)), signed=draw(st.booleans()))
    channels, count = draw(st.integers(1, 3)), draw(st.integers(1, 7))
    levels = st.integers(element.minimum, element.maximum)
    rows = draw(st.lists(st.lists(levels, min_size=count, max_size=count), min_size=channels, max_size=channels))
    made = draw(
        st.lists(
            st.lists(st.integers(-4, 3), min_size=count + 1, max_size=count + 1), min_size=channels, max_size=channels
        )
    )
    values = np.sort(np.array(made), axis=1) if draw(st.booleans()) else np.array(made)
    return StepTables(element, IntType(3), np.sort(np.array(rows), axis=1), values)


@settings(max_examples=40, deadline=None)
@given(step_tables())
def test_circuits_of_every_input(tables: StepTables) -> None:
    """Each integer of the type in each channel, in one and in two lanes."""
    channels = len(tables.values)
    x = np.arange(tables.element.minimum, tables.element.maximum + 1)[:, None].repeat(channels, axis=1)
    expected = counted(x, tables.thresholds, tables.values)
    for lanes in (1, 2):
        reset_working_block()
        row = -(-channels // lanes) * lanes
        source = Stream.input_ports("source", StreamType(tables.element, channels, len(x), lanes))
        sink = Stream.output_ports("sink", StreamType(tables.output, channels, len(x), lanes))
        order = np.minimum(np.arange(row), channels - 1).reshape(-1, lanes)
        thresholds("steps", source, sink.type, tables, order, pyrtl.Input(1, "reset")).feed(sink)
        seen = simulate_stream(x[None], source, sink).tensors
        np.testing.assert_array_equal(np.asarray(seen).reshape(expected.shape), expected)


@pytest.mark.parametrize(
    ("rows", "values", "message"),
    [
        ([[3, 1]], [[0, 1, 2]], "ascend"),
        ([[1, 3]], [[0, 1]], "one value more"),
        ([[1, 3], [1, 3]], [[0, 1, 2], [0, 1, 2]], "2 channels"),
        ([[1, 30]], [[0, 1, 2]], "thresholds from"),
        ([[1, 3]], [[0, 1, 9]], "values from"),
    ],
)
def test_refused(rows: list[list[int]], values: list[list[int]], message: str) -> None:
    wide = IntType(8)
    operands = [
        Value("x", TensorType((1, 3), IntType(4))),
        Value("rows", TensorType(np.shape(rows), wide), np.array(rows)),
        Value("values", TensorType(np.shape(values), wide), np.array(values)),
    ]
    with pytest.raises(GraphError, match=message):
        MultiThreshold(IntType(4), IntType(3)).infer(operands)
