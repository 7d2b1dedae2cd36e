"""Softmax of a stream's rows, bit for bit as LiteRT's reference kernel of 8-bit inputs computes it.

```
                  ┌────────────────┐  largest - x  ┌───────┐ exp  ┌─────┐ 1. ┌────────────┐
  in ──▶ largest ─▶ 4 banks: rows, ├──────────────▶│ table ├──┬──▶│ sum ├───▶│ reciprocal │
                  │ their largest  │               └───────┘  │   └─────┘    └─────┬──────┘
                  └────────────────┘                          └──────────────────▶ × ──▶ round ──▶ [FIFO] ──▶ out
```

Up to four rows are in the unit: one arrives, one is summed, one is divided, one waits. Summing and dividing share
the banks' read port and the table; dividing goes first and takes every second cycle. One multiplier
(`serial_multiply`) does the reciprocal, then the row's results:

```
  cycle  0     8     16    24    32    40    48    60     62         58 + 2 row        60 + 2 row
         h*c   h*x   x*e   h*x   x*e   h*x   x*e   r*exp  r*exp ...  last of the row   h*c of the next row
            x     e     x     e     x     e     x, r = min(2 x, 1)
```

Formulas (Q0.31 and Q2.29 are 32-bit fixed point; SRDHM is ``(a * b + 2**30) >> 31``):

- ``sum`` of the exponentials rounded to Q12.19: ``(exp + 2**11) >> 12``. Shifted left until its leading one is at
  bit 30, it is h, half the denominator ``1 + x`` of the kernel's reciprocal. ``sum = h * 2**(over_unit - 11)``.
- Newton-Raphson for 1/h in Q2.29: ``x = 48/17 + SRDHM(h, -32/17)``, then three times ``e = 1 - SRDHM(h, x)``,
  ``x = x + 4 * SRDHM(x, e)``. The start is within 1/17 of 1/h, so that ``|e| < 2**25`` and nothing saturates but the
  result ``r = min(2 * x, 2**31 - 1)``, Q0.31.
- ``y = clamp(SRDHM(r, exp) / 2**(over_unit + 31 - bits)) + minimum``, rounded to nearest, halves up.

Sources: LiteRT's reference kernel of SOFTMAX and the gemmlowp fixed-point library it calls; in NumPy,
`bitloom.arith.fixed_point`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyrtl
from pyrtl import Const, MemBlock, Register, WireVector, concat, select

from bitloom.arith import IntType
from bitloom.arith.fixed_point import fixed
from bitloom.errors import HardwareError
from bitloom.hw.fifo import credit_fifo
from bitloom.hw.memory import registered_rom
from bitloom.hw.registers import (
    constant,
    delayed,
    delayed_flag,
    follow,
    named,
    state,
    wrapping_counter,
)
from bitloom.hw.serial_multiply import INTERVAL, LEFT_BITS, MULTIPLIERS, RIGHT_BITS, multiply_high
from bitloom.hw.serial_multiply import LATENCY as MULTIPLY_LATENCY
from bitloom.hw.stream import Stream, StreamType

LARGEST_ROW = 4095
"""With more elements the kernel's 32-bit sum overflows."""

SOFTMAX_MULTIPLIERS = MULTIPLIERS
"""Multiplier slices of the unit."""

_EXP_BITS = 31
_SUM_SHIFT = 12
_UNIT_BITS = 20  # width of a sum of 1.0 as Q12.19
_BANK_BITS = 2
_READ_LATENCY = 4  # bank, difference, table, and a register because a block memory's own output comes late
_ROUND_LATENCY = 2
_PRODUCTS = 7
_PRODUCT_CYCLES = MULTIPLY_LATENCY + 1
_ERROR_BITS = 26
_FIFO_DEPTH = 8  # an element's way from read to output takes 14 cycles, and every second cycle starts one


