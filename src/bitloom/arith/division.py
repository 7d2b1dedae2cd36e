"""Division by the number of elements: how means are rounded.

Pools divide exactly, with halves away from zero. MEAN multiplies by a fixed-point number that the kernel has divided by
the count after rounding it, so that it may lack its leading bit: the same real multiplier, but other roundings than a
rescale's. Both are rescales to everybody else, so that `bitloom.arith.narrow` finds their circuits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bitloom.arith.rescale import Int64Array, Rescale, Rounding, quantize_multiplier
from bitloom.errors import ArithmeticDomainError

# MEAN's kernel shifts its multiplier left by at most so much before it divides.
_LARGEST_COUNT_SHIFT = 32


def divide(
    values: npt.NDArray[np.signedinteger], counts: npt.NDArray[np.signedinteger]
) -> npt.NDArray[np.signedinteger]:
    """``values / counts`` rounded to nearest, halves away from zero, exactly; in the integers given.

    >>> divide(np.array([-3, -1, 1, 3, 4]), np.array([2])).tolist()
    [-2, -1, 1, 2, 2]
    """
    quotients = (np.abs(values) + counts // 2) // counts
    return np.where(values < 0, -quotients, quotients)


@dataclass(frozen=True)
class Division(Rescale):
    """Exact division by a count, or by one per channel, halves away from zero.

    Attributes:
        counts: the divisors, positive.

    >>> Division.by(6).apply(np.array([-9, -8, 8, 9])).tolist()
    [-2, -1, 1, 2]
    """

    counts: tuple[int, ...] = (1,)

    @classmethod
    def by(cls, *counts: int) -> Division:
        """Division by these counts.

        Raises:
            ArithmeticDomainError: a count is not positive.
        """
        if min(counts, default=0) < 1:
            raise ArithmeticDomainError(f"division by the counts {list(counts)}")
        return cls(tuple(1 / count for count in counts), Rounding.FLOAT64, counts)

    def channel(self, index: int) -> Division:
        """The division of one channel."""
        return Division.by(self.counts[index if self.channels > 1 else 0])

    def apply(self, values: npt.ArrayLike) -> Int64Array:
        """Divide; see `Rescale.apply`."""
        dividends = np.asarray(values, np.int64)
        return divide(dividends, np.array(self.counts, np.int64)).reshape(dividends.shape)


@dataclass(frozen=True)
class MeanRescale(Rescale):
    """A rescale by double rounding whose fixed-point multiplier has leading zeros.

    Source: LiteRT's reference kernel of MEAN: from (Q, s) of the quotient of the scales, ``Q' = (Q << e) / n`` cut off
    and ``s' = s - e`` with ``e = floor(log2(n))``, but not so large that s' would be below -31.

    Attributes:
        headroom: leading zeros of Q', which make the first of the two roundings coarser.
    """

    headroom: int = 0

    @classmethod
    def of(cls, ratio: float, count: int) -> MeanRescale:
        """The rescale from a sum of `count` elements to their mean.

        Args:
            ratio: input scale divided by output scale.
            count: elements of the sum.

        >>> MeanRescale.of(1.0, 6).apply([-9, -8, 8, 9, 15]).tolist()
        [-2, -2, 2, 2, 3]
        """
        multiplier, shift = quantize_multiplier(ratio)
        if count < 1:
            raise ArithmeticDomainError(f"a mean of {count} elements")
        left = min(count.bit_length() - 1, _LARGEST_COUNT_SHIFT, 31 + shift)
        adapted = (multiplier << left) // count
        # At most 31 bits, so that the real multiplier is exact.
        return cls(
            (adapted * 2.0 ** (shift - left - 31),), Rounding.DOUBLE, 31 - adapted.bit_length() if adapted else 0
        )

    def channel(self, index: int) -> MeanRescale:  # noqa: ARG002 - there is one
        """Itself."""
        return self

    def fixed_point(self) -> tuple[Int64Array, Int64Array]:
        """(Q', s')."""
        fraction, shift = np.frexp(np.array(self.multipliers))
        return np.ldexp(fraction, 31 - self.headroom).astype(np.int64), shift.astype(np.int64) + self.headroom
