"""RELU, RELU6, RELU_N1_TO_1 as operators of their own: rescale and clamp, as a table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from bitloom.arith import Interval, IntType, Rescale, Rounding
from bitloom.arith.activation import activation_range
from bitloom.arith.rescale import EXACT
from bitloom.circuits.exact_pairs import ExactCircuit
from bitloom.circuits.streaming import StreamingCircuit
from bitloom.errors import UnsupportedError
from bitloom.hw.exact_pairs import ExactResult, ExactSum
from bitloom.hw.lookup import LARGEST_BITS
from bitloom.ir import Example, Lowered, Quantization, SourceNode, TensorType, Value, register
from bitloom.ir.types import ElementType
from bitloom.ops.shared.support import example_graph, require_int32, require_kinds
from bitloom.ops.shared.table import Int64Array, TableOperator


@register
@dataclass(frozen=True)
class Relu(TableOperator):
    """``clamp(rescale(x - zx) + zy)`` with the clamp of the activation.

    Source: LiteRT's kernels of RELU, RELU6 and RELU_N1_TO_1, double rounding; the multiplier is the quotient of
    the scales in binary32, unlike requantization's.

    Attributes:
        input_zero_point: zx.
        output_zero_point: zy.
        rescale: one multiplier.
        activation: the clamp, in output integers.
    """

    name = "relu"
    tflite = ("RELU", "RELU6", "RELU_N1_TO_1")
    summary = "rectifiers that are not fused: RELU, RELU6, RELU_N1_TO_1"

    input_zero_point: int
    output_zero_point: int
    rescale: Rescale
    activation: Interval

    def infer(self, inputs: Sequence[Value]) -> tuple[tuple[tuple[int, ...], ElementType], ...]:
        """The operand's shape, the output type."""
        low, high = self.input.minimum - self.input_zero_point, self.input.maximum - self.input_zero_point
        require_int32(self.rescale, low, high, self.output_zero_point)
        return super().infer(inputs)

    def function(self, values: Int64Array) -> Int64Array:
        """Rescale, add the zero point, clamp to the activation."""
        rescaled = self.rescale.apply(values - self.input_zero_point) + self.output_zero_point
        return np.clip(rescaled, self.activation.low, self.activation.high)

    def circuit(self, operands: Sequence[Value], results: Sequence[Value]) -> StreamingCircuit:
        """A table, or integer arithmetic where inputs are too wide for one and the rounding is exact."""
        if self.input.bits <= LARGEST_BITS or self.rescale.rounding not in EXACT:
            return super().circuit(operands, results)
        ((factor,), (shift,)) = self.rescale.exact_products()
        nothing = IntType(1, signed=False)
        rounded = ExactResult(shift, self.rescale.rounding, self.output_zero_point, self.activation, self.output)
        numbers = ExactSum(self.input, nothing, factor, 0, -factor * self.input_zero_point, rounded)
        zero = Value("zero", TensorType((), nothing), np.zeros((), np.uint8))
        return ExactCircuit((operands[0], zero), results[0].type.shape, self.output, numbers)

    def to_tflite(self, inputs: Sequence[Value], outputs: Sequence[Value]) -> SourceNode:
        """The first of the three whose clamp this is, with the output's quantization."""
        made = outputs[0].type
        for kind in self.tflite:
            quantization = made.required_quantization
            if self.activation == activation_range(kind, quantization.scale, quantization.zero_point, made.integer):
                return SourceNode(kind, {}, tuple(inputs), tuple(outputs), self.name)
        raise UnsupportedError(f"{self.name} to {self.activation} is none of {', '.join(self.tflite)}")

    @classmethod
    def lower(cls, source: SourceNode) -> Lowered:
        """From a file's node."""
        require_kinds(source, [("int8", "int8"), ("uint8", "uint8")])
        x, y = source.operand(0).type, source.outputs[0].type
        x_quantization, y_quantization = x.required_quantization, y.required_quantization
        if y_quantization.scale < 2.0**-27:
            raise UnsupportedError(
                f"{source.kind} with the output scale {y_quantization.scale:g}, which overflows the reference kernel",
                where=source.where,
            )
        with np.errstate(over="ignore"):  # an infinite multiplier is refused
            multiplier = float(np.float32(x_quantization.scale) / np.float32(y_quantization.scale))
        operator = cls(
            input=x.integer,
            output=y.integer,
            input_zero_point=x_quantization.zero_point,
            output_zero_point=y_quantization.zero_point,
            rescale=Rescale((multiplier,), Rounding.DOUBLE),
            activation=activation_range(source.kind, y_quantization.scale, y_quantization.zero_point, y.integer),
        )
        return Lowered(operator, (source.operand(0).name,))

    @classmethod
    def examples(cls) -> Iterable[Example]:
        """Each kind, with and without a change of scale, both signednesses."""
        int8, uint8 = IntType(8), IntType(8, signed=False)
        yield _example("relu", "RELU", int8, (0.05, 3), (0.05, 3))
        yield _example("relu_rescaled", "RELU", int8, (0.05, 3), (0.023, -128))
        yield _example("relu6", "RELU6", int8, (0.1, -10), (6 / 255, -128))
        yield _example("relu6_inside", "RELU6", int8, (0.1, -10), (0.04, -100))
        yield _example("relu_n1_to_1", "RELU_N1_TO_1", int8, (0.03, 5), (1 / 100, 0))
        yield _example("relu_uint8", "RELU", uint8, (0.05, 100), (0.03, 10))


def _example(name: str, kind: str, element: IntType, given: tuple[float, int], made: tuple[float, int]) -> Example:
    x = Value("x", TensorType((1, 11), element, Quantization((given[0],), (given[1],))))
    y = Value("y", TensorType((1, 11), element, Quantization((made[0],), (made[1],))))
    return example_graph(Relu, name, kind, [x], y)
