"""`PanelMemory`: a matrix in a synchronous memory, laid out for a systolic array of a given number of rows.

The matrix is cut into panels of `lanes` rows; a word holds one column of a panel, its first row in the lowest bits,
and the words of a panel follow each other. Rows that the last panel lacks are zeros, whose results nobody takes::

    (5, 3), lanes = 2                       address   word
    ┌             ┐
    │ a00 a01 a02 │  panel 0                 0       a10 a00
    │ a10 a11 a12 │                          1       a11 a01
    ├─────────────┤                          2       a12 a02
    │ a20 a21 a22 │  panel 1                 3       a30 a20
    │ a30 a31 a32 │              ───▶        4       a31 a21
    ├─────────────┤                          5       a32 a22
    │ a40 a41 a42 │  panel 2                 6        0  a40
    └             ┘                          7        0  a41
                                             8        0  a42

The right operand of a product is stored transposed: its panels are groups of columns, a word part of one row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyrtl

from bitloom.arith.ranges import Interval
from bitloom.arith.types import IntType
from bitloom.errors import HardwareError
from bitloom.hw.matrix.integer import full_range, storage
from bitloom.hw.matrix.values import integer_array, pack_values
from bitloom.hw.matrix.wire_matrix import WireMatrix, check_shape


@dataclass(frozen=True, eq=False)
class PanelMemory:
    """A matrix in a memory; make one with `rom` or `ram`.

    Attributes:
        name: the memory's name.
        memory: the PyRTL memory, one word per panel and column.
        shape: (rows, length); `length` is the inner dimension of the product.
        lanes: rows per panel.
        element: the type of the elements.
        interval: what the elements are known to lie in.

    >>> PanelMemory.pack(np.arange(15).reshape(5, 3), lanes=2, bits=4)[:4]
    [48, 65, 82, 150]
    """

    name: str
    memory: pyrtl.MemBlock
    shape: tuple[int, int]
    lanes: int
    element: IntType
    interval: Interval

    @classmethod
    def rom(cls, name: str, values: npt.ArrayLike, lanes: int, element: IntType | None = None) -> PanelMemory:
        """Constants; without `element`, of the narrowest type that holds them all.

        Raises:
            HardwareError: the values are no matrix of integers, or do not fit `element`.
        """
        matrix = integer_array(values, name)
        _check(name, matrix.shape, lanes)
        interval = Interval(int(matrix.min()), int(matrix.max()))
        element = element or IntType(*storage(interval))
        if not element.contains(interval.low, interval.high):
            raise HardwareError(f"values lie in {interval}, outside {element}", where=name, remedy="use a wider type")
        words = cls.pack(matrix, lanes, element.bits)
        memory = pyrtl.RomBlock(
            lanes * element.bits, address_bits(len(words)), words, name=name, max_read_ports=1, pad_with_zeros=True
        )
        return cls(name, memory, matrix.shape, lanes, element, interval)

    @classmethod
    def ram(cls, name: str, shape: tuple[int, int], lanes: int, element: IntType) -> PanelMemory:
        """A memory that the design writes: ``memory[address] <<= MemBlock.EnabledWrite(word, enable)``.

        Raises:
            HardwareError: the shape is not that of a matrix.
        """
        _check(name, shape, lanes)
        words = -(-shape[0] // lanes) * shape[1]
        memory = pyrtl.MemBlock(lanes * element.bits, address_bits(words), name, max_read_ports=1, max_write_ports=1)
        return cls(name, memory, shape, lanes, element, full_range(element.bits, element.signed))

    @property
    def panels(self) -> int:
        """How many panels there are."""
        return -(-self.shape[0] // self.lanes)

    def contents(self, values: npt.ArrayLike) -> dict[int, int]:
        """Words by address: what ``memory_value_map`` of a PyRTL simulation takes.

        Raises:
            HardwareError: shape or values do not fit.
        """
        matrix = integer_array(values, self.name)
        if matrix.shape != self.shape or not self.element.contains(int(matrix.min()), int(matrix.max())):
            raise HardwareError(f"values are no {self.element}{list(self.shape)}", where=self.name)
        return dict(enumerate(self.pack(matrix, self.lanes, self.element.bits)))

    def read(self, name: str, address: pyrtl.WireVector) -> WireMatrix:
        """The word of one cycle ago's address, as a matrix of shape (lanes,); the register synthesis maps to block RAM.

        Args:
            name: of the register and its slices.
            address: a register.
        """
        word = pyrtl.Register(self.lanes * self.element.bits, f"{name}_word")
        word.next <<= self.memory[address]
        return WireMatrix.from_packed(name, word, (self.lanes,), self.element).with_interval(
            self.interval.union(Interval(0, 0))
        )

    @staticmethod
    def pack(values: npt.NDArray[Any], lanes: int, bits: int) -> list[int]:
        """The words of a matrix, in address order."""
        panels = -(-values.shape[0] // lanes)
        padded = np.zeros((panels * lanes, values.shape[1]), values.dtype)
        padded[: values.shape[0]] = values
        by_word = padded.reshape(panels, lanes, -1).transpose(0, 2, 1).reshape(-1, lanes)
        return [pack_values(word, bits) for word in by_word.tolist()]


def address_bits(words: int) -> int:
    """The width of an address into so many words."""
    return max(1, (words - 1).bit_length())


def _check(name: str, shape: tuple[int, ...], lanes: int) -> None:
    check_shape(shape, name)
    if len(shape) != 2 or lanes < 1:
        raise HardwareError(
            f"shape {list(shape)} cannot be cut into panels of {lanes} rows",
            where=name,
            remedy="give two dimensions and at least one lane",
        )
