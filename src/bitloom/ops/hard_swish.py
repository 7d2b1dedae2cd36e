"""HARD_SWISH: ``x * relu6(x + 3) / 6`` in 16-bit fixed point, as a table."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from bitloom.arith import IntType, quantize_multiplier
from bitloom.arith.fixed_point import divide_by_power
from bitloom.errors import UnsupportedError
from bitloom.ir import Example, Lowered, Quantization, SourceNode, TensorType, Value, register
from bitloom.ops.shared.support import example_graph, require_kinds
from bitloom.ops.shared.table import Int64Array, TableOperator

_INT16 = IntType(16)
_LARGEST_RIGHT_SHIFT = 15
_LARGEST_LEFT_SHIFT = 31


@register
@dataclass(frozen=True)
class HardSwish(TableOperator):
    """``(x - zx) * 2**7`` times a factor in [0, 1] that rises from x = -3 to x = 3, at the output's scale.

    Source: LiteRT's reference kernel of HARD_SWISH: all steps in int16, products of which the upper half is kept,
    rounded to nearest but for the last one, which is truncated.

    Attributes:
        input_zero_point: zx.
        output_zero_point: zy.
        output_multiplier: 15-bit fraction of ``sx / 128 / sy``.
        output_exponent: its power of two, 0 or less.
        factor_multiplier: 15-bit fraction of ``sx / 128 / (3 / 2**15)``.
        factor_exponent: its power of two.
    """

    name = "hard_swish"
    tflite = ("HARD_SWISH",)
    summary = "x * relu6(x + 3) / 6, a table of 256 entries"

    input_zero_point: int
    output_zero_point: int
    output_multiplier: int
    output_exponent: int
    factor_multiplier: int
    factor_exponent: int

    def function(self, values: Int64Array) -> Int64Array:
        """The kernel's sequence of int16 operations."""
        x = (values - self.input_zero_point) << 7
        scaled = _multiply_high(x, self.output_multiplier)
        factor = x
        if self.factor_exponent > 0:
            factor = _INT16.clamp(factor << (self.factor_exponent - 1))
        factor = _multiply_high(factor, self.factor_multiplier)
        if self.factor_exponent > 0:
            factor = _INT16.clamp(factor << 1)
        else:
            factor = divide_by_power(factor, -self.factor_exponent)
        factor = (factor + (1 << 15)) >> 1
        product = factor * scaled
        shortened = np.sign(product) * (np.abs(product) >> 15)
        return self.output.clamp(divide_by_power(shortened, -self.output_exponent) + self.output_zero_point)

    @classmethod
    def lower(cls, source: SourceNode) -> Lowered:
        """From a file's node."""
        require_kinds(source, [("int8", "int8"), ("uint8", "uint8")])
        x, y = source.operand(0).type, source.outputs[0].type
        given, made = x.required_quantization, y.required_quantization
        with np.errstate(over="ignore", under="ignore"):
            fine = np.float32(1 / 128) * np.float32(given.scale)
            output = _fraction(float(fine / np.float32(made.scale)))
            factor = _fraction(float(fine / (np.float32(3) / np.float32(1 << 15))))
        if not -_LARGEST_RIGHT_SHIFT <= output[1] <= 0:
            raise UnsupportedError(
                f"{source.kind} from scale {given.scale:g} to {made.scale:g}: the reference kernel takes quotients "
                "from 2**-9 to 2**7",
                where=source.where,
            )
        if not -_LARGEST_RIGHT_SHIFT <= factor[1] <= _LARGEST_LEFT_SHIFT:
            raise UnsupportedError(
                f"{source.kind} of scale {given.scale:g}, which overflows the reference kernel", where=source.where
            )
        operator = cls(x.integer, y.integer, given.zero_point, made.zero_point, *output, *factor)
        return Lowered(operator, (source.operand(0).name,))

    @classmethod
    def examples(cls) -> Iterable[Example]:
        """Ranges within, around and beyond the bend; both signednesses."""
        int8, uint8 = IntType(8), IntType(8, signed=False)
        yield _example("usual", int8, (0.04, 3), (0.0235, -112))
        yield _example("narrow", int8, (0.003, -20), (0.002, 9))
        yield _example("wide", int8, (0.9, -100), (0.8, -128))
        yield _example("far", int8, (40.0, 0), (30.0, -60))
        yield _example("fine_output", int8, (0.05, 0), (0.001, 0))
        yield _example("uint8", uint8, (0.05, 100), (0.03, 10))


def _fraction(real: float) -> tuple[int, int]:
    """The kernel's 15-bit fraction and power of two of a multiplier."""
    multiplier, exponent = quantize_multiplier(real)
    return min((multiplier + (1 << 15)) >> 16, _INT16.maximum), exponent


def _multiply_high(values: Int64Array, multiplier: int) -> Int64Array:
    """``values * multiplier / 2**15`` of int16 rounded to nearest, halves up."""
    product = values * multiplier
    nudged = product + np.where(product >= 0, 1 << 14, 1 - (1 << 14))
    return np.sign(nudged) * (np.abs(nudged) >> 15)


def _example(name: str, element: IntType, given: tuple[float, int], made: tuple[float, int]) -> Example:
    x = Value("x", TensorType((1, 11), element, Quantization((given[0],), (given[1],))))
    y = Value("y", TensorType((1, 11), element, Quantization((made[0],), (made[1],))))
    return example_graph(HardSwish, f"hard_swish_{name}", "HARD_SWISH", [x], y)
