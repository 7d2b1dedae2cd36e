"""A matrix given whole, taken row by row: the way from parallel wires to a stream of beats."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyrtl

from bitloom.hw.matrix.wire_matrix import WireMatrix


def shift_out(name: str, matrix: WireMatrix, load: pyrtl.WireVector, shift: pyrtl.WireVector) -> WireMatrix:
    """Registers that take a matrix on `load` and show its first row, then the next one after each `shift`.

    ::

        load ──▶ [row 0] ◀── [row 1] ◀── [row 2]      after the last shift the last row stays
                    │
                    ▼ shown

    Args:
        name: prefix of the registers' names.
        matrix: at least two dimensions; rows are along the first.
        load: one bit, wins over `shift`.
        shift: one bit.

    >>> from bitloom.arith import IntType
    >>> pyrtl.reset_working_block()
    >>> matrix = WireMatrix.constant("m", [[1, 2], [3, 4]])
    >>> row = shift_out("s", matrix, pyrtl.Input(1, "load"), pyrtl.Input(1, "shift"))
    >>> simulation = pyrtl.Simulation()
    >>> seen = []
    >>> for load, shift in ((1, 0), (0, 1), (0, 0)):
    ...     simulation.step({"load": load, "shift": shift})
    ...     seen.append(row.read(simulation).tolist())
    >>> seen
    [[0, 0], [1, 2], [3, 4]]
    """
    held = WireMatrix.registers(name, matrix.shape, matrix.element_or_interval)
    last = matrix.shape[0] - 1
    for index in np.ndindex(matrix.shape):
        here: Any = held.array[index]
        follower = held.array[(index[0] + 1, *index[1:])] if index[0] < last else here
        here.next <<= pyrtl.select(load, matrix.array[index], pyrtl.select(shift, follower, here))
    row: WireMatrix = held.with_interval(matrix.interval)[0]
    return row
