"""Narrow weights as signed powers of two: how they are stored, and what selects a product of logic alone.

A product by 0 or by plus or minus a power of two is a choice among shifted copies of the activation, which costs a
look-up table a bit. So a weight is stored in as few bits as its layer's weights need, and those bits say what to
choose:

| weights of the layer | stored bits | digits |
|---|---|---|
| -1, 1 (or -4, 4; or 0, 1; any two) | 1 | 1 |
| -1, 0, 1; -2, -1, 0, 1; any four of 0 and signed powers of two | 2 | 1 |
| 0, ±1, ±2, ±4, ... (logarithmic weights) | sign and exponent | 1 |
| anything else of n bits | n, two's complement | n / 2, rounded up |

The last row is Booth's (radix 4): ``w = sum_j 4**j * (-2 b[2j+1] + b[2j] + b[2j-1])``, each digit one of -2, -1, 0, 1,
2, and known from three neighbouring bits as they are stored.

Source: Booth, "A signed binary multiplication technique" (1951); MacSorley, "High-speed arithmetic in binary
computers" (1961), for pairs of bits.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from bitloom.arith import Interval
from bitloom.hw.logic_multiply import canonical_signed_digits

# A choice by so many stored bits is one look-up table a bit, with the two activation bits that it chooses from.
_COMPACT_BITS = 3
# Inputs of a look-up table.
_TABLE_INPUTS = 6


@dataclass(frozen=True)
class Digit:
    """A part of a weight: ``values[code] * 2**exponent``, the code being some of the stored bits.

    Attributes:
        exponent: its place.
        positions: of the stored bits that say which value it has, the lowest first.
        values: 0 or plus or minus a power of two, for each number that those bits can be.
    """

    exponent: int
    positions: tuple[int, ...]
    values: tuple[int, ...]

    @property
    def largest(self) -> int:
        """Of the absolute values."""
        return max(abs(value) for value in self.values)

    @property
    def table_inputs(self) -> int:
        """What a bit of the product depends on: stored bits, and a bit of the activation for each different shift."""
        return len(self.positions) + len({abs(value) for value in self.values if value})


@dataclass(frozen=True)
class WeightCode:
    """How the weights of a layer are stored and taken apart.

    Attributes:
        bits: of a stored weight.
        digits: which it is the sum of.
        codes: the stored form of each weight; empty for two's complement.
    """

    bits: int
    digits: tuple[Digit, ...]
    codes: tuple[tuple[int, int], ...] = ()

    @classmethod
    def of(cls, weights: Iterable[int]) -> WeightCode:
        """The cheapest form for a set of weights.

        >>> WeightCode.of([-1, 1]).bits, WeightCode.of([-2, -1, 0, 1]).bits, WeightCode.of([0, -1, 1, 2, 4, -8]).bits
        (1, 2, 3)
        >>> [digit.values for digit in WeightCode.of([-1, 0, 1]).digits]
        [(0, 1, 0, -1)]
        >>> [digit.exponent for digit in WeightCode.of(range(-8, 8)).digits]
        [0, 2]
        """
        values = sorted(set(weights))
        booth = _booth(Interval(min(*values, 0), max(*values, 0)).signed_bits)
        if any(abs(value).bit_count() > 1 for value in values):
            return booth
        powers = _powers(values)
        return powers if _worth(powers) <= _worth(booth) else booth

    @property
    def is_single(self) -> bool:
        """Whether a product is one choice."""
        return len(self.digits) == 1

    def encode(self, weights: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Weights as stored, not negative."""
        if not self.codes:
            return weights & ((1 << self.bits) - 1)
        values = np.array([value for value, _ in self.codes], np.int64)
        stored = np.array([code for _, code in self.codes], np.int64)
        return stored[np.searchsorted(values, weights)]

    def digit_values(self, weights: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The digits of weights, without their exponents, shape (digits, *weights.shape)."""
        stored = self.encode(weights)
        found = []
        for digit in self.digits:
            code = sum(((stored >> position) & 1) << place for place, position in enumerate(digit.positions))
            found.append(np.array(digit.values, np.int64)[code])
        return np.stack(found)

    @cached_property
    def largest_products(self) -> tuple[int, ...]:
        """What each digit's largest product is a multiple of."""
        return tuple(digit.largest for digit in self.digits)


def fixed_digits(weight: int) -> list[tuple[int, int]]:
    """A weight that never changes as (exponent, +1 or -1): as few as can be, never more than a `WeightCode` has.

    >>> fixed_digits(-7), fixed_digits(0)
    ([(0, 1), (3, -1)], [])
    """
    sign = -1 if weight < 0 else 1
    return [(exponent, sign * digit) for exponent, digit in canonical_signed_digits(abs(weight))]


def _booth(bits: int) -> WeightCode:
    digits = []
    for low in range(0, bits, 2):
        # Below the lowest bit is a zero, above the highest its copy.
        below = () if low == 0 else (low - 1,)
        positions = (*below, low, *((low + 1,) if low + 1 < bits else ()))
        values = []
        for code in range(1 << len(positions)):
            places = [code >> place & 1 for place in range(len(positions))]
            places = ([] if below else [0]) + places
            places += [places[-1]] if low + 1 >= bits else []
            values.append(places[0] + places[1] - 2 * places[2])
        digits.append(Digit(low, positions, tuple(values)))
    return WeightCode(bits, tuple(digits))


def _powers(values: list[int]) -> WeightCode:
    """0 and signed powers of two: a number for the magnitude and a bit for the sign, or fewer bits where that does."""
    exponent = min((abs(value).bit_length() - 1 for value in values if value), default=0)
    reduced = [value >> exponent for value in values]
    magnitudes = sorted({abs(value) for value in reduced})
    places = (len(magnitudes) - 1).bit_length()
    signed = min(reduced) < 0 < max(reduced)
    compact = max(1, (len(reduced) - 1).bit_length())
    if compact < places + signed and compact <= _COMPACT_BITS:
        # In the order of two's complement, which is as good as any.
        ordered = sorted(reduced, key=lambda value: (value < 0, value))
        table = tuple(ordered + [ordered[-1]] * ((1 << compact) - len(ordered)))
        codes = {value << exponent: ordered.index(value) for value in reduced}
        return WeightCode(compact, (Digit(exponent, tuple(range(compact)), table),), tuple(sorted(codes.items())))
    sign = -1 if min(reduced) < 0 and not signed else 1
    whole = [sign * magnitude for magnitude in magnitudes] + [0] * ((1 << places) - len(magnitudes))
    table = tuple(whole + [-value for value in whole] if signed else whole)
    bits = places + signed
    codes = {value << exponent: magnitudes.index(abs(value)) + ((signed and value < 0) << places) for value in reduced}
    if not bits:  # always the same weight
        return WeightCode(1, (Digit(exponent, (0,), table * 2),), ((values[0], 0),))
    return WeightCode(bits, (Digit(exponent, tuple(range(bits)), table),), tuple(sorted(codes.items())))


def _worth(code: WeightCode) -> int:
    """Look-up tables of a product of an activation of 8 bits, its adder's among them, roughly."""
    return sum(
        (8 + digit.largest.bit_length() - 1) * (1 + -(-(digit.table_inputs - 1) // (_TABLE_INPUTS - 1)))
        for digit in code.digits
    )