def softmax_cycles(row: int) -> int:
    """Cycles per row without stalls, once the unit is busy.

    >>> softmax_cycles(10)
    80
    """
    return _PRODUCTS * _PRODUCT_CYCLES + INTERVAL * (row - 1) + _READ_LATENCY + 2


def softmax(
    name: str,
    stream: Stream,
    exp_table: npt.ArrayLike,
    reset: WireVector,
    output: IntType = IntType(8),  # noqa: B008 - a frozen value
) -> Stream:
    """Softmax over each row, a row every `softmax_cycles` cycles.

    Args:
        name: prefix of the signals.
        stream: one lane of up to 8 bits, signed or not, rows of up to `LARGEST_ROW` elements; its `ready` gets
            driven.
        exp_table: the exponential of each difference ``largest - x`` from 0 to ``2**bits - 1``, raw Q0.31 (zero where
            the kernel ignores it). Scale and beta are in the table only.
        reset: forgets the rows under way.
        output: the type of the results, in steps of ``2**-bits`` from its minimum.

    Returns:
        A stream of the same shape.

    Raises:
        HardwareError: more than one lane, a row too long, or a table that is not one of exponentials.

    >>> from bitloom.hw.simulate import simulate_stream
    >>> pyrtl.reset_working_block()
    >>> source, sink = (make(name, StreamType(IntType(8), row=4)) for make, name in
    ...                 ((Stream.input_ports, "source"), (Stream.output_ports, "sink")))
    >>> exp_table = np.minimum(np.exp(-0.1 * np.arange(256)) * 2**31, 2**31 - 1)
    >>> softmax("softmax", source, exp_table.astype(np.int64), pyrtl.Input(1, "reset")).feed(sink)
    >>> simulate_stream([[0, 10, -10, 0], [-128, 127, 0, 127]], source, sink).tensors.tolist()
    [[-78, 9, -109, -78], [-128, 0, -128, 0]]
    """
    given = stream.type
    table = np.asarray(exp_table, np.int64)
    _check(name, given, table, output)
    sum_read, divide_read = WireVector(1, f"{name}_sum_read"), WireVector(1, f"{name}_divide_read")
    summing = _reader(f"{name}_summing", given.row, sum_read, reset)
    dividing = _reader(f"{name}_dividing", given.row, divide_read, reset)
    rows = _arrive(name, stream, dividing.row, reset)
    address = named(select(divide_read, dividing.address, summing.address), f"{name}_read_address")
    exponential = _exponential(name, rows, address, table)

    take = WireVector(1, f"{name}_take")
    total = _sum(name, summing, given.row, exponential, take, reset)
    pending = state(f"{name}_sum_pending", 1)
    follow(pending, summing.final | (pending & ~take), reset)
    sum_read <<= (summing.row != rows.filled) & ~pending & ~divide_read

    quotient = _divide(name, dividing, total, exponential, take, reset)
    rounded = _round(name, quotient, output)
    _, last_row = wrapping_counter(f"{name}_row", given.rows, dividing.final, reset)
    latency = _READ_LATENCY + MULTIPLY_LATENCY + _ROUND_LATENCY
    buffer = credit_fifo(
        f"{name}_output",
        StreamType(output, given.row, given.rows),
        _FIFO_DEPTH,
        push=delayed_flag(divide_read, latency, f"{name}_push", reset),
        data=rounded,
        last=delayed(named(dividing.final & last_row, f"{name}_last_read"), latency, f"{name}_push_last"),
        reserved=divide_read,
        reset=reset,
    )
    rest = state(f"{name}_rest", 1)  # the multiplier takes an element every second cycle
    follow(rest, divide_read, reset)
    divide_read <<= quotient.ready & ~rest & buffer.room_for(1)
    return buffer.output


