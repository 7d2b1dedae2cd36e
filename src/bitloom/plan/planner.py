"""Choosing a folding for every node.

For a given interval every circuit, and every change of width between circuits, must finish an inference within that
many cycles. Among the foldings that do, the cheapest are chosen for all nodes together: costs are added up from the
outputs towards the inputs, for each number of lanes a node could take its input in, so that a producer sees what its
choice costs its consumers. For a multiplier budget, the smallest interval whose cheapest choice fits is found by
bisection over the intervals that any folding has.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from bitloom.errors import PlanError, UnsupportedError
from bitloom.hw.stream import StreamType
from bitloom.hw.width import conversion_beats
from bitloom.ir import Graph, Node
from bitloom.ops.hardware import (
    Estimate,
    Folding,
    StreamingCircuit,
    StreamingOperator,
    WiringOperator,
    has_hardware,
)
from bitloom.plan.boards import product_registers
from bitloom.plan.plan import AXI_BITS, Bus, NodePlan, Plan, Port, container_bits
from bitloom.plan.target import Target

# Look-up tables that one multiplier slice is worth: their ratio on a Zynq-7020.
_LOGIC_PER_DSP = 240
# What makes every multiplier slice dearer than any logic.
_FEWEST_DSP = 1 << 32
# Tried in turn where slices are limited: the less they are worth in logic, the smaller the whole.
_DSP_PRICES = (_LOGIC_PER_DSP, 2 * _LOGIC_PER_DSP, 4 * _LOGIC_PER_DSP, 8 * _LOGIC_PER_DSP)

Cost = tuple[int, int]


def make_plan(graph: Graph, target: Target | None = None, bus: Bus = Bus.AXI) -> Plan:
    """Choose every node's folding.

    Args:
        graph: integers only (see `bitloom.passes.split_float_edges`).
        target: what to reach; the board of the default target if None.
        bus: how the design meets the world.

    Raises:
        UnsupportedError: an operator has no hardware, or only constants to compute with.
        PlanError: nothing reaches the target; the message says what would.
    """
    goal = target or Target()
    _refuse_constant_streams(graph)
    planner = _Planner(graph, bus, goal.board.family)
    if goal.interval is not None:
        return planner.within_interval(goal.interval)
    return planner.within_dsp(goal.dsp_limit)


def _refuse_constant_streams(graph: Graph) -> None:
    """What moves through hardware comes from the inputs."""
    moving = [(node.inputs[0], node.where) for node in graph.nodes]
    moving += [(name, f"network '{graph.name}'") for name in graph.outputs]
    for name, where in moving:
        if graph.value(name).is_constant:
            raise UnsupportedError(f"no input leads to '{name}', which is constant", where=where, remedy="leave it out")


@dataclass(frozen=True)
class _Option:
    """One folding of one node."""

    folding: Folding
    estimate: Estimate
    input_type: StreamType
    output_type: StreamType


@dataclass(frozen=True)
class _Best:
    """The cheapest way to compute everything from one node on, for one input type."""

    cost: Cost
    option: _Option


@dataclass(frozen=True, eq=False)
class _Planner:
    graph: Graph
    bus: Bus
    family: str

    @cached_property
    def circuits(self) -> dict[str, StreamingCircuit]:
        """The hardware of each node that has any."""
        found = {}
        for node in self.graph.nodes:
            if not has_hardware(node.operator):
                raise UnsupportedError(
                    f"{node.operator.name} has no hardware yet", where=node.where, remedy="run it in software"
                )
            if isinstance(node.operator, StreamingOperator):
                operands, results = self.graph.operands(node), self.graph.results(node)
                found[node.name] = node.operator.circuit(operands, results)
        return found

    @cached_property
    def options(self) -> dict[str, list[_Option]]:
        """Every folding of every node."""
        return {
            name: [
                _Option(folding, circuit.estimate(folding), circuit.input_type(folding), circuit.output_type(folding))
                for offered in circuit.foldings()
                for folding in (replace(offered, product_registers=product_registers(self.family)),)
            ]
            for name, circuit in self.circuits.items()
        }

    def within_interval(self, interval: int) -> Plan:
        """The cheapest plan that is at least so fast."""
        plan = self._solve(interval, logic_per_dsp=_LOGIC_PER_DSP)
        if plan is None:
            raise PlanError(
                f"no folding reaches an interval of {interval} cycles",
                where=f"network '{self.graph.name}'",
                remedy=f"the smallest possible over this bus is {self._fastest().interval}",
            )
        return plan

    def within_dsp(self, limit: int) -> Plan:
        """The fastest plan with so many multipliers, and of those that fast the smallest that still fits."""
        intervals = self._intervals()
        low, high, best, fastest = 0, len(intervals) - 1, None, 0
        while low <= high:
            middle = (low + high) // 2
            plan = self._solve(intervals[middle], logic_per_dsp=_FEWEST_DSP)
            if plan is not None and plan.dsp <= limit:
                best, fastest, high = plan, intervals[middle], middle - 1
            else:
                low = middle + 1
        if best is None:
            slowest = self._solve(intervals[-1], logic_per_dsp=_FEWEST_DSP)
            least = slowest.dsp if slowest else 0
            raise PlanError(
                f"{limit} multipliers are too few", where=f"network '{self.graph.name}'", remedy=f"allow {least}"
            )
        for price in _DSP_PRICES:
            smaller = self._solve(fastest, logic_per_dsp=price)
            if smaller is not None and smaller.dsp <= limit:
                return smaller
        return best

    def _fastest(self) -> Plan:
        for interval in self._intervals():
            plan = self._solve(interval, logic_per_dsp=_FEWEST_DSP)
            if plan is not None:
                return plan
        raise PlanError("the network cannot be planned at any speed", where=f"network '{self.graph.name}'")

    def _intervals(self) -> list[int]:
        """Every interval at which something changes."""
        cycles = {option.estimate.cycles for options in self.options.values() for option in options}
        sizes = {value.type.size for value in self.graph.values if not value.is_constant}
        parts = {-(-size // lanes) for size in sizes for lanes in range(1, 65)}
        return sorted(cycles | parts)

    def _solve(self, interval: int, *, logic_per_dsp: int) -> Plan | None:
        """The cheapest plan for an interval, or None."""
        best: dict[str, dict[StreamType, _Best]] = {}
        for node in reversed(self.graph.nodes):
            if node.name in self.circuits:
                best[node.name] = self._best_of(node, interval, best, logic_per_dsp)
                if not best[node.name]:
                    return None
        return self._collect(interval, best)

    def _best_of(
        self, node: Node, interval: int, best: dict[str, dict[StreamType, _Best]], logic_per_dsp: int
    ) -> dict[StreamType, _Best]:
        """For each input type, the cheapest choice for this node and all that follow."""
        found: dict[StreamType, _Best] = {}
        after: dict[StreamType, Cost | None] = {}
        for option in self.options[node.name]:
            if option.estimate.cycles > interval:
                continue
            if option.output_type not in after:
                after[option.output_type] = self._cost_after(node.outputs[0], option.output_type, interval, best)
            following = after[option.output_type]
            if following is None:
                continue
            cost = _add(_cost(option.estimate, logic_per_dsp), following)
            known = found.get(option.input_type)
            if known is None or cost < known.cost:
                found[option.input_type] = _Best(cost, option)
        return found

    def _cost_after(
        self, value: str, produced: StreamType, interval: int, best: dict[str, dict[StreamType, _Best]]
    ) -> Cost | None:
        """What the consumers of a stream cost, if all keep up."""
        total: Cost = (0, 0)
        for consumer in self._reached(value):
            choice = _cheapest(best[consumer.name], produced, interval)
            if choice is None:
                return None
            total = _add(total, choice.cost)
        for port in self._output_ports(value, produced):
            if conversion_beats(produced, port.type) > interval:
                return None
        return total

    def _collect(self, interval: int, best: dict[str, dict[StreamType, _Best]]) -> Plan | None:
        """Follow the choices from the inputs on."""
        chosen: dict[str, _Option] = {}
        conversions: list[tuple[str, int]] = []
        inputs, outputs = [], []
        streams: dict[str, StreamType] = {}
        for index, name in enumerate(self.graph.inputs):
            port = self._input_port(index, name, interval, best)
            if port is None:
                return None
            inputs.append(port)
            streams[name] = port.type
            conversions.append((f"input {name}", port.type.beats))
        for node in self.graph.nodes:
            produced = streams[node.inputs[0]]
            if node.name in self.circuits:
                choice = _cheapest(best[node.name], produced, interval)
                if choice is None:
                    return None
                chosen[node.name] = choice.option
                cycles = conversion_beats(produced, choice.option.input_type)
                conversions.append((f"width of {node.inputs[0]}", cycles))
                produced = choice.option.output_type
            streams[node.outputs[0]] = produced
        for index, name in enumerate(self.graph.outputs):
            port = self._output_port(index, name, streams[name])
            outputs.append(port)
            conversions.append((f"output {name}", conversion_beats(streams[name], port.type)))
        if any(cycles > interval for _, cycles in conversions):
            return None
        nodes = [
            NodePlan(node, option.folding, option.estimate, option.input_type, option.output_type)
            for node in self.graph.nodes
            if (option := chosen.get(node.name))
        ]
        return Plan(self.graph, self.bus, tuple(inputs), tuple(outputs), tuple(nodes), tuple(conversions))

    def _reached(self, value: str) -> list[Node]:
        """The nodes with circuits that read a value, directly or through wiring."""
        found = []
        for node in self.graph.consumers(value):
            if isinstance(node.operator, WiringOperator):
                found += self._reached(node.outputs[0])
            else:
                found.append(node)
        return found

    def _output_ports(self, value: str, produced: StreamType) -> list[Port]:
        """The design's outputs that carry a value, directly or through wiring."""
        names = [value]
        for node in self.graph.consumers(value):
            if isinstance(node.operator, WiringOperator):
                names += [port.value for port in self._output_ports(node.outputs[0], produced)]
        outputs = self.graph.outputs
        return [self._output_port(outputs.index(name), name, produced) for name in names if name in outputs]

    def _input_port(
        self, index: int, name: str, interval: int, best: dict[str, dict[StreamType, _Best]]
    ) -> Port | None:
        """Where a tensor enters; over a bus of any width, as wide as makes all that reads it cheapest."""
        port_name = _port_name("s_axis", index, len(self.graph.inputs))
        choices = [choice for node in self._reached(name) for choice in best[node.name].values()]
        if self.bus is Bus.AXI or not choices:
            return self._port(port_name, name, self._bus_lanes(name))
        # Where several widths cost the same, the first is the one that the cheapest circuit takes as it is.
        choices.sort(key=lambda choice: choice.cost)
        ports = [
            self._port(port_name, name, lanes) for lanes in dict.fromkeys(c.option.input_type.lanes for c in choices)
        ]
        costs = {port: self._cost_after(name, port.type, interval, best) for port in ports}
        fitting = {port: cost for port, cost in costs.items() if cost is not None and port.type.beats <= interval}
        return min(fitting, key=fitting.__getitem__, default=None)

    def _output_port(self, index: int, name: str, produced: StreamType) -> Port:
        lanes = self._bus_lanes(name) if self.bus is Bus.AXI else produced.lanes
        return self._port(_port_name("m_axis", index, len(self.graph.outputs)), name, lanes)

    def _bus_lanes(self, name: str) -> int:
        return max(1, AXI_BITS // container_bits(self.graph.type(name).integer))

    def _port(self, port: str, name: str, lanes: int) -> Port:
        tensor = self.graph.type(name)
        return Port(port, name, StreamType(tensor.integer, tensor.size, 1, lanes))


def _port_name(prefix: str, index: int, count: int) -> str:
    return prefix if count == 1 else f"{prefix}{index}"


def _cost(estimate: Estimate, logic_per_dsp: int) -> Cost:
    """What to minimize: logic, and multiplier slices at their price in it."""
    return estimate.dsp * logic_per_dsp + estimate.logic, estimate.dsp


def _add(left: Cost, right: Cost) -> Cost:
    return left[0] + right[0], left[1] + right[1]


def _cheapest(choices: dict[StreamType, _Best], produced: StreamType, interval: int) -> _Best | None:
    """The cheapest choice that the stream can be converted for in time."""
    fitting: Sequence[_Best] = [
        choice for needed, choice in choices.items() if conversion_beats(produced, needed) <= interval
    ]
    return min(fitting, key=lambda choice: choice.cost, default=None)
