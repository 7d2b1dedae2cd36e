"""The only definition of integer arithmetic in bitloom: types, rescaling with its roundings, ranges, narrowing."""

from bitloom.arith.narrow import NarrowRescale, narrow
from bitloom.arith.ranges import Interval, dot_product_range
from bitloom.arith.rescale import Rescale, Rounding, quantize_multiplier
from bitloom.arith.steps import StepBounds
from bitloom.arith.types import IntType

__all__ = [
    "IntType",
    "Interval",
    "NarrowRescale",
    "Rescale",
    "Rounding",
    "StepBounds",
    "dot_product_range",
    "narrow",
    "quantize_multiplier",
]