def _check(name: str, given: StreamType, table: npt.NDArray[np.int64], output: IntType) -> None:
    if given.lanes != 1 or given.element.bits > 8:
        raise HardwareError(f"softmax takes one lane of up to 8 bits, not {given}", where=name)
    if given.row > LARGEST_ROW:
        raise HardwareError(f"softmax over {given.row} elements: {LARGEST_ROW} are the limit", where=name)
    if output.bits > 16:
        raise HardwareError(f"softmax gives up to 16 bits, not {output}", where=name)
    if table.shape != (1 << given.element.bits,):
        raise HardwareError(f"a table of {1 << given.element.bits} exponentials, not shape {table.shape}", where=name)
    if table.min() < 0 or table.max() >= 1 << _EXP_BITS:
        raise HardwareError("an exponential is not a Q0.31 number from 0 to 1", where=name)
    if (int(table[0]) + (1 << (_SUM_SHIFT - 1))) >> _SUM_SHIFT != 1 << (_UNIT_BITS - 1):
        raise HardwareError(f"the exponential of zero is one, not {int(table[0])} / 2**31", where=name)


def _rows_counter(name: str, enable: WireVector, reset: WireVector) -> Register:
    """Counts rows; the low bits are the bank, one more bit tells full from empty."""
    rows = state(name, _BANK_BITS + 1)
    follow(rows, select(enable, (rows + 1).truncate(_BANK_BITS + 1), rows), reset)
    return rows


@dataclass(frozen=True, eq=False)
class _Reader:
    """One of the two that read rows out of the banks.

    Attributes:
        read: reads an element in this cycle.
        row: rows read completely.
        address: bank and element to read next.
        first: the element begins a row.
        final: `read` of the last element of a row.
    """

    read: WireVector
    row: WireVector
    address: WireVector
    first: WireVector
    final: WireVector


def _reader(name: str, row: int, read: WireVector, reset: WireVector) -> _Reader:
    position, at_end = wrapping_counter(f"{name}_position", row, read, reset)
    final = named(read & at_end, f"{name}_final")
    rows = _rows_counter(f"{name}_rows", final, reset)
    return _Reader(read, rows, concat(rows[:_BANK_BITS], position), position == 0, final)


@dataclass(frozen=True, eq=False)
class _Rows:
    """Rows in the banks.

    Attributes:
        keys: elements as unsigned numbers of the same order, by bank and position.
        largest: the largest key of each bank's row.
        filled: rows that have arrived completely.
    """

    keys: MemBlock
    largest: MemBlock
    filled: WireVector


def _arrive(name: str, stream: Stream, released: WireVector, reset: WireVector) -> _Rows:
    """Write rows into the banks, and their largest element when they end."""
    bits, row = stream.type.element.bits, stream.type.row
    position_bits = max(1, (row - 1).bit_length())
    arrive = WireVector(1, f"{name}_arrive")
    position, at_end = wrapping_counter(f"{name}_arriving", row, arrive, reset)
    filled = _rows_counter(f"{name}_filled", arrive & at_end, reset)
    full = named(filled == concat(~released[-1], released[:-1]), f"{name}_full")
    stream.accept(~full)
    arrive <<= stream.valid & ~full
    flip = Const(1 << (bits - 1) if stream.type.element.signed else 0, bits)
    key = named(stream.data ^ flip, f"{name}_key")
    largest = Register(bits, f"{name}_largest_so_far")
    larger = named(select((position == 0) | (key > largest), key, largest), f"{name}_larger")
    largest.next <<= select(arrive, larger, largest)
    bank = filled[:_BANK_BITS]
    keys = _banks(f"{name}_keys", bits, _BANK_BITS + position_bits)
    keys[concat(bank, position)] <<= MemBlock.EnabledWrite(key, enable=arrive)
    maxima = _banks(f"{name}_largest", bits, _BANK_BITS)
    maxima[bank] <<= MemBlock.EnabledWrite(larger, enable=arrive & at_end)
    return _Rows(keys, maxima, filled)


def _banks(name: str, bits: int, address_bits: int) -> MemBlock:
    """A memory with one port to write and one to read.

    PyRTL calls a memory asynchronous when logic stands in front of its address; here a register stands behind its
    data, and synthesis makes the pair a synchronous memory.
    """
    return MemBlock(bits, address_bits, name=name, max_read_ports=1, max_write_ports=1, asynchronous=True)


