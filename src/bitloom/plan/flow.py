"""What each beat of every value waits for, and when it comes: the schedules of the circuits, composed.

Times are those of one inference among many that follow each other at the plan's interval, from the first beat of the
inputs on: inputs come evenly spread over the interval, circuits give beats no closer together than their cycles
allow, and buffers are as large as needed. Needs hold under any timing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from bitloom.circuits.schedule import Beats, at_beats, converted
from bitloom.hw.stream import StreamType
from bitloom.ir import Graph, Node
from bitloom.plan.plan import NodePlan, Plan, Port

# Cycles in the buffers of an input port and an output port.
_PORT_REGISTERS = 4
# Cycles from one circuit to the next: its FIFO, and what changes the width or forks.
_HANDOVER = 2


@dataclass(frozen=True, eq=False)
class Flow:
    """A value on its way.

    Attributes:
        type: of its stream.
        needed: by value that is forked on the way to it, itself included: for each of its beats, int64, shape
            (beats,), the beats of that value that must have come before.
        times: cycle in which each of its beats is offered, int64, shape (beats,).
    """

    type: StreamType
    needed: Mapping[str, Beats]
    times: Beats


@dataclass(frozen=True, eq=False)
class Arrival:
    """A value where a circuit takes it.

    Attributes:
        value: its name.
        flow: how it comes.
        type: how the circuit takes it; the width changes on the way where the two differ.
        needed: for each beat of the circuit's result, how many beats of `type` must have been taken.
        taken: the same in beats of the flow.
    """

    value: str
    flow: Flow
    type: StreamType
    needed: Beats
    taken: Beats


@dataclass(frozen=True, eq=False)
class Step:
    """One circuit at work.

    Attributes:
        node: whose circuit.
        arrivals: by stream operand.
        result: what it gives.
        latency: cycles from taking the last beat that one of its beats needs to giving it to the next circuit.
        held: beats of each operand that it keeps until the others' have come.
        on_demand: whether it takes a beat only when the next of its own needs it.
    """

    node: Node
    arrivals: tuple[Arrival, ...]
    result: Flow
    latency: int
    held: int
    on_demand: bool


@dataclass(frozen=True)
class Span:
    """When a circuit gives its result, in cycles since the first beat of the inputs of the same inference.

    Attributes:
        node: name of the circuit's node.
        first: cycle of its first beat.
        last: cycle of its last beat.
    """

    node: str
    first: int
    last: int


def timeline(plan: Plan) -> tuple[Span, ...]:
    """The schedule of one inference among many, as far as it can be told without simulating."""
    steps = trace(plan.graph, plan.inputs, plan.nodes, plan.interval)
    return tuple(Span(step.node.name, int(step.result.times[0]), int(step.result.times[-1])) for step in steps)


def planned_latency(plan: Plan, spans: tuple[Span, ...]) -> int:
    """Cycles from the first input beat to the last output beat, without stalls, about.

    Args:
        plan: of the design.
        spans: its `timeline`.
    """
    last_input = max(port.type.beats for port in plan.inputs)
    return max([last_input, *(span.last for span in spans)]) + _PORT_REGISTERS


def trace(graph: Graph, inputs: tuple[Port, ...], nodes: tuple[NodePlan, ...], interval: int) -> tuple[Step, ...]:
    """Follow every beat through every circuit.

    Args:
        graph: the network.
        inputs: where its tensors enter.
        nodes: how each circuit is folded, in the graph's order.
        interval: cycles between inferences.
    """
    planned = {node.node.name: node for node in nodes}
    flows: dict[str, Flow] = {}
    for port in inputs:
        times = np.arange(port.type.beats, dtype=np.int64) * interval // port.type.beats
        flows[port.value] = _forked(graph, port.value, Flow(port.type, {}, times))
    steps = []
    for node in graph.nodes:
        plan = planned.get(node.name)
        result = node.outputs[0]
        if plan is None:
            flows[result] = _forked(graph, result, flows[node.inputs[0]])
            continue
        steps.append(_step(graph, plan, flows, interval))
        flows[result] = steps[-1].result
    return tuple(steps)


def _forked(graph: Graph, value: str, flow: Flow) -> Flow:
    """The flow of a value as its readers see it: if there are several, they share its beats."""
    readers = sum(node.inputs.count(value) for node in graph.nodes) + graph.outputs.count(value)
    if readers < 2:
        return flow
    return replace(flow, needed={**flow.needed, value: np.arange(1, flow.type.beats + 1, dtype=np.int64)})


def _step(graph: Graph, plan: NodePlan, flows: Mapping[str, Flow], interval: int) -> Step:
    """Needs composed; times never closer than the circuit's speed allows, from one inference to the next as well."""
    schedule = plan.circuit.schedule(plan.folding)
    operands = [name for name in plan.node.inputs if not graph.value(name).is_constant]
    arrivals = tuple(
        Arrival(name, flows[name], wanted, needed, converted(needed, flows[name].type, wanted))
        for name, needed, wanted in zip(operands, schedule.needed, plan.input_types, strict=True)
    )
    needed = {
        source: np.maximum.reduce(
            [
                at_beats(arrival.flow.needed[source], arrival.taken)
                for arrival in arrivals
                if source in arrival.flow.needed
            ]
        )
        for source in {source for arrival in arrivals for source in arrival.flow.needed}
    }
    latency = schedule.latency + _HANDOVER
    ready = np.maximum.reduce([at_beats(arrival.flow.times, arrival.taken) for arrival in arrivals]) + latency
    spread = np.arange(len(ready), dtype=np.int64) * plan.estimate.cycles // len(ready)
    times = np.maximum.accumulate(ready - spread) + spread
    times = np.maximum(times, times[-1] - interval + plan.estimate.cycles // len(ready) + spread)
    result = _forked(graph, plan.node.outputs[0], Flow(plan.output_type, needed, times))
    return Step(plan.node, arrivals, result, latency, schedule.held, schedule.on_demand)
