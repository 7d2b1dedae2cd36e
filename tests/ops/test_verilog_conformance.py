"""Every example of every operator with a circuit: the exported Verilog, under stalls, is the NumPy semantics."""

import numpy as np
import pytest
from models import corner_inputs, every_operator_network, joined, random_inputs

import bitloom.ops  # noqa: F401 - registers the operators
from bitloom.errors import UnsupportedError
from bitloom.frontends import Model
from bitloom.ir import Example, Graph, operators
from bitloom.passes import split_float_edges
from bitloom.plan import Target, make_plan
from bitloom.run.executor import ExecutorOptions, create_executor


def has_circuit(graph: Graph) -> bool:
    try:
        make_plan(split_float_edges(graph).core)
    except UnsupportedError:
        return False
    return True


EXAMPLES = [
    example
    for operator in operators().values()
    for example in operator.examples()
    if not any(node.operator.float_edge for node in example.graph.nodes) and has_circuit(example.graph)
]


def assert_verilog_agrees(graph: Graph, inputs: dict[str, np.ndarray], **options: object) -> None:
    model = Model(graph, graph.name)
    expected = create_executor("numpy", model).run(inputs)
    seen = create_executor("verilog", model, ExecutorOptions(**options)).run(inputs)
    assert list(seen.tensors) == list(expected.tensors)
    for name, tensor in expected.tensors.items():
        np.testing.assert_array_equal(seen.tensors[name], tensor, err_msg=name)
        assert seen.tensors[name].dtype == tensor.dtype


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_icarus_is_numpy(example: Example) -> None:
    inputs = joined(corner_inputs(example.graph), random_inputs(example.graph, 2, seed=5))
    few = {name: array[:6] for name, array in inputs.items()}
    assert_verilog_agrees(example.graph, few, simulator="icarus", stalls=True, seed=3)


def test_verilator_is_numpy_on_a_network_of_every_operator() -> None:
    graph = every_operator_network(5)
    inputs = joined(corner_inputs(graph), random_inputs(graph, 20, seed=6))
    assert_verilog_agrees(graph, inputs, simulator="verilator", stalls=True, seed=4, target=Target(dsp=30))