def _exponential(name: str, rows: _Rows, address: WireVector, table: npt.NDArray[np.int64]) -> WireVector:
    """The exponential of the element at `address`, `_READ_LATENCY` cycles later."""
    bits = rows.keys.bitwidth
    key, largest = Register(bits, f"{name}_key_read"), Register(bits, f"{name}_largest_read")
    key.next <<= rows.keys[address]
    largest.next <<= rows.largest[address[-_BANK_BITS:]]
    difference = Register(bits, f"{name}_difference")
    difference.next <<= (largest - key).truncate(bits)
    return delayed(registered_rom(f"{name}_exp", table.tolist(), _EXP_BITS, difference), 1, f"{name}_exp")


@dataclass(frozen=True, eq=False)
class _Sum:
    """The sum of a row's exponentials, shifted left until its highest bit is one.

    Attributes:
        ready: it is complete and shifted.
        scale: h, 31 bits.
        over_unit: how many places the leading one of the sum was above that of 1.0.
    """

    ready: WireVector
    scale: WireVector
    over_unit: WireVector


def _sum(name: str, summing: _Reader, row: int, exponential: WireVector, take: WireVector, reset: WireVector) -> _Sum:
    """Accumulate, then shift one place a cycle; the sum stays until it is taken."""
    bits = _UNIT_BITS - 1 + row.bit_length()
    most_over_unit = bits - _UNIT_BITS
    valid = delayed_flag(summing.read, _READ_LATENCY, f"{name}_term", reset)
    final = delayed_flag(summing.final, _READ_LATENCY, f"{name}_term_final", reset)
    first = delayed(named(summing.first, f"{name}_term_first"), _READ_LATENCY, f"{name}_term_first")
    total = Register(bits, f"{name}_sum")
    complete = state(f"{name}_sum_complete", 1)
    follow(complete, final | (complete & ~take), reset)
    shift = named(complete & ~total[-1], f"{name}_sum_shift")
    kept = named(select(first, Const(0, bits), total), f"{name}_sum_kept")
    # The highest bit cut off is the half that rounds up.
    half = exponential[_SUM_SHIFT - 1]
    added = (kept + exponential[_SUM_SHIFT:].zero_extended(bits) + half.zero_extended(bits)).truncate(bits)
    shifted = concat(total, Const(0, 1)).truncate(bits)
    total.next <<= select(valid, added, select(shift, shifted, total))
    over_unit = Register(max(1, most_over_unit.bit_length()), f"{name}_sum_over_unit")
    fewer = (over_unit - 1).truncate(over_unit.bitwidth)
    over_unit.next <<= select(final, Const(most_over_unit, over_unit.bitwidth), select(shift, fewer, over_unit))
    scale = concat(total, Const(0, LEFT_BITS - bits)) if bits < LEFT_BITS else total
    return _Sum(named(complete & total[-1], f"{name}_sum_ready"), scale, over_unit)


@dataclass(frozen=True, eq=False)
class _Quotient:
    """Exponentials divided by their sum.

    Attributes:
        ready: the reciprocal is known: the row's elements may be read.
        product: ``SRDHM(r, exp)``, `_READ_LATENCY` and `MULTIPLY_LATENCY` cycles after its read.
        over_unit: of the row that the products belong to.
    """

    ready: WireVector
    product: WireVector
    over_unit: WireVector


