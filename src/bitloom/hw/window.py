"""A sliding window: pixels come in once, and go out as the windows of a kernel, padded on the way.

```
           write count ──┬───────────────────▶ (arrived?) ◀── index ◀── loops over row, column, block, repeat,
               │         │                         │            │        kernel row, kernel column, word
               ▼         ▼                         ▼            ▼
  in ───▶ memory, a circular buffer of words ◀──── read ◀──────(+)
              ▲    │
       ready  │    ▼
  ◀── held < depth │ read register ──▶ output register, or padding ──▶ out
          ▲                                 ▲
          └── words given up when           └── tap outside of the image?
              an output row is finished
```

The input is written in the order in which it comes. A read waits only until the word it needs has been written. A row
is given up when the last output row that needs it is finished, so that the next image comes in behind the present one,
without a break; what no window reads is given up unread. Where a tap is outside of the image is known from the same
counters that make the address, so that padding needs neither memory nor time of its own.

Both registers behind the memory stop when the consumer does. The input's `ready` depends on registers only.

Several taps a beat need several rows at once, and so several memories: see `bitloom.hw.window_columns`. What all have
in common is in `bitloom.hw.window_control`. How long they take, how much they hold and what they wait for is known
without building them, from `WindowShape`.
"""

from __future__ import annotations

from pyrtl import MemBlock, Register, WireVector, concat, select

from bitloom.arith import IntType
from bitloom.errors import HardwareError
from bitloom.hw.loop_nest import LoopNest, loop_nest
from bitloom.hw.registers import constant, follow, named, state
from bitloom.hw.stream import Stream
from bitloom.hw.window_columns import column_window, whole_window
from bitloom.hw.window_control import arrived, index_bits, input_side, inside, loops
from bitloom.hw.window_shape import Taps, WindowShape

__all__ = ["Taps", "WindowShape", "window"]


def window(name: str, stream: Stream, shape: WindowShape, padding_value: int, reset: WireVector) -> Stream:
    """Build a sliding window.

    Args:
        name: prefix of the signals.
        stream: images, of type ``shape.input_type(element)``; its `ready` gets driven.
        shape: see `WindowShape`.
        padding_value: the value of taps outside of the image, of the stream's element type.
        reset: forgets everything.

    Returns:
        The windows, of type ``shape.output_type(element)``.

    Raises:
        HardwareError: the stream has another type, or the padding value is not of its element type.

    >>> import pyrtl
    >>> from bitloom.arith import IntType
    >>> from bitloom.hw.simulate import simulate_stream
    >>> pyrtl.reset_working_block()
    >>> shape = WindowShape(3, 3, 1, kernel=(2, 2), padding=(1, 0, 1, 0), stride=(2, 2))
    >>> source = Stream.input_ports("source", shape.input_type(IntType(8)))
    >>> sink = Stream.output_ports("sink", shape.output_type(IntType(8)))
    >>> window("window", source, shape, -1, pyrtl.Input(1, "reset")).feed(sink)
    >>> simulate_stream([[1, 2, 3, 4, 5, 6, 7, 8, 9]], source, sink).tensors.reshape(4, 4).tolist()
    [[-1, -1, -1, 1], [-1, -1, 2, 3], [-1, 4, -1, 7], [5, 6, 8, 9]]
    """
    element = stream.type.element
    if stream.type != shape.input_type(element):
        raise HardwareError(f"the window takes {shape.input_type(element)}, not {stream.type}", where=stream.name)
    if not element.contains(padding_value, padding_value):
        raise HardwareError(f"padding with {padding_value}, which is no {element}", where=name)
    make = {Taps.ONE: _one_tap, Taps.COLUMN: column_window, Taps.ALL: whole_window}[shape.taps]
    return make(name, stream, shape, padding_value, reset)


def _one_tap(name: str, stream: Stream, shape: WindowShape, padding_value: int, reset: WireVector) -> Stream:
    """One tap a beat: one memory, one read per beat."""
    step, free = WireVector(1, f"{name}_step"), WireVector(1, f"{name}_free")
    nest = loop_nest(f"{name}_at", loops(shape), step, reset)
    address_bits = (shape.depth - 1).bit_length()
    bits = index_bits(shape)
    across, down = shape.pixel_words, shape.row_words
    index = nest.walk(
        f"{name}_index",
        {
            "word": 1,
            "kx": across * shape.dilation[1],
            "ky": down * shape.dilation[0],
            "block": shape.block_words,
            "x": across * shape.stride[1],
            "y": down * shape.stride[0],
        },
        start=int(shape.first_rows[0]) * down + int(shape.first_columns[0]) * across,
        around=shape.image_words,
        bits=bits,
    )
    written = state(f"{name}_written", bits)
    push = input_side(name, stream, shape, nest, written, reset)
    memory = MemBlock(stream.type.bits, address_bits, f"{name}_memory", max_read_ports=1, max_write_ports=1)
    memory[written[:address_bits]] <<= MemBlock.EnabledWrite(stream.data, enable=push)
    within = named(inside(nest, "x", shape) & inside(nest, "y", shape), f"{name}_inside")
    offered = named(arrived(name, shape, index, written) | ~within, f"{name}_offered")
    step <<= offered & free
    word = Register(stream.type.bits, f"{name}_word")
    word.next <<= select(free, memory[index[:address_bits]], word)
    return _output_side(name, shape, stream.type.element, padding_value, (word, offered, within, free, nest))


def _output_side(
    name: str,
    shape: WindowShape,
    element: IntType,
    padding_value: int,
    read: tuple[WireVector, WireVector, WireVector, WireVector, LoopNest],
) -> Stream:
    """Put padding in and offer the beat. Both stages move on when they are empty or the consumer takes."""
    word, offered, within, free, nest = read
    output = Stream.declare(f"{name}_out", shape.output_type(element))
    reset = nest.reset
    flags = {"valid": offered, "last": nest.finishes["y"], "padded": ~within}
    stage = {flag: state(f"{name}_word_{flag}", 1) for flag in flags}
    for flag, wire in flags.items():
        follow(stage[flag], select(free, wire, stage[flag]), reset)
    data = Register(word.bitwidth, f"{name}_data")
    valid, last = state(f"{name}_valid", 1), state(f"{name}_last", 1)
    move = named(~valid | output.ready, f"{name}_move")
    free <<= ~stage["valid"] | move
    pad = concat(*[constant(padding_value, element.bits)] * shape.lanes)
    data.next <<= select(move, select(stage["padded"], pad, word), data)
    follow(valid, select(move, stage["valid"], valid), reset)
    follow(last, select(move, stage["last"], last), reset)
    output.drive(data, valid, last)
    return output
