"""Graphs of operators that move elements, and what their circuits must hold in every folding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyrtl
from models import INT8, assert_litert_agrees, quantized, random_inputs
from stream_checks import HoldsStill, combinational_inputs

from bitloom.arith import IntType
from bitloom.circuits.streaming import Folding, StreamingCircuit, StreamingOperator
from bitloom.hw.simulate import from_beats, to_beats
from bitloom.hw.stream import Stream
from bitloom.ir import Graph, Node, SourceNode, Value
from bitloom.ir.operator import spelled


def moving_graph(
    kind: str,
    shapes: Sequence[tuple[int, ...]],
    constants: Sequence[Value] = (),
    attributes: Mapping[str, object] | None = None,
    element: IntType = INT8,
) -> Graph:
    """One node lowered from its TFLite spelling; the result's shape is what the operator says."""
    zero_point = 0 if element.bits > 8 else 3
    inputs = [Value(f"x{index}", quantized(shape, 0.1, zero_point, element)) for index, shape in enumerate(shapes)]
    operator = spelled(kind, lambda candidate: candidate.tflite)
    assert operator is not None, kind
    provisional = Value("y", inputs[0].type)
    operands = (*inputs, *constants)
    lowered = operator.lower(SourceNode(kind, attributes or {}, operands, (provisional,), kind))
    ((shape, _),) = lowered.operator.infer([value for value in operands if value.name in lowered.inputs])
    result = Value("y", quantized(shape, 0.1, zero_point, element))
    lowered = operator.lower(SourceNode(kind, attributes or {}, operands, (result,), kind))
    node = Node("node", lowered.operator, lowered.inputs, ("y",))
    read = [value for value in operands if value.name in lowered.inputs]
    names = tuple(value.name for value in read if not value.is_constant)
    return Graph(kind.lower(), names, ("y",), (*read, result), (node,))


def assert_moves(graph: Graph, seed: int = 0) -> None:
    """NumPy is LiteRT, and the circuit is NumPy in a folding, with stalls."""
    assert_litert_agrees(graph, random_inputs(graph, 3, seed))
    circuit = circuit_of(graph)
    if circuit is not None:
        foldings = list(circuit.foldings())
        assert_circuit(graph, circuit, foldings[seed % len(foldings)], stall=0.3, seed=seed)


def circuit_of(graph: Graph) -> StreamingCircuit | None:
    """The circuit of the only node, or None where nothing moves."""
    (node,) = graph.nodes
    if not isinstance(node.operator, StreamingOperator):
        return None
    return node.operator.circuit(graph.operands(node), graph.results(node))


def assert_circuit(
    graph: Graph, circuit: StreamingCircuit, folding: Folding, *, stall: float = 0.0, seed: int = 0, tensors: int = 3
) -> list[int]:
    """The circuit gives NumPy's answer; returns the cycles in which each tensor's last beat left."""
    run = CircuitRun(graph, circuit, folding, tensors, seed)
    ends = run.until(len(run.expected), stall)
    assert run.seen == run.expected
    return ends


def assert_schedule(graph: Graph, circuit: StreamingCircuit, folding: Folding, seed: int = 0) -> None:
    """With only some beats of each operand, just those beats leave of which the schedule says so."""
    schedule = circuit.schedule(folding)
    rng = np.random.default_rng(seed)
    total = circuit.output_type(folding).beats
    for needed in schedule.needed:
        assert len(needed) == total
        assert (np.diff(needed) >= 0).all()
    for _ in range(4):
        given = [int(rng.integers(0, types.beats, endpoint=True)) for types in circuit.input_types(folding)]
        allowed = [int(np.searchsorted(n, g, side="right")) for n, g in zip(schedule.needed, given, strict=True)]
        run = CircuitRun(graph, circuit, folding, 1, seed)
        run.queues = [queue[:count] for queue, count in zip(run.queues, given, strict=True)]
        for _ in range(2 * sum(t.beats for t in circuit.input_types(folding)) + 2 * total + 20):
            run.step(0.0)
        assert len(run.seen) == min(allowed), (given, allowed)


class CircuitRun:
    """A circuit between ports, one for each stream operand, each stalling for itself."""

    def __init__(self, graph: Graph, circuit: StreamingCircuit, folding: Folding, tensors: int, seed: int) -> None:
        pyrtl.reset_working_block()
        inputs = random_inputs(graph, tensors, seed)
        names = [name for name in graph.nodes[0].inputs if not graph.value(name).is_constant]
        self.sources = [
            Stream.input_ports(f"in{index}", stream) for index, stream in enumerate(circuit.input_types(folding))
        ]
        sink = Stream.output_ports("sink", circuit.output_type(folding))
        circuit.build("unit", folding, self.sources, pyrtl.Input(1, "reset")).feed(sink)
        assert not combinational_inputs()
        self.queues = [
            [
                (word, int(beat == source.type.beats - 1))
                for tensor in inputs[name]
                for beat, word in enumerate(to_beats(tensor, source.type))
            ]
            for name, source in zip(names, self.sources, strict=True)
        ]
        result = graph.evaluate(inputs)["y"].reshape(tensors, -1)
        self.expected = [word for tensor in result for word in to_beats(tensor, sink.type)]
        assert (from_beats(self.expected[: sink.type.beats], sink.type) == result[0]).all()
        self.beats = sink.type.beats
        self.simulation, self.random = HoldsStill(), np.random.default_rng(seed)
        self.offered = [False] * len(self.sources)
        self.seen: list[int] = []

    def step(self, stall: float) -> bool:
        """One cycle; whether a beat left."""
        pauses = self.random.random(len(self.sources) + 1) < stall
        self.offered = [
            bool(queue) and (offered or not pause)
            for queue, offered, pause in zip(self.queues, self.offered, pauses[1:], strict=True)
        ]
        wires = {"reset": 0, "sink_ready": int(not pauses[0])}
        for source, queue, offered in zip(self.sources, self.queues, self.offered, strict=True):
            word, last = queue[0] if offered else (0, 0)
            wires |= {f"{source.name}_data": word, f"{source.name}_last": last, f"{source.name}_valid": int(offered)}
        self.simulation.step(wires)
        for index, source in enumerate(self.sources):
            if self.offered[index] and self.simulation.inspect(f"{source.name}_ready"):
                self.queues[index].pop(0)
                self.offered[index] = False
        left = not pauses[0] and bool(self.simulation.inspect("sink_valid"))
        if left:
            self.seen.append(self.simulation.inspect("sink_data"))
            assert self.simulation.inspect("sink_last") == (len(self.seen) % self.beats == 0)
        return left

    def until(self, wanted: int, stall: float) -> list[int]:
        """Run until so many beats have left; the cycles of the last ones of tensors."""
        ends, cycle = [], 0
        while len(self.seen) < wanted:
            assert cycle < 200_000, "the circuit stands still"
            if self.step(stall) and len(self.seen) % self.beats == 0:
                ends.append(cycle)
            cycle += 1
        return ends
