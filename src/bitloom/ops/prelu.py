"""PRELU: a rectifier whose slope for negative inputs is a tensor, usually one constant per channel."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from bitloom.arith import Interval, IntType, Rescale, Rounding
from bitloom.arith.slopes import Products, slopes
from bitloom.circuits.pairs import ProductCircuit, numbers_of
from bitloom.errors import GraphError
from bitloom.ir import Cost, Example, Lowered, SourceNode, Value, register
from bitloom.ir.types import ElementType
from bitloom.ops.shared.elementwise import (
    Int64Array,
    PairOperator,
    every_value,
    occurring,
    pair_example,
    pair_operands,
    product_range,
    spread,
)
from bitloom.ops.shared.support import require_int32


@register
@dataclass(frozen=True)
class Prelu(PairOperator):
    """``clamp(rescale(x - zx) + zz)`` for x >= zx, else ``clamp(slope_rescale((x - zx) * (a - za)) + zz)``.

    Source: LiteRT's reference kernel of PRELU, double rounding; the multipliers are ``sx / sz`` and ``sx * sa / sz``
    in binary32.

    Attributes:
        left_zero_point: zx.
        right_zero_point: za, of the slope.
        output_zero_point: zz.
        rescale: of inputs that are not negative, one multiplier.
        slope_rescale: of the products, one multiplier.
    """

    name = "prelu"
    tflite = ("PRELU",)
    summary = "rectifier with a slope for negative inputs, a constant per channel or any tensor"

    left_zero_point: int
    right_zero_point: int
    output_zero_point: int
    rescale: Rescale
    slope_rescale: Rescale

    def infer(self, inputs: Sequence[Value]) -> tuple[tuple[tuple[int, ...], ElementType], ...]:
        """The first operand's shape, the output type."""
        lowest, highest = self.left.minimum - self.left_zero_point, self.left.maximum - self.left_zero_point
        require_int32(self.rescale, 0, highest, self.output_zero_point)
        products = product_range(self.left, self.left_zero_point, self.right, self.right_zero_point)
        if lowest < 0:
            require_int32(self.slope_rescale, products.low, products.high, self.output_zero_point)
        results = super().infer(inputs)
        if results[0][0] != inputs[0].type.shape:
            raise GraphError(
                f"slopes of shape {list(inputs[1].type.shape)} widen the input of {list(inputs[0].type.shape)}"
            )
        return results

    def function(self, left: Int64Array, right: Int64Array) -> Int64Array:
        """Each side rescaled in its own way."""
        x = left - self.left_zero_point
        sloped = self.slope_rescale.apply(np.minimum(x, 0) * (right - self.right_zero_point))
        return self.output.clamp(np.where(x >= 0, self.rescale.apply(x), sloped) + self.output_zero_point)

    def pair_circuit(self, left: Value, right: Value, shape: tuple[int, ...]) -> ProductCircuit:
        """The input times one weight where it is not negative, else times one that the slope chooses."""
        inputs, others = every_value(self.left), occurring(right)
        x = inputs - self.left_zero_point
        # The first column is the side that no slope touches.
        outputs = self.function(inputs[:, None], np.concatenate([others[:1], others]))
        wanted = Products(
            left=x,
            right=np.concatenate([[1], others - self.right_zero_point]),
            outputs=outputs,
            used=(x[:, None] >= 0) == (np.arange(len(others) + 1) == 0),
            zero_point=self.output_zero_point,
            output=Interval(self.output.minimum, self.output.maximum),
        )
        found = slopes(wanted, [-int(each.fixed_point()[1][0]) for each in (self.rescale, self.slope_rescale)])
        straight = int(found.weights[0])
        return ProductCircuit(
            (left, right),
            shape,
            self.output,
            0,
            numbers_of(
                found, self.left, self.left_zero_point, self.output_zero_point, wanted.output, self.output, straight
            ),
            spread(others, found.weights[1:], self.right),
            every_value(self.right) < self.right_zero_point,
        )

    def cost(self, inputs: Sequence[Value]) -> Cost:
        """A multiplication per element."""
        return Cost(macs=inputs[0].type.size, parameters=super().cost(inputs).parameters)

    @classmethod
    def lower(cls, source: SourceNode) -> Lowered:
        """From a file's node."""
        left, right, constant = pair_operands(source, ("int8", "uint8"))
        made = source.outputs[0].type
        x, slope, z = (each.required_quantization for each in (left.type, right.type, made))
        with np.errstate(over="ignore", under="ignore"):
            straight = float(np.float32(x.scale) / np.float32(z.scale))
            sloped = float(np.float32(x.scale) * np.float32(slope.scale) / np.float32(z.scale))
        operator = cls(
            left=left.type.integer,
            right=right.type.integer,
            output=made.integer,
            constant=constant,
            left_zero_point=x.zero_point,
            right_zero_point=slope.zero_point,
            output_zero_point=z.zero_point,
            rescale=Rescale((straight,), Rounding.DOUBLE),
            slope_rescale=Rescale((sloped,), Rounding.DOUBLE),
        )
        return Lowered(operator, (left.name, right.name))

    @classmethod
    def examples(cls) -> Iterable[Example]:
        """Slopes per channel, one for all, one per element, computed; both signs; both signednesses."""
        uint8 = IntType(8, signed=False)
        whole, channels = (1, 2, 3, 4), (1, 1, 4)
        x, slopes, made = (0.05, 3), (0.004, -20), (0.0471, -60)
        yield pair_example(cls, "prelu_channels", (whole, x), (channels, slopes), made, constant=1)
        yield pair_example(cls, "prelu_same_scale", (whole, x), (channels, (1 / 128, 0)), x, constant=1)
        yield pair_example(cls, "prelu_one", (whole, x), ((1, 1, 1), slopes), made, constant=1)
        yield pair_example(cls, "prelu_elements", (whole, x), (whole[1:], slopes), made, constant=1)
        yield pair_example(cls, "prelu_steep", (whole, x), (channels, (0.3, 7)), (0.01, -100), constant=1)
        yield pair_example(cls, "prelu_computed", (whole, x), (channels, slopes), made)
        yield pair_example(cls, "prelu_two", (whole, x), (whole, slopes), made)
        yield pair_example(
            cls, "prelu_uint8", (whole, (0.05, 99)), (channels, (0.01, 30)), (0.05, 70), constant=1, element=uint8
        )
