"""From beats of n elements to beats of m, any n and m, as fast as the slower side allows.

Elements are held in a ring of as many places as the least common multiple of n and m, a lap. So the elements of a beat
always go to one of a few places in a row, and come from one of a few:

```
  n = 4   |a b c d|e f g h|i j k l|          beat 0, 1, 2 of a lap
  m = 3   |a b c|d e f|g h i|j k l|          beat 0, 1, 2, 3 of a lap
```

A place needs no multiplexer in front, only an enable; a lane of the output chooses among as many places as there are
output beats in a lap. The writer may be in the reader's lap or one ahead, as far as the reader has left places free.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pyrtl
from pyrtl import Const, Register, WireVector, concat_list, select

from bitloom.errors import HardwareError
from bitloom.hw.registers import follow, named, state, wrapping_counter
from bitloom.hw.stream import Stream


def gearbox(name: str, stream: Stream, lanes: int, reset: WireVector) -> Stream:
    """Carry a tensor of one row in beats of another number of lanes.

    Args:
        name: prefix of the signals.
        stream: one row of full beats; its `ready` gets driven.
        lanes: of the beats that go out; they divide the row as well.
        reset: forgets what is held.

    Raises:
        HardwareError: there are several rows, or a beat would be partly filled.

    >>> from bitloom.arith import IntType
    >>> from bitloom.hw.simulate import simulate_stream
    >>> from bitloom.hw.stream import StreamType
    >>> pyrtl.reset_working_block()
    >>> source = Stream.input_ports("source", StreamType(IntType(8), row=24, lanes=4))
    >>> sink = Stream.output_ports("sink", StreamType(IntType(8), row=24, lanes=3))
    >>> gearbox("gearbox", source, 3, pyrtl.Input(1, "reset")).feed(sink)
    >>> run = simulate_stream([range(24)] * 9, source, sink)
    >>> run.tensors[-1].tolist() == list(range(24)), run.interval
    (True, 8.0)
    """
    source = stream.type
    output = Stream.declare(name, replace(source, lanes=lanes))
    if source.rows > 1 or source.row % source.lanes or source.row % lanes:
        raise HardwareError(f"full beats of one row are needed, not {source} to {lanes} lanes", where=name)
    common = math.gcd(source.lanes, lanes)
    # In parts of so many elements: what a beat brings, and takes away. A lap has as many beats as the other side's has
    # parts.
    brought, taken = source.lanes // common, lanes // common
    width = common * source.element.bits

    write, read = WireVector(1, f"{name}_write"), WireVector(1, f"{name}_read")
    write_beat, write_end = wrapping_counter(f"{name}_write_beat", taken, write, reset)
    read_beat, read_end = wrapping_counter(f"{name}_read_beat", brought, read, reset)
    ahead = state(f"{name}_ahead", 1)
    follow(ahead, ahead ^ (write & write_end) ^ (read & read_end), reset)

    # One lap ahead, the reader must have read beyond the places of this beat; not ahead, the writer filled them.
    free = named(
        ~ahead | _reached(read_beat, write_beat, [-(-(beat + 1) * brought // taken) for beat in range(taken)]),
        f"{name}_free",
    )
    there = named(
        ahead | _reached(write_beat, read_beat, [-(-(beat + 1) * taken // brought) for beat in range(brought)]),
        f"{name}_there",
    )
    stream.accept(free)
    write <<= stream.valid & free

    parts = [stream.data[part * width : (part + 1) * width] for part in range(brought)]
    places = []
    for place in range(brought * taken):
        register = Register(width, f"{name}_place{place}")
        register.next <<= select(write & (write_beat == place // brought), parts[place % brought], register)
        places.append(register)
    beats = [concat_list(places[beat * taken : (beat + 1) * taken]) for beat in range(brought)]
    _, ends = wrapping_counter(f"{name}_beat", output.type.beats, read, reset)
    output.drive(_chosen(read_beat, beats), there, ends)
    read <<= output.transfer
    return output


def _reached(beat: WireVector, other: WireVector, needed: Sequence[int]) -> WireVector:
    """Whether a side is at least at the beat that the other side's beat needs; never if that is in the next lap."""
    last = (1 << beat.bitwidth) - 1
    return _chosen(other, [beat >= count if count <= last else Const(0, 1) for count in needed])


def _chosen(index: WireVector, choices: Sequence[WireVector]) -> WireVector:
    return pyrtl.mux(index, *choices, *[choices[-1]] * ((1 << index.bitwidth) - len(choices)))
