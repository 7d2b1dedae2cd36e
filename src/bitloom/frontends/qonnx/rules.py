"""What QONNX's quantizers make of reals: integers, computed in binary32 as the format's documentation says.

Source: QONNX's operator documentation (IntQuant, BipolarQuant, Trunc versions 1 and 2) and its executable definition.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bitloom.arith import IntType
from bitloom.errors import UnsupportedError
from bitloom.frontends.onnx.values import Float32Array

Int64Array = npt.NDArray[np.int64]
Round = Callable[[Float32Array], Float32Array]

MOST_BITS = 32

ROUNDINGS: Mapping[str, Round] = {
    "ROUND": np.rint,
    "HALF_EVEN": np.rint,
    "CEIL": np.ceil,
    "FLOOR": np.floor,
    "UP": lambda x: np.sign(x) * np.ceil(np.abs(x)),
    "DOWN": np.trunc,
    "HALF_UP": lambda x: np.sign(x) * np.floor(np.abs(x) + np.float32(0.5)),
    "HALF_DOWN": lambda x: np.sign(x) * np.ceil(np.abs(x) - np.float32(0.5)),
}
"""By the name in the attribute, which may be in lower case."""


def rounding(name: str) -> Round:
    """A rounding by its name.

    Raises:
        UnsupportedError: there is none of that name.
    """
    if name.upper() not in ROUNDINGS:
        raise UnsupportedError(f"rounds by '{name}'; supported: {', '.join(ROUNDINGS)}")
    return ROUNDINGS[name.upper()]


def width(bits: npt.NDArray[Any], what: str = "bit width") -> int:
    """A bit width.

    Raises:
        UnsupportedError: several, a fraction, or outside of 1 to 32.
    """
    if bits.size != 1:
        raise UnsupportedError(f"has {bits.size} {what}s, not one", remedy="quantize each tensor to one width")
    number = float(bits.reshape(-1)[0])
    if not (number.is_integer() and 1 <= number <= MOST_BITS):
        raise UnsupportedError(f"has the {what} {number:g}; supported: whole numbers from 1 to {MOST_BITS}")
    return int(number)


@dataclass(frozen=True)
class IntRule:
    """``round(clamp(x / scale + zero_point))``, or the sign where one signed bit is left.

    Attributes:
        bits: of the integers.
        signed: whether they have a sign.
        narrow: whether the lowest signed, or the highest unsigned integer is left out.
        round: to integers.
    """

    bits: int
    signed: bool
    narrow: bool
    round: Round

    @property
    def bipolar(self) -> bool:
        """Whether the integers are -1 and 1."""
        return self.bits == 1 and self.signed

    @property
    def element(self) -> IntType:
        """Of the integers."""
        return IntType(2) if self.bipolar else IntType(self.bits, self.signed)

    @property
    def ends(self) -> tuple[int, int]:
        """The lowest and highest integers."""
        if self.bipolar:
            return -1, 1
        element = self.element
        narrowed = int(self.narrow)
        return (element.minimum + narrowed, element.maximum) if self.signed else (0, element.maximum - narrowed)

    def integers(self, reals: Float32Array, scale: Float32Array, zero_point: Float32Array) -> Int64Array:
        """Of reals; scale and zero point broadcast."""
        with np.errstate(all="ignore"):
            found = reals / scale + zero_point
        _check_numbers(found)
        if self.bipolar:
            return np.where(found >= 0, 1, -1)
        low, high = self.ends
        clipped = np.clip(found, np.float32(low), np.float32(high))
        # Beyond 24 bits the binary32 form of an end lies outside.
        return np.clip(self.round(clipped).astype(np.int64), low, high)


@dataclass(frozen=True)
class TruncRule:
    """``round_to_fewer_bits(round(x / scale + zero_point) / divisor)``, clamped in version 2.

    Attributes:
        divisor: a power of two.
        round: to integers.
        clamp: the rule whose ends they keep within; None in version 1.
    """

    divisor: float
    round: Round
    clamp: IntRule | None

    def integers(self, reals: Float32Array, scale: Float32Array, zero_point: Float32Array) -> Int64Array:
        """Of reals; scale and zero point broadcast."""
        with np.errstate(all="ignore"):
            found = np.rint(reals / scale + zero_point) / np.float32(self.divisor)
        _check_numbers(found)
        if self.clamp is not None:
            low, high = self.clamp.ends
            found = np.clip(found, np.float32(low), np.float32(high))
        return np.clip(self.round(found), -(2.0**62), 2.0**62).astype(np.int64)


def bipolar_integers(reals: Float32Array) -> Int64Array:
    """BipolarQuant's: 1 from zero on, else -1."""
    _check_numbers(reals)
    return np.where(reals >= 0, 1, -1)


def _check_numbers(reals: Float32Array) -> None:
    if np.isnan(reals).any():
        raise UnsupportedError(
            "quantizes what is not a number for some operands", remedy="check the constants in front of it"
        )
