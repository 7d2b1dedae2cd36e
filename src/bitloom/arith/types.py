"""Integer types of any width from 1 to 64 bits."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bitloom.errors import ArithmeticDomainError

_NAME = re.compile(r"(u?)int([1-9]\d*)\Z")


@dataclass(frozen=True, order=True)
class IntType:
    """A two's complement or unsigned integer type.

    Weights and activations have 1 to 32 bits; 33 to 64 bits appear only in accumulators and constants.

    >>> IntType(8).minimum, IntType(8).maximum
    (-128, 127)
    >>> IntType.parse("uint4").maximum, str(IntType(12, signed=False))
    (15, 'uint12')
    """

    bits: int
    signed: bool = True

    def __post_init__(self) -> None:
        if not 1 <= self.bits <= 64:
            raise ArithmeticDomainError(
                f"an integer type has 1 to 64 bits, not {self.bits}", remedy="choose a width in that range"
            )

    @property
    def minimum(self) -> int:
        """The smallest value of the type."""
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def maximum(self) -> int:
        """The largest value of the type."""
        return (1 << (self.bits - 1)) - 1 if self.signed else (1 << self.bits) - 1

    @property
    def dtype(self) -> np.dtype[np.signedinteger | np.unsignedinteger]:
        """The smallest NumPy type that holds every value."""
        container = next(width for width in (8, 16, 32, 64) if width >= self.bits)
        return np.dtype(f"{'int' if self.signed else 'uint'}{container}")

    def contains(self, low: int, high: int) -> bool:
        """Whether every integer from `low` to `high` is a value of the type."""
        return self.minimum <= low and high <= self.maximum

    def clamp(self, values: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Saturate `values` (any shape, int64) to the type's range."""
        return np.clip(np.asarray(values, dtype=np.int64), self.minimum, self.maximum)

    @classmethod
    def parse(cls, text: str) -> IntType:
        """Read ``int8``, ``uint4``, ...

        Raises:
            ArithmeticDomainError: the text names no integer type.
        """
        match = _NAME.match(text)
        if not match:
            raise ArithmeticDomainError(
                f"'{text}' is not an integer type", remedy="write int8, uint4, ... with 1 to 64 bits"
            )
        return cls(int(match.group(2)), signed=not match.group(1))

    @classmethod
    def holding(cls, low: int, high: int) -> IntType:
        """The narrowest type that holds `low` to `high`: unsigned when `low` >= 0.

        >>> str(IntType.holding(-129, 5)), str(IntType.holding(0, 0))
        ('int9', 'uint1')
        """
        if low >= 0:
            return cls(max(1, high.bit_length()), signed=False)
        return cls(max((-low - 1).bit_length(), max(high, 0).bit_length()) + 1)

    def __str__(self) -> str:
        return f"{'int' if self.signed else 'uint'}{self.bits}"
