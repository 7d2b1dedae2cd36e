"""Every example of every operator with hardware: the circuit, with and without stalls, is the NumPy semantics."""

import numpy as np
import pytest
from models import corner_inputs, every_operator_network, joined, random_inputs

import bitloom.ops  # noqa: F401 - registers the operators
from bitloom.circuits.streaming import has_hardware
from bitloom.errors import UnsupportedError
from bitloom.frontends import Model
from bitloom.ir import Example, Graph, operators
from bitloom.passes import split_float_edges
from bitloom.plan import Bus, Target, make_plan
from bitloom.run.executor import ExecutorOptions, create_executor

EXAMPLES = [
    example
    for operator in operators().values()
    if has_hardware(operator)
    for example in operator.examples()
    if not any(node.operator.float_edge for node in example.graph.nodes)
]
# What the operators' circuits do not take; each must be an error that says so before any work.
WITHOUT_CIRCUIT = {
    "add_int16",
    "arg_max_inner_axis",
    "leaky_relu_int16",
    "mul_int16",
    "sub_int16",
    "requantize_int16",
    "requantize_narrow",
}


def assert_circuit_agrees(graph: Graph, inputs: dict[str, np.ndarray], **options) -> None:
    model = Model(graph, graph.name)
    expected = create_executor("numpy", model).run(inputs)
    seen = create_executor("pyrtl", model, ExecutorOptions(bus=Bus.STREAM, **options)).run(inputs)
    assert list(seen.tensors) == list(expected.tensors)
    for name, tensor in expected.tensors.items():
        np.testing.assert_array_equal(seen.tensors[name], tensor, err_msg=name)
        assert seen.tensors[name].dtype == tensor.dtype


def has_circuit(graph: Graph) -> bool:
    try:
        make_plan(split_float_edges(graph).core)
    except UnsupportedError:
        return False
    return True


@pytest.mark.parametrize(
    "example",
    [example for example in EXAMPLES if example.name not in WITHOUT_CIRCUIT],
    ids=lambda example: example.name,
)
@pytest.mark.parametrize("stalls", [False, True], ids=["", "stalls"])
def test_circuit_is_numpy(example: Example, stalls: bool) -> None:
    """Every value of every element with stalls, some without.

    An image has so many elements that every fifth inference brings all values to each lane of the circuit.
    """
    graph = example.graph
    elements = max(graph.type(name).size for name in graph.inputs)
    every = 17 if not stalls else 5 if elements >= 32 else 1
    inputs = joined(corner_inputs(graph, every), random_inputs(graph, 4, seed=3))
    assert_circuit_agrees(graph, inputs, stalls=stalls, seed=11)


def test_what_has_no_circuit_is_known() -> None:
    refused = {example.name for example in EXAMPLES if not has_circuit(example.graph)}
    assert refused == WITHOUT_CIRCUIT


@pytest.mark.parametrize("seed", range(3))
def test_a_network_of_every_operator(seed: int) -> None:
    graph = every_operator_network(seed)
    assert_circuit_agrees(graph, random_inputs(graph, 6, seed), stalls=seed > 0, target=Target(dsp=40))
