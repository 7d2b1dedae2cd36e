"""Scales and zero points of ranges, as binary32 numbers, which is what files hold."""

from __future__ import annotations

import numpy as np

from bitloom.arith import IntType
from bitloom.ir.types import Quantization
from bitloom.quantize.ranges import Range, power_of_two_above

# Below this, quotients of scales leave what kernels can rescale by.
SMALLEST_SCALE = 2.0**-60
SYMMETRIC_FROM_BITS = 9
"""Activations from this width on have the zero point 0, as the kernels of int16 demand."""


def single(value: float) -> float:
    """The binary32 number nearest a real one."""
    return float(np.float32(value))


def activation_quantization(
    bounds: Range, element: IntType, *, symmetric: bool = False, power_of_two: bool = False
) -> Quantization:
    """Scale and zero point of a range, such that 0 is exact.

    Args:
        bounds: the range, not empty.
        element: signed.
        symmetric: whether the zero point is 0; that of types wider than 8 bits is.
        power_of_two: whether the scale is a power of two, large enough for the range.

    Returns:
        The integers of the range are all of the type's, or all but the lowest where it is symmetric.

    >>> activation_quantization((-1.0, 1.55), IntType(8))
    Quantization(scales=(0.009999999776482582,), zero_points=(-28,), axis=None)
    """
    low, high = min(bounds[0], 0.0), max(bounds[1], 0.0)
    if symmetric or element.bits >= SYMMETRIC_FROM_BITS:
        return Quantization((_scale(max(-low, high) / element.maximum, power_of_two=power_of_two),), (0,))
    steps = element.maximum - element.minimum
    scale = _scale((high - low) / steps, power_of_two=power_of_two)
    zero_point = round(element.minimum - low / scale)
    return Quantization((scale,), (min(max(zero_point, element.minimum), element.maximum),))


def _scale(wanted: float, *, power_of_two: bool) -> float:
    scale = max(wanted, SMALLEST_SCALE)
    return power_of_two_above(scale) if power_of_two else single(scale)
