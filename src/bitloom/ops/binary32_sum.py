"""Sums of windows as binary32 has them, in integers: what averages between DequantizeLinear and QuantizeLinear add."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from bitloom.arith import Interval, IntType, Rescale
from bitloom.circuits.pool_windows import Windows
from bitloom.circuits.pools import PoolCircuit
from bitloom.circuits.reduction import ReductionCircuit, Result
from bitloom.circuits.streaming import Folding, StreamingCircuit, StreamingOperator, lane_counts
from bitloom.errors import GraphError
from bitloom.hw.reduce import ReduceShape, Reduction
from bitloom.ir import Example, Graph, Node, TensorType, Value, register
from bitloom.ir.operator import Array
from bitloom.ir.types import ElementType
from bitloom.ops.lookup import Lookup
from bitloom.ops.rescaled_average_pool import placed_windows


@dataclass(frozen=True)
class Binary32SumCircuit(ReductionCircuit):
    """Rows of a window first, then its columns; lanes divide both."""

    def foldings(self) -> Iterable[Folding]:
        """Elements of one result in one beat would be added by a tree, in another order."""
        shared = min(stage.inner for stage in self.stages)
        lanes = lane_counts(shared) if shared > 1 else [1]
        for count in lanes:
            yield Folding(simd=count, results=count, rescale_in_logic=True)


@register
@dataclass(frozen=True)
class Binary32Sum(StreamingOperator):
    """The sum of each window, rounded to 24 significant bits after each addition, halves to even.

    Images are (batch, height, width, channels). The elements of a window are added row by row; or, where windows tile
    the image, those of each column from above, then the columns from the left. Elements have 24 significant bits
    themselves: integers times one power of two, they are binary32 numbers. Padding adds 0.

    Source: IEEE 754 addition. The orders are those of ONNX Runtime, found by comparison: AveragePool adds columns first
    where steps along rows are at most 2, and otherwise row by row, as QLinearAveragePool does.

    Attributes:
        window: height and width.
        strides: along height and width.
        padding: above, below, left and right.
        columns_first: the order.
    """

    name = "binary32_sum"
    summary = "sums of windows that round as binary32 additions do (averages of ONNX)"

    reduction = Reduction.BINARY32_SUM

    window: tuple[int, int]
    strides: tuple[int, int]
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    columns_first: bool = False

    def __post_init__(self) -> None:
        if min(self.window + self.strides) < 1 or min(self.padding) < 0:
            raise GraphError(f"windows of {list(self.window)}, strides {list(self.strides)}, padding {self.padding}")
        if self.columns_first and (self.strides != self.window or any(self.padding)):
            raise GraphError("windows that do not tile are added row by row")

    def windows(self, shape: Sequence[int]) -> tuple[Windows, Windows]:
        """The windows along height and width of images of a shape."""
        return placed_windows(shape, self.window, self.strides, self.padding)

    def infer(self, inputs: Sequence[Value]) -> tuple[tuple[tuple[int, ...], ElementType], ...]:
        """A pixel per window, of a type that holds every sum."""
        shape = inputs[0].type.shape
        if len(shape) != 4:
            raise GraphError(f"windows over shape {list(shape)}, not (batch, height, width, channels)")
        height, width = self.windows(shape)
        if min(height.outputs, width.outputs) < 1 or min(height.counts.min(), width.counts.min()) < 1:
            raise GraphError(f"windows of {list(self.window)} over an image of shape {list(shape)}")
        if self.columns_first and not (height.tile and width.tile):
            raise GraphError(f"windows of {list(self.window)} do not tile an image of shape {list(shape)}")
        return (((shape[0], height.outputs, width.outputs, shape[3]), self.output(inputs[0].type.integer)),)

    def output(self, element: IntType) -> IntType:
        """The type of the sums of elements of a type."""
        reached = Interval(element.minimum, element.maximum)
        for count in self.window if self.columns_first else (math.prod(self.window),):
            reached = self.reduction.bounds(reached, count)
        return IntType(reached.signed_bits)

    def evaluate(self, inputs: Sequence[Array]) -> tuple[Array, ...]:
        """x (inferences, batch, height, width, channels), of 24 significant bits: float32 itself adds."""
        x = inputs[0].astype(np.float32)
        height, width = self.windows(x.shape[1:])
        if self.columns_first:
            sums = width.reduce(height.reduce(x, 2, np.add, np.float32(0)), 3, np.add, np.float32(0))
            return (sums.astype(np.int64),)
        top, bottom, left, right = self.padding
        x = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right), (0, 0)))
        total = np.zeros((*x.shape[:2], height.outputs, width.outputs, x.shape[4]), np.float32)
        for down, across in np.ndindex(*self.window):
            rows = slice(down, down + self.strides[0] * (height.outputs - 1) + 1, self.strides[0])
            columns = slice(across, across + self.strides[1] * (width.outputs - 1) + 1, self.strides[1])
            total += x[:, :, rows, columns]
        return (total.astype(np.int64),)

    def circuit(self, operands: Sequence[Value], results: Sequence[Value]) -> StreamingCircuit:  # noqa: ARG002
        """Reductions as the image streams by, or a window in front of one."""
        x = operands[0].type
        output = self.output(x.integer)
        result = Result(output, Interval(output.minimum, output.maximum))
        if not self.columns_first:
            pool = Sums(result.clamp)
            return PoolCircuit(x.integer, x.shape[0], x.shape[3], self.windows(x.shape), pool, output=output)
        batch, height, width, channels = x.shape
        down, across = self.window
        rows = batch * (height // down)
        stages = [ReduceShape(rows, down, width * channels), ReduceShape(rows * (width // across), across, channels)]
        live = tuple(stage for stage in stages if stage.reduced > 1) or (ReduceShape(1, 1, x.size),)
        return Binary32SumCircuit(x.integer, live, self.reduction, result)

    @classmethod
    def examples(cls) -> Iterable[Example]:
        """Squares, rows and columns of elements that round; both orders; padding; elements that do not round."""
        yield _example("squares", (1, 4, 6, 3), (2, 2), 0.0313)
        yield _example("rows", (1, 1, 12, 2), (1, 4), 0.0171)
        yield _example("columns", (2, 6, 3, 1), (3, 1), 0.3)
        yield _example("gray", (1, 4, 4, 1), (2, 2), 0.0571)
        yield _example("exact", (1, 2, 4, 2), (2, 2), 0.25)
        yield _example("pixels", (1, 2, 2, 2), (1, 1), 0.1)
        yield _example("by_rows", (1, 4, 6, 3), (2, 3), 0.0313, Binary32Sum((2, 3), (2, 3)))
        yield _example("overlapping", (1, 4, 4, 2), (3, 2), 0.0171, Binary32Sum((3, 2), (1, 1)))
        yield _example("padded", (1, 5, 4, 2), (2, 2), 0.0171, Binary32Sum((2, 2), (2, 1), (1, 0, 0, 1)))


@dataclass(frozen=True)
class Sums:
    """The parameters of a pool that sums and does nothing else.

    Attributes:
        activation: no clamp: what no sum exceeds.
    """

    activation: Interval

    @property
    def reduction(self) -> Reduction:
        """As binary32 has it."""
        return Reduction.BINARY32_SUM

    def rescale(self, counts: Sequence[int]) -> Rescale | None:  # noqa: ARG002 - whatever they are
        """Sums stay as they are."""
        return None


def _example(
    name: str, shape: tuple[int, ...], window: tuple[int, int], scale: float, operator: Binary32Sum | None = None
) -> Example:
    """Behind a table of the integers from -128 to 127 times a binary32 number."""
    entries = binary32_products(scale, range(-128, 128))
    wide = IntType.holding(min(entries), max(entries))
    x, products = Value("x", TensorType(shape, IntType(8))), Value("products", TensorType(shape, wide))
    operator = operator or Binary32Sum(window, window, columns_first=True)
    ((made, element),) = operator.infer([products])
    y = Value("y", TensorType(made, element))
    nodes = (
        Node("lookup_0", Lookup(IntType(8), wide, entries), ("x",), ("products",)),
        Node("binary32_sum_0", operator, ("products",), ("y",)),
    )
    name = f"binary32_sum_{name}"
    return Example(name, Graph(name, ("x",), ("y",), (x, products, y), nodes))


def binary32_products(scale: float, integers: Iterable[int]) -> tuple[int, ...]:
    """Integers times a binary32 number, rounded to binary32, in units of that number's last place.

    >>> binary32_products(0.5, [-1, 3]), binary32_products(1 + 2**-23, [3])
    ((-8388608, 25165824), (25165828,))
    """
    _, exponent = np.frexp(np.float32(scale))
    products = np.array(list(integers), np.float32) * np.float32(scale)
    return tuple(np.ldexp(products.astype(np.float64), 24 - exponent).astype(np.int64).tolist())
