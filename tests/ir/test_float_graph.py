"""Float graphs: what makes one well formed."""

import numpy as np
import pytest

from bitloom.errors import GraphError
from bitloom.ir import FloatGraph, FloatNode, FloatTensor


def test_a_constant_keeps_a_copy() -> None:
    data = np.ones((2, 3), np.float32)
    tensor = FloatTensor("w", (2, 3), data)
    data[:] = 7
    assert tensor.constant.sum() == 6
    assert not tensor.constant.flags.writeable


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_named(number: float) -> None:
    data = np.zeros((2, 3))
    data[1, 2] = number
    with pytest.raises(GraphError, match=r"tensor 'w': holds .* at \[1, 2\]"):
        FloatTensor("w", (2, 3), data)


def test_elements_have_the_shape() -> None:
    with pytest.raises(GraphError, match="of shape"):
        FloatTensor("w", (3, 2), np.zeros((2, 3)))
    with pytest.raises(GraphError, match="not positive"):
        FloatTensor("w", (0, 2))


def _graph(nodes: tuple[FloatNode, ...], names: str = "xyz") -> FloatGraph:
    return FloatGraph("net", ("x",), ("y",), tuple(FloatTensor(name, (1, 2)) for name in names), nodes)


@pytest.mark.parametrize(
    ("nodes", "names", "message"),
    [
        ((FloatNode("RELU", ("z",), ("y",)),), "xyz", "reads 'z' before"),
        ((FloatNode("RELU", ("x",), ("y",)), FloatNode("RELU", ("x",), ("y",))), "xy", "there already"),
        ((FloatNode("RELU", ("x",), ("x",)),), "xy", "there already"),
        ((FloatNode("RELU", ("x",), ("y",)),), "xyy", "two tensors"),
        ((), "xy", "no tensor 'y'"),
        ((FloatNode("RELU", ("x",), ("y",)),), "x", "no tensor 'y'"),
    ],
)
def test_malformed_graphs_are_refused(nodes: tuple[FloatNode, ...], names: str, message: str) -> None:
    with pytest.raises(GraphError, match=message):
        _graph(nodes, names)


def test_absent_operands_are_skipped() -> None:
    node = FloatNode("FULLY_CONNECTED", ("x", "z", None), ("y",))
    assert node.read == ("x", "z")
    assert node.where == "FULLY_CONNECTED 'y'"
