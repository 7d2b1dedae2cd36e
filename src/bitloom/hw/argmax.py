"""Argmax of a stream's rows: where the largest element is; of equal ones the first, as in NumPy.

```
  beat ─▶ key, lane ──┐
          key, lane ──┴─[max]──┐
          key, lane ──┐        ├─[max]─▶ + first index of the beat ─▶ max of the row so far ─▶ [FIFO] ─▶ index
          key, lane ──┴─[max]──┘         cycle levels                 cycle levels + 1
             cycle 1      cycle 2
```

A key is the element as an unsigned number of the same order. Each comparison keeps the earlier of equal keys. The
lanes beyond the end of a row get the smallest key, which never wins against the elements before them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pyrtl import Const, Register, WireVector, concat, select

from bitloom.arith import IntType
from bitloom.errors import HardwareError
from bitloom.hw.fifo import credit_fifo
from bitloom.hw.registers import delayed, delayed_flag, follow, named, state, wrapping_counter
from bitloom.hw.stream import Stream, StreamType


@dataclass(frozen=True, eq=False)
class _Candidate:
    """An element that may be the largest: its key, and its lane or index."""

    key: WireVector
    position: WireVector


def argmax_latency(stream_type: StreamType) -> int:
    """Cycles from the last beat of a row to its index, without stalls.

    >>> [argmax_latency(StreamType(IntType(8), row=10, lanes=lanes)) for lanes in (1, 2, 10)]
    [2, 3, 6]
    """
    return _levels(stream_type.lanes) + 2


def _levels(lanes: int) -> int:
    return (lanes - 1).bit_length()


def argmax(name: str, stream: Stream, output: IntType, reset: WireVector) -> Stream:
    """The index of the first largest element of each row, at a beat per cycle.

    Args:
        name: prefix of the signals.
        stream: any number of lanes, elements of any type; its `ready` gets driven.
        output: the type of the index.
        reset: forgets the rows under way.

    Returns:
        A stream with one element per row.

    Raises:
        HardwareError: an index does not fit the output's type.

    >>> import pyrtl
    >>> from bitloom.hw.simulate import simulate_stream
    >>> pyrtl.reset_working_block()
    >>> source = Stream.input_ports("source", StreamType(IntType(8), row=5, lanes=2))
    >>> sink = Stream.output_ports("sink", StreamType(IntType(4, signed=False), row=1))
    >>> argmax("best", source, IntType(4, signed=False), pyrtl.Input(1, "reset")).feed(sink)
    >>> simulate_stream([[-3, 7, 2, 7, 6], [-128, -128, -128, -128, -128]], source, sink).tensors.tolist()
    [[1], [0]]
    """
    given = stream.type
    if given.row - 1 > output.maximum:
        raise HardwareError(f"an index of {given.row} elements does not fit {output}", where=name)
    accepted = WireVector(1, f"{name}_accepted")
    beat, row_end = wrapping_counter(f"{name}_beat", given.row_beats, accepted, reset)
    levels = _levels(given.lanes)
    of_beat = _largest_of_beat(name, _candidates(stream, row_end))
    valid = delayed_flag(accepted, levels, f"{name}_valid", reset)
    first = delayed(named(beat == 0, f"{name}_first"), levels, f"{name}_first")
    base = delayed(_first_index(name, given, accepted, row_end, reset), levels, f"{name}_base")
    index_bits = max(1, (given.row - 1).bit_length())
    index = named((base + of_beat.position).truncate(index_bits), f"{name}_index")
    best = _running_maximum(name, _Candidate(of_beat.key, index), valid, first)

    _, last_row = wrapping_counter(f"{name}_row", given.rows, accepted & row_end, reset)
    buffer = credit_fifo(
        f"{name}_output",
        StreamType(IntType(index_bits, signed=False), 1, given.rows),
        _fifo_depth(given),
        push=delayed_flag(accepted & row_end, levels + 1, f"{name}_push", reset),
        data=best.position,
        last=delayed(last_row, levels + 1, f"{name}_push_last"),
        reserved=named(accepted & row_end, f"{name}_reserved"),
        reset=reset,
    )
    ready = named(~row_end | buffer.room_for(1), f"{name}_in_ready")
    stream.accept(ready)
    accepted <<= stream.valid & ready
    result = Stream.declare(f"{name}_result", StreamType(output, 1, given.rows))
    result.drive(_as_bits(buffer.output.data, output.bits), buffer.output.valid, buffer.output.last)
    buffer.output.accept(result.ready)
    return result


def _fifo_depth(given: StreamType) -> int:
    """Rows whose results can be under way or waiting without slowing the input, a power of two."""
    rows_in_flight = -(-(argmax_latency(given) + 1) // given.row_beats)
    return max(2, 1 << (rows_in_flight - 1).bit_length())


def _as_bits(index: WireVector, bits: int) -> WireVector:
    """An index as `bits` bits; those it lacks or does not need are zero."""
    return index.truncate(bits) if index.bitwidth > bits else index.zero_extended(bits)


def _candidates(stream: Stream, row_end: WireVector) -> list[_Candidate]:
    """The lanes of a beat; in the last beat of a row, those beyond its end are as small as can be."""
    given = stream.type
    filled = given.row - (given.row_beats - 1) * given.lanes
    lane_bits = max(1, (given.lanes - 1).bit_length())
    candidates = []
    for lane in range(given.lanes):
        value = stream.lane(lane)
        key = value
        if given.element.signed:
            key = concat(~value[-1], value[:-1]) if given.element.bits > 1 else ~value
        if lane >= filled:
            key = select(row_end, Const(0, key.bitwidth), key)
        candidates.append(_Candidate(key, Const(lane, lane_bits)))
    return candidates


def _largest_of_beat(name: str, candidates: Sequence[_Candidate]) -> _Candidate:
    """A tree of comparisons, a register after each level."""
    level = 0
    while len(candidates) > 1:
        winners = []
        for start in range(0, len(candidates), 2):
            pair = candidates[start : start + 2]
            winner = pair[0] if len(pair) == 1 else _larger(*pair)
            prefix = f"{name}_level{level}_{start // 2}"
            key = Register(winner.key.bitwidth, f"{prefix}_key")
            key.next <<= winner.key
            winners.append(_Candidate(key, delayed(winner.position, 1, f"{prefix}_lane")))
        candidates, level = winners, level + 1
    return candidates[0]


def _larger(earlier: _Candidate, later: _Candidate) -> _Candidate:
    """The candidate with the larger key; of equal ones the earlier."""
    later_wins = later.key > earlier.key
    return _Candidate(select(later_wins, later.key, earlier.key), select(later_wins, later.position, earlier.position))


def _first_index(
    name: str, given: StreamType, accepted: WireVector, row_end: WireVector, reset: WireVector
) -> WireVector:
    """The index of the beat's lane 0."""
    bits = max(1, (given.row - 1).bit_length())
    index = state(f"{name}_first_index", bits)
    following = select(row_end, Const(0, bits), (index + Const(given.lanes)).truncate(bits))
    follow(index, select(accepted, following, index), reset)
    return index


def _running_maximum(name: str, candidate: _Candidate, valid: WireVector, first: WireVector) -> _Candidate:
    """The largest element of the row so far, in registers."""
    key = Register(candidate.key.bitwidth, f"{name}_best_key")
    position = Register(candidate.position.bitwidth, f"{name}_best_index")
    wins = named(valid & (first | (candidate.key > key)), f"{name}_wins")
    key.next <<= select(wins, candidate.key, key)
    position.next <<= select(wins, candidate.position, position)
    return _Candidate(key, position)
