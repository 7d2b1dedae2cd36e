"""Fixed-point functions of integer softmax kernels: exponential and reciprocal, bit for bit.

A number with `m` integer bits is a 32-bit integer `raw` standing for ``raw * 2**(m - 31)``, written Qm.(31-m).
Products of Qa and Qb numbers are Q(a+b), by `multiply_high`. Everything takes and gives int64 arrays that hold
int32 values, so that intermediate sums cannot overflow.

Source: the public definitions of the gemmlowp fixed-point library ("fixedpoint.h": saturating rounding doubling
high multiply as ARM's VQRDMULH, rounding divide by power of two, exponential by Taylor expansion and barrel
shifting, Newton-Raphson division), which LiteRT's reference SOFTMAX calls. The tests compare with the interpreter.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Int64Array = npt.NDArray[np.int64]

_INT32_MIN, _INT32_MAX = -(2**31), 2**31 - 1


def fixed(real: float, integer_bits: int) -> int:
    """The raw Q`integer_bits` number nearest a real constant, saturated to int32.

    >>> fixed(0.5, 0), fixed(1.0, 0) == 2**31 - 1
    (1073741824, True)
    """
    return max(_INT32_MIN, min(_INT32_MAX, math.floor(real * 2.0 ** (31 - integer_bits) + 0.5)))


def multiply_high(left: npt.ArrayLike, right: npt.ArrayLike) -> Int64Array:
    """``left * right / 2**31`` rounded to nearest, halves up; the square of -2**31 saturates.

    >>> multiply_high(2**30, 3).tolist(), multiply_high(-(2**30), 3).tolist()
    (2, -1)
    """
    product = np.asarray(left, np.int64) * np.asarray(right, np.int64)
    nudged = product + np.where(product >= 0, 1 << 30, 1 - (1 << 30))
    # Division truncates toward zero, where a shift would round down.
    quotient = np.where(nudged >= 0, nudged >> 31, -((-nudged) >> 31))
    return np.minimum(quotient, _INT32_MAX)


def divide_by_power(values: npt.ArrayLike, exponent: npt.ArrayLike) -> Int64Array:
    """``values / 2**exponent`` rounded to nearest, halves away from zero.

    >>> divide_by_power([-3, -1, 1, 3], 1).tolist()
    [-2, -1, 1, 2]
    """
    numbers, shift = np.asarray(values, np.int64), np.asarray(exponent, np.int64)
    mask = (np.int64(1) << shift) - 1
    threshold = (mask >> 1) + (numbers < 0)
    result: Int64Array = (numbers >> shift) + ((numbers & mask) > threshold)
    return result


def multiply_by_power(values: npt.ArrayLike, exponent: int) -> Int64Array:
    """``values * 2**exponent`` saturated to int32.

    The kernels saturate from one below the largest exactly representable magnitude, on both sides.

    >>> multiply_by_power([1, 2**30], 2).tolist()
    [4, 2147483647]
    """
    numbers = np.asarray(values, np.int64)
    threshold = (1 << (31 - exponent)) - 1
    shifted = numbers << exponent
    return np.where(numbers > threshold, _INT32_MAX, np.where(numbers < -threshold, _INT32_MIN, shifted))


def exponential(values: npt.ArrayLike, integer_bits: int) -> Int64Array:
    """``exp(x)`` of numbers x <= 0, as Q0.31.

    x is split into a multiple of -1/4 and a rest in [-1/4, 0). The rest goes through a Taylor polynomial around
    -1/8; each set bit of the multiple multiplies by the constant ``exp(-2**bit)``.

    Args:
        values: raw, not positive, with `integer_bits` integer bits (at most 5).
        integer_bits: of the input.

    >>> exponential([0, -(2**26)], 5).tolist(), round(math.exp(-1) * 2**31)
    ([2147483647, 790015308], 790015084)
    """
    numbers = np.asarray(values, np.int64)
    fraction_bits = 31 - integer_bits
    quarter = 1 << (fraction_bits - 2)
    rest = (numbers & (quarter - 1)) - quarter
    result = _exponential_of_rest(multiply_by_power(rest, integer_bits))
    steps = rest - numbers
    for exponent in range(-2, integer_bits):
        scaled = multiply_high(result, fixed(math.exp(-(2.0**exponent)), 0))
        result = np.where(steps & (1 << (fraction_bits + exponent)), scaled, result)
    return np.where(numbers == 0, _INT32_MAX, result)


def _exponential_of_rest(values: Int64Array) -> Int64Array:
    """``exp(x)`` for x in [-1/4, 0), Q0.31: ``c + c * (z + z^2/2 + z^3/6 + z^4/24)`` z = x + 1/8, c = exp(-1/8)."""
    z = values + (1 << 28)
    square = multiply_high(z, z)
    cube = multiply_high(square, z)
    fourth = multiply_high(square, square)
    cubic_and_quartic = multiply_high(divide_by_power(fourth, 2) + cube, fixed(1 / 3, 0))
    series = divide_by_power(cubic_and_quartic + square, 1)
    constant = fixed(math.exp(-1 / 8), 0)
    return constant + multiply_high(constant, z + series)


def one_over_one_plus(values: npt.ArrayLike) -> Int64Array:
    """``1 / (1 + x)`` for x in [0, 1), both Q0.31, by three Newton-Raphson steps on half the denominator.

    >>> one_over_one_plus(0).tolist() == 2**31 - 1
    True
    """
    half_denominator = (np.asarray(values, np.int64) + _INT32_MAX + 1) >> 1
    # The start 48/17 - 32/17 d is the best straight line for 1/d on [1/2, 1]. Everything below has two integer bits.
    estimate = fixed(48 / 17, 2) + multiply_high(half_denominator, fixed(-32 / 17, 2))
    for _ in range(3):
        error = (1 << 29) - multiply_high(half_denominator, estimate)
        estimate = estimate + multiply_by_power(multiply_high(estimate, error), 2)
    return multiply_by_power(estimate, 1)


def reciprocal(values: npt.ArrayLike, integer_bits: int) -> tuple[Int64Array, Int64Array]:
    """The reciprocal of positive numbers, as a mantissa and a power of two.

    Args:
        values: raw, 0 < raw < 2**31, with `integer_bits` integer bits.
        integer_bits: of the input.

    Returns:
        ``(mantissa, bits_over_unit)``, the reciprocal being ``mantissa * 2**(-31 - bits_over_unit)``.

    >>> [part.tolist() for part in reciprocal(3 << 19, 12)]  # 1/3 = 0.667 / 2
    [1431655762, 1]
    """
    numbers = np.asarray(values, np.int64)
    # Exact for integers below 2**53: frexp gives the position of the leading one.
    headroom = 32 - np.frexp(numbers.astype(np.float64))[1].astype(np.int64)
    mantissa = one_over_one_plus((numbers << headroom) - (1 << 31))
    return mantissa, integer_bits - headroom
