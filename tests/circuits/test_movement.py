"""The circuits of operators that move elements: every folding, its exact cycles, its exact schedule."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from models import GraphBuilder, assert_litert_agrees, assert_same_tensors, quantized, random_inputs
from moving import assert_circuit, assert_schedule, circuit_of

from bitloom.circuits.movement import Movement
from bitloom.errors import GraphError
from bitloom.frontends import Model
from bitloom.ir import Example, operators
from bitloom.ops.shared.moving import index_value
from bitloom.plan import Bus
from bitloom.run import ExecutorOptions, create_executor

NAMES = [
    "concatenation",
    "depth_to_space",
    "gather",
    "mirror_pad",
    "pack",
    "pad",
    "resize_nearest_neighbor",
    "space_to_depth",
    "strided_slice",
    "transpose",
]
EXAMPLES = [example for name in NAMES for example in operators()[name].examples() if len(example.graph.nodes) == 1]
# Whatever is both dropped and reordered in frames of uneven length may be faster than estimated, by a few cycles.
MAY_BE_FASTER = {"resize_nearest_neighbor_taller_and_narrower", "strided_slice_backwards_steps"}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_every_folding(example: Example) -> None:
    graph = example.graph
    circuit = circuit_of(graph)
    assert circuit is not None
    foldings = list(circuit.foldings())
    assert foldings
    for folding in foldings:
        assert_circuit(graph, circuit, folding, stall=0.4, seed=1)
        ends = assert_circuit(graph, circuit, folding, tensors=5)
        interval, estimated = ends[-1] - ends[-2], circuit.estimate(folding).cycles
        assert interval == estimated or (example.name in MAY_BE_FASTER and estimated - 4 < interval < estimated)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_the_schedule_is_what_happens(example: Example) -> None:
    circuit = circuit_of(example.graph)
    assert circuit is not None
    for seed, folding in enumerate(circuit.foldings()):
        assert_schedule(example.graph, circuit, folding, seed)


@pytest.mark.parametrize("stalls", [False, True])
def test_one_after_the_other(stalls: bool) -> None:
    """Widths change between circuits, tensors follow each other, and nothing is lost or out of place."""
    builder = GraphBuilder("movers", quantized((1, 5, 6, 4), 0.1, 3))

    def add(kind: str, made: tuple[int, ...], *constants: object, **options: object) -> None:
        names = (f"{kind}{len(builder.nodes)}_{index}" for index in range(len(constants)))
        values = [index_value(name, each) for name, each in zip(names, constants, strict=True)]
        builder.add(kind, quantized(made, 0.1, 3), values, **options)

    add("RESIZE_NEAREST_NEIGHBOR", (1, 7, 9, 4), [7, 9])
    add("PAD", (1, 9, 10, 4), [(0, 0), (1, 1), (1, 0), (0, 0)])
    add("TRANSPOSE", (1, 10, 9, 4), [0, 2, 1, 3])
    add("STRIDED_SLICE", (1, 5, 9, 2), [0, 9, 0, 2], [1, -11, 9, 4], [1, -2, 1, 1])
    add("SQUEEZE", (5, 9, 2))
    add("TRANSPOSE", (2, 5, 9), [2, 0, 1])
    add("EXPAND_DIMS", (1, 2, 5, 9), 0)
    add("MIRROR_PAD", (1, 2, 8, 9), [(0, 0), (0, 0), (2, 1), (0, 0)], mode="REFLECT")
    graph = builder.graph()
    inputs = random_inputs(graph, 3, 0)
    assert_litert_agrees(graph, inputs)
    model = Model(graph, graph.name)
    seen = create_executor("pyrtl", model, ExecutorOptions(bus=Bus.STREAM, stalls=stalls, seed=3)).run(inputs)
    assert_same_tensors(create_executor("numpy", model).run(inputs), seen)


@st.composite
def movements(draw):
    shape = tuple(draw(st.lists(st.integers(1, 5), min_size=1, max_size=4)))
    order = draw(st.permutations(range(len(shape))))
    axes = []
    for axis in order:
        indices = st.lists(st.integers(0, shape[axis] - 1), min_size=1, max_size=6)
        axes.append((axis, tuple(draw(st.one_of(st.just(range(shape[axis])), indices, indices.map(sorted))))))
    return Movement(shape, tuple(axes))


@settings(max_examples=300, deadline=None)
@given(movements())
def test_any_movement(movement: Movement) -> None:
    """What is kept and where it is read from, by NumPy."""
    size = int(np.prod(movement.shape))
    operand = np.arange(size).reshape(movement.shape)
    expected = operand.transpose([axis for axis, _ in movement.axes])
    for position, (_, indices) in enumerate(movement.axes):
        expected = np.take(expected, indices, axis=position)
    for lanes in (lanes for lanes in range(1, movement.run + 1) if movement.run % lanes == 0):
        beats = operand.reshape(-1, lanes)
        if movement.drops:
            walk = np.arange(len(beats)).reshape([axis.length for axis in movement.keep_axes(lanes)])
            beats = beats[walk[np.ix_(*[list(axis.chosen) for axis in movement.keep_axes(lanes)])].reshape(-1)]
        if movement.reorders:
            order = movement.reordering(lanes)
            path = sum(np.ix_(*[np.array(axis) for axis in order.path])).reshape(-1)
            frames = beats.reshape(-1, order.frame, lanes)
            times = np.tile(order.repeats, len(frames) // len(order.repeats))
            beats = np.repeat(frames[:, path], times, axis=0).reshape(-1, lanes)
        np.testing.assert_array_equal(beats.reshape(-1), expected.reshape(-1))


def test_frames_are_as_small_as_can_be() -> None:
    rows = _resize((1, 4, 6, 3), 2, 2)
    assert (rows.run, rows.reordering(3).frame, rows.reordering(3).repeats) == (3, 6, (2, 2, 2, 2))
    columns = _resize((1, 4, 6, 3), 1, 2)
    assert (columns.reordering(3).frame, columns.reordering(1).frame) == (1, 3)
    swapped = Movement((2, 3, 4, 5), tuple((axis, tuple(range((2, 3, 4, 5)[axis]))) for axis in (0, 2, 1, 3)))
    assert (swapped.run, swapped.reordering(5).frame) == (5, 12)


def _resize(shape: tuple[int, ...], rows: int, columns: int) -> Movement:
    times = (1, rows, columns, 1)
    axes = (tuple(np.repeat(range(length), count).tolist()) for length, count in zip(shape, times, strict=True))
    return Movement(shape, tuple(enumerate(axes)))


@pytest.mark.parametrize("axes", [((0, (0,)),), ((0, (0,)), (0, (0,))), ((0, (0,)), (1, (3,))), ((0, ()), (1, (0,)))])
def test_movements_that_make_no_sense(axes) -> None:
    with pytest.raises(GraphError):
        Movement((2, 3), axes)
