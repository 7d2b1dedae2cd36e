"""LOGISTIC: the sigmoid, as a table."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from bitloom.arith import IntType
from bitloom.errors import UnsupportedError
from bitloom.ir import Example, Lowered, Quantization, SourceNode, TensorType, Value, register
from bitloom.ops.shared.support import example_graph
from bitloom.ops.shared.table import Float32Array, RealTableOperator


@register
@dataclass(frozen=True)
class Logistic(RealTableOperator):
    """``1 / (1 + exp(-x))`` in binary32, quantized to steps of 1/256.

    Source: LiteRT's reference kernel of LOGISTIC (a table filled in binary32); see `RealTableOperator`.
    """

    name = "logistic"
    tflite = ("LOGISTIC",)
    summary = "sigmoid, a table of 256 entries"

    def real(self, values: Float32Array) -> Float32Array:
        """The exponential is rounded to binary32 before the sum and the division."""
        with np.errstate(over="ignore"):
            exponential = np.exp(-values.astype(np.float64)).astype(np.float32)
        return np.float32(1) / (np.float32(1) + exponential)

    @classmethod
    def lower(cls, source: SourceNode) -> Lowered:
        """From a file's node; the kernel insists on the output scale 1/256."""
        operator = cls.from_source(source)
        if operator.output_scale != 1 / 256:
            raise UnsupportedError(
                f"LOGISTIC with the output scale {operator.output_scale:g}; the reference kernel takes only 1/256",
                where=source.where,
            )
        return Lowered(operator, (source.operand(0).name,))

    @classmethod
    def examples(cls) -> Iterable[Example]:
        """Steep and flat slopes, both signednesses."""
        yield _example("int8", IntType(8), 0.05, -3, -128)
        yield _example("steep", IntType(8), 0.7, 20, -128)
        yield _example("flat", IntType(8), 0.001, 0, -128)
        yield _example("uint8", IntType(8, signed=False), 0.04, 117, 0)


def _example(name: str, element: IntType, scale: float, zero_point: int, output_zero_point: int) -> Example:
    x = Value("x", TensorType((2, 9), element, Quantization((scale,), (zero_point,))))
    y = Value("y", TensorType((2, 9), element, Quantization((1 / 256,), (output_zero_point,))))
    return example_graph(Logistic, f"logistic_{name}", "LOGISTIC", [x], y)
