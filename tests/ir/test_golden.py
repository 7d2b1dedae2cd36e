"""The text of some graphs, as it is kept in ``golden/``: a change of the text form, of ranges or widths shows here.

After a change made on purpose, ``REWRITE_GOLDEN=1 pytest tests/ir/test_golden.py`` writes the files anew.
"""

import os
from pathlib import Path

import numpy as np
import pytest

import bitloom.ops  # noqa: F401 - registers the operators
from bitloom.arith import Interval, IntType, Rescale, Rounding
from bitloom.ir import Graph, Node, Quantization, TensorType, Value, operators, parse_graph, print_graph
from bitloom.ops.fully_connected import FullyConnected
from bitloom.ops.reshape import Reshape

GOLDEN = Path(__file__).parent / "golden"
OPERATORS = ["fully_connected", "reshape"]


def two_layers() -> Graph:
    """An image flattened, a hidden layer with ReLU, scores."""
    random = np.random.default_rng(5)
    pixels, hidden_scale, score_scale = Quantization((1 / 255,), (-128,)), (0.02,), (0.1,)
    weights = [random.integers(-127, 128, shape) for shape in ((5, 12), (3, 5))]
    channel_scales = (0.01, 0.02, 0.03)
    values = [
        Value("image", TensorType((1, 3, 4), IntType(8), pixels)),
        Value("flatten/out", TensorType((1, 12), IntType(8), pixels)),
        Value("hidden", TensorType((1, 5), IntType(8), Quantization(hidden_scale, (-128,)))),
        Value("scores", TensorType((1, 3), IntType(8), Quantization(score_scale, (7,)))),
        Value("w1", TensorType((5, 12), IntType(8), Quantization((0.015,), (0,))), weights[0]),
        Value("b1", TensorType((5,), IntType(32), Quantization((0.015 / 255,), (0,))), random.integers(-900, 900, 5)),
        Value("w2", TensorType((3, 5), IntType(8), Quantization(channel_scales, (0, 0, 0), 0)), weights[1]),
    ]
    first = FullyConnected(
        input_zero_point=-128,
        weight_zero_point=0,
        output_zero_point=-128,
        rescale=Rescale((0.015 / 255 / 0.02,), Rounding.FLOAT64),
        activation=Interval(-128, 127),
        output=IntType(8),
    )
    second = FullyConnected(
        input_zero_point=-128,
        weight_zero_point=0,
        output_zero_point=7,
        rescale=Rescale(tuple(scale * 0.02 / 0.1 for scale in channel_scales), Rounding.FLOAT64),
        activation=Interval(-128, 127),
        output=IntType(8),
    )
    nodes = (
        Node("flatten", Reshape((1, 12)), ("image",), ("flatten/out",)),
        Node("dense_1", first, ("flatten/out", "w1", "b1"), ("hidden",)),
        Node("dense_2", second, ("hidden", "w2"), ("scores",)),
    )
    return Graph("two_layers", ("image",), ("scores",), tuple(values), nodes)


def assert_golden(name: str, text: str) -> None:
    path = GOLDEN / name
    if os.environ.get("REWRITE_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def test_two_layers_with_their_constants() -> None:
    graph = two_layers()
    text = print_graph(graph)
    assert_golden("two_layers.txt", text)
    assert parse_graph(text) == graph


@pytest.mark.parametrize("name", OPERATORS)
def test_examples(name: str) -> None:
    graphs = [example.graph for example in operators()[name].examples()]
    assert_golden(f"{name}.txt", "\n".join(print_graph(graph, constants="digest") for graph in graphs))
