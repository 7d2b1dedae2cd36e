"""What each rounding means, in exact rational arithmetic: the yardstick for `bitloom.arith.rescale`.

Nothing here shares code with bitloom, or works with machine numbers: integers are Python's, the rest are fractions.
"""

from fractions import Fraction
from math import floor

from bitloom.arith import Rounding

HALF = Fraction(1, 2)


def half_up(value: Fraction) -> int:
    return floor(value + HALF)


def half_away(value: Fraction) -> int:
    return floor(value + HALF) if value >= 0 else -floor(-value + HALF)


def half_even(value: Fraction) -> int:
    below = floor(value)
    rest = value - below
    return below + (rest > HALF or (rest == HALF and below % 2 == 1))


def magnitude(value: Fraction) -> int:
    """The exponent e with 2**(e - 1) <= |value| < 2**e."""
    estimate = abs(value.numerator).bit_length() - value.denominator.bit_length()
    return estimate + 1 if abs(value) >= Fraction(2) ** estimate else estimate


def significant(value: Fraction, bits: int) -> Fraction:
    """The nearest number of so many significant bits, ties to even (exponents are not limited)."""
    if value == 0:
        return value
    exponent = magnitude(value) - bits
    return half_even(value / Fraction(2) ** exponent) * Fraction(2) ** exponent


def binary64(value: Fraction) -> Fraction:
    """As a float64."""
    return significant(value, 53)


def binary32(value: Fraction) -> Fraction:
    """As a float32."""
    return significant(value, 24)


def fixed_point(real: float, *, flush: bool = True) -> tuple[int, int]:
    """(Q, s) with real = Q * 2**(s - 31) and 2**30 <= Q < 2**31, rounded half up; (0, 0) below 2**-32 where flushed."""
    value = Fraction(real)
    if value == 0:
        return 0, 0
    shift = magnitude(value)
    multiplier = half_up(value / Fraction(2) ** shift * 2**31)
    if multiplier == 2**31:
        multiplier, shift = 2**30, shift + 1
    return (multiplier, shift) if shift >= -31 or not flush else (0, 0)


def gemmlowp_double(value: int, multiplier: int, shift: int) -> int:
    """The two steps as gemmlowp states them, in C's integer operations (division truncates, >> rounds down)."""
    product = (value * 2 ** max(shift, 0)) * multiplier
    nudged = product + (2**30 if product >= 0 else 1 - 2**30)
    high = nudged // 2**31 if nudged >= 0 else -(-nudged // 2**31)
    exponent = max(-shift, 0)
    mask = 2**exponent - 1
    threshold = (mask >> 1) + (1 if high < 0 else 0)
    return (high >> exponent) + (1 if (high & mask) > threshold else 0)


def rescaled(value: int, real: float, rounding: Rounding) -> int:
    """One accumulator times one real multiplier, rounded."""
    if rounding is Rounding.FLOAT64:
        return half_away(binary64(Fraction(value) * Fraction(real)))
    if rounding is Rounding.FLOAT32:
        return half_even(binary32(binary32(Fraction(value)) * binary32(Fraction(real))))
    multiplier, shift = fixed_point(real)
    if rounding is Rounding.DOUBLE:
        # To a whole number first, halves up; then by the power of two, halves away from zero.
        high = half_up(Fraction(value * 2 ** max(shift, 0) * multiplier, 2**31))
        return half_away(Fraction(high, 2 ** max(-shift, 0)))
    if rounding is Rounding.REDUCED:
        # The multiplier to 15 bits, halves up, saturated; then the product, halves up.
        return half_up(value * min(half_up(Fraction(multiplier, 2**16)), 2**15 - 1) * Fraction(2) ** (shift - 15))
    if rounding is not Rounding.SINGLE:
        multiplier, shift = fixed_point(real, flush=False)
    exact = value * multiplier * Fraction(2) ** (shift - 31)
    if rounding is Rounding.HALF_EVEN:
        return half_even(exact)
    if rounding is Rounding.HALF_AWAY:
        return half_away(exact)
    if rounding is Rounding.TRUNCATE:
        return floor(exact)
    assert rounding in (Rounding.SINGLE, Rounding.HALF_UP)
    return half_up(exact)
