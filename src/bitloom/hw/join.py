"""Elementwise functions of several streams: their beats are taken together, and a free-running pipeline follows.

```
   x ──▶ [beat] ──┐
                  ├─ all there, and room? ──▶ pipeline, `latency` cycles ──▶ [FIFO] ──▶ out
   y ──▶ [beat] ──┘        │                                                    │
                           └────────────────── credits ◀────────────────────────┘
```

A beat of each stream is held, so that no stream's `ready` looks at another's `valid`. With one stream there is nothing
to wait for, and nothing in front.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pyrtl import Const, Register, WireVector, concat_list, select

from bitloom.arith import IntType
from bitloom.hw.fifo import credit_fifo
from bitloom.hw.memory import field, pack_words, registered_rom
from bitloom.hw.registers import delayed, delayed_flag, follow, named, state, wrapping_counter
from bitloom.hw.stream import Stream, StreamType

Int64Array = npt.NDArray[np.int64]

HELD_BEATS = 1
"""Of each stream, while it waits for the others, where there are several."""
_AROUND_PIPELINE = 2  # Cycles in which a beat's room is reserved, filled and given back, besides the pipeline's.


def join_latency(streams: int, latency: int) -> int:
    """Cycles from the last beat of all streams to the result, of a pipeline of `latency` cycles."""
    return latency + 1 + (streams > 1)


def join(
    name: str,
    streams: Sequence[Stream],
    made: StreamType,
    latency: int,
    compute: Callable[[Sequence[WireVector], WireVector], Sequence[WireVector]],
    reset: WireVector,
) -> Stream:
    """Take a beat of every stream at once, and compute.

    Args:
        name: prefix of the signals.
        streams: at least one, of equally many beats; their `ready` get driven.
        made: the type of the result, of as many beats.
        latency: cycles that `compute` takes.
        compute: from the beats' data and a flag that they are taken in this cycle to the result's lanes, `latency`
            cycles later. It must not stall.
        reset: forgets the beats under way.

    >>> import pyrtl
    >>> from bitloom.hw.simulate import simulate_stream
    >>> pyrtl.reset_working_block()
    >>> source = Stream.input_ports("source", StreamType(IntType(4), row=3))
    >>> sink = Stream.output_ports("sink", StreamType(IntType(5), row=3))
    >>> def negated(data, taken):
    ...     return [delayed((~data[0].sign_extended(5) + 1).truncate(5), 1, "negated")]
    >>> join("minus", [source], sink.type, 1, negated, pyrtl.Input(1, "reset")).feed(sink)
    >>> simulate_stream([[1, -8, 7]], source, sink).tensors.tolist()
    [[-1, 8, -7]]
    """
    taken = WireVector(1, f"{name}_taken")
    first = streams[0]
    if len(streams) == 1:
        data, present, last = [first.data], first.valid, first.last
    else:
        beats = [_held(f"{name}_input{index}", stream, taken, reset) for index, stream in enumerate(streams)]
        data, last = [beat.data for beat in beats], beats[0].last
        present = functools.reduce(operator.and_, [beat.full for beat in beats])
    buffer = credit_fifo(
        f"{name}_output",
        made,
        1 << (latency + _AROUND_PIPELINE - 1).bit_length(),
        push=delayed_flag(taken, latency, f"{name}_push", reset),
        data=concat_list(list(compute(data, taken))),
        last=delayed(last, latency, f"{name}_push_last"),
        reserved=taken,
        reset=reset,
    )
    room = named(buffer.room_for(1), f"{name}_room")
    taken <<= present & room
    if len(streams) == 1:
        first.accept(room)
    return buffer.output


@dataclass(frozen=True, eq=False)
class _Beat:
    """A held beat."""

    data: WireVector
    last: WireVector
    full: WireVector


def _held(name: str, stream: Stream, taken: WireVector, reset: WireVector) -> _Beat:
    """Hold a beat until it is taken; the next one may come in the same cycle."""
    full = state(f"{name}_full", 1)
    ready = named(~full | taken, f"{name}_ready")
    stream.accept(ready)
    arrives = named(stream.valid & ready, f"{name}_arrives")
    follow(full, arrives | (full & ~taken), reset)
    data, last = Register(stream.type.bits, f"{name}_beat"), Register(1, f"{name}_beat_last")
    data.next <<= select(arrives, stream.data, data)
    last.next <<= select(arrives, stream.last, last)
    return _Beat(data, last, full)


def lookup_terms(name: str, data: WireVector, element: IntType, table: Int64Array, bits: int) -> list[WireVector]:
    """A table's entry for each element of a beat, one cycle later; the entries stand in ascending order of elements."""
    mask = (1 << bits) - 1
    words = [int(entry) & mask for entry in np.roll(table, element.minimum)]
    return [
        registered_rom(f"{name}_lane{lane}", words, bits, data[lane * element.bits : (lane + 1) * element.bits])
        for lane in range(data.bitwidth // element.bits)
    ]


def constant_terms(name: str, beats: Int64Array, bits: int, taken: WireVector, reset: WireVector) -> list[WireVector]:
    """Constants that come with the beats of a tensor, one cycle after the beat is taken.

    Args:
        name: prefix of the signals.
        beats: for each beat of a tensor its lanes' constants, shape (beats, lanes); repeated parts are stored once.
        bits: width of a constant.
        taken: a beat is taken.
        reset: starts from the first beat again.
    """
    beats = beats[: period(beats)]
    words = [pack_words(beat, bits) for beat in beats.tolist()]
    if len(words) == 1:
        word: WireVector = Const(words[0], len(beats[0]) * bits)
    else:
        position, _ = wrapping_counter(f"{name}_position", len(words), taken, reset)
        word = registered_rom(name, words, bits * beats.shape[1], position)
    return [field(word, lane, bits) for lane in range(beats.shape[1])]


def period(beats: Int64Array) -> int:
    """After how many rows an array repeats itself, a divisor of their number.

    >>> period(np.array([[1], [2], [1], [2]])), period(np.array([[1], [2], [2], [1]]))
    (2, 4)
    """
    count = len(beats)
    for length in range(1, count):
        if count % length == 0 and (beats[length:] == beats[:-length]).all():
            return length
    return count


def hold(name: str, stream: Stream, made: StreamType, times: int, reset: WireVector) -> Stream:
    """Offer each element, in all lanes, so many times.

    Args:
        name: prefix of the signals.
        stream: an element a beat; its `ready` gets driven, from the result's.
        made: of the result, of any number of lanes.
        times: beats for each element.
        reset: starts with the next element.
    """
    output = Stream.declare(f"{name}_held", made)
    _, at_end = wrapping_counter(f"{name}_held_count", times, output.transfer, reset)
    output.drive(concat_list([stream.data] * made.lanes), stream.valid, stream.last & at_end)
    stream.accept(output.ready & at_end)
    return output
