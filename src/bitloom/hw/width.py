"""Changing how many elements a beat of a stream carries, and how a tensor is cut into rows."""

from __future__ import annotations

import math
from dataclasses import replace

import pyrtl
from pyrtl import WireVector, concat_list, select

from bitloom.hw.gearbox import gearbox
from bitloom.hw.registers import follow, named, state, wrapping_counter
from bitloom.hw.stream import Stream, StreamType

MOST_HELD = 64
"""Elements that a `gearbox` may hold; where the lanes have no smaller common multiple, conversions are slower."""


def intermediate_lanes(source: StreamType, target: StreamType) -> int:
    """Lanes to pass through between two types: the most that both lane counts are multiples of.

    Where rows are cut differently and beats are partly filled, single elements are the only common measure.
    """
    lanes = math.gcd(source.lanes, target.lanes)
    if source.row != target.row and (source.row % lanes or target.row % lanes):
        return 1
    return lanes


def collects(source: StreamType, target: StreamType) -> bool:
    """Whether a conversion collects beats into wider ones: then it holds one of those."""
    return source != target and target.lanes > intermediate_lanes(source, target)


def shifts_gears(source: StreamType, target: StreamType) -> bool:
    """Whether a `gearbox` converts: neither lane count is a multiple of the other, and every beat is full."""
    held = math.lcm(source.lanes, target.lanes)
    if held in (source.lanes, target.lanes) or held > MOST_HELD:
        return False
    return not (source.has_partial_beats or target.has_partial_beats)


def conversion_beats(source: StreamType, target: StreamType) -> int:
    """Cycles per tensor that a conversion needs at least."""
    if source == target:
        return source.beats
    if shifts_gears(source, target):
        return max(source.beats, target.beats)
    lanes = intermediate_lanes(source, target)
    through = -(-target.row // lanes) * target.rows
    return max(source.beats, through, target.beats)


def convert_width(name: str, stream: Stream, target: StreamType, reset: WireVector) -> Stream:
    """Carry the same elements in beats of another type.

    ```
      lanes=4  [d c b a]            lanes=6  [f e d c b a]
      lanes=4  [h g f e]   ──▶
               ...         unpack to 2 a beat, then pack 3 of those
    ```

    A narrower target takes several cycles a beat; a wider one collects. Throughput is one beat per cycle of the
    narrowest type on the way (see `conversion_beats`). Where neither lane count is a multiple of the other and all
    beats are full, a `bitloom.hw.gearbox` converts at once, at one beat per cycle of the narrower type.

    Args:
        name: prefix of the signals.
        stream: what comes in; its `ready` gets driven.
        target: same element type and tensor size, other lanes or rows.
        reset: forgets what was collected.

    >>> import pyrtl
    >>> from bitloom.arith import IntType
    >>> from bitloom.hw.simulate import simulate_stream
    >>> pyrtl.reset_working_block()
    >>> source = Stream.input_ports("source", StreamType(IntType(8), row=7, lanes=2))
    >>> sink = Stream.output_ports("sink", StreamType(IntType(8), row=7, lanes=3))
    >>> convert_width("convert", source, sink.type, pyrtl.Input(1, "reset")).feed(sink)
    >>> simulate_stream([[1, 2, 3, 4, 5, 6, 7]], source, sink).tensors.tolist()
    [[1, 2, 3, 4, 5, 6, 7]]
    """
    if stream.type == target:
        return stream
    if shifts_gears(stream.type, target):
        whole = replace(stream.type, row=stream.type.size, rows=1)
        return gearbox(f"{name}_gearbox", stream.retyped(whole), target.lanes, reset).retyped(target)
    lanes = intermediate_lanes(stream.type, target)
    if stream.type.lanes > lanes:
        stream = _unpack(f"{name}_unpack", stream, lanes, reset)
    stream = stream.retyped(replace(stream.type, row=target.row, rows=target.rows))
    if target.lanes > lanes:
        stream = _pack(f"{name}_pack", stream, target.lanes, reset)
    return stream


def _unpack(name: str, stream: Stream, lanes: int, reset: WireVector) -> Stream:
    """Send each beat in slices of `lanes` elements; the last beat of a row sends only its filled slices."""
    source = stream.type
    output = Stream.declare(name, replace(source, lanes=lanes))
    slices = source.lanes // lanes
    filled = -(-(source.row - (source.row_beats - 1) * source.lanes) // lanes)
    bits = (slices - 1).bit_length()
    index = state(f"{name}_slice", bits)
    transfer = output.transfer
    _, last_beat_of_row = wrapping_counter(f"{name}_beat", source.row_beats, transfer & stream.ready, reset)
    finished = index == select(last_beat_of_row, pyrtl.Const(filled - 1, bits), pyrtl.Const(slices - 1, bits))
    follow(index, select(transfer, select(finished, pyrtl.Const(0, bits), (index + 1).truncate(bits)), index), reset)
    width = lanes * source.element.bits
    parts = [stream.data[part * width : (part + 1) * width] for part in range(slices)]
    output.drive(
        pyrtl.mux(index, *parts, default=parts[0]) if slices > 1 else parts[0], stream.valid, (stream.last & finished)
    )
    stream.accept(output.ready & finished)
    return output


def _pack(name: str, stream: Stream, lanes: int, reset: WireVector) -> Stream:
    """Collect beats into wider ones; the last beat of a row goes out as soon as the row ends."""
    source = stream.type
    output = Stream.declare(name, replace(source, lanes=lanes))
    slices = lanes // source.lanes
    full = state(f"{name}_full", 1)
    last = state(f"{name}_held_last", 1)
    accept = stream.valid & stream.ready
    stream.accept(~full | output.ready)
    _, row_end = wrapping_counter(f"{name}_beat", source.row_beats, accept, reset)
    bits = (slices - 1).bit_length()
    position = state(f"{name}_position", bits)
    # Which slice of the wide beat the next narrow beat fills; rows start at slice 0.
    filled = named(row_end | (position == slices - 1), f"{name}_filled")
    following = select(filled, pyrtl.Const(0, bits), (position + 1).truncate(bits))
    follow(position, select(accept, following, position), reset)
    completes = accept & filled
    parts = []
    for part in range(slices):
        register = pyrtl.Register(source.bits, f"{name}_slice{part}")
        register.next <<= select(accept & (position == part), stream.data, register)
        parts.append(register)
    follow(full, completes | (full & ~output.ready), reset)
    follow(last, select(accept, stream.last, last), reset)
    output.drive(concat_list(parts), full, last)
    return output
