"""A plan: everything about a design that is decided before the first wire is made."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from bitloom.arith import IntType
from bitloom.circuits.streaming import Estimate, Folding, StreamingCircuit
from bitloom.hw.fabric import XC7
from bitloom.hw.memory import ram_size, total_size
from bitloom.hw.stream import StreamType
from bitloom.hw.width import conversion_beats
from bitloom.ir import Graph, Node


class Bus(enum.Enum):
    """How a design meets the world.

    ``AXI``: 32-bit AXI4-Stream in and out and AXI4-Lite registers. ``STREAM``: AXI4-Stream as wide as the first and
    last circuit want, no registers.
    """

    AXI = "axi"
    STREAM = "stream"


AXI_BITS = 32
# Look-up tables of the counters of a branch's FIFO.
_FIFO_LOGIC = 30


@dataclass(frozen=True)
class Port:
    """A stream that enters or leaves the design.

    Attributes:
        name: prefix of the port's signals.
        value: the graph value it carries.
        type: elements per beat; the tensor is one row.
    """

    name: str
    value: str
    type: StreamType

    @property
    def container(self) -> int:
        """Bits an element takes on the bus: the next of 8, 16, 32, 64; sign-extended."""
        return container_bits(self.type.element)

    @property
    def bus_bits(self) -> int:
        """Width of tdata."""
        return self.container * self.type.lanes


def container_bits(element: IntType) -> int:
    """Bits an element takes on a bus."""
    return next(width for width in (8, 16, 32, 64) if width >= element.bits)


@dataclass(frozen=True)
class NodePlan:
    """One node's circuit.

    Attributes:
        node: of the graph.
        folding: chosen.
        estimate: its cost.
        input_types: what the circuit takes, by stream operand.
        output_type: what it gives.
        circuit: of the node, which knows more and builds it; working out its constants takes time, once.
    """

    node: Node
    folding: Folding
    estimate: Estimate
    input_types: tuple[StreamType, ...]
    output_type: StreamType
    circuit: StreamingCircuit = field(compare=False, repr=False)


@dataclass(frozen=True)
class Branch:
    """The FIFO in front of one operand of a circuit that takes several streams; see `bitloom.plan.branches`.

    Attributes:
        node: name of the circuit's node.
        operand: which of its stream operands.
        value: the tensor.
        type: how it moves through the FIFO.
        depth: beats it holds; 0 for no FIFO.
        least: beats without which the network would block.
    """

    node: str
    operand: int
    value: str
    type: StreamType
    depth: int
    least: int

    @property
    def memory(self) -> tuple[int, int]:
        """Words and bits of its memory."""
        return 1 << max(1, (self.depth - 1).bit_length()), self.type.bits + 1


@dataclass(frozen=True)
class Plan:
    """A design, decided.

    Attributes:
        graph: integers only.
        bus: how it meets the world.
        inputs: one port per graph input.
        outputs: one port per graph output.
        nodes: the nodes that have circuits, in order.
        conversions: (what, cycles) of every change of width between circuits.
        branches: the FIFOs where branches join.
    """

    graph: Graph
    bus: Bus
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    nodes: tuple[NodePlan, ...]
    conversions: tuple[tuple[str, int], ...]
    branches: tuple[Branch, ...] = ()

    @property
    def interval(self) -> int:
        """Cycles between consecutive inferences."""
        return self.bottleneck[1]

    @property
    def bottleneck(self) -> tuple[str, int]:
        """What holds the interval, and its cycles."""
        parts = [(plan.node.name, plan.estimate.cycles) for plan in self.nodes]
        return max([*parts, *self.conversions], key=lambda part: part[1])

    @property
    def bound(self) -> str:
        """What kind of work holds the interval: of a circuit, of the bus, of a change of width."""
        what, _ = self.bottleneck
        planned = self.node(what)
        if planned is not None:
            return planned.estimate.bound
        kind = what.partition(" ")[0]
        return {"input": "input bus", "output": "output bus"}.get(kind, "width conversion")

    @property
    def dsp(self) -> int:
        """Multiplier slices."""
        return sum(plan.estimate.dsp for plan in self.nodes)

    @property
    def memory_bits(self) -> int:
        """Bits of constant memory."""
        return sum(plan.estimate.memory_bits for plan in self.nodes)

    @property
    def ram_blocks(self) -> int:
        """Block memories of 18 kbit, those of the branches included."""
        waiting, _ = self._waiting
        return waiting + sum(plan.estimate.ram_blocks for plan in self.nodes)

    @property
    def logic(self) -> int:
        """Look-up tables, roughly; what changes widths and the bus are not counted."""
        _, waiting = self._waiting
        waiting += _FIFO_LOGIC * sum(branch.depth > 0 for branch in self.branches)
        return waiting + sum(plan.estimate.logic for plan in self.nodes)

    @property
    def _waiting(self) -> tuple[int, int]:
        """Block memories and look-up tables of the memories of the branches."""
        fabric = self.nodes[0].folding.fabric if self.nodes else XC7
        return total_size(ram_size(*branch.memory, fabric) for branch in self.branches if branch.depth)

    def branch(self, node: str, operand: int) -> Branch | None:
        """The FIFO in front of a node's operand, None if the node takes one stream."""
        return next((found for found in self.branches if (found.node, found.operand) == (node, operand)), None)

    def node(self, name: str) -> NodePlan | None:
        """The plan of a node, None if it has no circuit."""
        return next((plan for plan in self.nodes if plan.node.name == name), None)


def conversion(what: str, source: StreamType, target: StreamType) -> tuple[str, int]:
    """An entry of `Plan.conversions`."""
    return what, conversion_beats(source, target)