def _divide(
    name: str, dividing: _Reader, total: _Sum, exponential: WireVector, take: WireVector, reset: WireVector
) -> _Quotient:
    """Take a sum, find its reciprocal, then multiply the row's exponentials by it."""
    busy, newton, ready = (state(f"{name}_{flag}", 1) for flag in ("busy", "newton", "reciprocal_ready"))
    tick, tick_end = wrapping_counter(f"{name}_newton_tick", _PRODUCT_CYCLES, newton, reset)
    step_end = named(newton & tick_end, f"{name}_newton_step_end")
    step, last_step = wrapping_counter(f"{name}_newton_step", _PRODUCTS, step_end, reset)
    finish = named(step_end & last_step, f"{name}_newton_finish")
    # The multiplier takes the row's last exponential in this cycle and the one after it.
    drained = delayed_flag(dividing.final, _READ_LATENCY, f"{name}_drained", reset)
    take <<= total.ready & ~busy
    follow(busy, take | (busy & ~drained), reset)
    follow(newton, take | (newton & ~finish), reset)
    follow(ready, finish | (ready & ~dividing.final), reset)

    scale = Register(LEFT_BITS, f"{name}_scale")
    scale.next <<= select(take, total.scale, scale)
    taken_over_unit = Register(total.over_unit.bitwidth, f"{name}_taken_over_unit")
    taken_over_unit.next <<= select(take, total.over_unit, taken_over_unit)
    over_unit = Register(total.over_unit.bitwidth, f"{name}_over_unit")
    over_unit.next <<= select(finish, taken_over_unit, over_unit)

    estimate, error = Register(LEFT_BITS, f"{name}_estimate"), Register(_ERROR_BITS, f"{name}_error")
    first, odd = named(step == 0, f"{name}_newton_first"), step[0]
    reciprocal = select(estimate[-1], constant(-1, LEFT_BITS), concat(estimate[:-1], Const(0, 1)))
    left = select(newton, select(odd, scale, estimate), reciprocal)
    factor = select(first, constant(fixed(-32 / 17, 2), RIGHT_BITS), error.sign_extended(RIGHT_BITS))
    positive = factor ^ Const(1 << 31, RIGHT_BITS)
    right = select(
        newton, select(odd, estimate.zero_extended(RIGHT_BITS), positive), exponential.zero_extended(RIGHT_BITS)
    )
    start = (newton & (tick == 0)) | delayed_flag(dividing.read, _READ_LATENCY, f"{name}_multiply", reset)
    product = multiply_high(f"{name}_multiply", left, right, named(start, f"{name}_multiply_start"))

    # The multiplier is unsigned: it got the factor plus 2**31, which is `left` too much in the product. What this and
    # the term before the product come to is known long before the product.
    four_times = concat(estimate[:-2], Const(0, 2))
    term = select(first, Const(fixed(48 / 17, 2), LEFT_BITS), estimate)
    offset = Register(LEFT_BITS, f"{name}_newton_offset")
    offset.next <<= (term - select(first, estimate, four_times)).truncate(LEFT_BITS)
    correction = select(first, product[:LEFT_BITS], concat(product[: LEFT_BITS - 2], Const(0, 2)))
    improved = (offset + correction).truncate(LEFT_BITS)
    # The first product is h * c: h starts where the estimates come later.
    estimate.next <<= select(take, total.scale, select(step_end & ~odd, improved, estimate))
    error.next <<= select(step_end & odd, (Const(1 << 29, RIGHT_BITS) - product).truncate(_ERROR_BITS), error)
    return _Quotient(ready, product, over_unit)


def _round(name: str, quotient: _Quotient, output: IntType) -> WireVector:
    """``divide_by_power(product, over_unit + 31 - bits)``, saturated, from the type's minimum; `_ROUND_LATENCY`."""
    high = quotient.product[_EXP_BITS - 1 - output.bits : _EXP_BITS]
    shifted = Register(high.bitwidth, f"{name}_shifted")
    shifted.next <<= pyrtl.shift_right_logical(high, quotient.over_unit)
    rounded = (shifted + 1)[1:]
    limited = select(rounded[-1], constant(-1, output.bits), rounded[:-1])
    result = Register(output.bits, f"{name}_result")
    result.next <<= limited ^ Const(output.minimum & ((1 << output.bits) - 1), output.bits)
    return result
