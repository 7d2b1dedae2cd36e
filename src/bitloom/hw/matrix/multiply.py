"""Whole matrices in, whole product out: the systolic array with operand registers and handshakes around it.

::

      a ────▶┌──────────────┐ column k of a    ┌──────────┐
             │ operand      ├─────────────────▶│          │
      b ────▶│ registers,   │ row k of b       │ systolic ├───▶ result registers ────▶ product
             │ shifted once ├─────────────────▶│ array    │
   bias ────▶│ per beat     │ first, last      │          │
             └──────────────┘─────────────────▶└──────────┘

Each operand is taken as soon as its registers are free, in any order; when all are there, `slots` cycles feed the
array. New operands are taken in the last of these cycles, so products follow each other without a gap while their
predecessors cross the array and wait in the result registers. Only the last beat waits until the previous product
has been taken, because it is the one that would overwrite it. ``ready`` comes from registers alone.

(2x3) times (3x2), products taken at once::

    cycle             0      1      2      3      4      ...    10
    a_ready           1      0      0      1      0
    a_loaded          0      1      1      1      1
    step              0      0      1      2      0
    given to array           beat 0 beat 1 beat 2 beat 0
    mm_valid          0      0      0      0      0      ...    1  (`systolic_cycles` after cycle 0)
"""

from __future__ import annotations

from dataclasses import dataclass

import pyrtl

from bitloom.errors import HardwareError
from bitloom.hw.matrix.channel import MatrixChannel
from bitloom.hw.matrix.shift import shift_out
from bitloom.hw.matrix.systolic import Beat, SystolicArray, bias_cycles, make_systolic_array, systolic_latency
from bitloom.hw.matrix.values import IntegerArray
from bitloom.hw.matrix.wire_matrix import WireMatrix
from bitloom.hw.registers import connect


@dataclass(frozen=True, eq=False)
class SystolicProduct:
    """A built multiplier.

    Attributes:
        product: the result, shape (rows, columns).
        array: the array inside, for waveforms.
        slots: cycles for which one product occupies the operand registers.
        feeding: one bit: a beat is given to the array.
        step: the number of the slot.
    """

    product: MatrixChannel
    array: SystolicArray
    slots: int
    feeding: pyrtl.WireVector
    step: pyrtl.WireVector


def systolic_cycles(rows: int, terms: int, columns: int) -> int:
    """Cycles from the one in which the last operand is taken to the one in which the product is valid.

    >>> systolic_cycles(2, 3, 2)
    10
    """
    return terms + systolic_latency(rows, columns)


def systolic_interval(rows: int, terms: int, columns: int) -> int:
    """Cycles between products that are taken at once, operands always waiting and bias constant.

    >>> systolic_interval(2, 3, 2), systolic_interval(4, 144, 4)
    (8, 144)
    """
    return max(terms, systolic_latency(rows, columns) + 1)


