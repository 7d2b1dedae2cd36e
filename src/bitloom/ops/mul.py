"""MUL: the product of two tensors, or of a tensor and a constant."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from bitloom.arith import Interval, IntType, Rescale, Rounding
from bitloom.arith.rescale import EXACT
from bitloom.arith.slopes import Products, slopes
from bitloom.circuits.pairs import ProductCircuit, numbers_of
from bitloom.hw.exact_pairs import ExactProduct, ExactResult
from bitloom.ir import Cost, Example, Lowered, SourceNode, Value, register
from bitloom.ir.types import ElementType
from bitloom.ops.shared.elementwise import (
    Int64Array,
    PairOperator,
    broadcast_shape,
    every_value,
    occurring,
    pair_example,
    pair_operands,
    product_range,
    spread,
)
from bitloom.ops.shared.fused import activation_named, fused_clamp
from bitloom.ops.shared.support import require_int32

# Beyond it a product with a rescale in its table is smaller than adders for the factor.
_LARGEST_FACTOR = 1 << 16


@register
@dataclass(frozen=True)
class Mul(PairOperator):
    """``clamp(rescale((x - zx) * (y - zy)) + zz)``.

    Source: LiteRT's reference kernel of MUL, double rounding; the multiplier is ``sx * sy / sz`` in binary32.

    Attributes:
        left_zero_point: zx.
        right_zero_point: zy.
        output_zero_point: zz.
        rescale: of the product, one multiplier.
        activation: the clamp, in output integers.
    """

    name = "mul"
    tflite = ("MUL",)
    summary = "product of tensors and constants, broadcast, fused activation"

    left_zero_point: int
    right_zero_point: int
    output_zero_point: int
    rescale: Rescale
    activation: Interval

    def infer(self, inputs: Sequence[Value]) -> tuple[tuple[tuple[int, ...], ElementType], ...]:
        """The shape that both broadcast to, the output type."""
        products = product_range(self.left, self.left_zero_point, self.right, self.right_zero_point)
        require_int32(self.rescale, products.low, products.high, self.output_zero_point)
        return super().infer(inputs)

    def function(self, left: Int64Array, right: Int64Array) -> Int64Array:
        """The product, rescaled and clamped."""
        product = (left - self.left_zero_point) * (right - self.right_zero_point)
        result = self.rescale.apply(product) + self.output_zero_point
        return np.clip(result, self.activation.low, self.activation.high)

    def exact_numbers(self) -> ExactProduct | None:
        """Where neither operand has a zero point, and the product is scaled by an integer of at most 16 bits."""
        if self.rescale.rounding not in EXACT or self.left_zero_point or self.right_zero_point:
            return None
        ((factor,), (shift,)) = self.rescale.exact_products()
        if not 0 < factor < _LARGEST_FACTOR:
            return None
        rounded = ExactResult(shift, self.rescale.rounding, self.output_zero_point, self.activation, self.output)
        return ExactProduct(self.left, self.right, factor, rounded)

    def pair_circuit(self, left: Value, right: Value, shape: tuple[int, ...]) -> ProductCircuit:
        """One operand times weights that the other one chooses: the constant one, or the right one."""
        multiplied = 1 if left.is_constant else 0
        operands, zero_points = (left, right), (self.left_zero_point, self.right_zero_point)
        ones, others = occurring(left), occurring(right)
        outputs = self.function(ones[:, None], others)
        if multiplied == 1:
            ones, others, outputs = others, ones, outputs.T
        factors = others - zero_points[1 - multiplied]
        wanted = Products(
            left=ones - zero_points[multiplied],
            right=factors,
            outputs=outputs,
            used=np.ones(outputs.shape, np.bool_),
            zero_point=self.output_zero_point,
            output=self.activation,
        )
        found = slopes(wanted, [-int(self.rescale.fixed_point()[1][0])])
        element, other = operands[multiplied].type.integer, operands[1 - multiplied].type.integer
        zero_point = zero_points[multiplied]
        return ProductCircuit(
            (left, right),
            shape,
            self.output,
            multiplied,
            numbers_of(found, element, zero_point, self.output_zero_point, self.activation, self.output),
            spread(others, found.weights, other),
            every_value(other) < zero_points[1 - multiplied],
        )

    def cost(self, inputs: Sequence[Value]) -> Cost:
        """A multiplication per element of the result."""
        elements = int(np.prod(broadcast_shape([value.type for value in inputs]), dtype=np.int64))
        return Cost(macs=elements, parameters=super().cost(inputs).parameters)

    def to_tflite(self, inputs: Sequence[Value], outputs: Sequence[Value]) -> SourceNode:
        """With the fused activation."""
        attributes = {"fused_activation_function": activation_named(self.activation, outputs[0].type)}
        return SourceNode("MUL", attributes, tuple(inputs), tuple(outputs), self.name)

    @classmethod
    def lower(cls, source: SourceNode) -> Lowered:
        """From a file's node."""
        left, right, constant = pair_operands(source, ("int8", "uint8", "int16"))
        made = source.outputs[0].type
        x, y, z = (each.required_quantization for each in (left.type, right.type, made))
        with np.errstate(over="ignore", under="ignore"):
            multiplier = float(np.float32(x.scale) * np.float32(y.scale) / np.float32(z.scale))
        operator = cls(
            left=left.type.integer,
            right=right.type.integer,
            output=made.integer,
            constant=constant,
            left_zero_point=x.zero_point,
            right_zero_point=y.zero_point,
            output_zero_point=z.zero_point,
            rescale=Rescale((multiplier,), Rounding.DOUBLE),
            activation=fused_clamp(source),
        )
        return Lowered(operator, (left.name, right.name))

    @classmethod
    def examples(cls) -> Iterable[Example]:
        """Equal shapes, constants, broadcasting, fused activations, one value twice, extreme scales, other types."""
        uint8, int16 = IntType(8, signed=False), IntType(16)
        near, gate, made = (0.05, 3), (1 / 256, -128), (0.0497, -7)
        whole, channels, pixels = (1, 2, 3, 4), (1, 1, 1, 4), (1, 2, 3, 1)
        yield pair_example(cls, "mul", (whole, near), (whole, (0.0213, -100)), (0.061, -7))
        yield pair_example(cls, "mul_relu", (whole, near), (whole, (0.1, 1)), (0.05, -128), activation="RELU")
        yield pair_example(cls, "mul_relu6", (whole, near), (whole, (0.1, 1)), (6 / 255, -128), activation="RELU6")
        yield pair_example(cls, "mul_ties", (whole, (0.05, 4)), (whole, gate), (0.05, 4))
        yield pair_example(cls, "mul_square", (whole, near), None, (0.09, -128))
        yield pair_example(cls, "mul_tiny", (channels, (1e-7, 3)), (channels, (1e-6, -100)), (2.6, 1))
        yield pair_example(cls, "mul_saturates", (channels, (1.0, 3)), (channels, (0.9, -100)), (1e-2, 1))
        yield pair_example(cls, "mul_scalar", (whole, near), ((), gate), made, constant=1)
        yield pair_example(cls, "mul_channel_constant", (whole, near), ((4,), gate), made, constant=1)
        yield pair_example(cls, "mul_constant_first", ((4,), near), (whole, gate), made, constant=0)
        yield pair_example(cls, "mul_tensor_constant", (whole, near), (whole, gate), made, constant=1)
        yield pair_example(cls, "mul_squeeze_excite", (whole, near), (channels, gate), made)
        yield pair_example(cls, "mul_excite_first", (channels, gate), (whole, (0.05, -128)), made)
        yield pair_example(cls, "mul_mask", (whole, near), (pixels, gate), made)
        yield pair_example(cls, "mul_outer", ((1, 3, 1), near), ((1, 1, 5), gate), made)
        yield pair_example(cls, "mul_number", (whole, near), ((1,), gate), made)
        yield pair_example(cls, "mul_mixed", ((3, 1, 2, 1), near), ((1, 2, 2, 3), gate), made)
        yield pair_example(cls, "mul_uint8", (whole, (0.05, 130)), (whole, (0.02, 7)), (0.06, 99), element=uint8)
        yield pair_example(cls, "mul_int16", (whole, (3e-4, 0)), (whole, (2e-4, 0)), (4e-4, 0), element=int16)
