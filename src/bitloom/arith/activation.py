"""Fused activations as clamps of quantized values."""

from __future__ import annotations

import math

import numpy as np

from bitloom.arith.ranges import Interval
from bitloom.arith.types import IntType
from bitloom.errors import ArithmeticDomainError

_REAL_BOUNDS: dict[str, tuple[float | None, float | None]] = {
    "NONE": (None, None),
    "RELU": (0.0, None),
    "RELU6": (0.0, 6.0),
    "RELU_N1_TO_1": (-1.0, 1.0),
}

FUSED_ACTIVATIONS = tuple(_REAL_BOUNDS)


def quantize_real(real: float, scale: float, zero_point: int) -> int:
    """``zero_point + round(real / scale)``: a float32 division, halves away from zero, as LiteRT's kernels do it.

    Raises:
        ArithmeticDomainError: the quotient is beyond int32, where the kernels' answer is undefined.

    >>> quantize_real(6.0, 0.05, -128)
    -8
    """
    with np.errstate(over="ignore", divide="ignore"):
        ratio = float(np.float32(real) / np.float32(scale))
    if not abs(ratio) < 2**31:
        raise ArithmeticDomainError(
            f"{real} divided by the scale {scale} leaves int32", remedy="check the output scale"
        )
    return zero_point + int(math.copysign(math.floor(abs(ratio) + 0.5), ratio))


def activation_range(activation: str, scale: float, zero_point: int, output: IntType) -> Interval:
    """The quantized clamp of a fused activation.

    Source: LiteRT's quantized activation range: the real bounds quantized with the output's scale and zero
    point, limited to the output type.

    Args:
        activation: one of `FUSED_ACTIVATIONS`.
        scale: of the output.
        zero_point: of the output.
        output: the output's type.

    Raises:
        KeyError: another activation.
    """
    low, high = _REAL_BOUNDS[activation]
    return Interval(
        output.minimum if low is None else max(output.minimum, quantize_real(low, scale, zero_point)),
        output.maximum if high is None else min(output.maximum, quantize_real(high, scale, zero_point)),
    )
