"""Sums of windows as binary32 has them, in integers: what averages between DequantizeLinear and QuantizeLinear add."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from bitloom.arith import Interval, IntType
from bitloom.circuits.reduction import ReductionCircuit, Result
from bitloom.circuits.streaming import Folding, StreamingCircuit, StreamingOperator, lane_counts
from bitloom.errors import GraphError
from bitloom.hw.reduce import ReduceShape, Reduction
from bitloom.ir import Example, Graph, Node, TensorType, Value, register
from bitloom.ir.operator import Array
from bitloom.ir.types import ElementType
from bitloom.ops.lookup import Lookup


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

    Images are (batch, height, width, channels), cut into windows that tile them. The elements of each column of a
    window are added from above, then the columns from the left. Elements have 24 significant bits themselves: integers
    times one power of two, they are binary32 numbers.

    Source: IEEE 754 addition; the order is that of ONNX Runtime's average pools with steps of at most 2 along rows,
    found by comparison.

    Attributes:
        window: height and width.
    """

    name = "binary32_sum"
    summary = "sums of windows that round as binary32 additions do (averages of ONNX)"

    window: tuple[int, int]

    def infer(self, inputs: Sequence[Value]) -> tuple[tuple[tuple[int, ...], ElementType], ...]:
        """A pixel per window, of a type that holds every sum."""
        shape = inputs[0].type.shape
        if len(shape) != 4 or min(self.window) < 1:
            raise GraphError(f"windows of {list(self.window)} over shape {list(shape)}")
        if shape[1] % self.window[0] or shape[2] % self.window[1]:
            raise GraphError(f"windows of {list(self.window)} do not tile an image of shape {list(shape)}")
        made = (shape[0], shape[1] // self.window[0], shape[2] // self.window[1], shape[3])
        return ((made, self.output(inputs[0].type.integer)),)

    def output(self, element: IntType) -> IntType:
        """The type of the sums of elements of a type."""
        reached = Interval(element.minimum, element.maximum)
        for count in self.window:
            reached = Reduction.BINARY32_SUM.bounds(reached, count)
        return IntType(reached.signed_bits)

    def evaluate(self, inputs: Sequence[Array]) -> tuple[Array, ...]:
        """x (inferences, batch, height, width, channels), of 24 significant bits: float32 itself adds."""
        x = inputs[0].astype(np.float32)
        down, across = self.window
        *images, height, width, channels = x.shape
        x = x.reshape(*images, height // down, down, width // across, across, channels)
        columns = x[..., 0, :, :, :]
        for row in range(1, down):
            columns = columns + x[..., row, :, :, :]
        total = columns[..., 0, :]
        for column in range(1, across):
            total = total + columns[..., column, :]
        return (total.astype(np.int64),)

    def circuit(self, operands: Sequence[Value], results: Sequence[Value]) -> StreamingCircuit:  # noqa: ARG002
        """Reductions as the image streams by."""
        x = operands[0].type
        batch, height, width, channels = x.shape
        down, across = self.window
        rows = batch * (height // down)
        stages = [
            ReduceShape(rows, down, width * channels),
            ReduceShape(rows * (width // across), across, channels),
        ]
        live = tuple(stage for stage in stages if stage.reduced > 1) or (ReduceShape(1, 1, x.size),)
        output = self.output(x.integer)
        result = Result(output, Interval(output.minimum, output.maximum))
        return Binary32SumCircuit(x.integer, live, Reduction.BINARY32_SUM, result)

    @classmethod
    def examples(cls) -> Iterable[Example]:
        """Squares, rows and columns of elements that round; elements that do not."""
        yield _example("squares", (1, 4, 6, 3), (2, 2), 0.0313)
        yield _example("rows", (1, 1, 12, 2), (1, 4), 0.0171)
        yield _example("columns", (2, 6, 3, 1), (3, 1), 0.3)
        yield _example("gray", (1, 4, 4, 1), (2, 2), 0.0571)
        yield _example("exact", (1, 2, 4, 2), (2, 2), 0.25)
        yield _example("pixels", (1, 2, 2, 2), (1, 1), 0.1)


def _example(name: str, shape: tuple[int, ...], window: tuple[int, int], scale: float) -> Example:
    """Behind a table of the integers from -128 to 127 times a binary32 number."""
    entries = binary32_products(scale, range(-128, 128))
    wide = IntType.holding(min(entries), max(entries))
    x, products = Value("x", TensorType(shape, IntType(8))), Value("products", TensorType(shape, wide))
    operator = Binary32Sum(window)
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
