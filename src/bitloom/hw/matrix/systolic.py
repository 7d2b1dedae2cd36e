"""The output-stationary systolic array: a grid of multiply-accumulate cells through which two matrices flow.

Rows of the left matrix enter from the left, columns of the top matrix from above, one element a cycle each, and
each cell keeps the sum that becomes one element of the product. Every box is a register::

                                top column 0     top column 1
                                     │                │
                                [- top_zero]     [- top_zero]
                                     │              [skew]
                                     ▼                ▼
    left row 0 ─ [- left_zero] ───▶ cell 0 0 ──────▶ cell 0 1
                                     │                │
                                     ▼                ▼
    left row 1 ─ [- left_zero][skew]▶cell 1 0 ──────▶ cell 1 1

    a cell          from above
                        │
                     ┌──▼──┐
                     │ top ├────────┬───────────▶ to the cell below
                     └─────┘        │
                    ┌──────┐        ▼    ┌─────────┐       ┌─────┐     ┌────────┐
    from the left ─▶│ left ├─┬────▶ × ──▶│ product ├─▶ + ─▶│ acc ├────▶│ result │
                    └──────┘ │           └─────────┘   ▲   └──┬──┘     └────────┘
                             │                         └──────┘ (the bias, for the first product)
                             └─────▶ to the cell on the right

A beat is one column of the left matrix and one row of the top matrix. Row i and column j of a beat are delayed by i
and j cycles (the triangles of skew registers), so that the beats cross the grid as diagonal waves: what belongs
together meets in cell (i, j) exactly i + j cycles after it meets in cell (0, 0). One delay line of (valid, first,
last) therefore serves all cells of a diagonal. With a 2x3 times 3x2 product whose beat 0 is given in cycle 0::

    cycle              0    1    2    3    4    5    6    7    8    9
    left column        a_0  a_1  a_2
    left (0, 0)                  a00  a01  a02
    product (0, 0)                    p0   p1   p2
    acc (0, 0)                             s0   s1   s2                  s2 = bias + p0 + p1 + p2
    result (0, 0)                                         s2   s2   ...
    acc (1, 1)                                       s0   s1   s2
    result (1, 1)                                                   s2   all results hold from cycle 9

The result registers hold while the next product accumulates, so beats may follow each other without a gap as long
as the next last beat comes after the result has been used. All widths follow from ranges: an operand register has
the natural width of ``x - zero_point``, a product register the whole product, an accumulator the range of the sum.

Sources: H. T. Kung and C. E. Leiserson, "Systolic arrays (for VLSI)", 1978; Figure 5 of R. Nigam et al., "A compiler
infrastructure for accelerator generators", 2021, for the cell with registers on both operands.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyrtl

from bitloom.arith.ranges import Interval
from bitloom.errors import HardwareError
from bitloom.hw.matrix.integer import (
    full_product,
    full_range,
    interval_product,
    product_bits,
    resize,
    storage,
)
from bitloom.hw.matrix.wire_matrix import WireMatrix
from bitloom.hw.registers import constant

# Cycles from a beat on the inputs of the array to the result of cell (0, 0): edge, operand, product, sum, result.
CELL_STAGES = 5


@dataclass(frozen=True)
class Beat:
    """The control that goes with one beat of operands, one bit each.

    Attributes:
        valid: the operands count.
        first: they are the first of a product: the sum starts from the bias.
        last: they are the last: the sum is complete after them.
    """

    valid: pyrtl.WireVector
    first: pyrtl.WireVector
    last: pyrtl.WireVector


@dataclass(frozen=True, eq=False)
class SystolicArray:
    """A built array.

    Attributes:
        result: the last complete product, shape (rows, columns); registers.
        completing: one bit: from the next cycle on, every element of `result` belongs to the product whose last beat
            was given `latency` cycles earlier.
        accumulators: the running sums, for waveforms.
        left: the left operand register of every cell.
        top: the top operand register of every cell.
    """

    result: WireMatrix
    completing: pyrtl.WireVector
    accumulators: WireMatrix
    left: WireMatrix
    top: WireMatrix

    @property
    def latency(self) -> int:
        """Cycles from the last beat on the inputs to the cycle in which the whole result holds."""
        return systolic_latency(*self.result.shape)


def systolic_latency(rows: int, columns: int) -> int:
    """Cycles from the last beat to the whole result: one per diagonal crossed, and the stages of a cell.

    >>> systolic_latency(2, 2)
    7
    """
    return rows + columns - 2 + CELL_STAGES


def bias_cycles(rows: int, columns: int) -> int:
    """Cycles between products that a bias which changes with each product needs, so that every cell reads its own.

    >>> bias_cycles(2, 2)
    6
    """
    return rows + columns + 2


def accumulator_interval(left: Interval, top: Interval, terms: int, bias: Interval) -> Interval:
    """The range of ``bias + sum of up to `terms` products``, every partial sum included.

    >>> str(accumulator_interval(Interval(-128, 127), Interval(-128, 127), 4, Interval(0, 0)))
    '[-65024, 65536]'
    """
    product = interval_product(left, top)
    return Interval(bias.low + terms * min(0, product.low), bias.high + terms * max(0, product.high))


def make_systolic_array(
    name: str,
    left: WireMatrix,
    top: WireMatrix,
    beat: Beat,
    *,
    terms: int,
    left_zero: int = 0,
    top_zero: int = 0,
    bias: WireMatrix | None = None,
) -> SystolicArray:
    """Build the grid. It advances in every cycle; whoever gives the beats decides when they count.

    Args:
        name: prefix of all names: ``<name>_acc_<i>_<j>``, ``<name>_left_<i>_<j>``, ...
        left: one column of the left matrix per beat, shape (rows,).
        top: one row of the top matrix per beat, shape (columns,).
        beat: says which beats count, begin and end a product.
        terms: the largest number of beats a product has (the inner dimension); accumulators are wide enough for it.
        left_zero: subtracted from every left element.
        top_zero: subtracted from every top element.
        bias: what the sums start from, shape (rows, columns). Read while the first beat crosses the grid, so hold it
            for `bias_cycles` from the cycle of the first beat. None starts from zero.

    Raises:
        HardwareError: shapes do not fit together, or there is no term.

    Multiply (1 2 3) by the columns (4 5 6) and (7 8 9), one beat a cycle:

    >>> from bitloom.arith import IntType
    >>> pyrtl.reset_working_block()
    >>> left = WireMatrix.input("l", (1,), IntType(4, signed=False))
    >>> top = WireMatrix.input("t", (2,), IntType(8))
    >>> beat = Beat(*(pyrtl.Input(1, bit) for bit in ("valid", "first", "last")))
    >>> array = make_systolic_array("mm", left, top, beat, terms=3)
    >>> array.result, array.latency
    (WireMatrix(mm_result: int14[1, 2]), 6)
    >>> simulation = pyrtl.Simulation()
    >>> for k, (a, b) in enumerate([(1, [4, 7]), (2, [5, 8]), (3, [6, 9])]):
    ...     control = {"valid": 1, "first": int(k == 0), "last": int(k == 2)}
    ...     simulation.step(left.stimulus([a]) | top.stimulus(b) | control)
    >>> for _ in range(array.latency):
    ...     simulation.step(left.stimulus([0]) | top.stimulus([0, 0]) | {"valid": 0, "first": 0, "last": 0})
    >>> array.result.read(simulation).tolist()
    [[32, 50]]
    """
    _check(name, left, top, terms, bias)
    rows, columns = left.size, top.size
    left_interval, top_interval = _shifted(left.interval, left_zero), _shifted(top.interval, top_zero)
    left_grid = WireMatrix.registers(f"{name}_left", (rows, columns), left_interval)
    top_grid = WireMatrix.registers(f"{name}_top", (rows, columns), top_interval)
    _flow(f"{name}_left_edge", left, left_zero, left_grid)
    _flow(f"{name}_top_edge", top, top_zero, top_grid.transpose())
    bias_interval = Interval(0, 0) if bias is None else bias.interval
    interval = accumulator_interval(left_interval, top_interval, terms, bias_interval)
    wave = _Wave.build(name, beat, rows + columns - 1)
    accumulators = _accumulators(name, left_grid, top_grid, wave, interval, bias)
    result = WireMatrix.registers(f"{name}_result", (rows, columns), interval)
    for i, j in np.ndindex(rows, columns):
        # The accumulator may have spare bits above those of the sum (see _accumulators); the sum is in the low ones.
        total = accumulators[i, j][: result.bits]
        result[i, j].next <<= pyrtl.select(wave.last[i + j + 3], total, result[i, j])
    return SystolicArray(result, wave.last[-1], accumulators, left_grid, top_grid)


@dataclass(frozen=True)
class _Wave:
    """The control of a beat as it crosses the grid: element d of a line is the beat's bit d + 1 cycles later.

    The operands of a beat are in the cells of diagonal d after d + 2 cycles, their product after d + 3, the sum
    after d + 4. So diagonal d accumulates under line element d + 2 and copies its sum under line element d + 3.
    """

    valid: tuple[pyrtl.Register, ...]
    first: tuple[pyrtl.Register, ...]
    last: tuple[pyrtl.Register, ...]

    @classmethod
    def build(cls, name: str, beat: Beat, diagonals: int) -> _Wave:
        return cls(
            delay_line(f"{name}_wave_valid", beat.valid, diagonals + 2),
            delay_line(f"{name}_wave_first", beat.first, diagonals + 2),
            delay_line(f"{name}_wave_last", beat.valid & beat.last, diagonals + 3),
        )


def delay_line(name: str, wire: pyrtl.WireVector, cycles: int) -> tuple[pyrtl.Register, ...]:
    """Registers ``<name>_0``, ``<name>_1``, ... in a row: the last shows the wire as it was `cycles` cycles ago."""
    line: list[pyrtl.Register] = []
    for position in range(cycles):
        stage = pyrtl.Register(len(wire), f"{name}_{position}", reset_value=0)
        stage.next <<= line[-1] if line else wire
        line.append(stage)
    return tuple(line)


def _flow(name: str, edge: WireMatrix, zero: int, grid: WireMatrix) -> None:
    """Send element i of the edge through i + 1 registers and then through row i of the grid.

    The first of them parts the subtraction from the cells: Yosys 0.70 packs a subtraction next to a multiplier into
    the DSP slice together with the register between them, and loses what that register gives to the next cell.
    """
    for i, wire in enumerate(edge):
        # Exact modulo 2**bits, because the difference lies in the grid's interval.
        value = resize(wire, edge.signed, grid.bits)
        if zero:
            value = (value - constant(zero, grid.bits))[: grid.bits]
        skew = [pyrtl.Register(grid.bits, f"{name}_{i}_{position}") for position in range(i + 1)]
        for stage in [*skew, *grid[i]]:
            stage.next <<= value
            value = stage


def _accumulators(
    name: str, left: WireMatrix, top: WireMatrix, wave: _Wave, interval: Interval, bias: WireMatrix | None
) -> WireMatrix:
    """The product and sum registers of every cell."""
    natural_bits, signed = storage(interval)
    # A product cut before it is added no longer maps to one DSP slice, so a sum of one term may have a spare bit.
    bits = max(natural_bits, product_bits(left.bits, left.signed, top.bits, top.signed))
    sums = WireMatrix.registers(f"{name}_acc", left.shape, full_range(bits, signed)).with_interval(interval)
    for i, j in np.ndindex(*left.shape):
        whole = full_product(left[i, j], left.signed, top[i, j], top.signed)
        product = pyrtl.Register(len(whole), f"{name}_product_{i}_{j}")
        product.next <<= whole
        addend = resize(product, left.signed or top.signed, bits)
        start = constant(0, bits) if bias is None else resize(bias[i, j], bias.signed, bits)
        total, d = sums[i, j], i + j
        # In this order of selects synthesis absorbs the sum and its start value into the DSP slice.
        base = pyrtl.select(wave.first[d + 2], start, total)
        total.next <<= pyrtl.select(wave.valid[d + 2], (base + addend)[:bits], total)
    return sums


def _shifted(interval: Interval, zero: int) -> Interval:
    return Interval(interval.low - zero, interval.high - zero)


def _check(name: str, left: WireMatrix, top: WireMatrix, terms: int, bias: WireMatrix | None) -> None:
    for matrix in (left, top):
        if len(matrix.shape) != 1:
            raise HardwareError(
                f"an edge of a systolic array has one dimension, {matrix.name} has shape {list(matrix.shape)}",
                where=name,
                remedy="give one column of the left matrix or one row of the top matrix",
            )
    if terms < 1:
        raise HardwareError(f"a product of {terms} terms is none", where=name, remedy="give at least one term")
    if bias is not None and bias.shape != (left.size, top.size):
        raise HardwareError(
            f"bias has shape {list(bias.shape)}, the product {[left.size, top.size]}",
            where=name,
            remedy="broadcast the bias to the product's shape",
        )
