"""Where branches join: the least depths are enough under any stalls, and one beat less blocks the network.

Branches that come straight from a fork hold nothing but their FIFO, so there the least depth is exact: with one beat
less the circuit must stop. A circuit in a branch holds beats of its own; there the depth at which the circuit first
stops is looked for, and the difference must be no more than what that circuit was seen to hold by itself.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pyrtl
import pytest
from models import assert_same_tensors, random_inputs
from networks import JOINING
from stream_checks import build_between

import bitloom.run.circuit as run_circuit
import bitloom.run.pyrtl_executor as pyrtl_executor
from bitloom.errors import ExecutionError
from bitloom.frontends import Model
from bitloom.ir import Graph
from bitloom.plan import Bus, Plan, Target, make_plan
from bitloom.plan.flow import trace
from bitloom.plan.plan import Branch, NodePlan
from bitloom.run import ExecutorOptions, create_executor

TARGETS = {"small": Target(dsp=6), "fast": Target(dsp=200)}
Depths = Mapping[tuple[str, int], int]


def key(branch: Branch) -> tuple[str, int]:
    return branch.node, branch.operand


@pytest.fixture
def passes(monkeypatch):
    """A function that says whether a network runs, with what FIFOs, and is NumPy's then."""
    monkeypatch.setattr(pyrtl_executor, "_PATIENCE", 1500)

    def run(graph: Graph, target: Target, depths: Depths, *, stalls: bool = True, seed: int = 1) -> bool:
        def planned(*arguments: object) -> Plan:
            plan = make_plan(graph, target, Bus.STREAM)
            branches = [replace(branch, depth=depths.get(key(branch), branch.depth)) for branch in plan.branches]
            return replace(plan, branches=tuple(branches))

        monkeypatch.setattr(run_circuit, "make_plan", planned)
        model, inputs = Model(graph, graph.name), random_inputs(graph, 3, seed=seed)
        executor = create_executor("pyrtl", model, ExecutorOptions(target=target, stalls=stalls, seed=seed))
        try:
            seen = executor.run(inputs)
        except ExecutionError as error:
            if "no beat moved" not in str(error):
                raise
            return False
        assert_same_tensors(create_executor("numpy", model).run(inputs), seen)
        return True

    return run


def least_depths(plan: Plan) -> dict[tuple[str, int], int]:
    return {key(branch): branch.least for branch in plan.branches}


def made_by(plan: Plan, value: str) -> NodePlan | None:
    """The circuit that makes a value, wiring skipped; None for an input and for what comes straight from a fork."""
    while not is_forked(plan.graph, value):
        node = next((node for node in plan.graph.nodes if value in node.outputs), None)
        if node is None or plan.node(node.name) is not None:
            return plan.node(node.name) if node else None
        value = node.inputs[0]
    return None


def in_front(plan: Plan, branch: Branch) -> list[Branch]:
    """The FIFOs through which a branch's beats have come."""
    made = {value: node for node in plan.graph.nodes for value in node.outputs}
    found, waiting = [], [branch.value]
    while waiting:
        node = made.get(waiting.pop())
        if node is not None:
            found += [other for other in plan.branches if other.node == node.name]
            waiting += node.inputs
    return found


def held_by(plan: Plan, branch: Branch) -> int:
    """Beats of its result that the circuit in a branch can hold back, seen by never taking any."""
    planned = made_by(plan, branch.value)
    if planned is None:
        return 0
    operands, results = plan.graph.operands(planned.node), plan.graph.results(planned.node)
    circuit = planned.node.operator.circuit(operands, results)
    source, _ = build_between(
        planned.input_types[0],
        planned.output_type,
        lambda stream, reset: circuit.build("unit", planned.folding, [stream], reset),
    )
    simulation, accepted = pyrtl.FastSimulation(tracer=None), 0
    for _ in range(4 * planned.estimate.cycles + 200):
        simulation.step({"source_data": 0, "source_valid": 1, "source_last": 0, "sink_ready": 0, "reset": 0})
        accepted += simulation.inspect("source_ready")
    tensors, part = divmod(accepted, source.type.beats)
    needed = circuit.schedule(planned.folding).needed[0]
    return tensors * len(needed) + int(np.searchsorted(needed, part, side="right"))


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("network", JOINING)
def test_the_least_depths_are_enough(network, target, passes) -> None:
    graph = JOINING[network]()
    least = least_depths(make_plan(graph, TARGETS[target], Bus.STREAM))
    assert passes(graph, TARGETS[target], least, stalls=False)
    for seed in (1, 2):
        assert passes(graph, TARGETS[target], least, seed=seed)


def smallest(known: int, enough: Callable[[int], bool]) -> int:
    """The smallest depth that is enough: one that blocks lies just below it, and a deeper FIFO never blocks."""
    low, high, step = 0, known, 1
    while low < high:
        depth = max(high - step, low)
        if enough(depth):
            high, step = depth, 2 * step
        else:
            low, step = depth + 1, 1
    return high


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("network", JOINING)
def test_one_beat_less_blocks(network, target, passes) -> None:
    graph, goal = JOINING[network](), TARGETS[target]
    plan = make_plan(graph, goal, Bus.STREAM)
    least = least_depths(plan)
    for branch in plan.branches:
        if branch.least == 0:
            continue
        enough = functools.partial(lambda key, depth: passes(graph, goal, {**least, key: depth}), key(branch))
        spare = branch.least - smallest(branch.least, enough)
        # A circuit in the branch holds beats, and so do FIFOs in front of it; and its fork has offered one.
        held = held_by(plan, branch) + 1 if made_by(plan, branch.value) else 0
        inner = sum(-(-least[key(other)] * other.type.lanes // branch.type.lanes) for other in in_front(plan, branch))
        assert spare <= held + 2 * inner, f"{branch} still passes with {spare} less"


def is_forked(graph: Graph, value: str) -> bool:
    return sum(node.inputs.count(value) for node in graph.nodes) + graph.outputs.count(value) > 1


@pytest.mark.parametrize("network", JOINING)
def test_planned_depths_keep_the_interval(network) -> None:
    graph = JOINING[network]()
    model, inputs = Model(graph, graph.name), random_inputs(graph, 8, seed=3)
    for target in TARGETS.values():
        executor = create_executor("pyrtl", model, ExecutorOptions(target=target, bus=Bus.STREAM))
        cycles = executor.run(inputs).cycles
        assert cycles.interval == executor.circuit.plan.interval


@pytest.mark.parametrize("network", JOINING)
def test_what_a_beat_needs_is_never_more_than_there_is(network) -> None:
    graph = JOINING[network]()
    plan = make_plan(graph, TARGETS["small"], Bus.STREAM)
    steps = trace(plan.graph, plan.inputs, plan.nodes, plan.interval)
    sizes = {port.value: port.type.beats for port in plan.inputs}
    sizes |= {step.node.outputs[0]: step.result.type.beats for step in steps}
    assert any(step.result.needed for step in steps), "nothing is forked"
    for step in steps:
        for name, needed in step.result.needed.items():
            assert len(needed) == step.result.type.beats
            assert needed.min() >= 0
            assert needed[-1] <= sizes[name]
            assert (np.diff(needed) >= 0).all()
        for arrival in step.arrivals:
            assert arrival.taken[-1] <= arrival.flow.type.beats
        assert (np.diff(step.result.times) >= 0).all()
