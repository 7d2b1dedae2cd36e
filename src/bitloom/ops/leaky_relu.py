"""LEAKY_RELU: a rectifier with one slope for negative inputs, as a table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from bitloom.arith import IntType, Rescale, Rounding
from bitloom.errors import UnsupportedError
from bitloom.ir import Example, Lowered, Quantization, SourceNode, TensorType, Value, register
from bitloom.ir.types import ElementType
from bitloom.ops.shared.support import example_graph, require_int32, require_kinds
from bitloom.ops.shared.table import Int64Array, TableOperator


@register
@dataclass(frozen=True)
class LeakyRelu(TableOperator):
    """``clamp(rescale(x - zx) + zy)`` for x >= zx, else ``clamp(sign * slope_rescale(x - zx) + zy)``.

    Source: LiteRT's reference kernel of LEAKY_RELU, double rounding; the multipliers are ``sx / sy`` and
    ``sx * |alpha| / sy`` in binary32.

    Attributes:
        input_zero_point: zx.
        output_zero_point: zy.
        alpha: the slope.
        rescale: of inputs that are not negative, one multiplier.
        slope_rescale: of negative inputs, one multiplier.
    """

    name = "leaky_relu"
    tflite = ("LEAKY_RELU",)
    summary = "rectifier with one slope for negative inputs, a table of 256 entries"

    input_zero_point: int
    output_zero_point: int
    alpha: float
    rescale: Rescale
    slope_rescale: Rescale

    def infer(self, inputs: Sequence[Value]) -> tuple[tuple[tuple[int, ...], ElementType], ...]:
        """The operand's shape, the output type."""
        low, high = self.input.minimum - self.input_zero_point, self.input.maximum - self.input_zero_point
        require_int32(self.rescale, 0, high, self.output_zero_point)
        require_int32(self.slope_rescale, low, 0, self.output_zero_point)
        return super().infer(inputs)

    def function(self, values: Int64Array) -> Int64Array:
        """Each side rescaled in its own way."""
        x = values - self.input_zero_point
        sloped = self.slope_rescale.apply(np.minimum(x, 0))
        chosen = np.where(x >= 0, self.rescale.apply(np.maximum(x, 0)), -sloped if self.alpha < 0 else sloped)
        return self.output.clamp(chosen + self.output_zero_point)

    def to_tflite(self, inputs: Sequence[Value], outputs: Sequence[Value]) -> SourceNode:
        """With the slope."""
        return SourceNode("LEAKY_RELU", {"alpha": self.alpha}, tuple(inputs), tuple(outputs), self.name)

    @classmethod
    def lower(cls, source: SourceNode) -> Lowered:
        """From a file's node."""
        require_kinds(source, [("int8", "int8"), ("uint8", "uint8"), ("int16", "int16")])
        x, y = source.operand(0).type, source.outputs[0].type
        given, made = x.required_quantization, y.required_quantization
        if x.integer.bits > 8 and (given.zero_point or made.zero_point):
            raise UnsupportedError(f"{source.kind} of int16 with a zero point that is not 0", where=source.where)
        alpha = float(np.float32(source.attributes.get("alpha", 0.0)))
        with np.errstate(over="ignore", under="ignore"):
            straight = np.float32(given.scale) / np.float32(made.scale)
            sloped = np.float32(given.scale) * np.float32(abs(alpha)) / np.float32(made.scale)
        operator = cls(
            input=x.integer,
            output=y.integer,
            input_zero_point=given.zero_point,
            output_zero_point=made.zero_point,
            alpha=alpha,
            rescale=Rescale((float(straight),), Rounding.DOUBLE),
            slope_rescale=Rescale((float(sloped),), Rounding.DOUBLE),
        )
        return Lowered(operator, (source.operand(0).name,))

    @classmethod
    def examples(cls) -> Iterable[Example]:
        """Usual, steep, zero and negative slopes; every type."""
        int8, uint8, int16 = IntType(8), IntType(8, signed=False), IntType(16)
        yield _example("usual", 0.2, int8, (0.05, 3), (0.0471, -60))
        yield _example("same_scale", 0.3, int8, (0.05, 3), (0.05, 3))
        yield _example("steep", 1.5, int8, (0.05, -20), (0.06, 9))
        yield _example("flat", 0.0, int8, (0.05, -20), (0.06, 9))
        yield _example("falling", -0.5, int8, (0.05, -20), (0.06, 9))
        yield _example("ties", 0.25, int8, (0.5, 0), (1.0, 0))
        yield _example("uint8", 0.1, uint8, (0.05, 100), (0.03, 10))
        yield _example("int16", 0.1, int16, (0.0005, 0), (0.0004, 0))


def _example(name: str, alpha: float, element: IntType, given: tuple[float, int], made: tuple[float, int]) -> Example:
    x = Value("x", TensorType((1, 11), element, Quantization((given[0],), (given[1],))))
    y = Value("y", TensorType((1, 11), element, Quantization((made[0],), (made[1],))))
    return example_graph(LeakyRelu, f"leaky_relu_{name}", "LEAKY_RELU", [x], y, {"alpha": alpha})
