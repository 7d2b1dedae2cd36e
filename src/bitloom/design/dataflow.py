"""The dataflow organisation: one circuit per node, connected by streams."""

from __future__ import annotations

import pyrtl
from pyrtl import Input, WireVector

from bitloom.design.axi import add_registers, watch
from bitloom.design.circuit import Circuit, Tap
from bitloom.design.names import identifier, unique_identifiers
from bitloom.design.ports import input_stream, output_buffer, output_port
from bitloom.design.reset import ResetWave
from bitloom.errors import UnsupportedError
from bitloom.hw.deep_fifo import deep_fifo
from bitloom.hw.fork import fork
from bitloom.hw.registers import delayed
from bitloom.hw.stream import Stream, StreamType
from bitloom.hw.width import convert_width
from bitloom.ir import Graph, Node
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
        wanted = bus_reset | registers.reset if registers else bus_reset
        ports = [port.name for port in self.plan.outputs]
        wave = ResetWave(wanted, [*(self.names[node.name] for node in self.graph.nodes), *ports])
        arriving = []
        for port in self.plan.inputs:
            buffered, crossing = input_stream(port, wave.closed)
            arriving.append(crossing)
            self._offer(port.value, buffered, wave.closed)
        for node in self.graph.nodes:
            self._add(node, wave.of(self.names[node.name]))
        for index, port in enumerate(self.plan.outputs):
            reset = wave.of(port.name)
            stream = convert_width(f"{port.name}_width", self._take(port.value), port.type, reset)
            leaving = output_buffer(port, stream, reset, wave.closed)
            if registers and index == 0:
                watch(self.plan, registers, arriving, leaving, wave.front)
            output_port(port, leaving)
        return tuple(self.taps)

    def _add(self, node: Node, reset: WireVector) -> None:
        """Build one node, or pass its operand's stream on."""
        operands = [name for name in node.inputs if not self.graph.value(name).is_constant]
        planned = self.plan.node(node.name)
        if planned is None:
            stream = self._take(operands[0])
        else:
            name = self.names[node.name]
            streams = [
                self._arriving(node, name, position, operand, wanted, reset)
                for position, (operand, wanted) in enumerate(zip(operands, planned.input_types, strict=True))
            ]
            stream = Stream.declare(f"{name}_out", planned.output_type)
            planned.circuit.build(name, planned.folding, streams, reset).feed(stream)
        self.taps.append(Tap(node.outputs[0], stream.name, stream.type))
        self._offer(node.outputs[0], stream, reset)

    def _arriving(
        self, node: Node, name: str, position: int, operand: str, wanted: StreamType, reset: WireVector
    ) -> Stream:
        """One operand's stream, as wide as the circuit wants it, through the FIFO of its branch."""
        label = name if position == 0 else f"{name}_operand{position}"
        stream = convert_width(f"{label}_width", self._take(operand), wanted, reset)
        branch = self.plan.branch(node.name, position)
        if branch is not None and branch.depth:
            stream = deep_fifo(f"{label}_branch", stream, branch.depth, reset)
        return stream

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
