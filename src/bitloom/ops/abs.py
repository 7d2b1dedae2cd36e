"""ABS: the absolute value, as a table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from bitloom.arith import IntType, Rescale, Rounding
from bitloom.ir import Example, Lowered, Quantization, SourceNode, TensorType, Value, register
from bitloom.ir.types import ElementType
from bitloom.ops.shared.support import example_graph, require_int32, require_kinds
from bitloom.ops.shared.table import Int64Array, TableOperator


@register
@dataclass(frozen=True)
class Abs(TableOperator):
    """``clamp(rescale(|x - zx|) + zy)``.

    Source: LiteRT's reference kernel of ABS, double rounding; the multiplier is ``sx / sy`` in binary32.

    Attributes:
        input_zero_point: zx.
        output_zero_point: zy.
        rescale: one multiplier.
    """

    name = "abs"
    tflite = ("ABS",)
    summary = "absolute value, a table of 256 entries"

    input_zero_point: int
    output_zero_point: int
    rescale: Rescale

    def infer(self, inputs: Sequence[Value]) -> tuple[tuple[tuple[int, ...], ElementType], ...]:
        """The operand's shape, the output type."""
        ends = np.array([self.input.minimum, self.input.maximum]) - self.input_zero_point
        require_int32(self.rescale, 0, int(np.abs(ends).max()), self.output_zero_point)
        return super().infer(inputs)

    def function(self, values: Int64Array) -> Int64Array:
        """What is below the zero point mirrored, then rescaled."""
        distance = np.abs(values - self.input_zero_point)
        return self.output.clamp(self.rescale.apply(distance) + self.output_zero_point)

    @classmethod
    def lower(cls, source: SourceNode) -> Lowered:
        """From a file's node."""
        require_kinds(source, [("int8", "int8")])
        x, y = source.operand(0).type, source.outputs[0].type
        given, made = x.required_quantization, y.required_quantization
        with np.errstate(over="ignore", under="ignore"):
            ratio = np.float32(given.scale) / np.float32(made.scale)
        rescale = Rescale((float(ratio),), Rounding.DOUBLE)
        operator = cls(x.integer, y.integer, given.zero_point, made.zero_point, rescale)
        return Lowered(operator, (source.operand(0).name,))

    @classmethod
    def examples(cls) -> Iterable[Example]:
        """One scale, finer and coarser ones, halves, zero points at an end."""
        yield _example("usual", (0.04, 7), (0.02, -128))
        yield _example("same_scale", (0.04, -3), (0.04, -3))
        yield _example("coarser", (0.04, -128), (0.3, 20))
        yield _example("ties", (0.5, 0), (1.0, 0))


def _example(name: str, given: tuple[float, int], made: tuple[float, int]) -> Example:
    x = Value("x", TensorType((1, 11), IntType(8), Quantization((given[0],), (given[1],))))
    y = Value("y", TensorType((1, 11), IntType(8), Quantization((made[0],), (made[1],))))
    return example_graph(Abs, f"abs_{name}", "ABS", [x], y)
