"""Softmax of a stream's rows by one exact division for each element, rounded once, halves to even.

```
  in ──▶ [2 banks: rows] ──▶ largest - x ──▶ [exponentials] ──┬──▶ [sum] ──▶ x T ──▶ [divisor]
                                                              │                          │
                                                              └──▶ [remainder] ──▶ - ────┘ ──▶ round ──▶ [FIFO] ──▶ out
```

The result is ``round(e / (sum * t)) + z`` with ``t = T / 2**f``, T an integer: the quotient of the integers
``e * 2**f`` and ``sum * T``. One row after the other goes through three phases, while the next one arrives:

| phase | cycles | |
|---|---|---|
| sum | elements | an exponential a cycle |
| scale | bits of T | the divisor is ``sum * T``, a bit of T a cycle: ``divisor = 2 * divisor + bit * sum`` |
| divide | elements, times the bits of a quotient and 6 | restoring division, a bit a cycle |

Restoring division keeps ``remainder < 2 * divisor``; a bit of the quotient is whether the divisor can be taken away. At
the end what is left, doubled, says where the quotient lies between two integers: the same subtraction once more rounds.
So one subtraction, as wide as the divisor, is all arithmetic there is, and no multiplier.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import pyrtl
from pyrtl import Const, MemBlock, Register, WireVector, concat, select

from bitloom.arith import IntType
from bitloom.errors import HardwareError
from bitloom.hw.fifo import credit_fifo
from bitloom.hw.memory import registered_rom
from bitloom.hw.registers import connect, constant, delayed, delayed_flag, follow, named, state, wrapping_counter
from bitloom.hw.stream import Stream, StreamType

LARGEST_ROW = 1 << 16
"""Elements of a row."""

_READ_LATENCY = 4  # bank, difference, table, and a register because a block memory's own output comes late
_ELEMENT_CYCLES = _READ_LATENCY + 2  # those of the read, loading, rounding
_CLAMP_LATENCY = 2  # rounded, clamped
_FIFO_DEPTH = 4


@dataclass(frozen=True)
class Quotient:
    """What is divided by what: ``e * 2**places / (sum * multiplier)``.

    Attributes:
        exponentials: e of each difference to the largest element of a row, from 0 on; the first is not 0.
        multiplier: T, at least 1.
        places: f, at least 0.
    """

    exponentials: tuple[int, ...]
    multiplier: int
    places: int

    @property
    def exponential_bits(self) -> int:
        """Unsigned width of an exponential."""
        return max(self.exponentials).bit_length()

    @cached_property
    def bits(self) -> int:
        """Of the quotient's integer part: an exponential is no larger than the sum."""
        return max(1, ((1 << self.places) // self.multiplier).bit_length())

    def rounded(self, exponential: int, total: int) -> int:
        """The quotient of an exponential and a sum, halves to even.

        >>> [Quotient((8, 0), 1, 1).rounded(exponential, 8) for exponential in (1, 2, 3, 6, 8)]
        [0, 0, 1, 2, 2]
        """
        divisor = total * self.multiplier
        whole, rest = divmod(exponential << self.places, divisor)
        return whole + (2 * rest > divisor or (2 * rest == divisor and whole % 2 == 1))

    def sum_bits(self, row: int) -> int:
        """Unsigned width of the sum over a row."""
        return (max(self.exponentials) * row).bit_length()

    def divisor_bits(self, row: int) -> int:
        """Unsigned width of the divisor."""
        return (max(self.exponentials) * row * self.multiplier).bit_length()

    def cycles(self, row: int) -> int:
        """Per row, without stalls, once the unit is busy.

        >>> Quotient((4, 2, 1, 0), 1, 3).cycles(row=10)
        116
        """
        before = row + _READ_LATENCY + self.multiplier.bit_length() + 1
        return before + row * self.element_cycles

    @property
    def element_cycles(self) -> int:
        """Of dividing an element."""
        return self.bits + _ELEMENT_CYCLES

    def latency(self, row: int) -> int:
        """Cycles from taking the last element of a row until its first result is offered."""
        return self.cycles(row) - (row - 1) * self.element_cycles + _CLAMP_LATENCY + 1


def rounded_softmax(
    name: str, stream: Stream, quotient: Quotient, zero_point: int, output: IntType, reset: WireVector
) -> Stream:
    """Softmax over each row, a row every `Quotient.cycles`.

    Args:
        name: prefix of the signals.
        stream: one lane, signed or not, rows of up to `LARGEST_ROW` elements; its `ready` gets driven.
        quotient: with as many exponentials as differences of the elements' type.
        zero_point: added to the rounded quotient.
        output: the type of the results, to which they are clamped.
        reset: forgets the rows under way.

    Returns:
        A stream of the same shape.

    Raises:
        HardwareError: more than one lane, a row too long, or not one exponential for each difference.

    >>> import numpy as np
    >>> from bitloom.hw.simulate import simulate_stream
    >>> pyrtl.reset_working_block()
    >>> source, sink = (make(name, StreamType(IntType(8), row=4)) for make, name in
    ...                 ((Stream.input_ports, "source"), (Stream.output_ports, "sink")))
    >>> table = np.rint(np.exp(-0.1 * np.arange(256)) * 2**30).astype(np.int64)
    >>> steps = Quotient(tuple(table.tolist()), 25, 11)  # of 25 / 2**11
    >>> rounded_softmax("softmax", source, steps, -3, IntType(8), pyrtl.Input(1, "reset")).feed(sink)
    >>> simulate_stream([[0, 10, -10, 0], [-128, 127, 0, 127]], source, sink).tensors.tolist()
    [[13, 41, 3, 13], [-3, 38, -3, 38]]
    >>> powers = table[[10, 0, 20, 10]]
    >>> (np.rint(powers / powers.sum() / (25 / 2**11)) - 3).tolist()
    [13.0, 41.0, 3.0, 13.0]
    """
    given = stream.type
    _check(name, given, quotient)
    read, address_bits = WireVector(1, f"{name}_read"), max(1, (given.row - 1).bit_length())
    position = WireVector(address_bits, f"{name}_position")
    finish = WireVector(1, f"{name}_finish")
    rows = _arrive(name, stream, finish, reset)
    exponential = _exponential(name, rows, concat(rows.bank, position), quotient)

    idle = state(f"{name}_idle", 1, 1)
    start = named(idle & rows.ready, f"{name}_start")
    follow(idle, (idle & ~start) | finish, reset)

    # Sum.
    summing = state(f"{name}_summing", 1)
    summed, sum_end = wrapping_counter(f"{name}_summed", given.row, summing, reset)
    follow(summing, start | (summing & ~sum_end), reset)
    total_bits = quotient.sum_bits(given.row)
    total = Register(total_bits, f"{name}_total")
    first = delayed(named(summing & (summed == 0), f"{name}_first"), _READ_LATENCY, f"{name}_first")
    arrives = delayed_flag(summing, _READ_LATENCY, f"{name}_term", reset)
    kept = named(select(first, Const(0, total_bits), total), f"{name}_kept")
    total.next <<= select(arrives, (exponential.zero_extended(total_bits) + kept).truncate(total_bits), total)
    complete = delayed_flag(named(summing & sum_end, f"{name}_sum_end"), _READ_LATENCY, f"{name}_complete", reset)

    # Scale, then divide.
    divisor, scaled = _divisor(name, quotient, total, complete, given.row, reset)
    division = _divide(name, quotient, exponential, divisor, scaled, given.row, reset)
    finish <<= division.finish
    position <<= select(division.active, division.position, summed)
    read <<= division.read

    _, last_row = wrapping_counter(f"{name}_row", given.rows, finish, reset)
    buffer = credit_fifo(
        f"{name}_output",
        StreamType(output, given.row, given.rows),
        _FIFO_DEPTH,
        push=delayed_flag(division.ends, _CLAMP_LATENCY, f"{name}_push", reset),
        data=_clamped(name, division.rounded, zero_point, output),
        last=delayed(named(finish & last_row, f"{name}_last"), _CLAMP_LATENCY, f"{name}_last"),
        reserved=read,
        reset=reset,
    )
    connect(division.room, buffer.room_for(1))
    return buffer.output


def _check(name: str, given: StreamType, quotient: Quotient) -> None:
    if given.lanes != 1:
        raise HardwareError(f"softmax takes one lane, not {given}", where=name)
    if given.row > LARGEST_ROW:
        raise HardwareError(f"softmax over {given.row} elements: {LARGEST_ROW} are the limit", where=name)
    if len(quotient.exponentials) != 1 << given.element.bits:
        raise HardwareError(
            f"{1 << given.element.bits} exponentials for differences of {given.element}, not "
            f"{len(quotient.exponentials)}",
            where=name,
        )
    if (
        min(quotient.exponentials) < 0
        or quotient.exponentials[0] < 1
        or max(quotient.exponentials[1:], default=0) > (quotient.exponentials[0])
    ):
        raise HardwareError("exponentials are not negative and none is larger than the first", where=name)


@dataclass(frozen=True, eq=False)
class _Rows:
    """Two banks of elements, one that fills and one that is read.

    Attributes:
        keys: elements as unsigned numbers of the same order, by bank and position.
        largest: of the bank that is read.
        bank: the one that is read.
        ready: it holds a row.
    """

    keys: MemBlock
    largest: WireVector
    bank: WireVector
    ready: WireVector


def _arrive(name: str, stream: Stream, finish: WireVector, reset: WireVector) -> _Rows:
    """Write rows into the banks, and find their largest element."""
    bits, row = stream.type.element.bits, stream.type.row
    address_bits = max(1, (row - 1).bit_length())
    # PyRTL calls a memory asynchronous when logic stands in front of its address; a register stands behind its data.
    keys = MemBlock(bits, address_bits + 1, name=f"{name}_keys", max_read_ports=1, max_write_ports=1, asynchronous=True)
    write_bank, read_bank = state(f"{name}_write_bank", 1), state(f"{name}_read_bank", 1)
    full = [state(f"{name}_full{bank}", 1) for bank in (0, 1)]
    room = named(~select(write_bank, full[1], full[0]), f"{name}_has_room")
    stream.accept(room)
    arrive = named(stream.valid & room, f"{name}_arrive")
    arriving, end = wrapping_counter(f"{name}_arriving", row, arrive, reset)
    filled = named(arrive & end, f"{name}_filled")
    for bank in (0, 1):
        follow(full[bank], (filled & (write_bank == bank)) | (full[bank] & ~(finish & (read_bank == bank))), reset)
    follow(write_bank, write_bank ^ filled, reset)
    follow(read_bank, read_bank ^ finish, reset)
    flip = Const(1 << (bits - 1) if stream.type.element.signed else 0, bits)
    key = named(stream.data ^ flip, f"{name}_key")
    keys[concat(write_bank, arriving)] <<= MemBlock.EnabledWrite(key, enable=arrive)
    so_far = Register(bits, f"{name}_largest_so_far")
    larger = named(select((arriving == 0) | (key > so_far), key, so_far), f"{name}_larger")
    so_far.next <<= select(arrive, larger, so_far)
    largest = [Register(bits, f"{name}_largest{bank}") for bank in (0, 1)]
    for bank in (0, 1):
        largest[bank].next <<= select(filled & (write_bank == bank), larger, largest[bank])
    ready = named(select(read_bank, full[1], full[0]), f"{name}_row_ready")
    return _Rows(keys, select(read_bank, largest[1], largest[0]), read_bank, ready)


def _exponential(name: str, rows: _Rows, address: WireVector, quotient: Quotient) -> WireVector:
    """The exponential of the element at `address`, `_READ_LATENCY` cycles later."""
    key = Register(rows.keys.bitwidth, f"{name}_key_read")
    key.next <<= rows.keys[address]
    difference = Register(key.bitwidth, f"{name}_difference")
    difference.next <<= (rows.largest - key).truncate(key.bitwidth)
    word = registered_rom(f"{name}_exp", quotient.exponentials, quotient.exponential_bits, difference)
    return delayed(word, 1, f"{name}_exp")


def _divisor(
    name: str, quotient: Quotient, total: WireVector, complete: WireVector, row: int, reset: WireVector
) -> tuple[WireVector, WireVector]:
    """``sum * T``, from its highest bit on, and a flag in the last cycle before it is there."""
    bits, steps = quotient.divisor_bits(row), quotient.multiplier.bit_length()
    scaling = state(f"{name}_scaling", 1)
    step, end = wrapping_counter(f"{name}_scale_step", steps, scaling, reset)
    follow(scaling, complete | (scaling & ~end), reset)
    divisor = Register(bits, f"{name}_divisor")
    places = [Const(quotient.multiplier >> (steps - 1 - place) & 1, 1) for place in range(steps)]
    places += [Const(0, 1)] * ((1 << step.bitwidth) - steps)
    bit = named(pyrtl.mux(step, *places), f"{name}_scale_bit")
    doubled = concat(divisor, Const(0, 1)).truncate(bits)
    before = select(step == 0, Const(0, bits), doubled)
    addend = select(bit, total, Const(0, total.bitwidth)).zero_extended(bits)
    divisor.next <<= select(scaling, (addend + before).truncate(bits), divisor)
    return divisor, named(scaling & end, f"{name}_scaled")


@dataclass(frozen=True, eq=False)
class _Division:
    """The phase that divides.

    Attributes:
        active: it is going on.
        position: of the element to read.
        read: the element is read in this cycle.
        room: to be driven: there is room for a result.
        rounded: the rounded quotient, a cycle after `ends`.
        ends: of an element.
        finish: of a row.
    """

    active: WireVector
    position: WireVector
    read: WireVector
    room: WireVector
    rounded: WireVector
    ends: WireVector
    finish: WireVector


def _divide(
    name: str,
    quotient: Quotient,
    exponential: WireVector,
    divisor: WireVector,
    scaled: WireVector,
    row: int,
    reset: WireVector,
) -> _Division:
    """One element after the other: read it, load its exponential, a bit a cycle, round."""
    active = state(f"{name}_dividing", 1)
    room = WireVector(1, f"{name}_room")
    tick_bits = (quotient.element_cycles - 1).bit_length()
    tick = state(f"{name}_tick", tick_bits)
    begins = named(tick == 0, f"{name}_element_begins")
    read = named(active & begins & room, f"{name}_element_read")
    moves = named(read | ~begins, f"{name}_element_moves")
    rounds = named(tick == quotient.element_cycles - 1, f"{name}_element_rounds")
    follow(
        tick,
        select(rounds, Const(0, tick_bits), select(moves, (tick + 1).truncate(tick_bits), tick)),
        reset,
    )
    position, at_end = wrapping_counter(f"{name}_divided", row, rounds, reset)
    finish = named(rounds & at_end, f"{name}_row_divided")
    follow(active, scaled | (active & ~finish), reset)

    bits = divisor.bitwidth + 1
    remainder, digits = Register(bits, f"{name}_remainder"), Register(quotient.bits, f"{name}_digits")
    less = named((concat(Const(0, 1), remainder) - divisor.zero_extended(bits + 1)).truncate(bits + 1), f"{name}_less")
    taken = named(~less[-1], f"{name}_taken")
    left = select(taken, less[: bits - 1], remainder[: bits - 1])
    # The quotient's highest place is worth 2**(quotient.bits - 1).
    places = quotient.places - quotient.bits + 1
    loaded = concat(exponential, Const(0, places)) if places else exponential
    loads = named(tick == _READ_LATENCY, f"{name}_element_loads")
    loaded = loaded.zero_extended(max(bits, loaded.bitwidth)).truncate(bits)
    remainder.next <<= select(loads, loaded, concat(left, Const(0, 1)))
    digits.next <<= concat(digits, taken).truncate(quotient.bits)
    exact = named(less == 0, f"{name}_half")
    up = named(taken & (~exact | digits[0]), f"{name}_up")
    rounded = Register(quotient.bits + 1, f"{name}_rounded")
    rounded.next <<= (digits.zero_extended(quotient.bits + 1) + up.zero_extended(quotient.bits + 1)).truncate(
        quotient.bits + 1
    )
    return _Division(active, position, read, room, rounded, rounds, finish)


def _clamped(name: str, rounded: WireVector, zero_point: int, output: IntType) -> WireVector:
    """The rounded quotient from the zero point on, at most the largest value, a cycle later."""
    result = Register(output.bits, f"{name}_result")
    bits = max(rounded.bitwidth, output.bits)
    shifted = (rounded.zero_extended(bits) + constant(zero_point, bits)).truncate(output.bits)
    most = output.maximum - zero_point
    if most >= (1 << rounded.bitwidth) - 1:
        result.next <<= shifted
    else:
        above = named(rounded > Const(most, rounded.bitwidth), f"{name}_above")
        result.next <<= select(above, constant(output.maximum, output.bits), shifted)
    return result
