"""Graphs written as TFLite files: read back equal, and refused where the format would say something else."""

from dataclasses import replace

import numpy as np
import pytest
from models import GraphBuilder, assert_litert_agrees, dense_network, every_operator_network, quantized, random_inputs

from bitloom.arith import Interval, IntType, Rescale, Rounding
from bitloom.errors import UnsupportedError
from bitloom.export.tflite import graph_to_tflite
from bitloom.frontends import load_tflite
from bitloom.ir import Graph, Node, Operator, Quantization, TensorType, Value


def with_operator(graph: Graph, position: int, operator: Operator) -> Graph:
    nodes = list(graph.nodes)
    nodes[position] = replace(nodes[position], operator=operator)
    return replace(graph, nodes=tuple(nodes))


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("tail", ["", "softmax", "arg_max"])
def test_networks_read_back_equal(tail: str, per_channel: bool) -> None:
    graph = dense_network((30, 17, 9, 10), seed=3, tail=tail, per_channel=per_channel)
    assert load_tflite(graph_to_tflite(graph), graph.name).graph == graph


def test_a_network_of_every_operator_reads_back_equal() -> None:
    graph = every_operator_network(0)
    assert load_tflite(graph_to_tflite(graph), graph.name).graph == graph


def test_the_same_graph_gives_the_same_bytes() -> None:
    assert graph_to_tflite(every_operator_network(1)) == graph_to_tflite(every_operator_network(1))


def test_constants_that_only_the_file_has_take_free_names() -> None:
    builder = GraphBuilder("names", quantized((2, 6), 0.1, 0))
    builder.add("RESHAPE", quantized((3, 4), 0.1, 0), new_shape=(3, 4))
    graph = builder.graph()
    taken = "reshape_0/shape"
    renamed = Graph(
        "names",
        (taken,),
        graph.outputs,
        (replace(graph.value("x"), name=taken), graph.value("t0")),
        (replace(graph.nodes[0], inputs=(taken,)),),
    )
    assert load_tflite(graph_to_tflite(renamed), "names").graph == renamed


def test_branches_are_judged_too() -> None:
    """One tensor read by two nodes, and two outputs."""
    rng = np.random.default_rng(4)
    left = GraphBuilder("branches", quantized((1, 12), 0.05, 3))
    left.dense(7, rng, activation="RELU")
    shared = left.last
    left.add("TANH", quantized((1, 7), 1 / 128, 0))
    ends = [left.last.name]
    left.last = shared
    left.add("SOFTMAX", quantized((1, 7), 1 / 256, -128), beta=1.0)
    graph = replace(left.graph(), outputs=(*ends, left.last.name))
    assert load_tflite(graph_to_tflite(graph), graph.name).graph == graph
    assert_litert_agrees(graph, random_inputs(graph, 50, 1))


@pytest.mark.parametrize("change", ["rounding", "clamp", "zero_point", "multiplier"])
def test_parameters_that_tflite_cannot_say_are_refused(change: str) -> None:
    graph = dense_network((12, 5), seed=1)
    dense = graph.nodes[0].operator
    changed = {
        "rounding": {"rescale": Rescale(dense.rescale.multipliers, Rounding.HALF_EVEN)},
        "clamp": {"activation": Interval(-100, 101)},
        "zero_point": {"output_zero_point": dense.output_zero_point + 1},
        "multiplier": {"rescale": Rescale((dense.rescale.multipliers[0] * 1.5,), Rounding.FLOAT64)},
    }[change]
    with pytest.raises(UnsupportedError, match="fully_connected_0"):
        graph_to_tflite(with_operator(graph, 0, replace(dense, **changed)))


def test_scales_beyond_binary32_are_refused() -> None:
    graph = dense_network((12, 5), seed=1)
    x = graph.value("x")
    doubled = replace(x, type=replace(x.type, quantization=Quantization((0.1,), (0,))))
    values = tuple(doubled if value is x else value for value in graph.values)
    with pytest.raises(UnsupportedError):
        graph_to_tflite(replace(graph, values=values))


def test_element_types_beyond_the_format_are_refused() -> None:
    builder = GraphBuilder("odd", quantized((1, 4), 0.5, 0, IntType(8)))
    builder.add("RESHAPE", quantized((4, 1), 0.5, 0, IntType(8)), new_shape=(4, 1))
    odd = TensorType((1, 4), IntType(5), Quantization((0.5,), (0,)))
    made = replace(odd, shape=(4, 1))
    node: Node = builder.nodes[0]
    graph = Graph("odd", ("x",), ("t0",), (Value("x", odd), Value("t0", made)), (node,))
    with pytest.raises(UnsupportedError, match="int5"):
        graph_to_tflite(graph)


def test_packed_constants_read_back_equal() -> None:
    rng = np.random.default_rng(5)
    builder = GraphBuilder("packed", quantized((1, 9), 0.1, 2))
    weights = rng.integers(-8, 7, (5, 9), endpoint=True)
    constant = Value("w", TensorType((5, 9), IntType(4), Quantization((0.25,), (0,))), weights)
    builder.add("FULLY_CONNECTED", quantized((1, 5), 0.5, 0), [constant])
    graph = builder.graph()
    read = load_tflite(graph_to_tflite(graph), "packed").graph
    assert read == graph
    assert (read.value("w").constant == weights).all()
    assert_litert_agrees(graph, random_inputs(graph, 40, 2))
