"""Whole circuits in PyRTL: branches, several outputs, rows, reshapes; every tensor is NumPy's, wherever beats stall."""

from dataclasses import replace

import numpy as np
import pyrtl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from models import assert_same_tensors, corner_inputs, dense_network, joined, random_inputs
from networks import BRANCHING, builder, random_networks

from bitloom.design import design
from bitloom.errors import PlanError, UnsupportedError
from bitloom.export.verilog import to_verilog
from bitloom.frontends import Model
from bitloom.ir import Graph
from bitloom.plan import Bus, Target, make_plan
from bitloom.run import ExecutorOptions, create_executor

TARGETS = {"fast": Target(), "small": Target(dsp=9)}


def assert_circuit_is_numpy(graph: Graph, inferences: int = 5, **options) -> None:
    model, inputs = Model(graph, graph.name), random_inputs(graph, inferences, seed=2)
    seen = create_executor("pyrtl", model, ExecutorOptions(**options)).run(inputs)
    assert_same_tensors(create_executor("numpy", model).run(inputs), seen)


@pytest.mark.parametrize("bus", Bus)
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("network", BRANCHING)
def test_every_tensor_is_numpys(network: str, target: str, bus: Bus) -> None:
    graph = BRANCHING[network]()
    for stalls in (False, True):
        assert_circuit_is_numpy(graph, target=TARGETS[target], bus=bus, stalls=stalls, seed=1)


@settings(max_examples=15, deadline=None)
@given(random_networks(), st.integers(1, 300), st.sampled_from(Bus), st.booleans())
def test_random_networks_are_numpys(graph: Graph, interval: int, bus: Bus, stalls: bool) -> None:
    try:
        target = make_plan(graph, Target(interval=interval), bus) and Target(interval=interval)
    except PlanError:
        target = Target()
    assert_circuit_is_numpy(graph, 3, target=target, bus=bus, stalls=stalls)


@pytest.mark.parametrize("simulation", ["interpreted", "compiled"])
def test_other_simulations_see_the_same(simulation: str) -> None:
    graph = BRANCHING["shared_value"]()
    assert_circuit_is_numpy(graph, 4, simulation=simulation, stalls=True, target=Target(dsp=9))


def test_corners_of_all_types() -> None:
    graph = BRANCHING["reshaped_outputs"]()
    model, inputs = Model(graph, graph.name), joined(corner_inputs(graph), random_inputs(graph, 5, 0))
    seen = create_executor("pyrtl", model).run(inputs)
    assert_same_tensors(create_executor("numpy", model).run(inputs), seen)


@pytest.mark.parametrize("network", BRANCHING)
def test_every_computed_tensor_has_a_tap_whose_signals_exist(network: str) -> None:
    graph = BRANCHING[network]()
    circuit = design(make_plan(graph))
    assert tuple(tap.value for tap in circuit.taps) == graph.computed
    for tap in circuit.taps:
        tensor = graph.type(tap.value)
        assert (tap.type.size, tap.type.element) == (tensor.size, tensor.integer)
        for signal, bits in (("data", tap.type.bits), ("valid", 1), ("ready", 1)):
            assert circuit.block.get_wirevector_by_name(f"{tap.stream}_{signal}", strict=True).bitwidth == bits


def test_a_reshape_is_seen_on_its_operands_stream() -> None:
    circuit = design(make_plan(BRANCHING["reshaped_between"]()))
    streams = {tap.value: tap.stream for tap in circuit.taps}
    assert streams["t1"] == streams["t0"] == "fully_connected_0_out"
    assert streams["t3"] == streams["t2"] == "fully_connected_2_out"


def test_ports_are_numbered_where_there_are_several() -> None:
    circuit = design(make_plan(BRANCHING["shared_value"]()))
    assert [(port.name, port.value) for port in circuit.outputs] == [(f"m_axis{i}", f"t{i}") for i in range(4)]
    assert [(port.name, port.value) for port in circuit.inputs] == [("s_axis", "x")]
    ports = {wire.name for wire in circuit.block.wirevector_subset((pyrtl.Input, pyrtl.Output))}
    assert {f"m_axis{i}_tvalid" for i in range(4)} | {"s_axis_tready", "s_axi_rvalid", "reset"} <= ports


def test_inputs_of_separate_parts_have_their_own_ports() -> None:
    parts = [dense_network([5, 3], seed) for seed in (0, 1)]
    first, second = (_renamed(part, f"part{index}_") for index, part in enumerate(parts))
    graph = Graph(
        "separate",
        first.inputs + second.inputs,
        first.outputs + second.outputs,
        first.values + second.values,
        first.nodes + second.nodes,
    )
    circuit = design(make_plan(graph))
    assert [port.name for port in (*circuit.inputs, *circuit.outputs)] == ["s_axis0", "s_axis1", "m_axis0", "m_axis1"]
    for bus in Bus:
        assert_circuit_is_numpy(graph, stalls=True, bus=bus)


def _renamed(graph: Graph, prefix: str) -> Graph:
    def new(names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(f"{prefix}{name}" for name in names)

    values = tuple(replace(value, name=f"{prefix}{value.name}") for value in graph.values)
    nodes = tuple(
        replace(node, name=f"{prefix}{node.name}", inputs=new(node.inputs), outputs=new(node.outputs))
        for node in graph.nodes
    )
    return Graph(graph.name, new(graph.inputs), new(graph.outputs), values, nodes)


def test_what_nothing_reads_is_an_error_that_names_it() -> None:
    network = builder("unread", 1, 4)
    network.tanh()
    network.go_back_to(network.x)
    network.dense(2, np.random.default_rng(0))
    with pytest.raises(UnsupportedError, match=r"network 'unread': nothing reads the tensor 't0'; leave it out"):
        design(make_plan(network.graph_to(network.last)))


def test_a_design_leaves_the_working_block_alone() -> None:
    pyrtl.reset_working_block()
    block = pyrtl.working_block()
    pyrtl.Input(3, "mine")
    before = {wire.name for wire in block.wirevector_set}
    circuit = design(make_plan(dense_network([4, 3], 0)))
    assert pyrtl.working_block() is block
    assert {wire.name for wire in block.wirevector_set} == before
    assert circuit.block is not block
    circuit.block.sanity_check()


def test_equal_plans_give_equal_text() -> None:
    plan = make_plan(BRANCHING["shared_value"](), Target(dsp=9))
    assert to_verilog(design(plan)).text == to_verilog(design(plan)).text
