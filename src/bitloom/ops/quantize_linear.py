"""ONNX's QuantizeLinear of real numbers, at the edge of a graph."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from bitloom.arith import IntType
from bitloom.errors import GraphError
from bitloom.ir import FLOAT32, Example, Graph, Node, Operator, Quantization, TensorType, Value, register
from bitloom.ir.operator import Array
from bitloom.ir.types import ElementType


@register
@dataclass(frozen=True)
class QuantizeLinear(Operator):
    """``clamp(round(x / s) + z)``: binary32 division, halves to even; TFLite's `quantize` sends them away from zero.

    Source: ONNX operator specification, QuantizeLinear; compared with ONNX Runtime.

    Attributes:
        scale: s.
        zero_point: z.
        output: the output's type.
    """

    name = "quantize_linear"
    summary = "float32 to integers at a graph's edge, halves to even (ONNX)"
    float_edge = True

    scale: float
    zero_point: int
    output: IntType

    def infer(self, inputs: Sequence[Value]) -> tuple[tuple[tuple[int, ...], ElementType], ...]:
        """The operand's shape, the output type."""
        if inputs[0].type.element != FLOAT32:
            raise GraphError(f"quantize_linear takes float32, not {inputs[0].type.element}")
        return ((inputs[0].type.shape, self.output),)

    def evaluate(self, inputs: Sequence[Array]) -> tuple[Array, ...]:
        """x float32 of any shape."""
        ratio = inputs[0].astype(np.float32, copy=False) / np.float32(self.scale)
        # Integers in binary64: adding the zero point is exact there, and infinities saturate.
        shifted = np.rint(ratio).astype(np.float64) + self.zero_point
        return (np.clip(shifted, self.output.minimum, self.output.maximum).astype(self.output.dtype),)

    @classmethod
    def examples(cls) -> Iterable[Example]:
        """Every output type."""
        yield _example("int8", IntType(8), 0.05, -3)
        yield _example("uint8", IntType(8, signed=False), 1 / 256, 0)


def _example(name: str, element: IntType, scale: float, zero_point: int) -> Example:
    scale = float(np.float32(scale))
    x = Value("x", TensorType((1, 2, 6), FLOAT32))
    y = Value("y", TensorType((1, 2, 6), element, Quantization((scale,), (zero_point,))))
    node = Node("quantize_linear_0", QuantizeLinear(scale, zero_point, element), ("x",), ("y",))
    name = f"quantize_linear_{name}"
    return Example(name, Graph(name, ("x",), ("y",), (x, y), (node,)))
