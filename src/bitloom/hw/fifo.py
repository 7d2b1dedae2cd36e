"""First-in first-out buffers: one that refuses when full, and one whose room is reserved in advance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pyrtl
from pyrtl import MemBlock, Register, WireVector, concat, select

from bitloom.errors import HardwareError
from bitloom.hw.fabric import XC7, Fabric
from bitloom.hw.memory import ram_size
from bitloom.hw.registers import constant, delayed_flag, follow, named, state
from bitloom.hw.skid import skid_buffer
from bitloom.hw.stream import Stream, StreamType

# Deeper ones may become block memories, which are slow to give their words.
DEEPEST_DIRECT = 32


@dataclass(frozen=True, eq=False)
class Storage:
    """A circular buffer in a memory: what all kinds of FIFO share.

    Attributes:
        output: what comes out.
        pop: a beat leaves.
        count: beats held.
    """

    output: Stream
    pop: WireVector
    count: WireVector


def storage(
    name: str,
    stream_type: StreamType,
    depth: int,
    push: WireVector,
    word: WireVector,
    reset: WireVector,
    *,
    registered: bool = False,
    flagged: bool = False,
) -> Storage:
    """Make a `Storage`.

    ```
      cycle             0      1      2
      push             beat
      memory                  beat
      out                     beat              read when wanted, from look-up tables
      out, registered                beat       read in the cycle before, so that it can be a block memory
    ```

    Args:
        name: prefix of the signals.
        stream_type: of the output.
        depth: beats, at least 1.
        push: a beat arrives; there is room.
        word: the beat, above it whether it is the last.
        reset: empties it.
        registered: whether what is read goes into a register first.
        flagged: whether a register of its own says that there is a beat, for whoever does much with that: a
            long counter takes time to say so.
    """
    if depth < 1:
        raise HardwareError(f"a FIFO of {depth} beats", where=name)
    bits = max(1, (depth - 1).bit_length())
    memory = MemBlock(
        bitwidth=word.bitwidth,
        addrwidth=bits,
        name=f"{name}_memory",
        max_read_ports=1,
        max_write_ports=1,
        asynchronous=registered,  # the register behind it makes the read synchronous
    )
    head, tail, count = (
        state(f"{name}_head", bits),
        state(f"{name}_tail", bits),
        state(f"{name}_count", depth.bit_length()),
    )
    memory[tail] <<= MemBlock.EnabledWrite(word, enable=push)
    output = Stream.declare(f"{name}_out", stream_type)
    pop = named(output.transfer, f"{name}_pop")
    following = select(pop, (head + 1).truncate(bits), head)
    if registered:
        read = Register(word.bitwidth, f"{name}_word")
        read.next <<= memory[following]
        # What was written in one cycle can be read in the next and is in the register in the one after.
        written = delayed_flag(push, 1, f"{name}_written", reset)
        readable = state(f"{name}_readable", count.bitwidth)
        follow(readable, _up_or_down(readable, written, pop), reset)
    else:
        read, readable, written = memory[head], count, push
    there = readable != 0
    if flagged:
        there = state(f"{name}_there", 1)
        follow(there, written | (there & ~(pop & (readable == 1))), reset)
    output.drive(read[: stream_type.bits], there, read[stream_type.bits])
    follow(tail, select(push, (tail + 1).truncate(bits), tail), reset)
    follow(head, following, reset)
    follow(count, _up_or_down(count, push, pop), reset)
    return Storage(output, pop, count)


def _up_or_down(count: WireVector, up: WireVector, down: WireVector) -> WireVector:
    return select(up & ~down, count + 1, select(down & ~up, count - 1, count))


def _check_depth(name: str, depth: int) -> None:
    if depth < 2 or depth & (depth - 1):
        raise HardwareError(f"a FIFO's depth is a power of two from 2, not {depth}", where=name)


def fifo(name: str, stream: Stream, depth: int, reset: WireVector) -> Stream:
    """Buffer a stream. `ready` depends on a register only, so no combinational path crosses the buffer.

    ```
             ┌──────────────────────────┐
     in ────▶│ memory[depth]  tail head │────▶ out
     ready ◀─┤ count < depth   count>0  ├◀─── ready
             └──────────────────────────┘
    ```

    Args:
        name: prefix of the signals.
        stream: what comes in; its `ready` gets driven.
        depth: beats, a power of two from 2.
        reset: empties it.

    Returns:
        The buffered stream, one cycle later at the earliest, at full throughput.

    >>> import pyrtl
    >>> from bitloom.arith import IntType
    >>> from bitloom.hw.simulate import simulate_stream
    >>> pyrtl.reset_working_block()
    >>> ports = StreamType(IntType(8), row=5)
    >>> source, sink = Stream.input_ports("source", ports), Stream.output_ports("sink", ports)
    >>> fifo("buffer", source, 4, pyrtl.Input(1, "reset")).feed(sink)
    >>> simulate_stream([[1, 2, 3, 4, -5]], source, sink).tensors.tolist()
    [[1, 2, 3, 4, -5]]
    """
    _check_depth(name, depth)
    full = pyrtl.WireVector(1, f"{name}_full")
    push = named(stream.valid & ~full, f"{name}_push")
    held = storage(name, stream.type, depth, push, concat(stream.last, stream.data), reset)
    full <<= held.count[-1]
    stream.accept(~full)
    return held.output


@dataclass(frozen=True, eq=False)
class CreditFifo:
    """A FIFO that takes every push, because whoever starts a computation reserves the room for its results first.

    A pipeline in front of it never has to stop: only the start of work waits. The pipeline's registers need no
    enable and can be the registers inside DSP slices.

    Attributes:
        output: the buffered stream.
        credits: beats neither held nor reserved.
    """

    output: Stream
    credits: WireVector

    def room_for(self, beats: int) -> WireVector:
        """Whether so many beats may be reserved."""
        if beats > (1 << (self.credits.bitwidth - 1)):
            raise HardwareError(f"{beats} beats can never be reserved", where=self.output.name)
        return self.credits >= constant(beats, self.credits.bitwidth)


def credit_fifo(
    name: str,
    stream_type: StreamType,
    depth: int,
    push: WireVector,
    data: WireVector,
    last: WireVector,
    reserved: WireVector,
    reset: WireVector,
) -> CreditFifo:
    """Make a `CreditFifo`.

    A deep one may be a block memory. Its beats come two cycles later, out of registers that hold two more.

    Args:
        name: prefix of the signals.
        stream_type: of the output.
        depth: beats, a power of two from 2.
        push: a beat arrives; there is room by the reservation.
        data: the beat.
        last: whether it ends the tensor.
        reserved: beats reserved in this cycle (0 where no work starts).
        reset: empties it and returns all credits.
    """
    _check_depth(name, depth)
    registered = depth > DEEPEST_DIRECT
    held = storage(name, stream_type, depth, push, concat(last, data), reset, registered=registered)
    bits = depth.bit_length()
    credits_left = state(f"{name}_credits", bits, depth)
    returned = held.pop.zero_extended(bits)
    follow(credits_left, (credits_left + returned - reserved.zero_extended(bits)).truncate(bits), reset)
    return CreditFifo(_skid(name, held.output, reset) if registered else held.output, credits_left)


def credit_depth(beats: Callable[[int], int]) -> int:
    """The least depth of a `CreditFifo` that slows nothing down.

    Args:
        beats: how many can be under way, from their reservation until so many cycles after their push.

    >>> credit_depth(lambda cycles: 9 + cycles), credit_depth(lambda cycles: 31 + cycles)
    (16, 64)
    """

    def depth(cycles: int) -> int:
        return max(2, 1 << (beats(cycles) - 1).bit_length())

    return direct if (direct := depth(2)) <= DEEPEST_DIRECT else depth(3)


def credit_fifo_size(depth: int, bits: int, fabric: Fabric = XC7) -> tuple[int, int]:
    """What a `CreditFifo` takes: (block memories of 18 kbit, look-up tables); `bits` of a beat with its `last`."""
    registered = depth > DEEPEST_DIRECT
    blocks, logic = ram_size(depth, bits, fabric, registered=registered)
    return blocks, logic + bits * registered


def _skid(name: str, stream: Stream, reset: WireVector) -> Stream:
    """The same beats out of registers."""
    output = Stream.declare(f"{name}_registered", stream.type)
    buffer = skid_buffer(f"{name}_skid", concat(stream.last, stream.data), stream.valid, output.ready, reset)
    stream.accept(buffer.ready)
    output.drive(buffer.payload[: stream.type.bits], buffer.valid, buffer.payload[-1])
    return output