def systolic_multiply(
    name: str,
    a: MatrixChannel,
    b: MatrixChannel,
    *,
    a_zero: int = 0,
    b_zero: int = 0,
    bias: MatrixChannel | IntegerArray | None = None,
) -> SystolicProduct:
    """Build ``(a - a_zero) @ (b - b_zero) + bias``, exactly.

    Args:
        name: prefix of all names.
        a: shape (rows, terms).
        b: shape (terms, columns).
        a_zero: the zero point of `a`.
        b_zero: the zero point of `b`.
        bias: constants, or a channel that gives one bias for each product, of a shape that broadcasts to
            (rows, columns) by NumPy's rules.

    Raises:
        HardwareError: shapes do not fit together.

    >>> import numpy as np
    >>> from bitloom.arith import IntType
    >>> pyrtl.reset_working_block()
    >>> a = MatrixChannel.input("a", (2, 3), IntType(8))
    >>> b = MatrixChannel.constant("b", [[7, 8], [9, 10], [11, 12]])
    >>> built = systolic_multiply("mm", a, b, bias=np.array([100, 200]))
    >>> built.product.output("c")
    >>> simulation = pyrtl.Simulation()
    >>> for cycle in range(1 + systolic_cycles(2, 3, 2)):
    ...     simulation.step(a.matrix.stimulus([[1, 2, 3], [4, 5, 6]]) | {"a_valid": int(cycle == 0), "c_ready": 1})
    >>> simulation.inspect("c_valid"), built.product.matrix.read(simulation).tolist()
    (1, [[158, 264], [239, 354]])
    """
    rows, terms, columns = _product_shape(name, a.matrix, b.matrix)
    # A bias that changes between products must hold until the first beat has crossed the whole array.
    slots = max(terms, bias_cycles(rows, columns)) if isinstance(bias, MatrixChannel) else terms
    operands = {"a": a, "b": b} | ({"bias": bias} if isinstance(bias, MatrixChannel) else {})
    in_flight = pyrtl.Register(1, f"{name}_in_flight", reset_value=0)
    step, feeding = _feed(name, operands, terms, slots, in_flight)
    is_last = step == terms - 1

    a_column = shift_out(f"{name}_a_shift", a.matrix.transpose(), a.transfer, feeding)
    b_row = shift_out(f"{name}_b_shift", b.matrix, b.transfer, feeding)
    held_bias = _held_bias(f"{name}_bias", bias, (rows, columns))
    beat = Beat(feeding, first=step == 0, last=is_last)
    array = make_systolic_array(
        name, a_column, b_row, beat, terms=terms, left_zero=a_zero, top_zero=b_zero, bias=held_bias
    )

    valid = pyrtl.Register(1, f"{name}_valid", reset_value=0)
    product = MatrixChannel(array.result, valid, pyrtl.WireVector(1, f"{name}_ready"))
    valid.next <<= array.completing | (valid & ~product.ready)
    in_flight.next <<= (feeding & is_last) | (in_flight & ~product.transfer)
    return SystolicProduct(product, array, slots, feeding, step)


def _feed(
    name: str, operands: dict[str, MatrixChannel], terms: int, slots: int, in_flight: pyrtl.WireVector
) -> tuple[pyrtl.WireVector, pyrtl.WireVector]:
    """Take operands and count the slots of a product: the slot's number, and whether a beat is given in it."""
    loaded = {part: pyrtl.Register(1, f"{name}_{part}_loaded", reset_value=0) for part in operands}
    step = pyrtl.Register(max(1, (slots - 1).bit_length()), f"{name}_step", reset_value=0)
    feeding, finished = pyrtl.WireVector(1, f"{name}_feeding"), pyrtl.WireVector(1, f"{name}_finished")
    advance = pyrtl.rtl_all(*loaded.values()) & ~((step == terms - 1) & in_flight)
    feeding <<= advance if slots == terms else advance & (step < terms)
    finished <<= advance & (step == slots - 1)
    step.next <<= pyrtl.select(finished, 0, pyrtl.select(advance, step + 1, step)[: len(step)])
    for part, operand in operands.items():
        free = ~loaded[part] | finished
        connect(operand.ready, free)
        loaded[part].next <<= pyrtl.select(free, operand.valid, loaded[part])
    return step, feeding


def _held_bias(name: str, bias: MatrixChannel | IntegerArray | None, shape: tuple[int, int]) -> WireMatrix | None:
    """The bias as wires that change only when the next product's is taken."""
    if bias is None:
        return None
    if isinstance(bias, MatrixChannel):
        return bias.matrix.registered(name, bias.transfer).broadcast_to(shape)
    return WireMatrix.constant(name, bias).broadcast_to(shape)


def _product_shape(name: str, a: WireMatrix, b: WireMatrix) -> tuple[int, int, int]:
    if len(a.shape) != 2 or len(b.shape) != 2 or a.shape[1] != b.shape[0]:
        raise HardwareError(
            f"cannot multiply shapes {list(a.shape)} and {list(b.shape)}",
            where=name,
            remedy="give (rows, terms) and (terms, columns); transpose one of them",
        )
    return a.shape[0], a.shape[1], b.shape[1]
