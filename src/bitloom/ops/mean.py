"""MEAN: the mean over some axes, rescaled to the output's quantization."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from bitloom.arith import Interval, IntType
from bitloom.arith.division import MeanRescale
from bitloom.circuits.reduction import ReductionCircuit, Result, reduction_stages
from bitloom.circuits.streaming import StreamingCircuit, StreamingOperator
from bitloom.errors import GraphError, UnsupportedError
from bitloom.hw.reduce import Reduction
from bitloom.ir import Example, Lowered, Quantization, SourceNode, TensorType, Value, register
from bitloom.ir.operator import Array
from bitloom.ir.types import ElementType
from bitloom.ops.shared.support import example_graph, require_int32, require_kinds


@register
@dataclass(frozen=True)
class Mean(StreamingOperator):
    """``clamp(rescale(sum - n * zx) + zy)`` over the n elements along some axes.

    Source: LiteRT's reference kernel; the rescale is `MeanRescale`, found by comparison with the interpreter.

    Attributes:
        axes: rising, 0 or more, of the operand's own shape.
        keep_dims: whether the result keeps the axes, with one element each.
        input_zero_point: zx.
        output_zero_point: zy.
        ratio: input scale divided by output scale.
        output: the output's type.
    """

    name = "mean"
    tflite = ("MEAN",)
    summary = "mean over any axes, with a change of scale"

    axes: tuple[int, ...]
    keep_dims: bool
    input_zero_point: int
    output_zero_point: int
    ratio: float
    output: IntType

    def count(self, shape: Sequence[int]) -> int:
        """How many elements of an operand of this shape make one of the result."""
        return math.prod(shape[axis] for axis in self.axes)

    def infer(self, inputs: Sequence[Value]) -> tuple[tuple[tuple[int, ...], ElementType], ...]:
        """The operand's shape without the axes, or with ones in their places."""
        given = inputs[0].type
        shape, element = given.shape, given.integer
        if self.axes != tuple(sorted(set(self.axes))) or not all(0 <= axis < len(shape) for axis in self.axes):
            raise GraphError(f"mean along the axes {list(self.axes)} of shape {list(shape)}")
        count = self.count(shape)
        low, high = (count * (end - self.input_zero_point) for end in (element.minimum, element.maximum))
        require_int32(MeanRescale.of(self.ratio, count), low, high, self.output_zero_point)
        kept = [1 if axis in self.axes else size for axis, size in enumerate(shape)]
        made = [size for axis, size in enumerate(kept) if self.keep_dims or axis not in self.axes]
        return ((tuple(made), self.output),)

    def evaluate(self, inputs: Sequence[Array]) -> tuple[Array, ...]:
        """x (inferences, *shape)."""
        x = inputs[0]
        axes, count = tuple(axis + 1 for axis in self.axes), self.count(x.shape[1:])
        sums = x.sum(axis=axes, dtype=np.int64, keepdims=self.keep_dims) - count * self.input_zero_point
        return (self.output.clamp(MeanRescale.of(self.ratio, count).apply(sums) + self.output_zero_point),)

    def circuit(self, operands: Sequence[Value], results: Sequence[Value]) -> StreamingCircuit:  # noqa: ARG002
        """Sums of neighbouring axes, one unit after the other, the last one rescaled."""
        x = operands[0].type
        count = self.count(x.shape)
        result = Result(
            output=self.output,
            clamp=Interval(self.output.minimum, self.output.maximum),
            rescale=MeanRescale.of(self.ratio, count),
            bias=-count * self.input_zero_point,
            zero_point=self.output_zero_point,
        )
        return ReductionCircuit(x.integer, reduction_stages(x.shape, self.axes), Reduction.SUM, result)

    def to_tflite(self, inputs: Sequence[Value], outputs: Sequence[Value]) -> SourceNode:
        """With the axes as a constant operand."""
        axes = Value("axes", TensorType((len(self.axes),), IntType(32)), np.array(self.axes, np.int32))
        return SourceNode("MEAN", {"keep_dims": self.keep_dims}, (*inputs, axes), tuple(outputs), self.name)

    @classmethod
    def lower(cls, source: SourceNode) -> Lowered:
        """From a file's node; axes must be constant, may count from the end and be given several times."""
        require_kinds(source, [(kind, kind) for kind in ("int8", "uint8", "int16")])
        x, axes, y = source.operand(0), source.operand(1), source.outputs[0]
        if not axes.is_constant or axes.type.element != IntType(32):
            raise UnsupportedError(f"{source.kind} along axes that are not constants of int32", where=source.where)
        rank = len(x.type.shape)
        positions = [int(axis) for axis in axes.constant.reshape(-1)]
        x_quantization, y_quantization = x.type.required_quantization, y.type.required_quantization
        zero_points = (x_quantization.zero_point, y_quantization.zero_point)
        if x.type.integer.bits == 16 and any(zero_points):
            raise UnsupportedError(
                f"{source.kind} of int16 with zero points {zero_points}; they must be 0", where=source.where
            )
        operator = cls(
            axes=tuple(sorted({axis + rank if axis < 0 else axis for axis in positions})),
            keep_dims=bool(source.attributes.get("keep_dims", False)),
            input_zero_point=zero_points[0],
            output_zero_point=zero_points[1],
            ratio=x_quantization.scale / y_quantization.scale,
            output=y.type.integer,
        )
        return Lowered(operator, (x.name,))

    @classmethod
    def examples(cls) -> Iterable[Example]:
        """Spatial, single and trailing axes, kept or not, with and without a change of scale."""
        int8 = IntType(8)
        yield _example("spatial", (1, 3, 4, 5), (1, 2), int8, 0.1, keep_dims=True)
        yield _example("spatial_flat", (1, 4, 4, 3), (2, 1), int8, 0.05)
        yield _example("last", (1, 5, 6), (-1,), int8, 0.08)
        yield _example("inner", (2, 3, 4), (1,), int8, 0.013, keep_dims=True)
        yield _example("first", (7, 4), (0,), int8, 0.1)
        yield _example("all", (1, 3, 5), (0, 1, 2), int8, 0.04)
        yield _example("apart", (2, 3, 2, 5), (1, 3), int8, 0.1)
        yield _example("one_element", (1, 6, 1), (2,), int8, 0.2)
        yield _example("uint8", (1, 3, 3, 4), (1, 2), IntType(8, signed=False), 0.07)
        yield _example("int16", (1, 4, 6), (1,), IntType(16), 0.1)


def _example(
    name: str, shape: tuple[int, ...], axes: tuple[int, ...], element: IntType, scale: float, *, keep_dims: bool = False
) -> Example:
    zero_points = {"int8": (-7, 11), "uint8": (120, 90)}.get(str(element), (0, 0))
    x = Value("x", TensorType(shape, element, Quantization((0.1,), zero_points[:1])))
    operand = Value("axes", TensorType((len(axes),), IntType(32)), np.array(axes, np.int32))
    reduced = {axis % len(shape) for axis in axes}
    made = [1 if axis in reduced else size for axis, size in enumerate(shape) if keep_dims or axis not in reduced]
    y = Value("y", TensorType(tuple(made), element, Quantization((scale,), zero_points[1:])))
    return example_graph(Mean, f"mean_{name}", "MEAN", [x, operand], y, {"keep_dims": keep_dims})
