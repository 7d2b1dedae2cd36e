"""Streams whose beats change their order or are repeated: frames of a tensor in a memory, read along any path.

```
               write bank 1            read bank 0
      in ───▶ [ 0 1 2 . . . ]   ───▶  [ 0 1 2 3 4 5 ] ── 0 3 1 4 2 5 ──▶ [FIFO] ──▶ out
                                         ▲ address += difference to the next
```

A frame is a part of the tensor out of which nothing moves: the whole tensor where it is transposed, one row where rows
are repeated. One bank is read while the other one fills, so that a beat moves in every cycle in and out. The path
through a frame is the sum of a part for each axis; the address is one register to which the difference to the next
address is added, a constant for an axis of equal steps and a small memory for another. Nothing is multiplied.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from pyrtl import Const, MemBlock, Register, RomBlock, WireVector, concat, select

from bitloom.errors import HardwareError
from bitloom.hw.fifo import credit_fifo
from bitloom.hw.registers import delayed, delayed_flag, follow, named, state, wrapping_counter
from bitloom.hw.stream import Stream, StreamType

LATENCY = 3
"""Cycles from the last beat of a frame to the first beat read from it, without stalls."""

_SETTLING = 6  # Turns after which frames follow each other in the same way in each.
_DEPTH = 4  # A beat's room is reserved, filled, emptied and given back within three cycles.


@dataclass(frozen=True)
class Reordering:
    """How each frame of a tensor is read.

    Attributes:
        frame: beats of a frame.
        path: for each axis, the outermost first, the part of the address that each of its positions adds.
        repeats: how often the path is read, for each frame in turn, from the first again after the last.
    """

    frame: int
    path: tuple[tuple[int, ...], ...]
    repeats: tuple[int, ...] = (1,)

    def __post_init__(self) -> None:
        low, high = (sum(extreme(axis) for axis in self.path) for extreme in (min, max))
        if low < 0 or high >= self.frame or min(self.repeats) < 1:
            raise HardwareError(f"a path over {low} to {high} through {self.frame} beats, repeated {self.repeats}")

    @property
    def path_beats(self) -> int:
        """Beats of the path."""
        return math.prod(len(axis) for axis in self.path)

    def steady_cycles(self, frames: int, arrivals: Sequence[tuple[int, int]] | None = None) -> int:
        """Cycles between tensors, when neither side stalls.

        A bank fills after the one before it and after it was emptied; it is emptied after the one before it and
        after it filled.

        Args:
            frames: of a tensor.
            arrivals: for each frame, the cycles in which its last beat comes after the last of the frame before, and
                the cycles from its first beat to its last; a beat in every cycle if None.
        """
        reading = [self.path_beats * times for times in self.repeats]
        if arrivals is None and len(set(reading)) == 1:
            return frames * max(self.frame, reading[0])
        period = len(self.repeats) if arrivals is None else frames
        filled, emptied, ends = -1, (-1, -1), [-1]
        for _ in range(_SETTLING):
            for index in range(period):
                apart, inside = arrivals[index] if arrivals else (self.frame, self.frame)
                filled = max(filled + apart, emptied[0] + inside)
                emptied = (emptied[1], max(emptied[1], filled) + reading[index % len(reading)])
            ends.append(emptied[1])
        return (ends[-1] - ends[-2]) * frames // period


def reorder(name: str, stream: Stream, order: Reordering, output: StreamType, reset: WireVector) -> Stream:
    """Read each frame of a tensor along a path, as often as it says.

    Args:
        name: prefix of the signals.
        stream: whole frames; its `ready` gets driven.
        order: the path.
        output: what goes out, as wide as what comes in.
        reset: forgets everything.

    Raises:
        HardwareError: the order is not one from the input's beats to the output's.

    >>> import pyrtl
    >>> from bitloom.arith import IntType
    >>> from bitloom.hw.simulate import simulate_stream
    >>> pyrtl.reset_working_block()
    >>> source = Stream.input_ports("source", StreamType(IntType(8), row=3, rows=2))
    >>> sink = Stream.output_ports("sink", StreamType(IntType(8), row=2, rows=3))
    >>> transposed = Reordering(frame=6, path=((0, 1, 2), (0, 3)))
    >>> reorder("transpose", source, transposed, sink.type, pyrtl.Input(1, "reset")).feed(sink)
    >>> simulate_stream([[0, 1, 2, 3, 4, 5]], source, sink).tensors.tolist()
    [[0, 3, 1, 4, 2, 5]]
    """
    _check(name, stream.type, order, output)
    bits = max(1, (order.frame - 1).bit_length())
    memory = MemBlock(
        bitwidth=stream.type.bits, addrwidth=bits + 1, name=f"{name}_memory", max_read_ports=1, max_write_ports=1
    )
    write_bank, read_bank = state(f"{name}_write_bank", 1), state(f"{name}_read_bank", 1)
    full = [state(f"{name}_full{bank}", 1) for bank in (0, 1)]
    ends_tensor = [state(f"{name}_ends_tensor{bank}", 1) for bank in (0, 1)]

    free = named(~select(write_bank, full[1], full[0]), f"{name}_in_ready")
    stream.accept(free)
    arrive = named(stream.valid & free, f"{name}_arrive")
    arriving, arrive_end = wrapping_counter(f"{name}_arriving", order.frame, arrive, reset)
    memory[concat(write_bank, arriving)] <<= MemBlock.EnabledWrite(stream.data, enable=arrive)

    read = WireVector(1, f"{name}_read")
    address, path_end = _address(name, order.path, bits, read, reset)
    last_pass = _last_pass(name, order.repeats, read & path_end, reset)
    word = Register(stream.type.bits, f"{name}_word")
    word.next <<= memory[concat(read_bank, address)]

    filled, emptied = arrive & arrive_end, named(read & path_end & last_pass, f"{name}_emptied")
    for bank in (0, 1):
        fills = filled & (write_bank == bank)
        follow(full[bank], fills | (full[bank] & ~(emptied & (read_bank == bank))), reset)
        follow(ends_tensor[bank], select(fills, stream.last, ends_tensor[bank]), reset)
    follow(write_bank, write_bank ^ filled, reset)
    follow(read_bank, read_bank ^ emptied, reset)

    last = path_end & last_pass & select(read_bank, ends_tensor[1], ends_tensor[0])
    buffer = credit_fifo(
        f"{name}_output",
        output,
        _DEPTH,
        push=delayed_flag(read, 1, f"{name}_push", reset),
        data=word,
        last=delayed(last, 1, f"{name}_push_last"),
        reserved=read,
        reset=reset,
    )
    read <<= buffer.room_for(1) & select(read_bank, full[1], full[0])
    return buffer.output


def _address(
    name: str, path: Sequence[Sequence[int]], bits: int, read: WireVector, reset: WireVector
) -> tuple[WireVector, WireVector]:
    """The address along a path, and whether the path ends there."""
    mask = (1 << bits) - 1
    first = sum(axis[0] for axis in path)
    address = state(f"{name}_address", bits, first)
    at_end = Const(1, 1)
    steps: list[tuple[WireVector, WireVector]] = []  # where an axis goes on, and what that adds
    rewound = 0  # what the axes inside add at their ends, more than at their starts
    for position in reversed(range(len(path))):
        axis = path[position]
        if len(axis) == 1:
            continue
        count, wraps = wrapping_counter(f"{name}_path{position}", len(axis), read & at_end, reset)
        steps.append((~wraps, _differences(f"{name}_path{position}", axis, rewound, mask, count)))
        rewound += axis[-1] - axis[0]
        at_end = at_end & wraps
    difference: WireVector = Const(-rewound & mask, bits)
    for goes_on, step in reversed(steps):
        difference = select(goes_on, step, difference)
    follow(address, select(read, (address + difference).truncate(bits), address), reset)
    return address, named(at_end, f"{name}_path_end")


def _differences(name: str, axis: Sequence[int], rewound: int, mask: int, count: WireVector) -> WireVector:
    """What leads from each position of an axis to the next one's first address."""
    words = [(high - low - rewound) & mask for low, high in itertools.pairwise(axis)]
    bits = mask.bit_length()
    if len(set(words)) == 1:
        return Const(words[0], bits)
    memory = RomBlock(
        bitwidth=bits,
        addrwidth=count.bitwidth,
        romdata=words,
        name=f"{name}_rom",
        pad_with_zeros=True,
        asynchronous=True,
    )
    return memory[count]


