"""Circuits of pools and means keep what they promise: cycles, and what each beat waits for, for every folding."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyrtl
import pytest
from models import GraphBuilder, assert_litert_agrees, assert_same_tensors, quantized, random_inputs
from stream_checks import build_between, run_checked

from bitloom.arith import Interval, IntType
from bitloom.circuits.pool_windows import Padding
from bitloom.circuits.reduction import ReductionCircuit, reduction_stages
from bitloom.circuits.streaming import Folding, StreamingCircuit, StreamingOperator
from bitloom.frontends import Model
from bitloom.ir import Example, Graph, TensorType, Value
from bitloom.ops.average_pool_2d import AveragePool2d
from bitloom.ops.max_pool_2d import MaxPool2d
from bitloom.ops.mean import Mean
from bitloom.plan import Bus, Target
from bitloom.run import ExecutorOptions, create_executor

EXAMPLES = [example for kind in (AveragePool2d, MaxPool2d, Mean) for example in kind.examples()]
EIGHT_BITS = [example for example in EXAMPLES if "int16" not in example.name]
BY_NAME = pytest.mark.parametrize("example", EIGHT_BITS, ids=lambda example: example.name)


def circuit_of(graph: Graph) -> StreamingCircuit:
    (node,) = graph.nodes
    assert isinstance(node.operator, StreamingOperator)
    return node.operator.circuit(graph.operands(node), graph.results(node))


def circuits(example: Example) -> Iterator[tuple[StreamingCircuit, Folding]]:
    """A circuit with each of its foldings whose rescale is adders, and one with multipliers."""
    circuit = circuit_of(example.graph)
    foldings = list(circuit.foldings())
    with_slices = [folding for folding in foldings if not folding.rescale_in_logic]
    for folding in [*(folding for folding in foldings if folding.rescale_in_logic), *with_slices[:1]]:
        yield circuit, folding


def build(circuit: StreamingCircuit, folding: Folding):
    (given,), made = circuit.input_types(folding), circuit.output_type(folding)
    return build_between(given, made, lambda stream, reset: circuit.build("unit", folding, [stream], reset))


def random_tensors(example: Example, tensors: int, seed: int) -> np.ndarray:
    given = example.graph.type(example.graph.inputs[0])
    low, high = given.integer.minimum, given.integer.maximum
    return np.random.default_rng(seed).integers(low, high, (tensors, *given.shape), endpoint=True)


@BY_NAME
def test_every_folding_is_numpy_in_the_cycles_promised(example: Example) -> None:
    inputs = random_tensors(example, 12, 1)
    (expected,) = example.graph.nodes[0].operator.evaluate([inputs.astype(np.int64)])
    for circuit, folding in circuits(example):
        run = run_checked(inputs.reshape(len(inputs), -1), *build(circuit, folding))
        np.testing.assert_array_equal(run.tensors, expected.reshape(len(inputs), -1), err_msg=str(folding))
        cycles = circuit.estimate(folding).cycles
        assert run.interval == cycles, folding
        # The last result leaves no earlier; a window may have other taps to read first.
        schedule = circuit.schedule(folding)
        earliest = schedule.needed[0][-1] + schedule.latency
        assert run.latency == earliest if isinstance(circuit, ReductionCircuit) else run.latency >= earliest, folding


@BY_NAME
def test_results_wait_for_exactly_what_the_schedule_says(example: Example) -> None:
    for circuit, folding in circuits(example):
        (needed,) = circuit.schedule(folding).needed
        (given,), made = circuit.input_types(folding), circuit.output_type(folding)
        assert len(needed) == made.beats
        assert (np.diff(needed) >= 0).all()
        assert needed[-1] <= given.beats
        for beats in {int(needed[0]), int(needed[0]) - 1, int(needed[len(needed) // 2]), int(needed[-1]) - 1}:
            build(circuit, folding)
            wanted = int((needed <= beats).sum())
            assert results_of(beats, 60 + 2 * circuit.estimate(folding).cycles) == wanted, (folding, beats)


def results_of(beats: int, cycles: int) -> int:
    """How many results leave when only so many beats come."""
    simulation, taken, given_out = pyrtl.FastSimulation(tracer=None), 0, 0
    for _ in range(cycles):
        wires = {"source_data": 0, "source_valid": int(taken < beats), "source_last": 0, "sink_ready": 1, "reset": 0}
        simulation.step(wires)
        taken += taken < beats and simulation.inspect("source_ready")
        given_out += simulation.inspect("sink_valid")
    return given_out


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_facts_and_estimates(example: Example) -> None:
    circuit = circuit_of(example.graph)
    facts = circuit.facts()
    assert facts["accumulator_low"] < 0 <= facts["accumulator_high"] or "uint8" in example.name
    assert facts["accumulator_high"] < 2 ** (facts["accumulator_bits"] - 1)
    for folding in circuit.foldings():
        estimate = circuit.estimate(folding)
        assert estimate.logic > 0
        assert estimate.multipliers == 0
        assert (estimate.other_multipliers == 0) == folding.rescale_in_logic


def test_windows_that_tile_need_no_window() -> None:
    kinds = {example.name: type(circuit_of(example.graph)) for example in EXAMPLES if "pool" in example.name}
    reductions = {name for name, kind in kinds.items() if kind is ReductionCircuit}
    tiled = ("halved", "pixels", "global", "larger_than_image")
    assert reductions == {f"{kind.name}_{name}" for kind in (AveragePool2d, MaxPool2d) for name in tiled}


@pytest.mark.parametrize(("window", "free"), [((8, 8), True), ((4, 2), True), ((5, 5), False), ((1, 1), True)])
def test_a_power_of_two_divides_without_multiplier(window: tuple[int, int], free: bool) -> None:
    operator = AveragePool2d(window, window, Padding.VALID, Interval(-128, 127))
    circuit = operator.circuit([Value("x", quantized((1, *window, 4), 0.1, 0))], ())
    assert all(folding.rescale_in_logic for folding in circuit.foldings()) == free


def pool_network() -> Graph:
    """Windows that overlap into padding, windows that tile, and a mean, into a dense layer."""
    builder = GraphBuilder("pools", quantized((1, 9, 8, 6), 0.05, -4))

    def pool(kind: str, made: tuple[int, ...], window: tuple[int, int], strides: tuple[int, int], **rest: str) -> None:
        sizes = {"filter_height": window[0], "filter_width": window[1], "stride_h": strides[0], "stride_w": strides[1]}
        builder.add(kind, quantized(made, 0.05, -4), **sizes, **rest)

    pool("MAX_POOL_2D", (1, 5, 4, 6), (3, 2), (2, 2), padding="SAME")
    activation = {"fused_activation_function": "RELU6"}
    pool("AVERAGE_POOL_2D", (1, 5, 4, 6), (3, 3), (1, 1), padding="SAME", **activation)
    pool("MAX_POOL_2D", (1, 5, 2, 6), (1, 2), (1, 2), padding="VALID")
    axes = Value("axes", TensorType((2,), IntType(32)), np.array([1, 2], np.int32))
    builder.add("MEAN", quantized((1, 6), 0.04, 7), [axes], keep_dims=False)
    builder.dense(5, np.random.default_rng(3))
    return builder.graph()


@pytest.mark.parametrize("target", [Target(), Target(dsp=8), Target(dsp=30)], ids=str)
def test_a_network_of_pools(target: Target) -> None:
    graph = pool_network()
    inputs = random_inputs(graph, 4, 1)
    assert_litert_agrees(graph, inputs)
    model = Model(graph, graph.name)
    expected = create_executor("numpy", model).run(inputs)
    for stalls in (False, True):
        options = ExecutorOptions(bus=Bus.STREAM, stalls=stalls, seed=2, target=target)
        assert_same_tensors(expected, create_executor("pyrtl", model, options).run(inputs))


@pytest.mark.parametrize(
    ("shape", "axes", "expected"),
    [
        ((1, 3, 4, 5), (1, 2), [(1, 12, 5)]),
        ((2, 3, 4, 5), (0, 2), [(6, 4, 5), (1, 2, 15)]),
        ((2, 3, 4, 5), (0, 3), [(24, 5, 1), (1, 2, 12)]),
        ((2, 3), (0, 1), [(1, 6, 1)]),
        ((4, 1, 6), (1,), [(1, 1, 24)]),
        ((1, 1), (0,), [(1, 1, 1)]),
    ],
)
def test_stages(shape: tuple[int, ...], axes: tuple[int, ...], expected: list[tuple[int, int, int]]) -> None:
    stages = reduction_stages(shape, axes)
    assert [(stage.outer, stage.reduced, stage.inner) for stage in stages] == expected
    assert all(stage.input_type(IntType(8)).size for stage in stages)
