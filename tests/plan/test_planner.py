"""The planner: targets are met at the least cost, and what cannot be met says what can."""

import functools
import itertools
from dataclasses import replace

import numpy as np
import pytest
from models import dense_network, every_operator_network, quantized
from networks import BRANCHING, builder
from planning import remedied, total_cost

import bitloom.ops  # noqa: F401 - registers the operators
from bitloom.circuits.streaming import Folding, StreamingOperator
from bitloom.errors import PlanError, UnsupportedError
from bitloom.hw.fabric import XC7
from bitloom.hw.width import conversion_beats
from bitloom.ir import Graph, TensorType, Value, operators
from bitloom.passes import split_float_edges
from bitloom.plan import Bus, Target, make_plan
from bitloom.plan.boards import BOARDS, board_named
from bitloom.plan.options import Prices

GRAPHS = {
    "chain": dense_network([17, 11, 7, 3], 1),
    "softmax": dense_network([12, 8, 6], 2, tail="softmax"),
    "argmax": dense_network([20, 12, 6], 3, tail="arg_max", per_channel=True),
    "everything": split_float_edges(every_operator_network(1)).core,
    **{name: make() for name, make in BRANCHING.items()},
}


def all_foldings(graph: Graph) -> dict[str, set[Folding]]:
    """Every folding of every node with a circuit."""
    found = {}
    for node in graph.nodes:
        if isinstance(node.operator, StreamingOperator):
            circuit = node.operator.circuit(graph.operands(node), graph.results(node))
            found[node.name] = set(circuit.foldings())
    return found


@pytest.mark.parametrize("bus", Bus)
@pytest.mark.parametrize("name", GRAPHS)
def test_a_plan_is_legal_and_adds_up(name: str, bus: Bus) -> None:
    graph = GRAPHS[name]
    plan = make_plan(graph, Target(dsp=40), bus)
    foldings = all_foldings(graph)
    assert [node.node.name for node in plan.nodes] == list(foldings)
    for node in plan.nodes:
        circuit = node.node.operator.circuit(graph.operands(node.node), graph.results(node.node))
        assert replace(node.folding, fabric=XC7) in foldings[node.node.name]
        assert node.estimate == circuit.estimate(node.folding)
        assert (node.input_types, node.output_type) == (
            circuit.input_types(node.folding),
            circuit.output_type(node.folding),
        )
        assert node.estimate.cycles <= plan.interval
        assert plan.node(node.node.name) is node
    assert plan.dsp == sum(node.estimate.dsp for node in plan.nodes) <= 40
    assert plan.memory_bits == sum(node.estimate.memory_bits for node in plan.nodes)
    everything = [node.estimate.cycles for node in plan.nodes] + [cycles for _, cycles in plan.conversions]
    assert plan.interval == plan.bottleneck[1] == max(everything)
    assert plan.node("no such node") is None


@pytest.mark.parametrize("bus", Bus)
@pytest.mark.parametrize("name", GRAPHS)
def test_what_streams_need_is_counted(name: str, bus: Bus) -> None:
    """Every input, output and change of width, recomputed from the plan alone."""
    graph = GRAPHS[name]
    plan = make_plan(graph, Target(dsp=40), bus)
    streams = {port.value: port.type for port in plan.inputs}
    wanted = [(f"input {port.value}", port.type.beats) for port in plan.inputs]
    for node in graph.nodes:
        stream = streams[node.inputs[0]]
        if planned := plan.node(node.name):
            wanted.append((f"width of {node.inputs[0]}", conversion_beats(stream, planned.input_types[0])))
            stream = planned.output_type
        streams[node.outputs[0]] = stream
    wanted += [(f"output {port.value}", conversion_beats(streams[port.value], port.type)) for port in plan.outputs]
    assert list(plan.conversions) == wanted


