"""GELU: ``x`` times the probability that a normally distributed number is less, as a table."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bitloom.arith import IntType
from bitloom.ir import Example, Lowered, Quantization, SourceNode, TensorType, Value, register
from bitloom.ops.shared.support import example_graph
from bitloom.ops.shared.table import Float32Array, RealTableOperator

_ROOT_OF_HALF = math.sqrt(0.5)
_ROOT_OF_2_BY_PI = np.float32(math.sqrt(2 / math.pi))
_CUBIC = np.float32(0.044715)


@register
@dataclass(frozen=True)
class Gelu(RealTableOperator):
    """``x / 2 * erfc(-x / sqrt(2))`` or its approximation by tanh in binary32, then quantized with any output scale.

    Source: LiteRT's reference kernel of GELU (a table filled in binary32, in this order of operations); see
    `RealTableOperator`.

    Attributes:
        approximate: whether it is ``x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3)))``.
    """

    name = "gelu"
    tflite = ("GELU",)
    summary = "x times the normal distribution's probability of less, a table of 256 entries"

    approximate: bool = False

    def real(self, values: Float32Array) -> Float32Array:
        """The library's function in binary64, rounded once; everything around it in binary32."""
        half = np.float32(0.5) * values
        if self.approximate:
            argument = _ROOT_OF_2_BY_PI * (values + _CUBIC * values * values * values)
            return half * (np.float32(1) + np.tanh(argument.astype(np.float64)).astype(np.float32))
        arguments = (values * np.float32(-_ROOT_OF_HALF)).astype(np.float64)
        probability = np.array([math.erfc(argument) for argument in arguments.ravel().tolist()])
        return half * probability.astype(np.float32).reshape(values.shape)

    def to_tflite(self, inputs: Sequence[Value], outputs: Sequence[Value]) -> SourceNode:
        """With the form."""
        return SourceNode("GELU", {"approximate": self.approximate}, tuple(inputs), tuple(outputs), self.name)

    @classmethod
    def lower(cls, source: SourceNode) -> Lowered:
        """From a file's node."""
        operator = cls.from_source(source)
        assert isinstance(operator, cls)
        approximate = bool(source.attributes.get("approximate", False))
        return Lowered(replace(operator, approximate=approximate), (source.operand(0).name,))

    @classmethod
    def examples(cls) -> Iterable[Example]:
        """Both forms, coarse and fine, and unsigned."""
        yield _example("usual", IntType(8), (0.04, -20), (0.02, -110), False)
        yield _example("approximate", IntType(8), (0.04, -20), (0.02, -110), True)
        yield _example("coarse", IntType(8), (0.9, 10), (0.5, -60), False)
        yield _example("fine_output", IntType(8), (0.02, 0), (0.001, 3), True)
        yield _example("uint8", IntType(8, signed=False), (0.03, 120), (0.02, 9), False)


def _example(name: str, element: IntType, given: tuple[float, int], made: tuple[float, int], approx: bool) -> Example:
    x = Value("x", TensorType((1, 3, 5), element, Quantization((given[0],), (given[1],))))
    y = Value("y", TensorType((1, 3, 5), element, Quantization((made[0],), (made[1],))))
    return example_graph(Gelu, f"gelu_{name}", "GELU", [x], y, {"approximate": approx})