def _last_pass(name: str, repeats: Sequence[int], pass_end: WireVector, reset: WireVector) -> WireVector:
    """Whether the path is being read for the last time before the next frame."""
    if max(repeats) == 1:
        return Const(1, 1)
    bits = (max(repeats) - 1).bit_length()
    count = state(f"{name}_pass", bits)
    last = WireVector(1, f"{name}_last_pass")
    frame_end = named(pass_end & last, f"{name}_frame_end")
    if len(set(repeats)) == 1:
        final: WireVector = Const(repeats[0] - 1, bits)
    else:
        frame, _ = wrapping_counter(f"{name}_frame", len(repeats), frame_end, reset)
        final = RomBlock(
            bitwidth=bits,
            addrwidth=frame.bitwidth,
            romdata=[times - 1 for times in repeats],
            name=f"{name}_repeats_rom",
            pad_with_zeros=True,
            asynchronous=True,
        )[frame]
    last <<= count == final
    following = select(last, Const(0, bits), (count + 1).truncate(bits))
    follow(count, select(pass_end, following, count), reset)
    return last


def _check(name: str, given: StreamType, order: Reordering, made: StreamType) -> None:
    frames, rest = divmod(given.beats, order.frame)
    passes = sum(order.repeats) * frames // len(order.repeats)
    fits = not rest and frames % len(order.repeats) == 0 and made.beats == passes * order.path_beats
    if not fits or (given.lanes, given.element) != (made.lanes, made.element):
        raise HardwareError(f"frames of {order.frame} beats of {given} do not make {made}", where=name)
