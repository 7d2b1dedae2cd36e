"""What all sliding windows share: the order of reads, padding, and when input is accepted and has arrived."""

from __future__ import annotations

import pyrtl
from pyrtl import Const, Register, WireVector, concat, select

from bitloom.hw.loop_nest import Loop, LoopNest, by_position
from bitloom.hw.registers import constant, follow, named, state
from bitloom.hw.stream import Stream
from bitloom.hw.window_shape import Taps, WindowShape


def loops(shape: WindowShape) -> list[Loop]:
    """The order of the reads, the innermost loop first."""
    word, repeat, block = Loop("word", shape.block_words), Loop("repeat", shape.repeats), Loop("block", shape.blocks)
    taps = {
        Taps.ONE: [Loop("kx", shape.kernel[1]), Loop("ky", shape.kernel[0])],
        Taps.COLUMN: [Loop("kx", shape.kernel[1])],
    }
    pixels = [Loop("x", len(shape.read_columns)), Loop("y", shape.out_height)]
    return [word, *taps.get(shape.taps, []), repeat, block, *pixels]


def inside(nest: LoopNest, axis: str, shape: WindowShape) -> WireVector:
    """Whether the present tap is inside of the image, along one axis."""
    down = axis == "y"
    positions = shape.tap_rows if down else shape.read_columns
    size = shape.height if down else shape.width
    low, high = int(positions.min()), int(positions.max())
    if 0 <= low and high < size:
        return Const(1, bitwidth=1)
    bits = max(1, (high - min(low, 0)).bit_length())
    strides = {axis: shape.stride[not down], f"k{axis}": shape.dilation[not down]}
    if shape.taps is Taps.ALL:
        strides = {axis: 1}
    position = nest.walk(f"{nest.name}_tap_{axis}", strides, start=low, around=0, bits=bits)
    # Negative positions wrap around to above every other one.
    return position <= Const(min(high, size - 1), bitwidth=bits)


def input_side(
    name: str, stream: Stream, shape: WindowShape, nest: LoopNest, written: Register, reset: WireVector
) -> WireVector:
    """Count what is held and accept input while there is room.

    What has been given up before it was written counts negative: it is taken and never held. The count starts so that
    one bit of it says that the memory is full.

    Returns:
        Whether a word is written in this cycle.
    """
    room_bit = (shape.capacity - 1).bit_length()
    bits = room_bit + 1 if not shape.behind else max(room_bit + 2, shape.behind.bit_length() + 1)
    start = (1 << room_bit) - shape.capacity - int(shape.held_from[0])
    held = state(f"{name}_held", bits, start % (1 << bits))
    full = held[room_bit] if not shape.behind else held[room_bit] & ~held[-1]
    stream.accept(~full)
    push = named(stream.valid & ~full, f"{name}_push")
    finished, counted = ("block", "x") if shape.releases_pixels else ("x", "y")
    amount = constant(-int(shape.releases[-1]), bits)
    if counted in nest.counts:
        amount = by_position(nest.counts[counted], [-value for value in shape.releases.tolist()], bits)
    change = state(f"{name}_change", bits)
    follow(change, select(nest.step & nest.finishes[finished], amount, Const(0, bitwidth=bits)), reset)
    # One adder: the bit below the others carries the word that is written into the sum.
    total = concat(held, Const(1, bitwidth=1)) + concat(change, push)
    follow(held, total[1 : bits + 1], reset)
    follow(written, select(push, (written + 1).truncate(written.bitwidth), written), reset)
    return push


def index_bits(shape: WindowShape) -> int:
    """Width of the write count and of the index of the word that a read waits for, see `arrived`."""
    return ((1 << (shape.capacity - 1).bit_length()) + shape.ahead - 1).bit_length()


def arrived(name: str, shape: WindowShape, index: WireVector, written: WireVector) -> WireVector:
    """Whether a word that has not been given up has been written.

    Then the index is behind the write count, by the capacity at most; otherwise it is not behind, and by less than
    `ahead` before it. So the upper bits of the difference say it.
    """
    distance = (index - written).truncate(index.bitwidth)
    return named(pyrtl.and_all_bits(distance[(shape.capacity - 1).bit_length() :]), f"{name}_arrived")
