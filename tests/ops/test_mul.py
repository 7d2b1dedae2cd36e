"""MUL and PRELU: every pair of 8-bit values at many scales is LiteRT's."""

import numpy as np
import pytest
from models import assert_litert_agrees
from pairs import INT8, UINT8, assert_every_pair_agrees, log_uniform, pair_graph, random_zero_points

from bitloom.errors import ArithmeticDomainError, GraphError, UnsupportedError
from bitloom.ir import Graph, Node, SourceNode, Value, operators


def prelu_graph(scales: tuple[float, float, float], zero_points: tuple[int, int, int], element=INT8) -> Graph:
    """Every element with every slope: a result as wide as the input, so that LiteRT takes it."""
    pairs = pair_graph("MUL", scales, zero_points, element)
    x, slope, result = pairs.values
    square = Value("x", type(x.type)((256, 256), x.type.element, x.type.quantization))
    lowered = operators()["prelu"].lower(SourceNode("PRELU", {}, (square, slope), (result,), "prelu"))
    return Graph(
        "prelu", ("x", "y"), ("z",), (square, slope, result), (Node("node", lowered.operator, ("x", "y"), ("z",)),)
    )


@pytest.mark.parametrize("kind", ["MUL", "PRELU"])
@pytest.mark.parametrize("spread", [0.5, 2.0, 5.0], ids=["alike", "apart", "extreme"])
def test_every_pair(kind: str, spread: float) -> None:
    rng = np.random.default_rng(int(spread * 2) + len(kind))
    done = 0
    while done < 20:
        element = UINT8 if done % 5 == 0 else INT8
        one, two, three = (log_uniform(rng, 10**-spread, 10**spread) for _ in range(3))
        scales = (0.05 * one, 0.01 * two, 0.05 * three)
        zero_points = random_zero_points(rng, element)
        activation = str(rng.choice(["NONE", "RELU", "RELU6"]))
        try:
            if kind == "PRELU":
                graph = prelu_graph(scales, zero_points, element)
            else:
                graph = pair_graph(kind, scales, zero_points, element, fused_activation_function=activation)
        except (UnsupportedError, ArithmeticDomainError):
            assert spread == 5.0
            continue
        if kind == "PRELU":
            assert_square_agrees(graph, np.arange(element.minimum, element.maximum + 1).astype(element.dtype))
        else:
            assert_every_pair_agrees(graph)
        done += 1


def assert_square_agrees(graph: Graph, values: np.ndarray) -> None:
    assert_litert_agrees(graph, {"x": np.tile(values[:, None], (1, 1, 256)), "y": values.reshape(1, 1, 256)})


@pytest.mark.parametrize("scales", [(0.05, 1 / 256, 0.05), (1, 1, 2), (0.5, 0.5, 1), (0.25, 0.5, 16), (1, 3, 4)])
def test_every_pair_at_exact_halves(scales: tuple[float, float, float]) -> None:
    for zero_points in ((0, 0, 0), (5, -9, 3), (-128, 127, -128), (7, -128, 7)):
        assert_every_pair_agrees(pair_graph("MUL", scales, zero_points))
        assert_square_agrees(prelu_graph(scales, zero_points), np.arange(-128, 128).astype(np.int8))


def test_products_that_leave_int32_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="leaves int32"):
        pair_graph("MUL", (1e3, 1e3, 1.0), (0, 0, 0))


def test_slopes_that_widen_the_input_are_refused() -> None:
    graph = prelu_graph((1, 1, 1), (0, 0, 0))
    x, slope, _ = graph.values
    column = Value("x", type(x.type)((256, 1), x.type.element, x.type.quantization))
    with pytest.raises(GraphError, match=r"slopes of shape \[1, 256\] widen the input of \[256, 1\]"):
        graph.nodes[0].operator.infer([column, slope])
