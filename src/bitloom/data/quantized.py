"""Turning real inputs into a network's integers, as LiteRT's QUANTIZE operator does."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from bitloom.arith import IntType
from bitloom.errors import DataError

_INT8 = IntType(8)
_FAR_OUTSIDE = np.float32(2.0**65)  # steps; beyond every integer type and zero point, and finite


def quantize_inputs(
    x: npt.ArrayLike, scale: float, zero_point: int, int_type: IntType = _INT8
) -> npt.NDArray[np.signedinteger[Any] | np.unsignedinteger[Any]]:
    """Quantize real numbers: ``clamp(round_half_away(float32(x) / float32(scale)) + zero_point)``.

    The division is rounded to float32 before the rounding to a whole number, because LiteRT's reference kernel
    (AffineQuantize) divides in float32.

    Args:
        x: real numbers of any shape.
        scale: the real value of one step, positive.
        zero_point: the integer that stands for 0.
        int_type: the type of the result; values outside saturate.

    Returns:
        Integers of the shape of `x` and dtype ``int_type.dtype``.

    Raises:
        DataError: a NaN, an infinity, or a scale that is not positive.

    >>> quantize_inputs([0.0, 0.2, 1.0, 9.0], 1 / 255, -128).tolist()
    [-128, -77, 127, 127]
    """
    step = np.float32(scale)
    if not (np.isfinite(step) and step > 0):
        raise DataError(f"a quantization scale is a positive number, not {scale}")
    values = np.asarray(x, np.float32)
    if not np.isfinite(values).all():
        raise DataError("the inputs contain NaN or infinity", remedy="replace them before quantizing")
    with np.errstate(over="ignore"):  # what overflows float32 saturates all the more
        ratio = np.clip(values / step, -_FAR_OUTSIDE, _FAR_OUTSIDE)
    whole = np.trunc(ratio)
    # ratio - whole is exact, unlike ratio + 0.5, which for 0.49999997 would round up to 1.
    whole += np.copysign(np.abs(ratio - whole) >= np.float32(0.5), ratio)
    low, high = int_type.minimum, int_type.maximum
    return np.clip(whole.astype(np.float64) + zero_point, low, high).astype(int_type.dtype)
