"""First-in first-out buffers: one that refuses when full, and one whose room is reserved in advance."""

from __future__ import annotations

from dataclasses import dataclass

import pyrtl
from pyrtl import MemBlock, WireVector, concat, select

from bitloom.errors import HardwareError
from bitloom.hw.registers import constant, follow, named, state
from bitloom.hw.skid import skid_buffer
from bitloom.hw.stream import Stream, StreamType

# Deeper ones may become block memories, which are slow to give their words.
_DEEPEST_DIRECT = 32


@dataclass(frozen=True, eq=False)
class _Storage:
    """A circular buffer in a small memory: what both kinds of FIFO share."""

    output: Stream
    pop: WireVector
    count: WireVector


def _storage(
    name: str, stream_type: StreamType, depth: int, push: WireVector, word: WireVector, reset: WireVector
) -> _Storage:
    if depth < 2 or depth & (depth - 1):
        raise HardwareError(f"a FIFO's depth is a power of two from 2, not {depth}", where=name)
    address_bits = (depth - 1).bit_length()
    memory = MemBlock(
        bitwidth=word.bitwidth, addrwidth=address_bits, name=f"{name}_memory", max_read_ports=1, max_write_ports=1
    )
    head, tail = state(f"{name}_head", address_bits), state(f"{name}_tail", address_bits)
    count = state(f"{name}_count", address_bits + 1)
    memory[tail] <<= MemBlock.EnabledWrite(word, enable=push)
    output = Stream.declare(f"{name}_out", stream_type)
    read = memory[head]
    output.drive(read[: stream_type.bits], count != 0, read[stream_type.bits])
    pop = named(output.transfer, f"{name}_pop")
    follow(tail, select(push, (tail + 1).truncate(address_bits), tail), reset)
    follow(head, select(pop, (head + 1).truncate(address_bits), head), reset)
    up, down = push & ~pop, pop & ~push
    follow(count, select(up, count + 1, select(down, count - 1, count)), reset)
    return _Storage(output, pop, count)


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
    full = pyrtl.WireVector(1, f"{name}_full")
    push = named(stream.valid & ~full, f"{name}_push")
    storage = _storage(name, stream.type, depth, push, concat(stream.last, stream.data), reset)
    full <<= storage.count[-1]
    stream.accept(~full)
    return storage.output


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

    Behind a deep one stand registers, which hold two beats more and let a beat out a cycle later.

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
    storage = _storage(name, stream_type, depth, push, concat(last, data), reset)
    bits = depth.bit_length()
    credits_left = state(f"{name}_credits", bits, depth)
    returned = storage.pop.zero_extended(bits)
    follow(credits_left, (credits_left + returned - reserved.zero_extended(bits)).truncate(bits), reset)
    output = storage.output if depth <= _DEEPEST_DIRECT else _registered(name, storage.output, reset)
    return CreditFifo(output, credits_left)


def _registered(name: str, stream: Stream, reset: WireVector) -> Stream:
    """The same beats out of registers."""
    output = Stream.declare(f"{name}_registered", stream.type)
    buffer = skid_buffer(f"{name}_skid", concat(stream.last, stream.data), stream.valid, output.ready, reset)
    stream.accept(buffer.ready)
    output.drive(buffer.payload[: stream.type.bits], buffer.valid, buffer.payload[-1])
    return output
