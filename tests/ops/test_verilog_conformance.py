"""Every example of every operator with hardware: the exported Verilog is the NumPy semantics, in every tensor."""

import pytest
from hardware_examples import EXAMPLES
from models import assert_same_tensors, corner_inputs, joined, random_inputs
from signal_names import assert_signals_begin_with_their_node

import bitloom.ops  # noqa: F401 - registers the operators
from bitloom.circuits.streaming import has_hardware
from bitloom.frontends import Model
from bitloom.ir import Example, operators
from bitloom.plan import Bus
from bitloom.run import ExecutorOptions, create_executor
from bitloom.run.verilog.executor import VerilogExecutor

# Compiling with Verilator takes seconds: one circuit of each kind of memory, and one without any.
WITH_VERILATOR = ("fully_connected_several_rows", "softmax_rows_and_beta", "logistic_int8")


def assert_verilog_is_numpy(example: Example, simulator: str, bus: Bus, inferences: int) -> None:
    """With stalls everywhere, all over the inputs' range and at random."""
    graph, model = example.graph, Model(example.graph, example.name)
    inputs = joined(corner_inputs(graph, every=17), random_inputs(graph, inferences, seed=5))
    options = ExecutorOptions(simulator=simulator, bus=bus, stalls=True, seed=3)
    executor = VerilogExecutor(model, options)
    assert_signals_begin_with_their_node(executor.circuit)
    assert_same_tensors(create_executor("numpy", model).run(inputs), executor.run(inputs))


@pytest.mark.parametrize("name", EXAMPLES)
def test_in_icarus(name: str) -> None:
    """Behind AXI; test_hardware_conformance.py has the same circuits with streams as wide as they are."""
    assert_verilog_is_numpy(EXAMPLES[name], "icarus", Bus.AXI, inferences=10)


@pytest.mark.parametrize("name", WITH_VERILATOR)
def test_in_verilator(name: str) -> None:
    assert_verilog_is_numpy(EXAMPLES[name], "verilator", Bus.STREAM, inferences=500)


def test_no_operator_is_forgotten() -> None:
    streaming = {operator.name for operator in operators().values() if has_hardware(operator)}
    assert {node.operator.name for example in EXAMPLES.values() for node in example.graph.nodes} == streaming
