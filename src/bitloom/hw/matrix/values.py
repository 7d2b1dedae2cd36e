"""NumPy values beside wires: what may become a constant, and what a simulation's bits stand for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bitloom.errors import HardwareError
from bitloom.hw.matrix.integer import to_integer

IntegerArray = npt.NDArray[Any]


def integer_array(values: npt.ArrayLike, name: str) -> IntegerArray:
    """`values` as a NumPy array of integers (int, uint, or Python integers in an object array).

    Raises:
        HardwareError: ragged, or not integers.
    """
    try:
        numbers = np.asarray(values)
    except (ValueError, OverflowError) as error:
        raise HardwareError("rows of different lengths are no matrix", where=name) from error
    if numbers.dtype == np.bool_:
        return numbers.astype(np.int64)
    if numbers.dtype == np.object_ and all(isinstance(value, int) for value in numbers.flat):
        return numbers
    if not np.issubdtype(numbers.dtype, np.integer):
        raise HardwareError(f"elements are {numbers.dtype}, not integers", where=name, remedy="quantize them first")
    return numbers


def pack_values(values: Sequence[int] | IntegerArray, bits: int) -> int:
    """One integer holding `values`, the first in the lowest bits, each in `bits` bits of two's complement.

    >>> hex(pack_values([1, -1, 3], 4))
    '0x3f1'
    """
    mask, packed = (1 << bits) - 1, 0
    for position, value in enumerate(values):
        packed |= (int(value) & mask) << (position * bits)
    return packed


def to_array(raw: Sequence[int], shape: tuple[int, ...], bits: int, signed: bool) -> IntegerArray:
    """The integers that the raw bits of wires stand for: int64, or Python integers (object) beyond 64 bits."""
    numbers = [to_integer(value, bits, signed) for value in raw]
    dtype: Any = np.int64 if bits + (not signed) <= 64 else np.object_
    result = np.empty(math.prod(shape), dtype)
    result[:] = numbers
    return result.reshape(shape)
