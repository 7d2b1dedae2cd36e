"""What AVERAGE_POOL_2D and MAX_POOL_2D share: shapes, circuits, reading and writing, examples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from bitloom.arith import Interval, IntType, Rescale
from bitloom.circuits.pool_windows import Padding, Windows
from bitloom.circuits.pools import PoolCircuit
from bitloom.circuits.reduction import ReductionCircuit, Result, reduction_stages
from bitloom.circuits.streaming import StreamingCircuit, StreamingOperator
from bitloom.errors import GraphError, UnsupportedError
from bitloom.hw.reduce import Reduction
from bitloom.ir import Cost, Example, Lowered, Quantization, SourceNode, TensorType, Value
from bitloom.ir.operator import Array
from bitloom.ir.types import ElementType
from bitloom.ops.shared.fused import activation_named, fused_clamp
from bitloom.ops.shared.support import example_graph, require_kinds


@dataclass(frozen=True)
class PoolOperator(StreamingOperator):
    """A function of all elements of a window, in each channel. Images are (batch, height, width, channels).

    The kernels compute on integers as they are: scales and zero points decide only the clamp.

    Attributes:
        window: height and width.
        strides: along height and width.
        padding: the rule of both axes.
        activation: the clamp, in output integers.
    """

    kernel_types: ClassVar[tuple[str, ...]] = ("int8", "uint8", "int16")
    reduction: ClassVar[Reduction]

    window: tuple[int, int]
    strides: tuple[int, int]
    padding: Padding
    activation: Interval

    def __post_init__(self) -> None:
        if min(self.window + self.strides) < 1:
            raise GraphError(f"a window of {list(self.window)} with strides {list(self.strides)}")

    def windows(self, shape: Sequence[int]) -> tuple[Windows, Windows]:
        """The windows along height and width of images of a shape."""
        height, width = (
            Windows(size, taps, stride, self.padding)
            for size, taps, stride in zip(shape[1:3], self.window, self.strides, strict=True)
        )
        return height, width

    def infer(self, inputs: Sequence[Value]) -> tuple[tuple[tuple[int, ...], ElementType], ...]:
        """Images of as many pixels as there are windows, the operand's type."""
        given = inputs[0].type
        if len(given.shape) != 4:
            raise GraphError(f"{self.name} of shape {list(given.shape)}, not (batch, height, width, channels)")
        height, width = self.windows(given.shape)
        if min(height.outputs, width.outputs) < 1:
            raise GraphError(f"a window of {list(self.window)} does not fit an image of shape {list(given.shape)}")
        if not given.integer.contains(self.activation.low, self.activation.high):
            raise GraphError(f"the clamp {self.activation} exceeds {given.element}")
        return (((given.shape[0], height.outputs, width.outputs, given.shape[3]), given.element),)

    def reduced(self, images: Array, function: np.ufunc, initial: int | np.generic) -> Array:
        """Every window reduced: images (inferences, batch, height, width, channels) to as many dimensions."""
        height, width = self.windows(images.shape[1:])
        return width.reduce(height.reduce(images, 2, function, initial), 3, function, initial)

    def cost(self, inputs: Sequence[Value]) -> Cost:  # noqa: ARG002 - nothing is multiplied
        """Additions or comparisons only."""
        return Cost()

    def circuit(self, operands: Sequence[Value], results: Sequence[Value]) -> StreamingCircuit:  # noqa: ARG002
        """Reductions as the image streams by where windows tile it; otherwise a window in front of one."""
        x = operands[0].type
        height, width = self.windows(x.shape)
        if height.tile and width.tile:
            batch, channels = x.shape[0], x.shape[3]
            tiled = (batch, height.outputs, len(height.live), width.outputs, len(width.live), channels)
            result = Result(x.integer, self.activation, self.rescale([len(height.live) * len(width.live)]))
            return ReductionCircuit(x.integer, reduction_stages(tiled, (2, 4)), self.reduction, result)
        return PoolCircuit(x.integer, x.shape[0], x.shape[3], (height, width), self)

    def rescale(self, counts: Sequence[int]) -> Rescale | None:  # noqa: ARG002 - the default rescales nothing
        """From a window's reduced elements to the output, for windows of these counts of elements."""
        return None

    def to_tflite(self, inputs: Sequence[Value], outputs: Sequence[Value]) -> SourceNode:
        """With the fused activation whose clamp this is."""
        made = outputs[0].type
        attributes = {
            "padding": self.padding.name,
            "filter_height": self.window[0],
            "filter_width": self.window[1],
            "stride_h": self.strides[0],
            "stride_w": self.strides[1],
            "fused_activation_function": activation_named(self.activation, made),
        }
        return SourceNode(self.tflite[0], attributes, tuple(inputs), tuple(outputs), self.name)

    @classmethod
    def lower(cls, source: SourceNode) -> Lowered:
        """From a file's node."""
        require_kinds(source, [(kind, kind) for kind in cls.kernel_types])
        attributes = source.attributes
        clamp = fused_clamp(source)
        padding = attributes.get("padding", Padding.SAME.name)
        if padding not in Padding.__members__:
            raise UnsupportedError(f"{source.kind} with padding {padding}", where=source.where)
        operator = cls(
            window=(int(attributes.get("filter_height", 0)), int(attributes.get("filter_width", 0))),
            strides=(int(attributes.get("stride_h", 0)), int(attributes.get("stride_w", 0))),
            padding=Padding[padding],
            activation=clamp,
        )
        return Lowered(operator, (source.operand(0).name,))


