"""Every example of every operator with hardware: the circuit, with and without stalls, is the NumPy semantics."""

import numpy as np
import pytest
from hardware_examples import EXAMPLES, REFUSED
from models import corner_inputs, every_operator_network, joined, random_inputs

import bitloom.ops  # noqa: F401 - registers the operators
from bitloom.errors import UnsupportedError
from bitloom.frontends import Model
from bitloom.ir import Graph
from bitloom.plan import Bus, Target, make_plan
from bitloom.run.executor import ExecutorOptions, create_executor


def assert_circuit_agrees(graph: Graph, inputs: dict[str, np.ndarray], **options) -> None:
    model = Model(graph, graph.name)
    expected = create_executor("numpy", model).run(inputs)
    seen = create_executor("pyrtl", model, ExecutorOptions(bus=Bus.STREAM, **options)).run(inputs)
    assert list(seen.tensors) == list(expected.tensors)
    for name, tensor in expected.tensors.items():
        np.testing.assert_array_equal(seen.tensors[name], tensor, err_msg=name)
        assert seen.tensors[name].dtype == tensor.dtype


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.parametrize("stalls", [False, True], ids=["", "stalls"])
def test_circuit_is_numpy(name: str, stalls: bool) -> None:
    """Every value of every element with stalls, some without."""
    graph = EXAMPLES[name].graph
    inputs = joined(corner_inputs(graph, every=1 if stalls else 17), random_inputs(graph, 4, seed=3))
    assert_circuit_agrees(graph, inputs, stalls=stalls, seed=11)


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_circuit_is_refused(name: str) -> None:
    with pytest.raises(UnsupportedError):
        make_plan(REFUSED[name].graph)


@pytest.mark.parametrize("seed", range(3))
def test_a_network_of_every_operator(seed: int) -> None:
    graph = every_operator_network(seed)
    assert_circuit_agrees(graph, random_inputs(graph, 6, seed), stalls=seed > 0, target=Target(dsp=40))