@pytest.mark.parametrize("bus", Bus)
@pytest.mark.parametrize("name", GRAPHS)
def test_intervals_are_met_or_refused_with_the_smallest(name: str, bus: Bus) -> None:
    graph = GRAPHS[name]
    costs = []
    for interval in (1, 4, 9, 30, 61, 128, 1000, 10**6):
        try:
            plan = make_plan(graph, Target(interval=interval), bus)
        except PlanError as error:
            target = remedied(error)
            assert target.interval is not None
            assert target.interval > interval
            assert make_plan(graph, target, bus).interval == target.interval
            with pytest.raises(PlanError, match=f"no folding reaches an interval of {target.interval - 1} cycles"):
                make_plan(graph, Target(interval=target.interval - 1), bus)
            assert not costs, "a laxer target was refused"
            continue
        assert plan.interval <= interval
        costs.append(total_cost(plan))
    assert costs
    assert costs == sorted(costs, reverse=True), "a laxer target costs more"


@pytest.mark.parametrize("bus", Bus)
@pytest.mark.parametrize("name", GRAPHS)
def test_multipliers_are_kept_or_refused_with_the_fewest(name: str, bus: Bus) -> None:
    graph = GRAPHS[name]
    intervals = []
    for limit in (1, 3, 6, 17, 80, 10**6):
        try:
            plan = make_plan(graph, Target(dsp=limit), bus)
        except PlanError as error:
            target = remedied(error)
            assert target.dsp is not None
            assert target.dsp > limit
            assert make_plan(graph, target, bus).dsp <= target.dsp
            assert not intervals, "more multipliers were refused"
            continue
        assert plan.dsp <= limit
        intervals.append(plan.interval)
    assert intervals
    assert intervals == sorted(intervals, reverse=True), "more multipliers are slower"
    if intervals[-1] > 1:
        with pytest.raises(PlanError, match=f"the smallest possible over this bus is {intervals[-1]}$"):
            make_plan(graph, Target(interval=intervals[-1] - 1), bus)


@functools.cache
def every_choice(bus: Bus) -> tuple[Graph, tuple[tuple[int, int, int], ...]]:
    """A small network, and (interval, multipliers, cost) of every combination of its foldings."""
    graph = dense_network([6, 4, 5], 7)
    circuits = [node.operator.circuit(graph.operands(node), graph.results(node)) for node in graph.nodes]
    found = []
    for chosen in itertools.product(*([*circuit.foldings()] for circuit in circuits)):
        pairs = list(zip(circuits, chosen, strict=True))
        needs = [circuit.input_types(folding)[0] for circuit, folding in pairs]
        gives = [circuit.output_type(folding) for circuit, folding in pairs]
        estimates = [circuit.estimate(folding) for circuit, folding in pairs]
        links = [(gives[0], needs[1])]
        if bus is Bus.AXI:
            links += [(replace(needs[0], lanes=4), needs[0]), (gives[1], replace(gives[1], lanes=4))]
        interval = max(*(estimate.cycles for estimate in estimates), *(conversion_beats(*link) for link in links))
        dsp = sum(estimate.dsp for estimate in estimates)
        found.append((interval, dsp, sum(Prices().cost(estimate) for estimate in estimates)))
    return graph, tuple(found)


@pytest.mark.parametrize("bus", Bus)
@pytest.mark.parametrize("limit", [4, 6, 9, 12, 20, 40, 100])
def test_no_choice_of_foldings_is_cheaper(limit: int, bus: Bus) -> None:
    graph, choices = every_choice(bus)
    costs = [cost for interval, _, cost in choices if interval <= limit]
    if costs:
        assert total_cost(make_plan(graph, Target(interval=limit), bus)) == min(costs)
    else:
        with pytest.raises(PlanError, match=f"is {min(choices)[0]}$"):
            make_plan(graph, Target(interval=limit), bus)


@pytest.mark.parametrize("bus", Bus)
@pytest.mark.parametrize("limit", [1, 2, 3, 5, 8, 13, 21, 44])
def test_no_choice_of_foldings_is_faster(limit: int, bus: Bus) -> None:
    graph, choices = every_choice(bus)
    intervals = [interval for interval, dsp, _ in choices if dsp <= limit]
    if intervals:
        assert make_plan(graph, Target(dsp=limit), bus).interval == min(intervals)
    else:
        with pytest.raises(PlanError, match=f"allow {min(dsp for _, dsp, _ in choices)}$"):
            make_plan(graph, Target(dsp=limit), bus)