class ExamplePools:
    """Examples of a pool: each way that windows lie in an image, activations, element types."""

    def __init__(self, operator: type[PoolOperator]) -> None:
        self.operator = operator

    def __iter__(self) -> Iterator[Example]:
        """Small images, so that every executor is fast."""
        int8, uint8, int16 = IntType(8), IntType(8, signed=False), IntType(16)
        example = self._example
        yield example("halved", (1, 4, 6, 3), (2, 2), (2, 2), "VALID", int8)
        yield example("overlapping", (1, 4, 5, 2), (3, 3), (1, 1), "VALID", int8)
        yield example("same", (1, 5, 4, 4), (3, 3), (2, 1), "SAME", int8)
        yield example("same_even", (1, 4, 3, 1), (2, 4), (1, 1), "SAME", int8, "RELU")
        yield example("larger_than_image", (1, 2, 3, 2), (5, 6), (2, 3), "SAME", int8)
        yield example("sparse", (1, 5, 7, 2), (1, 2), (2, 3), "VALID", int8)
        yield example("pixels", (1, 2, 2, 5), (1, 1), (1, 1), "SAME", int8, "RELU6")
        yield example("global", (1, 5, 4, 4), (5, 4), (5, 4), "VALID", int8)
        yield example("relu_n1_to_1", (1, 3, 3, 2), (2, 2), (1, 1), "SAME", int8, "RELU_N1_TO_1")
        yield example("batch", (2, 3, 3, 2), (2, 2), (1, 1), "VALID", int8)
        yield example("uint8", (1, 4, 4, 2), (3, 3), (1, 1), "SAME", uint8)
        yield example("int16", (1, 4, 4, 2), (3, 3), (1, 1), "VALID", int16)

    def _example(
        self,
        name: str,
        shape: tuple[int, ...],
        window: tuple[int, int],
        strides: tuple[int, int],
        padding: str,
        element: IntType,
        activation: str = "NONE",
    ) -> Example:
        quantization = Quantization((0.04,), ({"int8": -5, "uint8": 110}.get(str(element), 0),))
        attributes = {
            "padding": padding,
            "filter_height": window[0],
            "filter_width": window[1],
            "stride_h": strides[0],
            "stride_w": strides[1],
            "fused_activation_function": activation,
        }
        x = Value("x", TensorType(shape, element, quantization))
        height, width = (
            Windows(size, taps, stride, Padding[padding]).outputs
            for size, taps, stride in zip(shape[1:3], window, strides, strict=True)
        )
        y = Value("y", TensorType((shape[0], height, width, shape[3]), element, quantization))
        kind = self.operator.tflite[0]
        return example_graph(self.operator, f"{self.operator.name}_{name}", kind, [x], y, attributes)
