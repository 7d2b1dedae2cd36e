"""`MatrixChannel`: a matrix with a ready/valid handshake, and the pipeline stage every elementwise circuit uses.

The producer raises ``valid`` while its matrix counts and holds both still until the consumer answers ``ready``; the
matrix has changed hands at the clock edge at which both are 1::

    cycle        0     1     2     3     4     5
                    ┌─────────────────┐     ┌─────
    valid     ──────┘                 └─────┘
                                ┌───────────┐
    ready     ──────────────────┘           └─────
    matrix    ......X first           X.....X second
                                   ▲ transfer (end of cycle 3); nothing moves in cycles 1, 2, 4, 5
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy.typing as npt
import pyrtl

from bitloom.arith.types import IntType
from bitloom.hw.matrix.wire_matrix import WireMatrix
from bitloom.hw.registers import connect
from bitloom.hw.skid import skid_buffer


@dataclass(frozen=True, eq=False)
class MatrixChannel:
    """A matrix on its way from a producer to exactly one consumer.

    Attributes:
        matrix: the values.
        valid: one bit, driven by the producer.
        ready: one bit, driven by the consumer.
    """

    matrix: WireMatrix
    valid: pyrtl.WireVector
    ready: pyrtl.WireVector

    @property
    def transfer(self) -> pyrtl.WireVector:
        """One bit: the matrix changes hands at the end of this cycle."""
        return self.valid & self.ready

    @classmethod
    def input(cls, name: str, shape: tuple[int, ...], element: IntType) -> MatrixChannel:
        """Ports: inputs ``<name>_<index>`` and ``<name>_valid``, output ``<name>_ready``."""
        ready = pyrtl.Output(1, f"{name}_ready")
        driver = pyrtl.WireVector(1)
        ready <<= driver
        return cls(WireMatrix.input(name, shape, element), pyrtl.Input(1, f"{name}_valid"), driver)

    @classmethod
    def constant(cls, name: str, values: npt.ArrayLike, element: IntType | None = None) -> MatrixChannel:
        """Constants that are always valid."""
        return cls.always(WireMatrix.constant(name, values, element))

    @classmethod
    def always(cls, matrix: WireMatrix) -> MatrixChannel:
        """A matrix that counts in every cycle and waits for nobody; ``ready`` goes unread."""
        return cls(matrix, pyrtl.Const(1, bitwidth=1), pyrtl.WireVector(1))

    def buffered(self, name: str) -> MatrixChannel:
        """The same matrices through a skid buffer: valid, ready and elements come from registers, at full speed."""
        ready = pyrtl.WireVector(1, f"{name}_out_ready")
        buffer = skid_buffer(f"{name}_skid", self.matrix.packed, self.valid, ready)
        connect(self.ready, buffer.ready)
        matrix = WireMatrix.from_packed(name, buffer.payload, self.matrix.shape, self.matrix.element_or_interval)
        return MatrixChannel(matrix.with_interval(self.matrix.interval), buffer.valid, ready)

    def output(self, name: str) -> None:
        """Ports: outputs ``<name>_<index>`` and ``<name>_valid``, input ``<name>_ready``."""
        self.matrix.output(name)
        valid = pyrtl.Output(1, f"{name}_valid")
        valid <<= self.valid
        connect(self.ready, pyrtl.Input(1, f"{name}_ready"))


def pipeline_stage(name: str, sources: tuple[MatrixChannel, ...], function: Callable[..., WireMatrix]) -> MatrixChannel:
    """One register stage: join the sources, apply a combinational function, register the result.

    The stage takes a new matrix from every source at once, as soon as all are valid and its own register is empty
    or being emptied, so it passes one matrix a cycle and stops without losing one::

        a ─────────▶┌──────────┐   ┌──────────┐
                    │ function ├──▶│ register ├──▶ result.matrix
        b ─────────▶└──────────┘   └────▲─────┘
                                        │ enable = all valid, and (not result.valid, or result.ready)
        a.ready ◀── enable; b.ready ◀── enable

    ``ready`` passes back through the stage without a register: end a chain that leads to ports with
    `MatrixChannel.buffered`, or with a circuit whose ready comes from registers, such as `systolic_multiply`.

    Args:
        name: names the register elements and the valid bit.
        sources: what the function takes, in order.
        function: `WireMatrix` in, `WireMatrix` out, combinational.
    """
    result_valid = pyrtl.Register(1, f"{name}_valid", reset_value=0)
    result_ready = pyrtl.WireVector(1, f"{name}_ready")
    free = ~result_valid | result_ready
    present = sources[0].valid
    for source in sources[1:]:
        present = present & source.valid
    enable = present & free
    for source in sources:
        connect(source.ready, enable)
    result_valid.next <<= pyrtl.select(free, present, result_valid)
    values = function(*(source.matrix for source in sources))
    return MatrixChannel(values.registered(name, enable), result_valid, result_ready)
