"""Requantization: the same real numbers, as integers of another scale, zero point or type."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bitloom.arith import IntType, Rescale, Rounding
from bitloom.errors import UnsupportedError
from bitloom.ir import Example, Lowered, Quantization, SourceNode, TensorType, Value, register
from bitloom.ir.types import ElementType
from bitloom.ops.shared.support import example_graph, require_int32, require_kinds
from bitloom.ops.shared.table import Int64Array, TableOperator

_RESULTS = {
    "int8": ("int8", "uint8", "int16"),
    "uint8": ("int8", "uint8", "int16"),
    "int16": ("int8", "int16", "int32"),
    "int32": ("int8", "int16"),
}


@register
@dataclass(frozen=True)
class Requantize(TableOperator):
    """``clamp(rescale(x - zx) + zy)``, written QUANTIZE in TFLite files.

    Source: LiteRT's reference kernel of QUANTIZE for integer inputs, double rounding, multiplier
    ``double(sx) / double(sy)``.

    Attributes:
        input_zero_point: zx.
        output_zero_point: zy.
        rescale: one multiplier.
    """

    name = "requantize"
    summary = "integers to integers of another scale or type (QUANTIZE of integers)"

    input_zero_point: int
    output_zero_point: int
    rescale: Rescale

    def infer(self, inputs: Sequence[Value]) -> tuple[tuple[tuple[int, ...], ElementType], ...]:
        """The operand's shape, the output type."""
        low, high = self.input.minimum - self.input_zero_point, self.input.maximum - self.input_zero_point
        require_int32(self.rescale, low, high, self.output_zero_point)
        return super().infer(inputs)

    def function(self, values: Int64Array) -> Int64Array:
        """Rescale, add the zero point, clamp to the output type."""
        return self.output.clamp(self.rescale.apply(values - self.input_zero_point) + self.output_zero_point)

    def to_tflite(self, inputs: Sequence[Value], outputs: Sequence[Value]) -> SourceNode:
        """QUANTIZE."""
        return SourceNode("QUANTIZE", {}, tuple(inputs), tuple(outputs), self.name)

    @classmethod
    def lower(cls, source: SourceNode) -> Lowered:
        """From a QUANTIZE node whose operand is an integer."""
        require_kinds(source, [(given, made) for given, results in _RESULTS.items() for made in results])
        x, y = source.operand(0).type, source.outputs[0].type
        x_quantization, y_quantization = x.required_quantization, y.required_quantization
        zero_points = (x_quantization.zero_point, y_quantization.zero_point)
        if x.element == y.element == IntType(16) and any(zero_points):
            raise UnsupportedError(
                f"{source.kind} from int16 to int16 with zero points {zero_points}; they must be 0", where=source.where
            )
        operator = cls(
            input=x.integer,
            output=y.integer,
            input_zero_point=zero_points[0],
            output_zero_point=zero_points[1],
            rescale=Rescale((x_quantization.scale / y_quantization.scale,), Rounding.DOUBLE),
        )
        return Lowered(operator, (source.operand(0).name,))

    @classmethod
    def examples(cls) -> Iterable[Example]:
        """Finer, coarser, exact ties, changes of signedness and width."""
        int8, uint8, int16 = IntType(8), IntType(8, signed=False), IntType(16)
        yield _example("finer", (int8, 0.05, 3), (int8, 0.011, -20))
        yield _example("coarser", (int8, 0.011, -20), (int8, 0.05, 3))
        yield _example("ties", (int8, 0.5, 1), (int8, 1.0, 0))
        yield _example("to_unsigned", (int8, 0.25, -1), (uint8, 0.25, 127))
        yield _example("from_unsigned", (uint8, 0.02, 7), (int8, 0.03, 0))
        yield _example("widen", (int8, 0.05, 3), (int16, 0.0004, 0))
        yield _example("narrow", (int16, 0.0004, 0), (int8, 0.05, 3))
        yield _example("int16", (int16, 0.0004, 0), (int16, 0.0003, 0))


def _example(name: str, given: tuple[IntType, float, int], made: tuple[IntType, float, int]) -> Example:
    x = Value("x", TensorType((1, 4, 4), given[0], Quantization((given[1],), (given[2],))))
    y = Value("y", TensorType((1, 4, 4), made[0], Quantization((made[1],), (made[2],))))
    return example_graph(Requantize, f"requantize_{name}", "QUANTIZE", [x], y)
