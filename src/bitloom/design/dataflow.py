"""The dataflow organisation: one circuit per node, connected by streams."""

from __future__ import annotations

import pyrtl
from pyrtl import Input, WireVector

from bitloom.design.axi import add_registers, watch
from bitloom.design.circuit import Circuit, Tap
from bitloom.design.names import identifier, unique_identifiers
from bitloom.design.ports import input_stream, output_buffer, output_port
from bitloom.errors import UnsupportedError
from bitloom.hw.fork import fork
from bitloom.hw.registers import delayed, named
from bitloom.hw.stream import Stream
from bitloom.hw.width import convert_width
from bitloom.ir import Graph, Node
from bitloom.ops.hardware import StreamingOperator
from bitloom.plan import Bus, Plan


def design(plan: Plan) -> Circuit:
    """Build the circuit of a plan.

    ```
     s_axis ─▶ unpack ─▶ width ─▶ node 0 ─▶ width ─▶ node 1 ─▶ ... ─▶ width ─▶ pack ─▶ m_axis
                                     │                 │
                                    tap               tap
     s_axi ◀─▶ registers: control, status, cycle counters, last output
    ```

    Args:
        plan: what to build.

    Returns:
        A circuit in a block of its own; PyRTL's working block is left as it was.
    """
    block = pyrtl.Block()
    with pyrtl.set_working_block(block, no_sanity_check=True):
        builder = _Builder(plan)
        taps = builder.build()
    return Circuit(identifier(plan.graph.name), plan, block, taps)


class _Builder:
    """Keeps the streams made so far while the nodes are built in order."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.graph: Graph = plan.graph
        self.names = unique_identifiers(node.name for node in plan.graph.nodes)
        self.readers: dict[str, list[Stream]] = {}
        self.taps: list[Tap] = []

    def build(self) -> tuple[Tap, ...]:
        """Make everything in the working block."""
        bus_reset = delayed(Input(1, "reset"), 1, "bus_reset")
        registers = add_registers(self.plan, bus_reset) if self.plan.bus is Bus.AXI else None
        reset = named(bus_reset | registers.reset if registers else bus_reset, "core_reset")
        arriving = []
        for port in self.plan.inputs:
            buffered, crossing = input_stream(port, reset)
            arriving.append(crossing)
            self._offer(port.value, buffered, reset)
        for node in self.graph.nodes:
            self._add(node, reset)
        for index, port in enumerate(self.plan.outputs):
            stream = convert_width(f"{port.name}_width", self._take(port.value), port.type, reset)
            leaving = output_buffer(port, stream, reset)
            if registers and index == 0:
                watch(self.plan, registers, arriving, leaving, reset)
            output_port(port, leaving)
        return tuple(self.taps)

    def _add(self, node: Node, reset: WireVector) -> None:
        """Build one node, or pass its operand's stream on."""
        stream = self._take(node.inputs[0])
        planned = self.plan.node(node.name)
        name = self.names[node.name]
        if planned is not None and isinstance(node.operator, StreamingOperator):
            circuit = node.operator.circuit(self.graph.operands(node), self.graph.results(node))
            converted = convert_width(f"{name}_width", stream, planned.input_type, reset)
            built = circuit.build(name, planned.folding, converted, reset)
            stream = Stream.declare(f"{name}_out", planned.output_type)
            built.feed(stream)
        self.taps.append(Tap(node.outputs[0], stream.name, stream.type))
        self._offer(node.outputs[0], stream, reset)

    def _offer(self, value: str, stream: Stream, reset: WireVector) -> None:
        """Make a stream available once for every reader."""
        readers = sum(node.inputs.count(value) for node in self.graph.nodes) + self.graph.outputs.count(value)
        if readers == 0:
            raise UnsupportedError(
                f"nothing reads the tensor '{value}'",
                where=f"network '{self.graph.name}'",
                remedy="leave it out, or make it an output",
            )
        self.readers[value] = fork(f"{stream.name}_fork", stream, readers, reset)

    def _take(self, value: str) -> Stream:
        return self.readers[value].pop()
