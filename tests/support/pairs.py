"""All pairs of 8-bit values through an operator of two operands, against LiteRT."""

from __future__ import annotations

import numpy as np
from models import assert_litert_agrees, quantized

from bitloom.arith import IntType
from bitloom.ir import Graph, Node, SourceNode, Value
from bitloom.ir.operator import Array, spelled

INT8, UINT8 = IntType(8), IntType(8, signed=False)


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """A number whose logarithm is uniform."""
    return float(10 ** rng.uniform(np.log10(low), np.log10(high)))


def pair_graph(
    kind: str, scales: tuple[float, float, float], zero_points: tuple[int, int, int], element: IntType = INT8, **options
) -> Graph:
    """A column of 256 elements and a row of 256, broadcast to every pair.

    Raises:
        UnsupportedError: the operator refuses the scales.
    """
    shapes = ((256, 1), (1, 256), (256, 256))
    x, y, z = (
        Value(name, quantized(shape, scale, zero_point, element))
        for name, shape, scale, zero_point in zip("xyz", shapes, scales, zero_points, strict=True)
    )
    operator = spelled(kind, lambda candidate: candidate.tflite)
    assert operator is not None
    lowered = operator.lower(SourceNode(kind, options, (x, y), (z,), kind))
    return Graph(kind.lower(), ("x", "y"), ("z",), (x, y, z), (Node("node", lowered.operator, ("x", "y"), ("z",)),))


def every_pair(graph: Graph) -> dict[str, Array]:
    """One inference of all values in both operands."""
    inputs = {}
    for name in graph.inputs:
        element = graph.type(name).integer
        values = np.arange(element.minimum, element.maximum + 1).astype(element.dtype)
        inputs[name] = values.reshape(1, *graph.type(name).shape)
    return inputs


def assert_every_pair_agrees(graph: Graph) -> None:
    """NumPy's 65,536 results are LiteRT's."""
    assert_litert_agrees(graph, every_pair(graph))


def random_zero_points(rng: np.random.Generator, element: IntType = INT8) -> tuple[int, int, int]:
    """Any, and often the ends."""
    ends = (element.minimum, element.maximum, 0)
    one, two, three = (
        int(rng.choice(ends)) if rng.random() < 0.3 else int(rng.integers(element.minimum, element.maximum + 1))
        for _ in range(3)
    )
    return one, two, three
