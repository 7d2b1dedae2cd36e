"""Softmax rounded once, for formats that define it in real numbers; any output scale and zero point."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from bitloom.arith import IntType
from bitloom.errors import GraphError, UnsupportedError
from bitloom.ir import Example, Graph, Node, Operator, Quantization, TensorType, Value, register
from bitloom.ir.operator import Array
from bitloom.ir.types import ElementType
from bitloom.ops.shared.support import require_element

Int64Array = npt.NDArray[np.int64]

EXPONENTIAL_BITS = 30
"""Fraction bits of an exponential."""

_LARGEST_DEPTH = 1 << 16


@register
@dataclass(frozen=True)
class RoundedSoftmax(Operator):
    """``clamp(round(exp(s * x) / (t * sum(exp(s * x)))) + z)`` over the last axis, halves to even.

    1. ``e = round(2**30 * exp(-s * d))`` with ``d = max - x``: a table of at most 256 entries.
    2. ``q = round(e / (t * sum(e)))``: the quotient of integers ``(e << 31 - k) / (sum * T)`` with
       ``t = T * 2**(k - 31)`` is binary64's nearest to the real one within 2**-50, far finer than the table.

    Source: ONNX operator specification, Softmax between DequantizeLinear and QuantizeLinear, and QLinearSoftmax of
    ONNX Runtime. Both compute in binary32; they differ where the real quotient is within some 2**-17 of a half.

    Attributes:
        input: the type of x, at most 8 bits.
        output: the type of y.
        input_scale: s.
        output_scale: t.
        output_zero_point: z.
    """

    name = "rounded_softmax"
    summary = "softmax over the last axis, rounded once, any output scale (ONNX)"

    input: IntType
    output: IntType
    input_scale: float
    output_scale: float
    output_zero_point: int

    def infer(self, inputs: Sequence[Value]) -> tuple[tuple[tuple[int, ...], ElementType], ...]:
        """The operand's shape, the output type."""
        require_element(inputs[0], self.input)
        shape = inputs[0].type.shape
        if not shape:
            raise GraphError("softmax needs at least one axis")
        if self.input.bits > 8 or shape[-1] > _LARGEST_DEPTH:
            raise UnsupportedError(f"softmax over {shape[-1]} elements of {self.input}")
        if not (np.isfinite(self.input_scale) and self.input_scale > 0 and 2.0**-30 < self.output_scale < 2.0**30):
            raise UnsupportedError(f"softmax from scale {self.input_scale:g} to scale {self.output_scale:g}")
        return ((shape, self.output),)

    @cached_property
    def exponentials(self) -> Int64Array:
        """For each difference to the maximum its exponential, Q0.30."""
        differences = np.arange(1 << self.input.bits, dtype=np.float64)
        return np.rint(np.exp(-self.input_scale * differences) * 2.0**EXPONENTIAL_BITS).astype(np.int64)

    def evaluate(self, inputs: Sequence[Array]) -> tuple[Array, ...]:
        """x (inferences, *shape)."""
        x = inputs[0].astype(np.int64)
        powers = self.exponentials[x.max(axis=-1, keepdims=True) - x]
        # Sums are below 2**47, exact in binary64.
        total = powers.sum(axis=-1, keepdims=True).astype(np.float64)
        quotient = np.rint(powers / (total * self.output_scale)).astype(np.int64)
        return (self.output.clamp(quotient + self.output_zero_point),)

    @classmethod
    def examples(cls) -> Iterable[Example]:
        """Both signednesses, steps of 1/256 and of 1/255, one element."""
        int8, uint8 = IntType(8), IntType(8, signed=False)
        yield _example("int8", (1, 10), int8, 0.036, 1 / 255, -128)
        yield _example("uint8", (1, 4, 7), uint8, 0.1, 1 / 256, 0)
        yield _example("steep", (2, 12), int8, 0.9, 1 / 256, -128)
        yield _example("one", (1, 1), int8, 0.05, 1 / 64, 3)


def _example(
    name: str, shape: tuple[int, ...], element: IntType, scale: float, made: float, zero_point: int
) -> Example:
    name = f"rounded_softmax_{name}"
    x = Value("x", TensorType(shape, element, Quantization((scale,), (0,))))
    y = Value("y", TensorType(shape, element, Quantization((made,), (zero_point,))))
    node = Node("rounded_softmax_0", RoundedSoftmax(element, element, scale, made, zero_point), ("x",), ("y",))
    return Example(name, Graph(name, ("x",), ("y",), (x, y), (node,)))
