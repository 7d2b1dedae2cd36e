"""MEAN over any axes of random shapes, and at every sum: NumPy is LiteRT; what is refused."""

import numpy as np
import pytest
from models import GraphBuilder, assert_litert_agrees, corner_inputs, joined, quantized, random_inputs, single

from bitloom.arith import IntType
from bitloom.errors import GraphError, UnsupportedError
from bitloom.ir import Graph, SourceNode, TensorType, Value
from bitloom.ops.mean import Mean

INT8, UINT8, INT16, INT32 = IntType(8), IntType(8, signed=False), IntType(16), IntType(32)


def axes_operand(axes: list[int]) -> Value:
    return Value("axes", TensorType((len(axes),), INT32), np.array(axes, np.int32))


def mean_graph(
    shape: tuple[int, ...],
    axes: list[int],
    given: tuple[float, int],
    made: tuple[float, int],
    element: IntType = INT8,
    *,
    keep_dims: bool = False,
) -> Graph:
    reduced = {axis % len(shape) for axis in axes}
    y_shape = [1 if axis in reduced else size for axis, size in enumerate(shape) if keep_dims or axis not in reduced]
    builder = GraphBuilder("mean", quantized(shape, *given, element))
    builder.add("MEAN", quantized(y_shape, *made, element), [axes_operand(axes)], keep_dims=keep_dims)
    return builder.graph()


def zero_point(rng: np.random.Generator, element: IntType) -> int:
    return int(rng.integers(element.minimum, element.maximum, endpoint=True)) if element.bits == 8 else 0


@pytest.mark.parametrize("element", [INT8, UINT8, INT16], ids=str)
def test_random_axes(element: IntType) -> None:
    rng = np.random.default_rng(element.bits + element.signed)
    for trial in range(120):
        rank = int(rng.integers(1, 6))
        shape = tuple(int(d) for d in rng.integers(1, 6, rank))
        axes = rng.choice(rank, int(rng.integers(1, rank + 1)), replace=False)
        named = [int(axis) - rank * int(rng.integers(2)) for axis in axes] + [int(axes[0])] * (trial % 3 == 0)
        scale = single(10 ** rng.uniform(-4, 1))
        ratio = (1, 2, 0.5, 3, 0.25)[trial % 5] if trial % 2 else 10 ** rng.uniform(-2, 1)
        given, made = (scale, zero_point(rng, element)), (scale * ratio, zero_point(rng, element))
        graph = mean_graph(shape, named, given, made, element, keep_dims=bool(trial % 2))
        assert_litert_agrees(graph, joined(corner_inputs(graph), random_inputs(graph, 5, trial)))


@pytest.mark.parametrize("element", [INT8, UINT8, INT16], ids=str)
def test_every_sum(element: IntType) -> None:
    """Each count, with ratios that make exact halves and others: the rounding at every sum."""
    rng = np.random.default_rng(element.bits * 2 + element.signed)
    for trial in range(28):
        count = trial + 1 if trial < 14 else int(rng.integers(15, 200))
        scale = single(10 ** rng.uniform(-3, 0))
        ratio = (1, 0.5, 2, 1.5, 1 / count, 0.25, 10 ** rng.uniform(-1, 1))[trial % 7]
        span = element.maximum - element.minimum
        sums = np.arange(count * span + 1) if element.bits == 8 else rng.integers(0, count * span, 4000)
        values = (sums[None, :] + np.arange(count)[:, None]) // count + element.minimum
        given, made = (scale, zero_point(rng, element)), (scale * ratio, zero_point(rng, element))
        graph = mean_graph(values.shape, [0], given, made, element)
        assert_litert_agrees(graph, {"x": values[None].astype(element.dtype)})


@pytest.mark.parametrize("ratio", [2.0**-40, 2.0**-31, 1.7 * 2.0**-30, 2.0**-20, 2.0**10])
def test_ratios_at_the_ends_of_what_shifts_can_say(ratio: float) -> None:
    for count in (1, 3, 7, 48):
        graph = mean_graph((count, 9), [0], (1.0, -128), (1.0 / ratio, 5))
        assert_litert_agrees(graph, corner_inputs(graph))


def refused(axes: Value, element: IntType = INT8, zero_points: tuple[int, int] = (0, 0)) -> SourceNode:
    x, y = (Value(name, quantized((2, 3), 0.1, point, element)) for name, point in zip("xy", zero_points, strict=True))
    return SourceNode("MEAN", {}, (x, axes), (y,), "here")


def test_what_the_kernel_does_not_take_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="not constants"):
        Mean.lower(refused(Value("axes", TensorType((1,), INT32))))
    with pytest.raises(UnsupportedError, match="must be 0"):
        Mean.lower(refused(axes_operand([1]), INT16, (0, 3)))
    with pytest.raises(UnsupportedError, match="MEAN from int32"):
        Mean.lower(refused(axes_operand([1]), INT32))


@pytest.mark.parametrize("axes", [(2,), (-1,), (1, 0), (1, 1)])
def test_axes_that_are_none_are_refused(axes: tuple[int, ...]) -> None:
    with pytest.raises(GraphError, match="along the axes"):
        Mean(axes, False, 0, 0, 1.0, INT8).infer([Value("x", quantized((2, 3), 0.1, 0))])


def test_a_mean_that_leaves_int32_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="int32"):
        Mean((0,), False, 0, 0, 2.0**26, INT8).infer([Value("x", quantized((2, 3), 0.1, 0))])
