"""DEQUANTIZE: integers become real numbers, at the edge of a graph."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from bitloom.arith import IntType
from bitloom.errors import UnsupportedError
from bitloom.ir import FLOAT32, Example, Lowered, Operator, Quantization, SourceNode, TensorType, Value, register
from bitloom.ir.operator import Array
from bitloom.ir.types import ElementType
from bitloom.ops.shared.support import example_graph, require_element, require_kinds


@register
@dataclass(frozen=True)
class Dequantize(Operator):
    """``float32(s * (x - z))``: the product in binary64, rounded once.

    Source: LiteRT's reference kernel of DEQUANTIZE.

    Attributes:
        input: the type of x.
        scale: s.
        zero_point: z.
    """

    name = "dequantize"
    tflite = ("DEQUANTIZE",)
    summary = "integers to float32 at a graph's edge"
    float_edge = True

    input: IntType
    scale: float
    zero_point: int

    def infer(self, inputs: Sequence[Value]) -> tuple[tuple[tuple[int, ...], ElementType], ...]:
        """The operand's shape, float32."""
        require_element(inputs[0], self.input)
        return ((inputs[0].type.shape, FLOAT32),)

    def evaluate(self, inputs: Sequence[Array]) -> tuple[Array, ...]:
        """x integers of any shape."""
        difference = inputs[0].astype(np.float64) - self.zero_point
        with np.errstate(over="ignore"):  # the largest scales make infinities, in the kernel too
            return ((self.scale * difference).astype(np.float32),)

    @classmethod
    def lower(cls, source: SourceNode) -> Lowered:
        """From a file's node."""
        require_kinds(source, [(given, "float32") for given in ("int8", "uint8", "int16")])
        x = source.operand(0)
        quantization = x.type.required_quantization
        if x.type.element == IntType(16) and quantization.zero_point:
            raise UnsupportedError(
                f"{source.kind} of int16 with the zero point {quantization.zero_point}; it must be 0",
                where=source.where,
            )
        return Lowered(cls(x.type.integer, quantization.scale, quantization.zero_point), (x.name,))

    @classmethod
    def examples(cls) -> Iterable[Example]:
        """Every input type."""
        yield _example("int8", IntType(8), 0.05, -3)
        yield _example("uint8", IntType(8, signed=False), 1 / 255, 0)
        yield _example("int16", IntType(16), 0.001, 0)


def _example(name: str, element: IntType, scale: float, zero_point: int) -> Example:
    x = Value("x", TensorType((1, 7), element, Quantization((scale,), (zero_point,))))
    y = Value("y", TensorType((1, 7), FLOAT32))
    return example_graph(Dequantize, f"dequantize_{name}", "DEQUANTIZE", [x], y)
