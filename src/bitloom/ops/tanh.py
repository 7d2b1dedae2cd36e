"""TANH: the hyperbolic tangent, as a table."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from bitloom.arith import IntType
from bitloom.ir import Example, Lowered, Quantization, SourceNode, TensorType, Value, register
from bitloom.ops.shared.support import example_graph
from bitloom.ops.shared.table import Float32Array, RealTableOperator


@register
@dataclass(frozen=True)
class Tanh(RealTableOperator):
    """``tanh(x)`` rounded to binary32, then quantized with any output scale.

    Source: LiteRT's reference kernel of TANH (a table filled in binary32); see `RealTableOperator`.
    """

    name = "tanh"
    tflite = ("TANH",)
    summary = "hyperbolic tangent, a table of 256 entries"

    def real(self, values: Float32Array) -> Float32Array:
        """In binary64, rounded once."""
        return np.tanh(values.astype(np.float64)).astype(np.float32)

    @classmethod
    def lower(cls, source: SourceNode) -> Lowered:
        """From a file's node."""
        return Lowered(cls.from_source(source), (source.operand(0).name,))

    @classmethod
    def examples(cls) -> Iterable[Example]:
        """The usual output scale, another one, steep, and unsigned."""
        yield _example("int8", IntType(8), (0.03, 4), (1 / 128, 0))
        yield _example("odd_scale", IntType(8), (0.01, -100), (0.0093, -7))
        yield _example("steep", IntType(8), (0.9, 0), (1 / 128, 0))
        yield _example("uint8", IntType(8, signed=False), (0.02, 128), (1 / 128, 128))


def _example(name: str, element: IntType, given: tuple[float, int], made: tuple[float, int]) -> Example:
    x = Value("x", TensorType((1, 3, 5), element, Quantization((given[0],), (given[1],))))
    y = Value("y", TensorType((1, 3, 5), element, Quantization((made[0],), (made[1],))))
    return example_graph(Tanh, f"tanh_{name}", "TANH", [x], y)
