"""Functions of one small integer: a read-only memory in each lane of a stream."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pyrtl import WireVector, concat_list

from bitloom.arith import IntType
from bitloom.errors import HardwareError
from bitloom.hw.fifo import credit_fifo
from bitloom.hw.memory import registered_rom
from bitloom.hw.registers import delayed, delayed_flag, named
from bitloom.hw.stream import Stream, StreamType

LARGEST_BITS = 12
"""Of the input: 4096 words are two block memories per lane where results have 8 bits."""

LATENCY = 2
"""Cycles from the input beat to the output beat, without stalls."""

_DEPTH = 4  # A beat's room is reserved, filled, emptied and given back within three cycles.


def lookup(name: str, stream: Stream, table: npt.ArrayLike, output: IntType, reset: WireVector) -> Stream:
    """``y = table[x]`` for every element, at a beat per cycle.

    ```
               ┌── lane 0: [table] ──┐
      in ─────▶├── lane 1: [table] ──┼──▶ [FIFO] ──▶ out
      ready ◀─ room reserved? ◀──────────── credits
    ```

    The memories run freely; a beat is taken only when the FIFO has room for its results, so a stall holds nothing
    but the input.

    Args:
        name: prefix of the signals.
        stream: elements of up to `LARGEST_BITS` bits, signed or not; its `ready` gets driven.
        table: ``2**bits`` results, at the address that is the element's bit pattern read as an unsigned number: for
            int8, f(0) to f(127), then f(-128) to f(-1).
        output: the type of the results.
        reset: forgets the beats under way.

    Returns:
        A stream of the same shape.

    Raises:
        HardwareError: the input is too wide, or the table has another length or values beyond the output's type.

    >>> import pyrtl
    >>> from bitloom.hw.simulate import simulate_stream
    >>> pyrtl.reset_working_block()
    >>> source = Stream.input_ports("source", StreamType(IntType(3), row=4))
    >>> sink = Stream.output_ports("sink", StreamType(IntType(5, signed=False), row=4))
    >>> squares = [0, 1, 4, 9, 16, 9, 4, 1]
    >>> lookup("square", source, squares, IntType(5, signed=False), pyrtl.Input(1, "reset")).feed(sink)
    >>> simulate_stream([[2, -4, -1, 3]], source, sink).tensors.tolist()
    [[4, 16, 1, 9]]
    """
    given = stream.type.element
    words = np.asarray(table, np.int64)
    _check(name, given, words, output)
    accepted = WireVector(1, f"{name}_accepted")
    masked = [word & ((1 << output.bits) - 1) for word in words.tolist()]
    results = [
        registered_rom(f"{name}_lane{lane}", masked, output.bits, stream.lane(lane))
        for lane in range(stream.type.lanes)
    ]
    buffer = credit_fifo(
        f"{name}_output",
        StreamType(output, stream.type.row, stream.type.rows, stream.type.lanes),
        _DEPTH,
        push=delayed_flag(accepted, 1, f"{name}_push", reset),
        data=concat_list(results),
        last=delayed(stream.last, 1, f"{name}_push_last"),
        reserved=accepted,
        reset=reset,
    )
    room = named(buffer.room_for(1), f"{name}_room")
    stream.accept(room)
    accepted <<= stream.valid & room
    return buffer.output


def _check(name: str, given: IntType, words: npt.NDArray[np.int64], output: IntType) -> None:
    if given.bits > LARGEST_BITS:
        raise HardwareError(f"a table of {given} is too large; {LARGEST_BITS} bits are the limit", where=name)
    if words.shape != (1 << given.bits,):
        raise HardwareError(f"a table of {given} has {1 << given.bits} values, not shape {words.shape}", where=name)
    low, high = int(words.min()), int(words.max())
    if not output.contains(low, high):
        raise HardwareError(f"the table's values, {low} to {high}, do not fit {output}", where=name)
