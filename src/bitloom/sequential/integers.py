"""How real numbers become integers of a width: signed or unsigned, symmetric or asymmetric."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bitloom.arith import IntType
from bitloom.errors import UsageError

MOST_BITS = 32
# Of tensors that are all zero, whose scale is free.
_SMALLEST_SCALE = 2.0**-60


@dataclass(frozen=True)
class Integers:
    """A rule that gives real numbers a scale and a zero point: ``real = scale * (integer - zero_point)``.

    Symmetric integers lie about the middle, which is 0 or, unsigned, ``2**(bits-1)``, and their lowest value is not
    used. Asymmetric ones all lie over the range of the numbers, stretched to hold 0.

    Attributes:
        bits: 1 to 32.
        signed: two's complement, else unsigned.
        symmetric: whether 0 is in the middle.

    Raises:
        UsageError: a width outside 1 to 32.

    >>> Integers(8, signed=False).of_range(-1.0, 0.5)
    Scaled(element=IntType(bits=8, signed=False), scale=0.007874015748031496, zero_point=128)
    >>> Integers(4, symmetric=False).of_range(0.0, 3.0)
    Scaled(element=IntType(bits=4, signed=True), scale=0.2, zero_point=-8)
    """

    bits: int = 8
    signed: bool = True
    symmetric: bool = True

    def __post_init__(self) -> None:
        check_bits(self.bits)

    @property
    def element(self) -> IntType:
        """The type of the integers."""
        return IntType(self.bits, self.signed)

    def of_range(self, low: float, high: float) -> Scaled:
        """The scale and zero point for numbers from `low` to `high`."""
        element = self.element
        low, high = min(low, 0.0), max(high, 0.0)
        if self.symmetric:
            middle = 0 if self.signed else 1 << (self.bits - 1)
            steps = max(element.maximum - middle, 1)
            return Scaled(element, max(max(-low, high) / steps, _SMALLEST_SCALE), middle)
        scale = max((high - low) / (element.maximum - element.minimum), _SMALLEST_SCALE)
        zero_point = int(np.clip(np.rint(element.minimum - low / scale), element.minimum, element.maximum))
        return Scaled(element, scale, zero_point)

    def of(self, values: npt.NDArray[np.floating]) -> Scaled:
        """The scale and zero point that hold all of `values`."""
        return self.of_range(float(values.min()), float(values.max()))


@dataclass(frozen=True)
class Scaled:
    """Integers with a meaning.

    Attributes:
        element: their type.
        scale: real value of a step.
        zero_point: the integer that stands for 0.
    """

    element: IntType
    scale: float
    zero_point: int

    def integers(self, values: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Real numbers to the nearest integers, halves to even, saturated."""
        steps = np.rint(np.asarray(values, np.float64) / self.scale) + self.zero_point
        return np.clip(steps, self.element.minimum, self.element.maximum).astype(np.int64)


def check_bits(bits: int, where: str | None = None) -> None:
    """Refuse widths that numbers of networks cannot have.

    Raises:
        UsageError: no whole number from 1 to 32.
    """
    if not isinstance(bits, int) or isinstance(bits, bool) or not 1 <= bits <= MOST_BITS:
        raise UsageError(f"a width of {bits} bits", where=where, remedy=f"choose 1 to {MOST_BITS}")
