"""The exported Verilog in both simulators against NumPy: every tensor of any network, bus and folding, with stalls."""

import gc
from dataclasses import replace

import numpy as np
import pytest
from models import assert_same_tensors, corner_inputs, dense_network, every_operator_network, joined, random_inputs

import bitloom.run.verilog.executor as executor_module
import bitloom.run.verilog.simulation as simulation_module
from bitloom.errors import ExecutionError
from bitloom.export.verilog import to_verilog
from bitloom.frontends import Model
from bitloom.ir import Graph
from bitloom.plan import Bus, Target
from bitloom.run import ExecutorOptions, create_executor
from bitloom.run.verilog import VerilogExecutor

SIMULATORS = ("verilator", "icarus")


def with_awkward_names(graph: Graph) -> Graph:
    """Node names that Verilog or a simulator that translates to C++ would take for something else."""
    names = ["wire", "model/dense:0", "3x3", "a__b", "class", "Model/Dense:0"]
    nodes = tuple(replace(node, name=name) for node, name in zip(graph.nodes, names, strict=False))
    return Graph(graph.name, graph.inputs, graph.outputs, graph.values, nodes)


# Compiling with Verilator takes seconds: few networks, each with all that differs.
NETWORKS = {
    "odd": (
        with_awkward_names(dense_network([23, 11, 7, 9, 3], 1, per_channel=True)),
        ExecutorOptions(bus=Bus.STREAM, target=Target(interval=13)),
    ),
    "everything": (every_operator_network(2), ExecutorOptions(bus=Bus.AXI, target=Target(interval=120))),
    "one_layer": (dense_network([9, 2], 3), ExecutorOptions(bus=Bus.STREAM, target=Target(interval=18))),
    "arg_max": (dense_network([10, 6, 5], 4, tail="arg_max"), ExecutorOptions(target=Target(dsp=4))),
}
CASES = [("verilator", "odd"), ("verilator", "everything")] + [("icarus", name) for name in NETWORKS]


def executor(graph: Graph, options: ExecutorOptions, **changes) -> VerilogExecutor:
    made = create_executor("verilog", Model(graph, graph.name), replace(options, **changes))
    assert isinstance(made, VerilogExecutor)
    return made


def expected(graph: Graph, inputs):
    return create_executor("numpy", Model(graph, graph.name)).run(inputs)


@pytest.fixture(scope="module", autouse=True)
def _forget_compiled_designs():
    yield
    executor_module._compiled.clear()


@pytest.mark.parametrize("stalls", [False, True], ids=["", "stalls"])
@pytest.mark.parametrize(("simulator", "network"), CASES)
def test_every_tensor_is_numpys(simulator, network, stalls):
    graph, options = NETWORKS[network]
    inferences = 1000 if simulator == "verilator" else 8
    inputs = random_inputs(graph, inferences, seed=5)
    if simulator == "verilator":
        inputs = joined(corner_inputs(graph), inputs)
    seen = executor(graph, options, simulator=simulator, stalls=stalls, seed=7).run(inputs)
    assert_same_tensors(expected(graph, inputs), seen)
    assert tuple(seen.tensors) == graph.computed


@pytest.mark.parametrize("seed", range(6))
def test_random_networks_are_numpys(seed):
    random = np.random.default_rng(seed)
    sizes = [int(size) for size in random.integers(1, 20, random.integers(2, 6))]
    graph = dense_network(sizes, seed, per_channel=bool(seed % 2))
    target = Target(interval=int(random.integers(20, 200)))
    options = ExecutorOptions(simulator="icarus", bus=[Bus.AXI, Bus.STREAM][seed % 2], target=target)
    inputs = random_inputs(graph, 5, seed)
    for stalls in (False, True):
        seen = executor(graph, options, stalls=stalls, seed=seed).run(inputs)
        assert_same_tensors(expected(graph, inputs), seen)


