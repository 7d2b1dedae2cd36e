"""Pools of random shapes: NumPy is LiteRT; geometry; what is refused."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from models import GraphBuilder, assert_litert_agrees, corner_inputs, joined, quantized, random_inputs

from bitloom.arith import Interval, IntType
from bitloom.circuits.pool_windows import Padding, Windows
from bitloom.errors import GraphError, UnsupportedError
from bitloom.export.tflite import graph_to_tflite
from bitloom.ir import Graph, SourceNode, Value
from bitloom.ops.average_pool_2d import AveragePool2d
from bitloom.ops.max_pool_2d import MaxPool2d
from bitloom.ops.shared.pooling import PoolOperator

KINDS = ("AVERAGE_POOL_2D", "MAX_POOL_2D")
ELEMENTS = (IntType(8), IntType(8, signed=False), IntType(16))


def pool_case(kind: str, rng: np.random.Generator, element: IntType, largest: int = 7) -> Graph:
    """A pool of a random image, windows from one element to more than the image."""
    batch, height, width, channels = (int(d) for d in rng.integers(1, [3, largest + 1, largest + 1, 6]))
    padding = Padding.SAME if rng.integers(2) else Padding.VALID
    beyond = 4 if padding is Padding.SAME else 1
    window = (int(rng.integers(1, height + beyond)), int(rng.integers(1, width + beyond)))
    strides = (int(rng.integers(1, 5)), int(rng.integers(1, 5)))
    zero_point = int(rng.integers(element.minimum, element.maximum)) if element.bits == 8 else 0
    scale = float(rng.uniform(0.005, 0.1))
    shape = [
        Windows(size, taps, stride, padding).outputs
        for size, taps, stride in zip((height, width), window, strides, strict=True)
    ]
    builder = GraphBuilder("pool", quantized((batch, height, width, channels), scale, zero_point, element))
    builder.add(
        kind,
        quantized((batch, *shape, channels), scale, zero_point, element),
        padding=padding.name,
        filter_height=window[0],
        filter_width=window[1],
        stride_h=strides[0],
        stride_w=strides[1],
        fused_activation_function=str(rng.choice(["NONE", "NONE", "RELU", "RELU6", "RELU_N1_TO_1"])),
    )
    return builder.graph()


@pytest.mark.parametrize("element", ELEMENTS, ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_random_pools(kind: str, element: IntType) -> None:
    rng = np.random.default_rng([KINDS.index(kind), ELEMENTS.index(element)])
    for trial in range(60):
        graph = pool_case(kind, rng, element)
        assert_litert_agrees(graph, joined(corner_inputs(graph), random_inputs(graph, 8, trial)))


@pytest.mark.parametrize("count", [1, 2, 3, 4, 6, 7, 9, 10, 16, 25, 49, 64, 125])
def test_every_sum_of_an_average(count: int) -> None:
    """A window of n elements reaches every sum: the rounding at every one of them."""
    element = IntType(8)
    sums = np.arange(count * element.minimum, count * element.maximum + 1)
    # The elements of a sum are its quotient, and one more for as many as the remainder says.
    images = (sums[:, None] + np.arange(count)) // count
    assert (images.sum(axis=1) == sums).all()
    images = images.T.astype(np.int8).reshape(1, 1, count, -1)
    builder = GraphBuilder("average", quantized((1, 1, count, len(sums)), 0.1, 3))
    builder.add(
        "AVERAGE_POOL_2D",
        quantized((1, 1, 1, len(sums)), 0.1, 3),
        padding="VALID",
        filter_height=1,
        filter_width=count,
        stride_h=1,
        stride_w=1,
    )
    assert_litert_agrees(builder.graph(), {"x": images[None]})


@pytest.mark.parametrize("kind", KINDS)
def test_quantization_does_not_matter(kind: str) -> None:
    """The kernels compute on integers as they are, even where scales and zero points differ."""
    builder = GraphBuilder("pool", quantized((1, 4, 4, 2), 0.1, 3))
    builder.add(
        kind,
        quantized((1, 3, 3, 2), 0.05, -7),
        padding="VALID",
        filter_height=2,
        filter_width=2,
        stride_h=1,
        stride_w=1,
        fused_activation_function="RELU6",
    )
    assert_litert_agrees(builder.graph(), random_inputs(builder.graph(), 20, 1))


@settings(max_examples=200, deadline=None)
@given(
    size=st.integers(1, 12), taps=st.integers(1, 15), stride=st.integers(1, 15), padding=st.sampled_from(list(Padding))
)
def test_windows_reduce_like_their_definition(size: int, taps: int, stride: int, padding: Padding) -> None:
    windows = Windows(size, taps, stride, padding)
    values = np.arange(100, 100 + size)
    if windows.outputs < 1:
        assert padding is Padding.VALID
        assert taps > size
        return
    inside = [values[max(start, 0) : start + taps] for start in windows.starts.tolist()]
    assert windows.counts.tolist() == [len(window) for window in inside]
    assert windows.counts.min() >= 1
    assert windows.reduce(values, 0, np.add, 0).tolist() == [window.sum() for window in inside]
    assert windows.reduce(values, 0, np.maximum, -1).tolist() == [window.max() for window in inside]


def test_a_giant_window_takes_no_longer_than_its_image() -> None:
    """A corrupt file may say so."""
    windows = Windows(3, 2**31 - 1, 1, Padding.SAME)
    assert windows.reduce(np.array([1, 5, 2]), 0, np.maximum, 0).tolist() == [5, 5, 5]
    assert windows.counts.tolist() == [3, 3, 3]


def source_node(shape: tuple[int, ...], made: tuple[int, ...], **attributes: object) -> SourceNode:
    operands = (Value("x", quantized(shape, 0.1, 0)),)
    defaults = {"padding": "VALID", "filter_height": 2, "filter_width": 2, "stride_h": 1, "stride_w": 1}
    return SourceNode("MAX_POOL_2D", defaults | attributes, operands, (Value("y", quantized(made, 0.1, 0)),), "here")


@pytest.mark.parametrize("missing", ["filter_height", "stride_w"])
def test_an_empty_window_is_refused(missing: str) -> None:
    with pytest.raises(GraphError, match="window"):
        MaxPool2d.lower(source_node((1, 4, 4, 1), (1, 3, 3, 1), **{missing: 0}))


def test_an_unknown_activation_or_type_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="TANH"):
        MaxPool2d.lower(source_node((1, 4, 4, 1), (1, 3, 3, 1), fused_activation_function="TANH"))
    node = source_node((1, 4, 4, 1), (1, 3, 3, 1))
    wide = Value("y", quantized((1, 3, 3, 1), 0.1, 0, IntType(16)))
    with pytest.raises(UnsupportedError, match="int8 to int16"):
        MaxPool2d.lower(dataclasses.replace(node, outputs=(wide,)))


@pytest.mark.parametrize("kind", [AveragePool2d, MaxPool2d])
@pytest.mark.parametrize("shape", [(4, 4), (1, 1, 4, 1)])
def test_a_window_beyond_the_image_is_refused(kind: type[PoolOperator], shape: tuple[int, ...]) -> None:
    operator = kind((2, 2), (1, 1), Padding.VALID, Interval(-128, 127))
    with pytest.raises(GraphError, match=r"2d of shape|does not fit"):
        operator.infer([Value("x", quantized(shape, 0.1, 0))])


def test_sums_beyond_int32_are_refused() -> None:
    operator = AveragePool2d((300, 300), (1, 1), Padding.VALID, Interval(-(2**15), 2**15 - 1))
    with pytest.raises(UnsupportedError, match="int32"):
        operator.infer([Value("x", quantized((1, 300, 300, 1), 0.1, 0, IntType(16)))])


def test_a_clamp_that_no_activation_makes_cannot_be_written() -> None:
    builder = GraphBuilder("pool", quantized((1, 2, 2, 1), 0.1, 0))
    attributes = {"padding": "SAME", "filter_height": 2, "filter_width": 2, "stride_h": 1, "stride_w": 1}
    builder.add("MAX_POOL_2D", quantized((1, 2, 2, 1), 0.1, 0), **attributes)
    graph = builder.graph()
    node = dataclasses.replace(
        graph.nodes[0], operator=dataclasses.replace(graph.nodes[0].operator, activation=Interval(-5, 5))
    )
    with pytest.raises(UnsupportedError, match="clamp"):
        graph_to_tflite(dataclasses.replace(graph, nodes=(node,)))
