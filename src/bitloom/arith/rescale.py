"""Rescaling: multiply an integer accumulator by a real constant and round, exactly as a named kernel does.

The rounding is an attribute of each rescale, never a global, because the kernels differ:

| rounding | definition | who rounds so |
|---|---|---|
| ``DOUBLE`` | ``RDBPOT(SRDHM(x * 2**max(s, 0), Q), max(-s, 0))`` | LiteRT CONV_2D, DEPTHWISE_CONV_2D, QUANTIZE |
| ``SINGLE`` | ``(x * Q + 2**(30-s)) >> (31-s)`` | TFLite builds with single rounding |
| ``FLOAT64`` | ``round_half_away(float64(x) * float64(M))`` | LiteRT >= 1.3 FULLY_CONNECTED |
| ``REDUCED`` | ``(x * Q' + 2**(14-s)) >> (15-s)``, Q' of 15 bits | LiteRT convolutions of int16 with int64 biases |
| ``FLOAT32`` | ``round_half_even(float32(x) * float32(M))`` | ONNX Runtime, QLinearConv and QLinearMatMul |
| ``HALF_EVEN`` | nearest, ties to even, of ``x * Q * 2**(s-31)`` | QONNX, where scales are powers of two |
| ``HALF_UP`` | ``floor(x * Q * 2**(s-31) + 1/2)`` | power-of-two pipelines |
| ``HALF_AWAY`` | nearest, ties away from zero, of ``x * Q * 2**(s-31)`` | NNgen: an integer scale and a right shift |
| ``TRUNCATE`` | ``floor(x * Q * 2**(s-31))`` | arithmetic right shift |

Q' is ``min((Q + 2**15) >> 16, 2**15 - 1)``.

The last four (`EXACT`) belong to no kernel: nothing in them overflows, s has no lower end, and accumulators may be as
wide as the product of Q without its trailing zeros allows, so that an integer scale of up to 31 bits with a shift,
``Q * 2**(s-31) = scale * 2**-shift``, is computed on all of int64 (`Rescale.largest`).

Sources: Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
Inference" (2018), section 2.2 and appendix B, for (Q, s); the LiteRT reference kernels and ONNX Runtime, compared by
the tests, for the roundings.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from bitloom.errors import ArithmeticDomainError

Int64Array = npt.NDArray[np.int64]

# The kernels' shifts are defined up to here: `SINGLE` adds ``2**(30 - s)``, `REDUCED` ``2**(14 - s)``.
_MAXIMUM_LEFT_SHIFT = 30
_MAXIMUM_REDUCED_SHIFT = 14
# Products of exact roundings stay below this, so that a half can be added.
_LARGEST_PRODUCT = 2**62
_LARGEST_RIGHT_SHIFT = 63
# Elements rescaled at a time.
_PART = 1 << 14


class Rounding(enum.Enum):
    """How a rescale rounds; see the table in the module's documentation."""

    DOUBLE = "double"
    SINGLE = "single"
    FLOAT64 = "float64"
    REDUCED = "reduced"
    FLOAT32 = "float32"
    HALF_EVEN = "half_even"
    HALF_UP = "half_up"
    HALF_AWAY = "half_away"
    TRUNCATE = "truncate"


EXACT = frozenset({Rounding.HALF_EVEN, Rounding.HALF_UP, Rounding.HALF_AWAY, Rounding.TRUNCATE})
"""Roundings of the exact product, whose accumulators are not bound to a kernel's int32."""


def quantize_multiplier(real: float, *, flush: bool = True) -> tuple[int, int]:
    """The fixed-point form (Q, s) of a real multiplier: ``real = Q * 2**(s - 31)``, Q in [2**30, 2**31).

    Source: Jacob et al. 2018, equation 6, with LiteRT's flush of multipliers below 2**-32 to zero.

    Args:
        real: not negative.
        flush: whether such small multipliers become 0.

    >>> quantize_multiplier(0.75)
    (1610612736, 0)
    """
    if not (math.isfinite(real) and real >= 0):
        raise ArithmeticDomainError(f"a rescale multiplier is finite and not negative, not {real}")
    if real == 0:
        return 0, 0
    fraction, shift = math.frexp(real)
    multiplier = math.floor(fraction * 2**31 + 0.5)
    if multiplier == 2**31:
        multiplier, shift = multiplier // 2, shift + 1
    return (0, 0) if flush and shift < -31 else (multiplier, shift)


