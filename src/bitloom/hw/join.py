"""Elementwise functions of several streams: their beats are taken together, and a free-running pipeline follows.

```
   x ──▶ [FIFO] ──┐
                  ├─ all there, and room? ──▶ pipeline, `latency` cycles ──▶ [FIFO] ──▶ out
   y ──▶ [FIFO] ──┘        │                                                    │
                           └────────────────── credits ◀────────────────────────┘
```

With one stream there is nothing to wait for, and no FIFO in front.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from pyrtl import Const, WireVector, concat_list

from bitloom.arith import IntType
from bitloom.hw.fifo import credit_fifo, fifo
from bitloom.hw.memory import field, pack_words, registered_rom
from bitloom.hw.registers import delayed, delayed_flag, named, wrapping_counter
from bitloom.hw.stream import Stream, StreamType

Int64Array = npt.NDArray[np.int64]

INPUT_DEPTH = 2
"""Beats of each stream that wait for the others."""
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
    if len(streams) > 1:
        streams = [fifo(f"{name}_input{index}", stream, INPUT_DEPTH, reset) for index, stream in enumerate(streams)]
    ready_all = streams[0].valid
    for stream in streams[1:]:
        ready_all = ready_all & stream.valid
    taken = WireVector(1, f"{name}_taken")
    lanes = compute([stream.data for stream in streams], taken)
    buffer = credit_fifo(
        f"{name}_output",
        made,
        1 << (latency + _AROUND_PIPELINE - 1).bit_length(),
        push=delayed_flag(taken, latency, f"{name}_push", reset),
        data=concat_list(list(lanes)),
        last=delayed(streams[0].last, latency, f"{name}_push_last"),
        reserved=taken,
        reset=reset,
    )
    room = named(buffer.room_for(1), f"{name}_room")
    for index, stream in enumerate(streams):
        # A stream's `ready` never looks at its own `valid`.
        others = [other.valid for position, other in enumerate(streams) if position != index]
        ready = room
        for valid in others:
            ready = ready & valid
        stream.accept(ready)
    taken <<= ready_all & room
    return buffer.output


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
