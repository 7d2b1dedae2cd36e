"""A FIFO as deep as wanted: what waits in one branch of a fork while the other computes."""

from __future__ import annotations

from pyrtl import WireVector, concat

from bitloom.hw.fifo import storage
from bitloom.hw.registers import follow, named, state
from bitloom.hw.stream import Stream


def deep_fifo(name: str, stream: Stream, depth: int, reset: WireVector) -> Stream:
    """Buffer a stream; the buffer holds exactly `depth` beats.

    ```
              ┌───────────────────────────┐
      in ────▶│ memory  ─▶ [word]         │────▶ out
      ready ◀─┤ full?              there? ├◀─── ready
              └───────────────────────────┘

      cycle        0     1     2     3
      in         beat
      memory           beat
      word, out              beat
    ```

    The memory's output is a register, so that a deep one becomes block RAM; the word in it counts as held. A beat
    comes out two cycles after it went in at the earliest; from three beats on, one moves in every cycle.

    Args:
        name: prefix of the signals.
        stream: what comes in; its `ready` gets driven.
        depth: beats, at least 1.
        reset: empties it.

    >>> import pyrtl
    >>> from bitloom.arith import IntType
    >>> from bitloom.hw.simulate import simulate_stream
    >>> from bitloom.hw.stream import StreamType
    >>> pyrtl.reset_working_block()
    >>> ports = StreamType(IntType(8), row=5)
    >>> source, sink = Stream.input_ports("source", ports), Stream.output_ports("sink", ports)
    >>> deep_fifo("buffer", source, 3, pyrtl.Input(1, "reset")).feed(sink)
    >>> simulate_stream([[1, 2, 3, 4, -5]], source, sink).tensors.tolist()
    [[1, 2, 3, 4, -5]]
    """
    room = WireVector(1, f"{name}_room")
    push = named(stream.valid & room, f"{name}_push")
    stream.accept(room)
    word = concat(stream.last, stream.data)
    held = storage(name, stream.type, depth, push, word, reset, registered=True, flagged=True)
    # The same as held.count == depth, without the time that a long counter takes to say so.
    full = state(f"{name}_full", 1)
    follow(full, ~held.pop & (full | (push & (held.count == depth - 1))), reset)
    room <<= ~full
    return held.output