@dataclass(frozen=True)
class Rescale:
    """Multiplication by one real constant, or by one per channel, with a named rounding.

    Attributes:
        multipliers: the real multipliers, one, or one per channel (last axis of the values).
        rounding: how the product is rounded.

    >>> Rescale((0.5,), Rounding.FLOAT64).apply(np.array([-3, -1, 1, 3])).tolist()
    [-2, -1, 1, 2]
    >>> Rescale((0.5,), Rounding.SINGLE).apply(np.array([-3, -1, 1, 3])).tolist()
    [-1, 0, 1, 2]
    """

    multipliers: tuple[float, ...]
    rounding: Rounding

    def __post_init__(self) -> None:
        if not self.multipliers:
            raise ArithmeticDomainError("a rescale needs at least one multiplier")
        largest = _MAXIMUM_REDUCED_SHIFT if self.rounding is Rounding.REDUCED else _MAXIMUM_LEFT_SHIFT
        for real in self.multipliers:
            if quantize_multiplier(real)[1] > largest:
                raise ArithmeticDomainError(
                    f"a rescale multiplier of {real} takes every accumulator out of int32",
                    remedy="check the scales of this layer",
                )

    @property
    def channels(self) -> int:
        """How many multipliers there are: 1, or one per channel."""
        return len(self.multipliers)

    def channel(self, index: int) -> Rescale:
        """The rescale of one channel (the only one, if there is one multiplier for all)."""
        return Rescale((self.multipliers[index if self.channels > 1 else 0],), self.rounding)

    def fixed_point(self) -> tuple[Int64Array, Int64Array]:
        """The (Q, s) of each multiplier, int64 arrays of shape (channels,)."""
        return self._fixed_point

    @cached_property
    def _fixed_point(self) -> tuple[Int64Array, Int64Array]:
        flush = self.rounding not in EXACT
        pairs = np.array([quantize_multiplier(real, flush=flush) for real in self.multipliers], np.int64)
        pairs.setflags(write=False)
        return pairs[:, 0], pairs[:, 1]

    @cached_property
    def _odd(self) -> tuple[Int64Array, Int64Array, Int64Array]:
        """Of exact roundings: Q without trailing zeros, and the left and the right shift that make up for them."""
        multiplier, shift = self.fixed_point()
        zeros = np.array([max(0, (value & -value).bit_length() - 1) for value in multiplier.tolist()], np.int64)
        right = 31 - shift - zeros
        return multiplier >> zeros, np.maximum(-right, 0), np.clip(right, 0, _LARGEST_RIGHT_SHIFT)

    def exact_products(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Of exact roundings: for each multiplier the integer m and the right shift s of ``x * m * 2**-s``."""
        multiplier, left, right = self._odd
        return tuple((multiplier << left).tolist()), tuple(right.tolist())

    @cached_property
    def largest(self) -> Int64Array:
        """For each multiplier of an exact rounding, what accumulators stay below in magnitude; shape (channels,)."""
        multiplier, left, _ = self._odd
        return (_LARGEST_PRODUCT >> left) // np.maximum(multiplier, 1)

    @cached_property
    def _reals(self) -> npt.NDArray[np.float64]:
        return np.array(self.multipliers, np.float64)

    def apply(self, values: npt.ArrayLike) -> Int64Array:
        """Rescale `values`.

        Args:
            values: integers within int32 (`REDUCED`: within 48 bits; `EXACT`: below `largest`), any shape; with
                several multipliers the last axis is the channel.

        Returns:
            int64 array of the same shape, not clamped.
        """
        accumulators = np.asarray(values, np.int64)
        if accumulators.size <= _PART:
            result = self._rescaled(accumulators)
            # One multiplier is an array of one, which would give a scalar an axis.
            return result.reshape(accumulators.shape) if self.channels == 1 else result
        # The passes over intermediate arrays are several times as fast within the cache.
        rows = accumulators.reshape(-1, self.channels)
        result = np.empty_like(rows)
        step = max(1, _PART // self.channels)
        for start in range(0, len(rows), step):
            result[start : start + step] = self._rescaled(rows[start : start + step])
        return result.reshape(accumulators.shape)

    def _rescaled(self, accumulators: Int64Array) -> Int64Array:
        if self.rounding is Rounding.FLOAT64:
            return _float64_half_away(accumulators, self._reals)
        if self.rounding is Rounding.FLOAT32:
            return _float32_half_even(accumulators, self._reals.astype(np.float32))
        if self.rounding in EXACT:
            multiplier, left, right = self._odd
            return _EXACT[self.rounding](accumulators * (multiplier << left), right)
        return _FIXED_POINT[self.rounding](accumulators, *self.fixed_point())


def _float64_half_away(values: Int64Array, multipliers: npt.NDArray[np.float64]) -> Int64Array:
    """C's ``round(double(x) * M)``: the product is rounded to 53 bits, then halves go away from zero.

    ``trunc(|p|)`` and ``|p| - trunc(|p|)`` are exact in binary floating point, which ``floor(|p| + 0.5)`` is not.
    """
    product = values.astype(np.float64) * multipliers
    magnitude = np.abs(product)
    whole = np.trunc(magnitude)
    whole += (magnitude - whole) >= 0.5
    return np.copysign(whole, product).astype(np.int64)


def _float32_half_even(values: Int64Array, multipliers: npt.NDArray[np.float32]) -> Int64Array:
    """C's ``nearbyintf((float)x * M)``: beyond 2**24 x is rounded first, then the product to 24 bits, then to integers.

    All three round halves to even. ONNX Runtime clamps before the last, between integers, which changes nothing.
    """
    product = values.astype(np.float32) * multipliers
    return np.rint(product).astype(np.int64)


def _double(values: Int64Array, multiplier: Int64Array, shift: Int64Array) -> Int64Array:
    """gemmlowp's rounding: saturating rounding doubling high multiply, then a rounding right shift.

    Both steps are written without their case distinctions, which leaves a third of the passes over memory. The nudged
    division of the first, which truncates, sends halves up: it is ``floor((product + 2**30) / 2**31)``. The second
    sends halves away from zero: ``floor((x + half) / 2**right)``, one less in the numerator if x is negative.
    """
    left, right = np.maximum(shift, 0), np.maximum(-shift, 0)
    result: Int64Array = values * (multiplier << left)
    result += 1 << 30
    result >>= 31
    if right.any():
        negative = result >> 63
        negative &= -(right > 0).astype(np.int64)
        result += negative
        result += (np.int64(1) << right) >> 1
        result >>= right
    return result


def _reduced(values: Int64Array, multiplier: Int64Array, shift: Int64Array) -> Int64Array:
    """The multiplier rounded to 15 bits, so that products of 48-bit accumulators fit 64 bits."""
    total = 15 - shift
    reduced = np.minimum((multiplier + (1 << 15)) >> 16, (1 << 15) - 1)
    result: Int64Array = (values * reduced + (np.int64(1) << (total - 1))) >> total
    return result


def _single(values: Int64Array, multiplier: Int64Array, shift: Int64Array) -> Int64Array:
    total = 31 - shift
    result: Int64Array = (values * multiplier + (np.int64(1) << (total - 1))) >> total
    return result


def _half_even(product: Int64Array, right: Int64Array) -> Int64Array:
    floor = product >> right
    remainder = product - (floor << right)
    half = _half(right)
    return floor + ((remainder > half) | ((remainder == half) & ((floor & 1) == 1))) * (right > 0)


def _half_up(product: Int64Array, right: Int64Array) -> Int64Array:
    result: Int64Array = (product + _half(right)) >> right
    return result


def _half_away(product: Int64Array, right: Int64Array) -> Int64Array:
    """Of a negative number and a half, one less is where rounding down goes away from zero."""
    result: Int64Array = (product + _half(right) - ((product < 0) & (right > 0))) >> right
    return result


def _truncate(product: Int64Array, right: Int64Array) -> Int64Array:
    result: Int64Array = product >> right
    return result


def _half(right: Int64Array) -> Int64Array:
    """Half of ``2**right``; 0 where nothing is shifted out."""
    return np.where(right > 0, np.int64(1) << np.maximum(right - 1, 0), 0)


_FIXED_POINT = {
    Rounding.DOUBLE: _double,
    Rounding.REDUCED: _reduced,
    Rounding.SINGLE: _single,
}
_EXACT = {
    Rounding.HALF_EVEN: _half_even,
    Rounding.HALF_UP: _half_up,
    Rounding.HALF_AWAY: _half_away,
    Rounding.TRUNCATE: _truncate,
}
