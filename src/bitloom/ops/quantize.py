"""QUANTIZE: real numbers become integers, at the edge of a graph."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from bitloom.arith import IntType
from bitloom.errors import GraphError
from bitloom.ir import (
    FLOAT32,
    Example,
    FloatType,
    Lowered,
    Operator,
    Quantization,
    SourceNode,
    TensorType,
    Value,
    register,
)
from bitloom.ir.operator import Array
from bitloom.ir.types import ElementType
from bitloom.ops.shared.requantize import Requantize
from bitloom.ops.shared.support import example_graph, require_kinds


@register
@dataclass(frozen=True)
class Quantize(Operator):
    """``clamp(round(x / s) + z)``: binary32 division, halves away from zero.

    Source: LiteRT's reference kernel of QUANTIZE for float inputs. Where ``x / s`` leaves int32 (or is not a number)
    the kernel's answer is undefined; here it saturates, and executors refuse such inputs.

    Attributes:
        scale: s.
        zero_point: z.
        output: the output's type.
    """

    name = "quantize"
    tflite = ("QUANTIZE",)
    summary = "float32 to integers at a graph's edge; integers to integers becomes requantize"
    float_edge = True

    scale: float
    zero_point: int
    output: IntType

    def infer(self, inputs: Sequence[Value]) -> tuple[tuple[tuple[int, ...], ElementType], ...]:
        """The operand's shape, the output type."""
        if inputs[0].type.element != FLOAT32:
            raise GraphError(f"quantize takes float32, not {inputs[0].type.element}")
        return ((inputs[0].type.shape, self.output),)

    def evaluate(self, inputs: Sequence[Array]) -> tuple[Array, ...]:
        """x float32 of any shape."""
        ratio = inputs[0].astype(np.float32, copy=False) / np.float32(self.scale)
        magnitude = np.abs(ratio)
        whole = np.trunc(magnitude)
        rounded = np.copysign(whole + (magnitude - whole >= np.float32(0.5)), ratio)
        # Integers in binary64: adding the zero point is exact there, and infinities saturate.
        shifted = rounded.astype(np.float64) + self.zero_point
        return (np.clip(shifted, self.output.minimum, self.output.maximum).astype(self.output.dtype),)

    @classmethod
    def lower(cls, source: SourceNode) -> Lowered:
        """From a file's node: `Requantize` where the operand is an integer already."""
        x, y = source.operand(0), source.outputs[0]
        if not isinstance(x.type.element, FloatType):
            return Requantize.lower(source)
        require_kinds(source, [("float32", made) for made in ("int8", "uint8", "int16")])
        quantization = y.type.required_quantization
        return Lowered(cls(quantization.scale, quantization.zero_point, y.type.integer), (x.name,))

    @classmethod
    def examples(cls) -> Iterable[Example]:
        """Every output type."""
        yield _example("int8", IntType(8), 0.05, -3)
        yield _example("uint8", IntType(8, signed=False), 1 / 255, 0)
        yield _example("int16", IntType(16), 0.001, 0)


def _example(name: str, element: IntType, scale: float, zero_point: int) -> Example:
    x = Value("x", TensorType((1, 2, 6), FLOAT32))
    y = Value("y", TensorType((1, 2, 6), element, Quantization((scale,), (zero_point,))))
    return example_graph(Quantize, f"quantize_{name}", "QUANTIZE", [x], y)
