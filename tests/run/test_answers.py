"""What a classifier's output says."""

import numpy as np
import pytest
from models import dense_network, quantized

from bitloom.errors import UsageError
from bitloom.ir import Graph, Value
from bitloom.run.answers import answers


def test_of_equal_scores_the_first_wins() -> None:
    graph = dense_network((6, 4), seed=0)
    name = graph.outputs[0]
    scores = np.array([[[1, 5, 5, 2]], [[-128] * 4], [[0, 0, 0, 127]]], np.int8)
    found = answers(graph, {name: scores})
    assert found.tensor == name
    assert found.classes.tolist() == [1, 0, 3]
    assert found.scores.shape == (3, 4)


def test_arg_max_names_the_class_and_reads_the_scores() -> None:
    graph = dense_network((6, 4), seed=0, tail="arg_max")
    scores, output = graph.nodes[-1].inputs[0], graph.outputs[0]
    tensors = {scores: np.array([[[1, 9, 3, 4]]], np.int8), output: np.array([[2]], np.int32)}
    found = answers(graph, tensors)
    assert (found.tensor, found.classes.tolist(), found.scores.tolist()) == (scores, [2], [[1, 9, 3, 4]])
    alone = answers(graph, {output: tensors[output]})
    assert (alone.tensor, alone.classes.tolist(), alone.scores.tolist()) == (output, [2], [[2]])


def test_a_graph_that_computes_nothing() -> None:
    wire = Graph("wire", ("x",), ("x",), (Value("x", quantized((4,), 1, 0)),), ())
    with pytest.raises(UsageError, match="'wire' computes nothing"):
        answers(wire, {})
