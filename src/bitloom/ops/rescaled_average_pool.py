"""Averages of windows rounded once to a scale of their own, for formats that define them in real numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bitloom.arith import Interval, IntType, Rescale, Rounding
from bitloom.circuits.convolution_geometry import Axis
from bitloom.circuits.pool_windows import Padding, Windows
from bitloom.circuits.pools import PoolCircuit
from bitloom.circuits.reduction import ReductionCircuit, Result, reduction_stages
from bitloom.circuits.streaming import StreamingCircuit, StreamingOperator
from bitloom.errors import GraphError, UnsupportedError
from bitloom.hw.reduce import Reduction
from bitloom.ir import Example, Graph, Node, Quantization, TensorType, Value, register
from bitloom.ir.operator import Array
from bitloom.ir.types import ElementType


@dataclass(frozen=True)
class PlacedWindows(Windows):
    """Windows with padding in front and behind that is given, not found by a rule.

    Attributes:
        in_front: elements of padding in front.
        behind: elements of padding behind.

    >>> PlacedWindows(5, 3, 2, Padding.VALID, in_front=1, behind=0).counts.tolist()
    [2, 3]
    """

    in_front: int = 0
    behind: int = 0

    @cached_property
    def _axis(self) -> Axis:
        return Axis(self.size, self.taps, self.stride, dilation=1, before=self.in_front, after=self.behind)


def placed_windows(
    shape: Sequence[int], window: tuple[int, int], strides: tuple[int, int], padding: tuple[int, int, int, int]
) -> tuple[Windows, Windows]:
    """Windows along height and width of images of a shape, with padding above, below, left and right."""
    top, bottom, left, right = padding
    height, width = (
        PlacedWindows(size, taps, stride, Padding.VALID, before, after)
        for size, taps, stride, before, after in zip(
            shape[1:3], window, strides, (top, left), (bottom, right), strict=True
        )
    )
    return height, width


@register
@dataclass(frozen=True)
class RescaledAveragePool(StreamingOperator):
    """``clamp(round(ratio * sum(x - zx) / n) + zy)`` over the elements of each window, rounded as a rescale rounds.

    Images are (batch, height, width, channels). n are the elements of a window that are not padding, or all of it.

    Source: ONNX operator specification, AveragePool between DequantizeLinear and QuantizeLinear, which is computed in
    binary32 and so may differ where the real average is within its error of a half; and ONNX Runtime's
    QLinearGlobalAveragePool, which multiplies an integer sum by a binary32 number.

    Attributes:
        window: height and width.
        strides: along height and width.
        padding: above, below, left and right.
        counts_padding: whether n counts padding.
        input_zero_point: zx.
        output_zero_point: zy.
        ratio: input scale divided by output scale.
        activation: the clamp, in output integers.
        output: the output's type.
        rounding: of ``ratio / n`` times the sum.
    """

    name = "rescaled_average_pool"
    summary = "mean of windows rounded once, any scales and padding (ONNX)"

    reduction = Reduction.SUM

    window: tuple[int, int]
    strides: tuple[int, int]
    padding: tuple[int, int, int, int]
    counts_padding: bool
    input_zero_point: int
    output_zero_point: int
    ratio: float
    activation: Interval
    output: IntType
    rounding: Rounding = Rounding.HALF_EVEN

    def __post_init__(self) -> None:
        if min(self.window + self.strides) < 1 or min(self.padding) < 0:
            raise GraphError(
                f"a window of {list(self.window)} with strides {list(self.strides)}, padding {list(self.padding)}"
            )

    def windows(self, shape: Sequence[int]) -> tuple[Windows, Windows]:
        """The windows along height and width of images of a shape."""
        return placed_windows(shape, self.window, self.strides, self.padding)

    def infer(self, inputs: Sequence[Value]) -> tuple[tuple[tuple[int, ...], ElementType], ...]:
        """Images of as many pixels as there are windows, the output type."""
        given = inputs[0].type
        if len(given.shape) != 4:
            raise GraphError(f"{self.name} of shape {list(given.shape)}, not (batch, height, width, channels)")
        height, width = self.windows(given.shape)
        if min(height.outputs, width.outputs) < 1:
            raise GraphError(f"a window of {list(self.window)} does not fit an image of shape {list(given.shape)}")
        if min(height.counts.min(), width.counts.min()) < 1:
            raise GraphError(f"a window of {list(self.window)} with padding {list(self.padding)} holds only padding")
        if not self.output.contains(self.activation.low, self.activation.high):
            raise GraphError(f"the clamp {self.activation} exceeds {self.output}")
        counts = [int(height.counts.max() * width.counts.max())]
        element = given.integer
        farthest = max(element.maximum - self.input_zero_point, self.input_zero_point - element.minimum) * counts[0]
        largest = abs(int(self.rescale(counts).apply([farthest])[0]))
        if farthest >= 2**31 or largest + abs(self.output_zero_point) >= 2**31:
            raise UnsupportedError(f"averages of {counts[0]} elements of {element} leave int32")
        return (((given.shape[0], height.outputs, width.outputs, given.shape[3]), self.output),)

    def rescale(self, counts: Sequence[int]) -> Rescale:
        """From sums of these counts of elements to outputs."""
        taps = self.window[0] * self.window[1]
        divisors = [taps if self.counts_padding else count for count in counts]
        return Rescale(tuple(self.ratio / divisor for divisor in divisors), self.rounding)

    def evaluate(self, inputs: Sequence[Array]) -> tuple[Array, ...]:
        """x (inferences, batch, height, width, channels)."""
        height, width = self.windows(inputs[0].shape[1:])
        centred = inputs[0].astype(np.int64) - self.input_zero_point
        sums = width.reduce(height.reduce(centred, 2, np.add, 0), 3, np.add, 0)
        counts = np.outer(height.counts, width.counts)
        found = np.empty_like(sums)
        for count in np.unique(counts).tolist():
            pixels = counts == count
            found[:, :, pixels] = self.rescale([count]).apply(sums[:, :, pixels])
        return (np.clip(found + self.output_zero_point, self.activation.low, self.activation.high),)

    def circuit(self, operands: Sequence[Value], results: Sequence[Value]) -> StreamingCircuit:  # noqa: ARG002
        """Reductions as the image streams by where windows tile it; otherwise a window in front of one."""
        x = operands[0].type
        height, width = self.windows(x.shape)
        if height.tile and width.tile:
            count = len(height.live) * len(width.live)
            tiled = (x.shape[0], height.outputs, len(height.live), width.outputs, len(width.live), x.shape[3])
            result = Result(
                output=self.output,
                clamp=self.activation,
                rescale=self.rescale([count]),
                bias=-count * self.input_zero_point,
                zero_point=self.output_zero_point,
            )
            return ReductionCircuit(x.integer, reduction_stages(tiled, (2, 4)), self.reduction, result)
        zero_points = (self.input_zero_point, self.output_zero_point)
        return PoolCircuit(x.integer, x.shape[0], x.shape[3], (height, width), self, zero_points, self.output)

    @classmethod
    def examples(cls) -> Iterable[Example]:
        """Windows that tile, overlap and reach into padding that counts or not; scales that change or not; types."""
        uint8 = IntType(8, signed=False)
        yield _example("halved", (1, 4, 6, 3), (2, 2), (2, 2))
        yield _example("one_scale", (1, 4, 6, 3), (2, 2), (2, 2), ratio=1.0)
        yield _example("overlapping", (1, 4, 5, 2), (3, 3), (1, 1))
        yield _example("padded", (1, 5, 4, 4), (3, 3), (2, 1), (1, 1, 1, 1))
        yield _example("counted", (1, 5, 4, 4), (3, 3), (2, 1), (1, 1, 1, 1), counts_padding=True)
        yield _example("overhanging", (1, 5, 5, 2), (2, 2), (2, 2), (0, 1, 0, 1))
        yield _example("global", (1, 5, 4, 4), (5, 4), (1, 1))
        yield _example("in_binary32", (1, 4, 5, 3), (4, 5), (1, 1), rounding=Rounding.FLOAT32)
        yield _example("row", (1, 1, 9, 2), (1, 3), (1, 2))
        yield _example("to_unsigned", (1, 4, 4, 2), (3, 3), (1, 1), (1, 1, 1, 1), output=uint8)
        yield _example("uint8", (1, 4, 4, 2), (2, 2), (2, 2), element=uint8, output=uint8)


def _example(
    name: str,
    shape: tuple[int, int, int, int],
    window: tuple[int, int],
    strides: tuple[int, int],
    padding: tuple[int, int, int, int] = (0, 0, 0, 0),
    *,
    counts_padding: bool = False,
    ratio: float = 0.0313 / 0.0171,
    element: IntType = IntType(8),  # noqa: B008 - immutable
    output: IntType = IntType(8),  # noqa: B008 - immutable
    rounding: Rounding = Rounding.HALF_EVEN,
) -> Example:
    given, made = ((0.0313, 3 if kind.signed else 110) for kind in (element, output))
    operator = RescaledAveragePool(
        window=window,
        strides=strides,
        padding=padding,
        counts_padding=counts_padding,
        input_zero_point=given[1],
        output_zero_point=made[1],
        ratio=ratio,
        activation=Interval(output.minimum, output.maximum),
        output=output,
        rounding=rounding,
    )
    x = Value("x", TensorType(shape, element, Quantization((given[0],), (given[1],))))
    ((size, _),) = operator.infer([x])
    y = Value("y", TensorType(size, output, Quantization((given[0] / ratio,), (made[1],))))
    node = Node("rescaled_average_pool_0", operator, ("x",), ("y",))
    name = f"rescaled_average_pool_{name}"
    return Example(name, Graph(name, ("x",), ("y",), (x, y), (node,)))
