"""Choosing a folding for every node.

For a given interval every circuit, and every change of width between circuits, must finish an inference within that
many cycles. Among the foldings that do, the cheapest are chosen for all nodes together: costs are added up from the
outputs towards the inputs, for each number of lanes a node could take its input in, so that a producer sees what its
choice costs its consumers. Where branches join, what follows is added to the branch of the first operand; the others
only have to keep up. For a budget, the smallest interval whose cheapest choice fits is found by bisection over the
intervals that any folding has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

from bitloom.circuits.streaming import StreamingCircuit, StreamingOperator, WiringOperator, has_hardware
from bitloom.errors import PlanError, UnsupportedError
from bitloom.hw.stream import StreamType
from bitloom.hw.width import conversion_beats
from bitloom.ir import Graph, Node
from bitloom.plan.branches import find_branches
from bitloom.plan.flow import trace
from bitloom.plan.options import LOGIC_PER_DSP, LOGIC_PER_RAM_BLOCK, Option, Prices, node_options
from bitloom.plan.plan import AXI_BITS, Bus, NodePlan, Plan, Port, container_bits
from bitloom.plan.resources import Shortage, shortages
from bitloom.plan.spare import use_spare
from bitloom.plan.target import Target

# Tried in turn where resources are limited: the dearer a resource, the less of it and the larger the whole. Cheap
# slices and memories make little logic.
_PRICES = (
    *(Prices(LOGIC_PER_DSP << dsp, ram) for dsp in range(4) for ram in (LOGIC_PER_RAM_BLOCK, 8 * LOGIC_PER_RAM_BLOCK)),
    Prices(LOGIC_PER_DSP >> 2, LOGIC_PER_RAM_BLOCK >> 2),
    Prices(1, 1),
)
# What makes every multiplier slice dearer than any logic.
_FEWEST_DSP = Prices(dsp=1 << 32)

Cost = tuple[int, int]
InputTypes = tuple[StreamType, ...]


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
    planner = _Planner(graph, bus, goal)
    if goal.interval is not None:
        return planner.within_interval(goal.interval)
    return planner.within_budget()


def _refuse_constant_streams(graph: Graph) -> None:
    """What moves through hardware comes from the inputs."""
    for node in graph.nodes:
        if not _streams(graph, node):
            raise _constant(node.inputs[0], node.where)
    for name in graph.outputs:
        if graph.value(name).is_constant:
            raise _constant(name, f"network '{graph.name}'")


def _constant(name: str, where: str) -> UnsupportedError:
    return UnsupportedError(f"no input leads to '{name}', which is constant", where=where, remedy="leave it out")


def _streams(graph: Graph, node: Node) -> list[str]:
    """The operands that move."""
    return [name for name in node.inputs if not graph.value(name).is_constant]


@dataclass(frozen=True)
class _Best:
    """The cheapest way to compute everything from one node on, for certain input types."""

    cost: Cost
    option: Option


Choices = Mapping[InputTypes, _Best]
beats_between = lru_cache(maxsize=None)(conversion_beats)


@dataclass(frozen=True, eq=False)
class _Planner:
    graph: Graph
    bus: Bus
    goal: Target

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
                try:
                    found[node.name] = node.operator.circuit(operands, results)
                except UnsupportedError as error:
                    raise UnsupportedError(error.what, where=error.where or node.where, remedy=error.remedy) from error
        return found

    @cached_property
    def options(self) -> dict[str, list[Option]]:
        """Every folding of every node that may be the best for something."""
        fabric = self.goal.chip.fabric
        return {name: node_options(circuit, fabric) for name, circuit in self.circuits.items()}

    def within_interval(self, interval: int) -> Plan:
        """The cheapest plan that is at least so fast."""
        found = self._smallest(interval)
        if found is None:
            raise PlanError(
                f"no folding reaches an interval of {interval} cycles",
                where=f"network '{self.graph.name}'",
                remedy=f"the smallest possible over this bus is {self._fastest().interval}",
            )
        plan, lacking = found
        if not lacking:
            return self._spent(plan)
        try:
            fitting = self.within_budget()
        except PlanError:
            remedy = "choose a larger board"
        else:
            if fitting.interval <= interval:
                return fitting
            remedy = f"the smallest interval that fits is {fitting.interval}"
        raise PlanError(
            f"an interval of {interval} cycles takes {_listed(lacking)}",
            where=f"network '{self.graph.name}' on {self.goal.chip.name}",
            remedy=remedy,
        )

    def within_budget(self) -> Plan:
        """The fastest plan that fits, and of those that fast the smallest."""
        intervals = self._intervals()
        low, high, best = 0, len(intervals) - 1, None
        while low <= high:
            middle = (low + high) // 2
            found = self._smallest(intervals[middle])
            if found and not found[1]:
                best, high = found[0], middle - 1
            else:
                low = middle + 1
        if best is None:
            raise self._does_not_fit(intervals[-1])
        return self._spent(best)

    def _spent(self, plan: Plan) -> Plan:
        """The same with what the budget leaves over, if that is smaller and still fits with its branches."""

        def fits(changed: Plan) -> bool:
            return not shortages(changed, self.goal.limit, self._dsp_limit)

        spent = use_spare(plan, self.options, fits)
        if spent is plan:
            return plan
        spent = _with_branches(spent)
        return spent if fits(spent) else plan

    def _does_not_fit(self, interval: int) -> PlanError:
        """What is short even where time does not matter."""
        plan = self._solve(interval, _FEWEST_DSP)
        where = f"network '{self.graph.name}'"
        if plan is None:
            return PlanError("the network cannot be planned at any speed", where=where)
        limit = self._dsp_limit
        if limit is not None and plan.dsp > limit:
            return PlanError(f"{limit} multipliers are too few", where=where, remedy=f"allow {plan.dsp}")
        _, lacking = self._smallest(interval) or (plan, [])
        return PlanError(
            f"takes {_listed(lacking)}", where=f"{where} on {self.goal.chip.name}", remedy="choose a larger board"
        )

    @property
    def _dsp_limit(self) -> int | None:
        if self.goal.interval is None:
            return self.goal.dsp_limit
        return self.goal.limit.dsp if self.goal.limit else None

    def _smallest(self, interval: int) -> tuple[Plan, list[Shortage]] | None:
        """The smallest plan for an interval that fits; if none does, one that lacks little, and what it lacks."""
        nearest = None
        for prices in (*_PRICES, _FEWEST_DSP):
            plan = self._solve(interval, prices)
            if plan is None:
                return None
            lacking = shortages(plan, self.goal.limit, self._dsp_limit)
            if not lacking:
                return plan, []
            if nearest is None or _excess(lacking) < _excess(nearest[1]):
                nearest = plan, lacking
        return nearest

    def _fastest(self) -> Plan:
        for interval in self._intervals():
            plan = self._solve(interval, _FEWEST_DSP)
            if plan is not None:
                return plan
        raise PlanError("the network cannot be planned at any speed", where=f"network '{self.graph.name}'")

    def _intervals(self) -> list[int]:
        """Every interval at which something changes."""
        cycles = {option.estimate.cycles for options in self.options.values() for option in options}
        sizes = {value.type.size for value in self.graph.values if not value.is_constant}
        parts = {-(-size // lanes) for size in sizes for lanes in range(1, 65)}
        return sorted(cycles | parts)

    def _solve(self, interval: int, prices: Prices) -> Plan | None:
        """The cheapest plan for an interval, or None."""
        best: dict[str, Choices] = {}
        for node in reversed(self.graph.nodes):
            if node.name in self.circuits:
                best[node.name] = self._best_of(node, interval, best, prices)
                if not best[node.name]:
                    return None
        return self._collect(interval, best)

    def _best_of(self, node: Node, interval: int, best: Mapping[str, Choices], prices: Prices) -> Choices:
        """For each kind of input, the cheapest choice for this node and all that follow."""
        found: dict[InputTypes, _Best] = {}
        after: dict[StreamType, Cost | None] = {}
        for option in self.options[node.name]:
            if option.estimate.cycles > interval:
                continue
            if option.output_type not in after:
                after[option.output_type] = self._cost_after(node.outputs[0], option.output_type, interval, best)
            following = after[option.output_type]
            if following is None:
                continue
            cost = _add((prices.cost(option.estimate), option.estimate.dsp), following)
            known = found.get(option.input_types)
            if known is None or cost < known.cost:
                found[option.input_types] = _Best(cost, option)
        return found

    def _cost_after(self, value: str, produced: StreamType, interval: int, best: Mapping[str, Choices]) -> Cost | None:
        """What the consumers of a stream cost, if all keep up."""
        total: Cost = (0, 0)
        for consumer, position in self._reached(value):
            choice = _cheapest(best[consumer.name], {position: produced}, interval)
            if choice is None:
                return None
            if position == 0:
                total = _add(total, choice.cost)
        for port in self._output_ports(value, produced):
            if beats_between(produced, port.type) > interval:
                return None
        return total

    def _collect(self, interval: int, best: Mapping[str, Choices]) -> Plan | None:
        """Follow the choices from the inputs on."""
        nodes: list[NodePlan] = []
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
            operands = _streams(self.graph, node)
            produced = streams[operands[0]]
            if node.name in self.circuits:
                given = {position: streams[name] for position, name in enumerate(operands)}
                choice = _cheapest(best[node.name], given, interval)
                if choice is None:
                    return None
                option = choice.option
                types = option.input_types, option.output_type
                nodes.append(NodePlan(node, option.folding, option.estimate, *types, self.circuits[node.name]))
                for name, wanted in zip(operands, option.input_types, strict=True):
                    conversions.append((f"width of {name}", beats_between(streams[name], wanted)))
                produced = option.output_type
            streams[node.outputs[0]] = produced
        for index, name in enumerate(self.graph.outputs):
            port = self._output_port(index, name, streams[name])
            outputs.append(port)
            conversions.append((f"output {name}", beats_between(streams[name], port.type)))
        if any(cycles > interval for _, cycles in conversions):
            return None
        plan = Plan(self.graph, self.bus, tuple(inputs), tuple(outputs), tuple(nodes), tuple(conversions))
        return _with_branches(plan)

    def _reached(self, value: str) -> list[tuple[Node, int]]:
        """The nodes with circuits that read a value, directly or through wiring, and as which stream operand."""
        found = []
        for node in self.graph.consumers(value):
            if isinstance(node.operator, WiringOperator):
                found += self._reached(node.outputs[0])
            else:
                operands = _streams(self.graph, node)
                found += [(node, position) for position, name in enumerate(operands) if name == value]
        return found

    def _output_ports(self, value: str, produced: StreamType) -> list[Port]:
        """The design's outputs that carry a value, directly or through wiring."""
        names = [value]
        for node in self.graph.consumers(value):
            if isinstance(node.operator, WiringOperator):
                names += [port.value for port in self._output_ports(node.outputs[0], produced)]
        outputs = self.graph.outputs
        return [self._output_port(outputs.index(name), name, produced) for name in names if name in outputs]

    def _input_port(self, index: int, name: str, interval: int, best: Mapping[str, Choices]) -> Port | None:
        """Where a tensor enters; over a bus of any width, as wide as makes all that reads it cheapest."""
        port_name = _port_name("s_axis", index, len(self.graph.inputs))
        choices = [
            (choice, types[position])
            for node, position in self._reached(name)
            for types, choice in best[node.name].items()
        ]
        if self.bus is Bus.AXI or not choices:
            return self._port(port_name, name, self._bus_lanes(name))
        # Where several widths cost the same, the first is the one that the cheapest circuit takes as it is.
        choices.sort(key=lambda choice: choice[0].cost)
        ports = [self._port(port_name, name, lanes) for lanes in dict.fromkeys(wanted.lanes for _, wanted in choices)]
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


def _with_branches(plan: Plan) -> Plan:
    """The same with FIFOs where branches join."""
    steps = trace(plan.graph, plan.inputs, plan.nodes, plan.interval)
    return replace(plan, branches=find_branches(steps, plan.interval))


def _port_name(prefix: str, index: int, count: int) -> str:
    return prefix if count == 1 else f"{prefix}{index}"


def _add(left: Cost, right: Cost) -> Cost:
    return left[0] + right[0], left[1] + right[1]


def _cheapest(choices: Choices, produced: Mapping[int, StreamType], interval: int) -> _Best | None:
    """The cheapest choice that the streams, by operand, can be converted for in time."""
    fitting = [
        choice
        for needed, choice in choices.items()
        if all(beats_between(given, needed[position]) <= interval for position, given in produced.items())
    ]
    return min(fitting, key=lambda choice: choice.cost, default=None)


def _listed(lacking: Sequence[Shortage]) -> str:
    return ", and ".join(str(shortage) for shortage in lacking)


def _excess(lacking: Sequence[Shortage]) -> float:
    return max(shortage.needed / max(shortage.available, 1) for shortage in lacking)
