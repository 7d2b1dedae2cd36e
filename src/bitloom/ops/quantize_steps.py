"""Real numbers become integers at the edge of a graph, by the numbers at which the integer changes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bitloom.arith import IntType
from bitloom.errors import GraphError
from bitloom.ir import FLOAT32, Example, Graph, Node, Operator, TensorType, Value, register
from bitloom.ir.operator import Array
from bitloom.ir.types import ElementType


@register
@dataclass(frozen=True)
class QuantizeSteps(Operator):
    """``y = values[c][k]``, k being how many of ``thresholds[c]`` are not above the binary32 number x.

    Whatever a format does to its inputs in binary32 before it rounds them is monotone and so is known completely by
    the binary32 numbers at which the result changes.

    Attributes:
        output: the type of y.
        thresholds: binary32 numbers, ascending, for all elements or for each channel.
        values: one more for each channel.
        axis: of the channels; None for one function of all elements.
    """

    name = "quantize_steps"
    summary = "float32 to integers at a graph's edge, by thresholds (normalisation and quantizer of QONNX)"
    float_edge = True

    output: IntType
    thresholds: tuple[tuple[float, ...], ...]
    values: tuple[tuple[int, ...], ...]
    axis: int | None = None

    def infer(self, inputs: Sequence[Value]) -> tuple[tuple[tuple[int, ...], ElementType], ...]:
        """The operand's shape, the output type."""
        x = inputs[0].type
        if x.element != FLOAT32:
            raise GraphError(f"quantize_steps takes float32, not {x.element}")
        if self.axis is not None and not 0 <= self.axis < len(x.shape):
            raise GraphError(f"channels along axis {self.axis} of shape {list(x.shape)}")
        channels = 1 if self.axis is None else x.shape[self.axis]
        if not len(self.thresholds) == len(self.values) == channels:
            raise GraphError(f"{len(self.thresholds)} functions for {channels} channels")
        for row, made in zip(self.thresholds, self.values, strict=True):
            if len(made) != len(row) + 1 or not np.isfinite(row).all() or list(row) != sorted(row):
                raise GraphError("thresholds do not ascend, or do not have one value more")
            if not self.output.contains(min(made), max(made)):
                raise GraphError(f"values from {min(made)} to {max(made)} for results of {self.output}")
        return ((x.shape, self.output),)

    def evaluate(self, inputs: Sequence[Array]) -> tuple[Array, ...]:
        """x float32 (inferences, *shape)."""
        x = inputs[0].astype(np.float32, copy=False)
        if self.axis is None:
            return (self._found(0, x),)
        channels = np.moveaxis(x, self.axis + 1, 0)
        made = np.stack([self._found(channel, part) for channel, part in enumerate(channels)])
        return (np.moveaxis(made, 0, self.axis + 1),)

    def _found(self, channel: int, x: npt.NDArray[np.float32]) -> Array:
        row = np.array(self.thresholds[channel], np.float32)
        values = np.array(self.values[channel], self.output.dtype)
        return values[np.searchsorted(row, x, side="right")]

    @classmethod
    def examples(cls) -> Iterable[Example]:
        """One function, and one for each channel."""
        yield _example("ternary", None, ((-0.5, 0.5),), ((-1, 0, 1),))
        yield _example("channels", 1, ((-0.25, 0.5), (0.125,), (-0.75, 0.75)), ((-1, 0, 1), (1, -2), (0, 1, 0)))


def _example(
    name: str, axis: int | None, thresholds: tuple[tuple[float, ...], ...], values: tuple[tuple[int, ...], ...]
) -> Example:
    x, y = Value("x", TensorType((1, 3, 4), FLOAT32)), Value("y", TensorType((1, 3, 4), IntType(2)))
    node = Node("quantize_steps_0", QuantizeSteps(IntType(2), thresholds, values, axis), ("x",), ("y",))
    name = f"quantize_steps_{name}"
    return Example(name, Graph(name, ("x",), ("y",), (x, y), (node,)))
