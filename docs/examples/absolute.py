"""ABS: the absolute value, as a table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from bitloom.arith import IntType, Rescale, Rounding
from bitloom.ir import Example, Lowered, Quantization, SourceNode, TensorType, Value, register
from bitloom.ir.types import ElementType
from bitloom.ops.support import example_graph, require_int32, require_kinds
from bitloom.ops.table import Int64Array, TableOperator


@register
@dataclass(frozen=True)
class Absolute(TableOperator):
    """``clamp(rescale(|x - zx|) + zy)``.

    Source: LiteRT's reference kernel of ABS, double rounding; the multiplier is the quotient of the scales in
    binary32.

    Attributes:
        input_zero_point: zx.
        output_zero_point: zy.
        rescale: one multiplier.
    """

    name = "absolute"
    tflite = ("ABS",)
    summary = "absolute value, a table of 256 entries"

    input_zero_point: int
    output_zero_point: int
    rescale: Rescale

    def infer(self, inputs: Sequence[Value]) -> tuple[tuple[tuple[int, ...], ElementType], ...]:
        """The operand's shape, the output type."""
        distances = (self.input.minimum - self.input_zero_point, self.input.maximum - self.input_zero_point)
        require_int32(self.rescale, 0, max(map(abs, distances)), self.output_zero_point)
        return super().infer(inputs)

    def function(self, values: Int64Array) -> Int64Array:
        """The distance from zero, rescaled, with the zero point, clamped to the output's type."""
        distance = np.abs(values - self.input_zero_point)
        return self.output.clamp(self.rescale.apply(distance) + self.output_zero_point)

    @classmethod
    def lower(cls, source: SourceNode) -> Lowered:
        """From a file's node."""
        require_kinds(source, [("int8", "int8")])
        x, y = source.operand(0), source.outputs[0]
        given, made = x.type.required_quantization, y.type.required_quantization
        multiplier = float(np.float32(given.scale) / np.float32(made.scale))
        operator = cls(
            input=x.type.integer,
            output=y.type.integer,
            input_zero_point=given.zero_point,
            output_zero_point=made.zero_point,
            rescale=Rescale((multiplier,), Rounding.DOUBLE),
        )
        return Lowered(operator, (x.name,))

    @classmethod
    def examples(cls) -> Iterable[Example]:
        """With and without a change of scale, and one that saturates."""
        yield _example("same_scale", (0.05, 3), (0.05, -128))
        yield _example("rescaled", (0.05, 3), (0.031, -100))
        yield _example("saturates", (0.2, -128), (0.1, 0))


def _example(name: str, given: tuple[float, int], made: tuple[float, int]) -> Example:
    x = Value("x", TensorType((1, 16), IntType(8), Quantization((given[0],), (given[1],))))
    y = Value("y", TensorType((1, 16), IntType(8), Quantization((made[0],), (made[1],))))
    return example_graph(Absolute, f"absolute_{name}", "ABS", [x], y)
