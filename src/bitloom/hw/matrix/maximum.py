"""Argmax: where the largest element is; of equal ones the first, as NumPy says.

A tree of comparators, one level a cycle. Each element becomes an unsigned key that sorts by value and then by
position, so that every node of the tree is one comparison and one selection::

    key = (value with its sign bit flipped) followed by (position with all bits flipped)

    7 ─▶[ 7,~0]──┐
                 ├─ max ─▶[ 7,~0]──┐
    3 ─▶[ 3,~1]──┘                 ├─ max ─▶[ 7,~0] ─▶ ~position = 0
    7 ─▶[ 7,~2]──┐                 │
                 ├─ max ─▶[ 7,~2]──┘   of equal values the flipped position is larger where the position is smaller
    1 ─▶[ 1,~3]──┘
        cycle 1          cycle 2
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyrtl

from bitloom.arith.ranges import Interval
from bitloom.errors import HardwareError
from bitloom.hw.matrix.channel import MatrixChannel, pipeline_stage
from bitloom.hw.matrix.integer import full_range
from bitloom.hw.matrix.wire_matrix import WireMatrix
from bitloom.hw.registers import constant


def argmax_cycles(length: int) -> int:
    """Cycles of `argmax` over so many elements.

    >>> [argmax_cycles(length) for length in (1, 2, 3, 4, 10)]
    [1, 1, 2, 2, 4]
    """
    return max(1, (length - 1).bit_length())


def argmax(name: str, x: MatrixChannel, axis: int | None = None) -> MatrixChannel:
    """The position of the first largest element, over all elements or along one axis; `argmax_cycles` cycles.

    Args:
        name: prefix of all names.
        x: any shape.
        axis: the axis to search, which the result lacks; None counts all elements row by row.

    Returns:
        Unsigned positions; shape () without an axis.

    Raises:
        HardwareError: there is no such axis.

    >>> from bitloom.arith import IntType
    >>> pyrtl.reset_working_block()
    >>> x = MatrixChannel.input("x", (2, 3), IntType(8))
    >>> best = argmax("best", x, axis=1)
    >>> best.output("out")
    >>> simulation = pyrtl.Simulation()
    >>> for cycle in range(1 + argmax_cycles(3)):
    ...     values = x.matrix.stimulus([[-5, 7, 7], [-1, -9, -1]])
    ...     simulation.step(values | {"x_valid": int(cycle == 0), "out_ready": 1})
    >>> simulation.inspect("out_valid"), best.matrix.read(simulation).tolist()
    (1, [1, 0])
    """
    shape = x.matrix.shape
    if axis is not None and not -len(shape) <= axis < len(shape):
        raise HardwareError(f"shape {list(shape)} has no axis {axis}", where=name)
    length = x.matrix.size if axis is None else shape[axis]
    position_bits = max(1, (length - 1).bit_length())

    def searched_last(values: WireMatrix) -> npt.NDArray[np.object_]:
        return values.array.ravel() if axis is None else np.moveaxis(values.array, axis, -1)

    def first_level(values: WireMatrix) -> WireMatrix:
        keys = _keys(searched_last(values), values.signed, position_bits)
        return _matrix(_larger_of_pairs(keys))

    def next_level(keys: WireMatrix) -> WireMatrix:
        return _matrix(_larger_of_pairs(keys.array))

    levels = argmax_cycles(length)
    stage = pipeline_stage(f"{name}_level1" if levels > 1 else name, (x,), first_level)
    for level in range(2, levels + 1):
        stage = pipeline_stage(f"{name}_level{level}", (stage,), next_level)
    return MatrixChannel(_positions(name, stage.matrix, position_bits, length), stage.valid, stage.ready)


def _keys(values: npt.NDArray[np.object_], signed: bool, position_bits: int) -> npt.NDArray[np.object_]:
    keys = np.empty(values.shape, np.object_)
    for index in np.ndindex(values.shape):
        wire = values[index]
        # Flipping the sign bit orders two's complement numbers as unsigned ones.
        ordered = pyrtl.concat(~wire[-1], wire[:-1]) if signed and len(wire) > 1 else (~wire if signed else wire)
        keys[index] = pyrtl.concat(ordered, constant(~index[-1], position_bits))
    return keys


def _larger_of_pairs(keys: npt.NDArray[np.object_]) -> npt.NDArray[np.object_]:
    """One level of the tree along the last axis; an element without partner passes."""
    pairs = -(-keys.shape[-1] // 2)
    larger = np.empty((*keys.shape[:-1], pairs), np.object_)
    for index in np.ndindex(larger.shape):
        left = keys[(*index[:-1], 2 * index[-1])]
        if 2 * index[-1] + 1 < keys.shape[-1]:
            right = keys[(*index[:-1], 2 * index[-1] + 1)]
            left = pyrtl.select(right > left, right, left)
        larger[index] = left
    return larger


def _matrix(keys: npt.NDArray[np.object_]) -> WireMatrix:
    first: pyrtl.WireVector = keys.flat[0]
    bits = len(first)
    return WireMatrix(keys, bits, False, full_range(bits, False), "")


def _positions(name: str, keys: WireMatrix, position_bits: int, length: int) -> WireMatrix:
    winners = keys.array[..., 0]
    positions = WireMatrix.wires(name, winners.shape, full_range(position_bits, False))
    for index in np.ndindex(winners.shape):
        target = positions.array[index]
        target <<= ~winners[index][:position_bits]
    return positions.with_interval(Interval(0, length - 1))
