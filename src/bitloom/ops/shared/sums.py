"""What ADD and SUB share: both operands rescaled to a common scale with many bits to spare, then rescaled once more."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from bitloom.arith import Interval, IntType, Rescale, Rounding, quantize_multiplier
from bitloom.arith.rescale import EXACT
from bitloom.arith.table_sum import table_sum
from bitloom.circuits.pairs import SumCircuit
from bitloom.errors import UnsupportedError
from bitloom.hw.exact_pairs import ExactResult, ExactSum
from bitloom.ir import Example, Lowered, SourceNode, Value
from bitloom.ops.shared.elementwise import (
    Int64Array,
    PairOperator,
    occurring,
    pair_example,
    pair_operands,
    spread,
)
from bitloom.ops.shared.fused import activation_named, fused_clamp

_KINDS = ("int8", "uint8", "int16")
# Operands of so many bits have tables instead, which are smaller than adders for wide factors.
_TABLE_BITS = 8
_LARGEST_FACTOR = 1 << 16
_LARGEST_WIDE_FACTOR = 1 << 31


def left_shift(bits: int) -> int:
    """Headroom for rounding in front of the sum of operands of up to so many bits: int32 is just not left.

    Wider operands get none: what brings them to one scale must be integers.
    """
    if bits <= 8:
        return 20
    return 15 if bits <= 16 else 0


@dataclass(frozen=True)
class SumOperator(PairOperator):
    """``clamp(rescale(left_rescale((x - zx) << k) +- right_rescale((y - zy) << k)) + zz)``.

    Source: LiteRT's reference kernels of ADD and SUB, three double roundings, k = 20 for 8 bits and 15 for 16; with
    ``t = 2 * max(sx, sy)`` the multipliers are ``sx / t``, ``sy / t`` and ``t / (2**k * sz)``, where t and 2**k * sz
    are binary32 and the quotients binary64.

    Class attributes:
        sign: 1 for the sum, -1 for the difference.

    Attributes:
        left_zero_point: zx.
        right_zero_point: zy.
        output_zero_point: zz.
        left_rescale: of x, one multiplier.
        right_rescale: of y, one multiplier.
        rescale: of the sum, one multiplier below 1.
        activation: the clamp, in output integers.
    """

    sign: ClassVar[int]

    left_zero_point: int
    right_zero_point: int
    output_zero_point: int
    left_rescale: Rescale
    right_rescale: Rescale
    rescale: Rescale
    activation: Interval

    def terms(self, left: Int64Array, right: Int64Array) -> tuple[Int64Array, Int64Array]:
        """What is added: both operands at the common scale, the right one with its sign."""
        shift = left_shift(max(self.left.bits, self.right.bits))
        return (
            self.left_rescale.apply((left - self.left_zero_point) << shift),
            self.sign * self.right_rescale.apply((right - self.right_zero_point) << shift),
        )

    def function(self, left: Int64Array, right: Int64Array) -> Int64Array:
        """The sum, rescaled and clamped."""
        one, other = self.terms(left, right)
        result = self.rescale.apply(one + other) + self.output_zero_point
        return np.clip(result, self.activation.low, self.activation.high)

    def exact_numbers(self) -> ExactSum | None:
        """Where both operands are brought to the scale of the sum by integers."""
        if not {self.left_rescale.rounding, self.right_rescale.rounding, self.rescale.rounding} <= EXACT:
            return None
        lift = 2.0 ** left_shift(max(self.left.bits, self.right.bits))
        scales = [each.multipliers[0] * lift for each in (self.left_rescale, self.right_rescale)]
        ((factor,), (shift,)) = self.rescale.exact_products()
        if not all(scale.is_integer() and scale < 2**31 for scale in scales) or factor == 0:
            return None
        one, other = (int(scale) * factor for scale in scales)
        spare = min(shift, *((each & -each).bit_length() - 1 for each in (one, other) if each))
        one, other, shift = one >> spare, other >> spare, shift - spare
        wide = max(self.left.bits, self.right.bits) > _TABLE_BITS
        if max(one, other) >= (_LARGEST_WIDE_FACTOR if wide else _LARGEST_FACTOR):
            return None
        return ExactSum(
            left=self.left,
            right=self.right,
            left_factor=one,
            right_factor=self.sign * other,
            constant=-one * self.left_zero_point - self.sign * other * self.right_zero_point,
            result=ExactResult(shift, self.rescale.rounding, self.output_zero_point, self.activation, self.output),
        )

    def pair_circuit(self, left: Value, right: Value, shape: tuple[int, ...]) -> SumCircuit:
        """Sums of two tables."""
        ones, others = occurring(left), occurring(right)
        left_terms, right_terms = self.terms(ones, others)
        step = self.rescale.multipliers[0]
        found = table_sum(
            self.function(ones[:, None], others),
            self.activation,
            left_terms.astype(np.float64) * step,
            right_terms.astype(np.float64) * step + self.output_zero_point + 0.5,
        )
        tables = replace(found, left=spread(ones, found.left, self.left), right=spread(others, found.right, self.right))
        return SumCircuit((left, right), shape, self.output, tables)

    def to_tflite(self, inputs: Sequence[Value], outputs: Sequence[Value]) -> SourceNode:
        """With the fused activation, and for 16 bits the general arithmetic."""
        attributes: dict[str, Any] = {"fused_activation_function": activation_named(self.activation, outputs[0].type)}
        if self.left.bits > 8:
            attributes["pot_scale_int16"] = False
        return SourceNode(self.tflite[0], attributes, tuple(inputs), tuple(outputs), self.name)

    @classmethod
    def lower(cls, source: SourceNode) -> Lowered:
        """From a file's node."""
        left, right, constant = pair_operands(source, _KINDS)
        made = source.outputs[0].type
        types = [left.type, right.type, made]
        scales = [np.float32(each.required_quantization.scale) for each in types]
        zero_points = [each.required_quantization.zero_point for each in types]
        if made.integer.bits > 8 and source.attributes.get("pot_scale_int16", True) and _powers_of_two(scales):
            raise UnsupportedError(
                f"{source.kind} of int16 with scales that are all powers of two, in the kernel's special arithmetic",
                where=source.where,
            )
        shift = left_shift(made.integer.bits)
        with np.errstate(over="ignore"):
            twice = float(np.float32(2) * max(scales[:2]))
            lifted = float(np.float32(1 << shift) * scales[2])
        ratio = twice / lifted
        # The kernel aborts; the ratio is 0 or infinite where a scale is so large that binary32 ends.
        if not (ratio > 0 and np.isfinite(ratio) and ratio < 1 and quantize_multiplier(ratio)[1] <= 0):
            raise UnsupportedError(
                f"{source.kind} with scales {scales[0]:g} and {scales[1]:g} to {scales[2]:g}: the reference kernel "
                f"takes output scales above 2**{1 - shift} times the operands'",
                where=source.where,
            )
        operator = cls(
            left=left.type.integer,
            right=right.type.integer,
            output=made.integer,
            constant=constant,
            left_zero_point=zero_points[0],
            right_zero_point=zero_points[1],
            output_zero_point=zero_points[2],
            left_rescale=Rescale((float(scales[0]) / twice,), Rounding.DOUBLE),
            right_rescale=Rescale((float(scales[1]) / twice,), Rounding.DOUBLE),
            rescale=Rescale((ratio,), Rounding.DOUBLE),
            activation=fused_clamp(source),
        )
        return Lowered(operator, (left.name, right.name))

    @classmethod
    def examples(cls) -> Iterable[Example]:
        """Equal shapes, constants, broadcasting, fused activations, one value twice, extreme scales, other types."""
        name, uint8, int16 = cls.name, IntType(8, signed=False), IntType(16)
        near, far, sum_of = (0.05, 3), (0.0213, -100), (0.061, -7)
        whole, channels, pixels = (1, 2, 3, 4), (4,), (1, 2, 3, 1)
        yield pair_example(cls, name, (whole, near), (whole, far), sum_of)
        yield pair_example(cls, f"{name}_relu", (whole, near), (whole, far), (0.05, -128), activation="RELU")
        yield pair_example(cls, f"{name}_relu6", (whole, near), (whole, far), (6 / 255, -128), activation="RELU6")
        yield pair_example(
            cls, f"{name}_n1_to_1", (channels, near), (channels, far), (0.02, 9), activation="RELU_N1_TO_1"
        )
        yield pair_example(cls, f"{name}_ties", (whole, (0.5, 0)), (whole, (0.5, 0)), (1.0, 0))
        yield pair_example(cls, f"{name}_ties_apart", (whole, (0.25, 5)), (whole, (0.5, -9)), (1.0, 3))
        yield pair_example(cls, f"{name}_twice", (whole, near), None, (0.09, 0))
        yield pair_example(cls, f"{name}_unlike", (channels, (3e-4, 3)), (channels, (2.5, -100)), (2.6, 1))
        yield pair_example(cls, f"{name}_tiny", (channels, (1e-20, 3)), (channels, (1e-20, -100)), (2.6, 1))
        yield pair_example(cls, f"{name}_saturates", (channels, (1.0, 3)), (channels, (0.9, -100)), (1e-3, 1))
        yield pair_example(cls, f"{name}_scalar", (whole, near), ((), far), sum_of, constant=1)
        yield pair_example(cls, f"{name}_channel_constant", (whole, near), (channels, far), sum_of, constant=1)
        yield pair_example(cls, f"{name}_constant_first", (channels, near), (whole, far), sum_of, constant=0)
        yield pair_example(cls, f"{name}_tensor_constant", (whole, near), (whole, far), sum_of, constant=1)
        yield pair_example(cls, f"{name}_channels", (whole, near), (channels, far), sum_of)
        yield pair_example(cls, f"{name}_pixels", (pixels, near), (whole, far), sum_of)
        yield pair_example(cls, f"{name}_outer", ((1, 3, 1), near), ((1, 1, 5), far), sum_of)
        yield pair_example(cls, f"{name}_lines", ((1, 2, 1, 4), near), (whole, far), sum_of)
        yield pair_example(cls, f"{name}_number", ((1,), near), (whole, far), sum_of)
        yield pair_example(cls, f"{name}_mixed", ((3, 1, 2, 1), near), ((1, 2, 2, 3), far), sum_of)
        yield pair_example(cls, f"{name}_uint8", (whole, (0.05, 130)), (whole, (0.02, 7)), (0.06, 99), element=uint8)
        yield pair_example(cls, f"{name}_int16", (whole, (3e-4, 0)), (whole, (2e-4, 0)), (4e-4, 0), element=int16)


def _powers_of_two(scales: Sequence[np.float32]) -> bool:
    """Whether the kernel may take them for powers of two: log2 in binary32 within 1e-3 of an integer, and some more."""
    logarithms = np.log2(np.array(scales, np.float32))
    return bool((np.abs(logarithms - np.round(logarithms)) < 2e-3).all())
