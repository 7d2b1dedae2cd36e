"""A FIFO as deep as wanted: what waits in one branch of a fork while the other computes."""

from __future__ import annotations

from pyrtl import Const, MemBlock, Register, WireVector, concat, select

from bitloom.errors import HardwareError
from bitloom.hw.registers import delayed_flag, follow, named, state
from bitloom.hw.stream import Stream


def deep_fifo(name: str, stream: Stream, depth: int, reset: WireVector) -> Stream:
    """Buffer a stream; the buffer holds exactly `depth` beats.

    ```
              ┌───────────────────────────┐
      in ────▶│ memory  ─▶ [word]         │────▶ out
      ready ◀─┤ held < depth   readable>0 ├◀─── ready
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
    if depth < 1:
        raise HardwareError(f"a FIFO of {depth} beats", where=name)
    address_bits = max(1, (depth - 1).bit_length())
    memory = MemBlock(
        bitwidth=stream.type.bits + 1,
        addrwidth=address_bits,
        name=f"{name}_memory",
        max_read_ports=1,
        max_write_ports=1,
        asynchronous=True,  # the word's register makes the read synchronous
    )
    held = state(f"{name}_held", depth.bit_length())
    readable = state(f"{name}_readable", depth.bit_length())
    head, tail = state(f"{name}_head", address_bits), state(f"{name}_tail", address_bits)
    room = named(held != depth, f"{name}_room")
    push = named(stream.valid & room, f"{name}_push")
    stream.accept(room)
    memory[tail] <<= MemBlock.EnabledWrite(concat(stream.last, stream.data), enable=push)
    output = Stream.declare(f"{name}_out", stream.type)
    pop = named(output.transfer, f"{name}_pop")
    following = select(pop, (head + 1).truncate(address_bits), head)
    word = Register(memory.bitwidth, f"{name}_word")
    word.next <<= memory[following]
    output.drive(word[: stream.type.bits], readable != 0, word[-1])
    follow(tail, select(push, (tail + 1).truncate(address_bits), tail), reset)
    follow(head, following, reset)
    follow(held, _counted(held, push, pop), reset)
    # What was written in one cycle can be read in the next and is in the word's register in the one after.
    follow(readable, _counted(readable, delayed_flag(push, 1, f"{name}_written", reset), pop), reset)
    return output


def _counted(count: Register, up: WireVector, down: WireVector) -> WireVector:
    step = select(up, Const(1, count.bitwidth), Const(0, count.bitwidth))
    return (count + step - down.zero_extended(count.bitwidth)).truncate(count.bitwidth)