def test_buses_are_as_wide_as_they_should_be() -> None:
    graph = dense_network([23, 11, 6], 1)
    plan = make_plan(graph, Target(interval=30), Bus.AXI)
    assert [(port.name, port.type.lanes, port.bus_bits) for port in (*plan.inputs, *plan.outputs)] == [
        ("s_axis", 4, 32),
        ("m_axis", 4, 32),
    ]
    plan = make_plan(graph, Target(interval=30), Bus.STREAM)
    first, last = plan.nodes[0], plan.nodes[-1]
    assert (plan.inputs[0].type.lanes, plan.outputs[0].type.lanes) == (
        first.input_types[0].lanes,
        last.output_type.lanes,
    )
    # A bus of any width is never the bottleneck.
    assert make_plan(graph, Target(interval=1), Bus.STREAM).interval == 1
    with pytest.raises(PlanError, match="the smallest possible over this bus is 6"):
        make_plan(graph, Target(interval=1), Bus.AXI)


def test_ports_carry_a_tensor_as_one_row() -> None:
    plan = make_plan(GRAPHS["rows_to_softmax"])
    assert [(port.value, port.type.row, port.type.rows) for port in (*plan.inputs, *plan.outputs)] == [
        ("x", 28, 1),
        ("t3", 12, 1),
    ]


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.name)
def test_a_board_is_a_limit_and_a_family(board) -> None:
    assert board_named(board.name) is board
    graph = dense_network([64, 40, 30, 10], 5)
    plan = make_plan(graph, Target(board=board))
    assert plan.dsp <= board.dsp
    assert all(node.folding.fabric is board.fabric for node in plan.nodes)
    same = make_plan(graph, Target(dsp=board.dsp, board=board))
    assert [node.folding for node in same.nodes] == [node.folding for node in plan.nodes]


def test_a_board_of_more_multipliers_is_no_slower() -> None:
    graph = dense_network([200, 100, 10], 6)
    intervals = {board.dsp: make_plan(graph, Target(board=board)).interval for board in BOARDS}
    assert [intervals[dsp] for dsp in sorted(intervals)] == sorted(intervals.values(), reverse=True)


def test_boards_have_names_of_their_own() -> None:
    assert len({board.name for board in BOARDS}) == len(BOARDS)
    with pytest.raises(PlanError, match=r"no board is named 'nowhere'; choose one of pynq-z2, "):
        board_named("nowhere")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"interval": 0}, "an interval of 0 cycles; ask for at least 1"),
        ({"dsp": 0}, "a budget of 0 multipliers; allow at least 1"),
        ({"interval": 5, "dsp": 5}, "at once; give one of the two"),
    ],
)
def test_a_target_that_makes_no_sense_is_refused(options, message) -> None:
    with pytest.raises(PlanError, match=message):
        Target(**options)


def test_operators_without_a_circuit_are_refused_by_name() -> None:
    example = next(example for example in operators()["arg_max"].examples() if example.name == "arg_max_inner_axis")
    with pytest.raises(UnsupportedError, match="arg_max along axis 1"):
        make_plan(example.graph)
    floats = every_operator_network(1)
    with pytest.raises(UnsupportedError, match=r"node 'quantize_0'.*: quantize has no hardware yet; run it in soft"):
        make_plan(floats)


def test_constants_do_not_stream() -> None:
    network = builder("constant", 1, 4)
    constant = Value("k", quantized((1, 4), 0.1, 0), np.array([[1, 2, 3, 4]]))
    network.values.append(constant)
    network.go_back_to(constant)
    network.tanh()
    with pytest.raises(UnsupportedError, match=r"node 'tanh_0': no input leads to 'k', which is constant"):
        make_plan(network.graph_to(network.last))
    with pytest.raises(UnsupportedError, match=r"network 'constant': no input leads to 'k', which is constant"):
        make_plan(Graph("constant", ("x",), ("k",), (network.x, constant), ()))


def test_scalars_and_single_elements_can_be_planned() -> None:
    network = builder("scalar", 1, 1)
    network.dense(1, np.random.default_rng(0))
    network.add("RESHAPE", TensorType((), network.last.type.element, network.last.type.quantization), new_shape=(0,))
    plan = make_plan(network.graph())
    assert plan.interval == 1
    assert plan.outputs[0].type.size == 1
