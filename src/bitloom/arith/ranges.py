"""Integer intervals: the values a wire can take, from the constants that make it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bitloom.arith.types import IntType
from bitloom.errors import ArithmeticDomainError


@dataclass(frozen=True)
class Interval:
    """All integers from `low` to `high`, both included."""

    low: int
    high: int

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ArithmeticDomainError(f"an interval's low end {self.low} exceeds its high end {self.high}")

    @property
    def type(self) -> IntType:
        """The narrowest integer type that holds the interval."""
        return IntType.holding(self.low, self.high)

    @property
    def signed_bits(self) -> int:
        """The width of the narrowest two's complement type that holds the interval."""
        return self.type.bits + (not self.type.signed)

    def __add__(self, other: Interval) -> Interval:
        return Interval(self.low + other.low, self.high + other.high)

    def union(self, other: Interval) -> Interval:
        """The smallest interval that holds both."""
        return Interval(min(self.low, other.low), max(self.high, other.high))

    def __str__(self) -> str:
        return f"[{self.low}, {self.high}]"


def dot_product_range(
    weights: npt.NDArray[np.int64], bias: npt.NDArray[np.int64], inputs: Interval
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The exact range of ``weights @ x + bias`` over every x whose elements lie in `inputs`.

    Positive weights reach their largest product at the interval's high end and negative ones at the low end, so
    the bounds are attained. Partial sums in any order stay within the range widened to hold zero and the bias.

    Args:
        weights: int64, shape (outputs, terms).
        bias: int64, shape (outputs,).
        inputs: the interval of each input element.

    Returns:
        The low and high bounds, int64, shape (outputs,).
    """
    positive = np.maximum(weights, 0).sum(axis=1)
    negative = np.minimum(weights, 0).sum(axis=1)
    low = positive * inputs.low + negative * inputs.high + bias
    high = positive * inputs.high + negative * inputs.low + bias
    return low, high