@pytest.mark.parametrize(("simulator", "network"), [("verilator", "odd"), ("icarus", "odd"), ("icarus", "arg_max")])
def test_cycles_are_those_of_the_circuit(simulator, network):
    graph, options = NETWORKS[network]
    inputs = random_inputs(graph, 12, seed=1)
    made = executor(graph, options, simulator=simulator)
    in_pyrtl = create_executor("pyrtl", Model(graph, graph.name), options).run(inputs)
    assert made.run(inputs).cycles == in_pyrtl.cycles
    assert in_pyrtl.cycles.interval == made.circuit.plan.interval


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_runs_follow_each_other_without_a_reset(simulator):
    graph, options = NETWORKS["odd"]
    made = executor(graph, options, simulator=simulator, stalls=True, seed=3)
    process = None
    for run in range(4):
        inputs = random_inputs(graph, 1 + run, seed=run)
        assert_same_tensors(expected(graph, inputs), made.run(inputs))
        process = process or made.simulator.session._process
        assert made.simulator.session._process is process


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_one_inference_has_a_latency_and_no_interval(simulator):
    graph, options = NETWORKS["odd"]
    made = executor(graph, options, simulator=simulator)
    cycles = made.run(random_inputs(graph, 1, 0)).cycles
    assert cycles.latency > made.circuit.plan.interval
    assert cycles.interval is None


def test_the_text_that_runs_is_the_text_that_is_exported():
    graph, options = NETWORKS["one_layer"]
    made = executor(graph, options, simulator="icarus")
    folder = made.simulator.simulation.workspace.path
    assert (folder / f"{made.module.top}.v").read_text() == made.module.text


def test_a_network_is_compiled_once_and_its_folders_go_away():
    graph, options = NETWORKS["one_layer"]
    options = replace(options, simulator="icarus", target=Target(interval=17))
    first, second = executor(graph, options), executor(graph, options, stalls=True)
    assert first.simulator.simulation is second.simulator.simulation
    first.run(random_inputs(graph, 2, 0))
    folders = [made.simulator.session.folder for made in (first, second)]
    folders.append(first.simulator.simulation.workspace.path)
    process = first.simulator.session._process
    executor_module._compiled.clear()
    del first, second
    gc.collect()
    assert process.poll() == 0
    assert not any(folder.exists() for folder in folders)


# What is wrong with the Verilog, and what is said of it.
DAMAGES = {
    "hang": (".s_axis_tvalid(s_axis_tvalid)", ".s_axis_tvalid(1'b0)", r"no beat moved for 3000 cycles .*m_axis 0/16"),
    "unstable": (
        ".m_axis_tready(m_axis_tready)",
        ".m_axis_tready(1'b1)",
        r"m_axis changed while it waited|m_axis: 'last'",
    ),
    "last": (".m_axis_tlast(m_axis_tlast)", ".m_axis_tlast()", r"m_axis: 'last' is .*inference 0"),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("simulator", SIMULATORS)
def test_a_broken_circuit_is_an_error_that_says_where(simulator, damage, monkeypatch):
    graph, options = NETWORKS["one_layer"]
    found, replaced, message = DAMAGES[damage]
    damage_verilog(monkeypatch, found, replaced)
    monkeypatch.setattr(simulation_module, "_PATIENCE_CYCLES", 3000)
    made = executor(graph, options, simulator=simulator, stalls=True)
    with pytest.raises(ExecutionError, match=message) as raised:
        made.run(random_inputs(graph, 8, 0))
    assert str(raised.value).startswith(f"circuit '{graph.name}': Verilog simulation failed: ")
    assert "\n" not in str(raised.value)
    # The simulator is started again.
    with pytest.raises(ExecutionError, match=message):
        made.run(random_inputs(graph, 8, 0))


def damage_verilog(monkeypatch, found, replaced):
    def damaged(circuit):
        module = to_verilog(circuit)
        assert found in module.text
        return replace(module, text=module.text.replace(found, replaced, 1))

    monkeypatch.setattr(executor_module, "to_verilog", damaged)
    monkeypatch.setattr(executor_module, "_compiled", {})


def test_a_wrong_bit_in_an_inner_tensor_is_seen(monkeypatch):
    graph, options = NETWORKS["odd"]
    inner = "n_wire_out_data"
    damage_verilog(monkeypatch, f"assign {inner} = ", f"assign {inner} = 1'b1 ^ ")
    inputs = random_inputs(graph, 4, 0)
    seen = executor(graph, options, simulator="icarus").run(inputs)
    right = expected(graph, inputs)
    first = graph.computed[0]
    assert (seen.tensors[first] != right.tensors[first]).any()


def test_an_undefined_bit_is_an_error(monkeypatch):
    graph, options = NETWORKS["odd"]
    inner = "n_wire_out_data"
    damage_verilog(monkeypatch, f"assign {inner} = ", f"assign {inner} = 1'bx & ")
    made = executor(graph, options, simulator="icarus")
    with pytest.raises(ExecutionError, match="undefined bits in inference 0") as raised:
        made.run(random_inputs(graph, 4, 0))
    assert "n_wire_out" in str(raised.value)
