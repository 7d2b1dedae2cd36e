"""Every example of every operator: NumPy's answer is LiteRT's, in every element."""

import pytest
from models import assert_litert_agrees, corner_inputs, every_operator_network, joined, random_inputs

import bitloom.ops  # noqa: F401 - registers the operators
from bitloom.errors import UnsupportedError
from bitloom.export.tflite import graph_to_tflite
from bitloom.frontends import load_tflite
from bitloom.ir import Example, Graph, operators, parse_graph, print_graph

EXAMPLES = [example for operator in operators().values() for example in operator.examples()]


def has_tflite_form(example: Example) -> bool:
    """Operators of ONNX only are judged by ONNX Runtime, in the tests of its front end."""
    graph = example.graph
    try:
        for node in graph.nodes:
            node.operator.to_tflite(graph.operands(node), graph.results(node))
    except UnsupportedError:
        return False
    return True


TFLITE_BY_NAME = pytest.mark.parametrize(
    "example", [example for example in EXAMPLES if has_tflite_form(example)], ids=lambda example: example.name
)
BY_NAME = pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)


def test_every_operator_has_examples_of_its_own() -> None:
    for name, operator in operators().items():
        graphs = [example.graph for example in operator.examples()]
        assert graphs, name
        assert all(graph.nodes[-1].operator.name == name for graph in graphs), name
    names = [example.name for example in EXAMPLES]
    assert len(names) == len(set(names))


def test_only_operators_of_onnx_have_no_tflite_form() -> None:
    without = {example.graph.nodes[-1].operator.name for example in EXAMPLES if not has_tflite_form(example)}
    edges, averages = (
        {"quantize_linear", "quantize_steps", "dequantize_steps"},
        {"binary32_sum", "rescaled_average_pool"},
    )
    assert without == edges | averages | {"lookup", "multi_threshold", "rounded_softmax"}


@TFLITE_BY_NAME
def test_numpy_is_litert(example: Example) -> None:
    graph = example.graph
    assert_litert_agrees(graph, joined(corner_inputs(graph), random_inputs(graph, 50, seed=7)))


@TFLITE_BY_NAME
def test_written_and_read_back_is_the_same_graph(example: Example) -> None:
    assert load_tflite(graph_to_tflite(example.graph), example.graph.name).graph == example.graph


@BY_NAME
def test_printed_and_parsed_is_the_same_graph(example: Example) -> None:
    assert parse_graph(print_graph(example.graph)) == example.graph


@BY_NAME
def test_costs_and_notes_can_be_told(example: Example) -> None:
    graph: Graph = example.graph
    for node in graph.nodes:
        cost = node.operator.cost(graph.operands(node))
        assert cost.macs >= 0
        assert cost.parameters >= 0
        assert all(isinstance(note, str) for note in node.operator.notes(graph.operands(node)))


@pytest.mark.parametrize("seed", range(8))
def test_a_network_of_every_operator(seed: int) -> None:
    graph = every_operator_network(seed)
    assert_litert_agrees(graph, joined(corner_inputs(graph), random_inputs(graph, 50, seed)))
