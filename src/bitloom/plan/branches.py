"""How much the branches of a fork must hold so that they can join again.

```
            ┌─▶ circuit (needs the beats of some rows before it gives one) ─▶┐
  x ─ fork ─┤                                                               join ─▶
            └─▶ [FIFO] ───────────────────────────────────────────────────▶─┘
```

The join takes a beat of each branch at a time. Before its beat k comes out of the upper branch, the circuits there
must have taken some number N of beats of x, and the fork hands out a beat only when every branch takes it; so all but
the last of N must have entered the FIFO, of which k have left: a FIFO that holds the largest such difference cannot
block, and one that holds less blocks under any timing (a network of circuits that wait for data and for room, and
look at nothing else, blocks always or never: Kahn, "The semantics of a simple language for parallel programming",
1974; Parks, "Bounded scheduling of process networks", 1995). That is the `least` depth. It is counted from the
schedules of the circuits, for any wiring: for each value, how many beats of each input of the network it takes.

To keep every circuit busy a FIFO must also hold what arrives while the other branch computes; `depth` adds that, from
the times at which beats leave the circuits when inputs come evenly spread over the interval.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bitloom.hw.stream import StreamType
from bitloom.ir import Graph, Node
from bitloom.ops.hardware import StreamingOperator
from bitloom.ops.schedule import Beats, Schedule, converted
from bitloom.plan.plan import Branch, NodePlan, Port

# Beats by which timing inside circuits can differ from the even spread assumed here.
_MARGIN = 4


@dataclass(frozen=True, eq=False)
class _Flow:
    """A value on its way.

    Attributes:
        type: of its stream.
        needed: for each of its beats, beats of each input of the network that must have come before; by input.
        times: cycle in which each of its beats is offered.
        forked: whether it comes from a fork without a circuit that could hold beats between.
    """

    type: StreamType
    needed: Mapping[str, Beats]
    times: Beats
    forked: bool


def find_branches(
    graph: Graph, inputs: tuple[Port, ...], nodes: tuple[NodePlan, ...], interval: int
) -> tuple[Branch, ...]:
    """The FIFOs in front of every circuit that takes several streams.

    Args:
        graph: the network.
        inputs: where its tensors enter.
        nodes: how each circuit is folded, in the graph's order.
        interval: cycles between inferences.
    """
    planned = {node.node.name: node for node in nodes}
    flows: dict[str, _Flow] = {}
    for port in inputs:
        beats = np.arange(port.type.beats, dtype=np.int64)
        flows[port.value] = _Flow(
            port.type, {port.value: beats + 1}, beats * interval // port.type.beats, _is_forked(graph, port.value)
        )
    branches: list[Branch] = []
    for node in graph.nodes:
        plan = planned.get(node.name)
        if plan is None:
            flow = flows[node.inputs[0]]
            flows[node.outputs[0]] = _Flow(
                flow.type, flow.needed, flow.times, flow.forked or _is_forked(graph, node.outputs[0])
            )
            continue
        operands = [name for name in node.inputs if not graph.value(name).is_constant]
        schedule = _schedule(graph, plan)
        takes = [
            converted(needed, flows[name].type, wanted)
            for name, needed, wanted in zip(operands, schedule.needed, plan.input_types, strict=True)
        ]
        arriving = [flows[name] for name in operands]
        result = _result(plan, arriving, takes, schedule.latency, _is_forked(graph, node.outputs[0]))
        if len(operands) > 1:
            branches += _joined(node, operands, arriving, takes, result, interval)
        flows[node.outputs[0]] = result
    return tuple(branches)


def _is_forked(graph: Graph, value: str) -> bool:
    readers = sum(node.inputs.count(value) for node in graph.nodes) + graph.outputs.count(value)
    return readers > 1


def _schedule(graph: Graph, plan: NodePlan) -> Schedule:
    operator = plan.node.operator
    assert isinstance(operator, StreamingOperator), "only these are planned"
    return operator.circuit(graph.operands(plan.node), graph.results(plan.node)).schedule(plan.folding)


def _result(plan: NodePlan, arriving: list[_Flow], takes: list[Beats], latency: int, forked: bool) -> _Flow:
    """What a circuit gives: needs composed, times never closer than its speed allows."""
    inputs = {name for flow in arriving for name in flow.needed}
    needed = {
        name: np.maximum.reduce(
            [flow.needed[name][take - 1] for flow, take in zip(arriving, takes, strict=True) if name in flow.needed]
        )
        for name in inputs
    }
    ready = np.maximum.reduce([flow.times[take - 1] for flow, take in zip(arriving, takes, strict=True)]) + latency
    spread = np.arange(len(ready), dtype=np.int64) * plan.estimate.cycles // len(ready)
    return _Flow(plan.output_type, needed, np.maximum.accumulate(ready - spread) + spread, forked)


def _joined(
    node: Node, operands: list[str], arriving: list[_Flow], takes: list[Beats], result: _Flow, interval: int
) -> list[Branch]:
    """The FIFO in front of each operand of a join."""
    found = []
    for position, (name, flow, take) in enumerate(zip(operands, arriving, takes, strict=True)):
        gone = np.concatenate([[0], take[:-1]])
        least = int((_given(flow, result) - gone).max()) - flow.forked
        # A beat that the join takes in the cycle in which it is offered needs no room.
        depth = _most_waiting(flow.times, take, result.times, interval) - 1
        if max(least, depth) > 0:
            depth = max(depth, least) + _MARGIN
        found.append(Branch(node.name, position, name, flow.type, max(depth, 0), max(least, 0)))
    return found


def _given(flow: _Flow, result: _Flow) -> Beats:
    """Beats that a branch can have given when just as much input has come as each beat of the result needs."""
    counts = [np.searchsorted(beats, result.needed[name], side="right") for name, beats in flow.needed.items()]
    return np.minimum.reduce(counts).astype(np.int64)


def _most_waiting(arrivals: Beats, take: Beats, results: Beats, interval: int) -> int:
    """The most beats that have been offered and not yet taken, inferences following each other at the interval."""
    leaving = results[np.minimum(np.searchsorted(take, np.arange(1, len(arrivals) + 1)), len(results) - 1)]
    shifts = range(-int((leaving[-1] - arrivals[0]) // interval) - 1, 2)
    waiting = np.zeros(len(arrivals), np.int64)
    for shift in shifts:
        waiting += np.searchsorted(arrivals + shift * interval, arrivals, side="right")
        waiting -= np.searchsorted(leaving + shift * interval, arrivals, side="left")
    return int(waiting.max())
