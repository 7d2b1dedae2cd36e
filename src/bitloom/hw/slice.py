"""Streams whose beats keep their order: some are dropped, constants are put between them, several streams take turns.

None of these units holds more than two beats, and each moves a beat in every cycle. What happens to a beat follows
from its position, which nested counters know: a tensor's beats are walked along axes, the last axis fastest.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import pyrtl
from pyrtl import Const, RomBlock, WireVector, select

from bitloom.errors import HardwareError
from bitloom.hw.fifo import credit_fifo, fifo
from bitloom.hw.memory import registered_rom
from bitloom.hw.registers import delayed, delayed_flag, follow, named, state, wrapping_counter
from bitloom.hw.stream import Stream, StreamType

LATENCY = 1
"""Cycles from the last beat that a beat needs to that beat, without stalls."""

_DEPTH = 2  # Of the FIFO that cuts every path from input to output: a beat leaves while the next one enters.
_CONSTANT_DEPTH = 4  # A beat's room is reserved, filled, emptied and given back within three cycles.


@dataclass(frozen=True)
class Axis:
    """Positions along one axis of a walk, and the chosen ones among them.

    Attributes:
        length: positions.
        chosen: one or more of them, ascending. A range costs two comparisons and, with steps, a small counter;
            anything else a memory of a bit for each position.
    """

    length: int
    chosen: Sequence[int]

    def __post_init__(self) -> None:
        ascending = min(self.steps) > 0
        if not self.chosen or not ascending or self.chosen[0] < 0 or self.chosen[-1] >= self.length:
            raise HardwareError(f"{list(self.chosen)} are no ascending positions of an axis of {self.length}")

    @property
    def steps(self) -> set[int]:
        """Differences between neighbours among the chosen positions; 1 for a single one."""
        if isinstance(self.chosen, range):
            return {self.chosen.step}
        return {high - low for low, high in itertools.pairwise(self.chosen)} or {1}


@dataclass(frozen=True, eq=False)
class _Walk:
    """Where a walk stands.

    Attributes:
        chosen: the position is chosen along every axis.
        last_chosen: and no later one is.
        at_end: the position is the last one.
    """

    chosen: WireVector
    last_chosen: WireVector
    at_end: WireVector


def _walk(name: str, axes: Sequence[Axis], step: WireVector, reset: WireVector) -> _Walk:
    """Counters along every axis, the last one fastest, that go on with `step` and start again after the end."""
    chosen, last, at_end = Const(1, 1), Const(1, 1), Const(1, 1)
    for position in reversed(range(len(axes))):
        axis = axes[position]
        if axis.length == 1:
            continue
        enable = step if at_end is step else step & at_end
        count, wraps = wrapping_counter(f"{name}_axis{position}", axis.length, enable, reset)
        chosen = chosen & _is_chosen(f"{name}_axis{position}", axis, count, wraps, enable, reset)
        last = last & (count == axis.chosen[-1])
        at_end = at_end & wraps
    return _Walk(
        named(chosen, f"{name}_chosen"), named(last, f"{name}_last_chosen"), named(at_end, f"{name}_walk_at_end")
    )


def _is_chosen(
    name: str, axis: Axis, count: WireVector, wraps: WireVector, enable: WireVector, reset: WireVector
) -> WireVector:
    steps = axis.steps
    if len(steps) > 1:
        chosen = set(axis.chosen)
        memory = RomBlock(
            bitwidth=1,
            addrwidth=count.bitwidth,
            romdata=[int(position in chosen) for position in range(axis.length)],
            name=f"{name}_chosen_rom",
            pad_with_zeros=True,
            asynchronous=True,
        )
        return memory[count]
    first, last, step = axis.chosen[0], axis.chosen[-1], steps.pop()
    inside = Const(1, 1)
    if first > 0:
        inside = inside & (count >= first)
    if last < axis.length - 1:
        inside = inside & (count <= last)
    if step == 1:
        return inside
    # Counts down to 0 at every step-th position, the first chosen one among them.
    bits = (step - 1).bit_length()
    initial = first % step
    phase = state(f"{name}_phase", bits, initial)
    following = select(phase == 0, Const(step - 1, bits), (phase - 1).truncate(bits))
    follow(phase, select(enable, select(wraps, Const(initial, bits), following), phase), reset)
    return inside & (phase == 0)


def keep(name: str, stream: Stream, axes: Sequence[Axis], output: StreamType, reset: WireVector) -> Stream:
    """Let the chosen beats of each tensor pass and drop the others.

    ```
      in      ─▶ 0 1 2 3 4 5 6 7 ─▶ [FIFO] ─▶ out     axes: 2 x 4, chosen {0, 1} x {1, 2}
      chosen       ▲ ▲     ▲ ▲                        out:  1 2 5 6
    ```

    Args:
        name: prefix of the signals.
        stream: what comes in; its `ready` gets driven.
        axes: a walk over its beats.
        output: what goes out: as many beats as are chosen, as wide as those that come in.
        reset: forgets the tensor under way.

    Raises:
        HardwareError: the axes are not those of the streams.

    >>> import pyrtl
    >>> from bitloom.arith import IntType
    >>> from bitloom.hw.simulate import simulate_stream
    >>> pyrtl.reset_working_block()
    >>> source = Stream.input_ports("source", StreamType(IntType(8), row=4, rows=2))
    >>> sink = Stream.output_ports("sink", StreamType(IntType(8), row=2, rows=2))
    >>> axes = [Axis(2, range(2)), Axis(4, range(1, 3))]
    >>> keep("crop", source, axes, sink.type, pyrtl.Input(1, "reset")).feed(sink)
    >>> simulate_stream([[0, 1, 2, 3, 4, 5, 6, 7]], source, sink).tensors.tolist()
    [[1, 2, 5, 6]]
    """
    _check(name, stream.type, output, stream.type.beats, output.beats, axes)
    step = WireVector(1, f"{name}_step")
    position = _walk(name, axes, step, reset)
    kept = Stream.declare(f"{name}_kept", output)
    kept.drive(stream.data, stream.valid & position.chosen, position.last_chosen)
    ready = named(~position.chosen | kept.ready, f"{name}_in_ready")
    stream.accept(ready)
    step <<= stream.valid & ready
    return fifo(f"{name}_output", kept, _DEPTH, reset)


def insert(
    name: str, stream: Stream, axes: Sequence[Axis], constant: int, output: StreamType, reset: WireVector
) -> Stream:
    """Put beats of a constant around and between those that come in.

    ```
      in      ─▶   0 1     2 3   ─▶ [FIFO] ─▶ out     axes: 2 x 4, chosen {0, 1} x {1, 2}
      constant   c     c c     c                      out:  c 0 1 c c 2 3 c
    ```

    A tensor starts when its first beat is offered, also where constants stand before that: nothing comes out of a
    circuit into which nothing goes.

    Args:
        name: prefix of the signals.
        stream: what comes in; its `ready` gets driven.
        axes: a walk over the beats that go out; the chosen ones come from the input.
        constant: every element of the other beats.
        output: what goes out, as wide as what comes in.
        reset: forgets the tensor under way.

    Raises:
        HardwareError: the axes are not those of the streams, or the constant is none of the element type.

    >>> import pyrtl
    >>> from bitloom.arith import IntType
    >>> from bitloom.hw.simulate import simulate_stream
    >>> pyrtl.reset_working_block()
    >>> source = Stream.input_ports("source", StreamType(IntType(8), row=2, rows=2))
    >>> sink = Stream.output_ports("sink", StreamType(IntType(8), row=4, rows=2))
    >>> axes = [Axis(2, range(2)), Axis(4, range(1, 3))]
    >>> insert("pad", source, axes, -7, sink.type, pyrtl.Input(1, "reset")).feed(sink)
    >>> simulate_stream([[0, 1, 2, 3]], source, sink).tensors.tolist()
    [[-7, 0, 1, -7, -7, 2, 3, -7]]
    """
    _check(name, stream.type, output, output.beats, stream.type.beats, axes)
    element = output.element
    if not element.contains(constant, constant):
        raise HardwareError(f"the constant {constant} is no {element}", where=name)
    step = WireVector(1, f"{name}_step")
    position = _walk(name, axes, step, reset)
    padded = Stream.declare(f"{name}_padded", output)
    word = (constant & ((1 << element.bits) - 1)) * sum(1 << (lane * element.bits) for lane in range(output.lanes))
    padded.drive(
        select(position.chosen, stream.data, Const(word, output.bits)),
        stream.valid | ~(position.chosen | _is_start(name, step, position.at_end, reset)),
        position.at_end,
    )
    stream.accept(padded.ready & position.chosen)
    step <<= padded.transfer
    return fifo(f"{name}_output", padded, _DEPTH, reset)


def concatenate(
    name: str,
    streams: Sequence[Stream],
    parts: Sequence[int],
    output: StreamType,
    reset: WireVector,
    starter: int = 0,
) -> Stream:
    """Take so many beats of the first stream, then so many of the second, and so on, and start again.

    ```
      in 0  ─▶ a b c d ──┐                            parts: 2, 1
      in 1  ─▶ x y ──────┴─▶ [FIFO] ─▶ a b x c d y
    ```

    Args:
        name: prefix of the signals.
        streams: two or more, of one width; their `ready` gets driven.
        parts: beats to take of each in turn.
        output: what goes out: the beats of all.
        reset: forgets the tensors under way.
        starter: index of the stream whose first beat a tensor waits for; not one that is constant.

    Raises:
        HardwareError: the streams do not end after the same number of turns.

    >>> import pyrtl
    >>> from bitloom.arith import IntType
    >>> from bitloom.hw.simulate import simulate_stream
    >>> pyrtl.reset_working_block()
    >>> source = Stream.input_ports("source", StreamType(IntType(8), row=4))
    >>> sink = Stream.output_ports("sink", StreamType(IntType(8), row=3, rows=2))
    >>> reset = pyrtl.Input(1, "reset")
    >>> numbers = constant_stream("numbers", [7, 8], StreamType(IntType(8), row=2), reset)
    >>> concatenate("join", [source, numbers], [2, 1], sink.type, reset).feed(sink)
    >>> simulate_stream([[0, 1, 2, 3]], source, sink).tensors.tolist()
    [[0, 1, 7, 2, 3, 8]]
    """
    turns = _turns(name, streams, parts, output)
    bits, beat_bits = (len(parts) - 1).bit_length(), max(1, (max(parts) - 1).bit_length())
    source, beat = state(f"{name}_source", bits), state(f"{name}_beat", beat_bits)
    step = WireVector(1, f"{name}_step")
    ends = [Const(part - 1, beat_bits) for part in parts]
    part_end = named(beat == pyrtl.mux(source, *ends, default=ends[-1]), f"{name}_part_end")
    turn_end = named(part_end & (source == len(parts) - 1), f"{name}_turn_end")
    follow(beat, select(step, select(part_end, Const(0, beat_bits), (beat + 1).truncate(beat_bits)), beat), reset)
    following = select(turn_end, Const(0, bits), (source + 1).truncate(bits))
    follow(source, select(step & part_end, following, source), reset)
    _, last_turn = wrapping_counter(f"{name}_turn", turns, step & turn_end, reset)
    joined = Stream.declare(f"{name}_joined", output)
    data, valid = [stream.data for stream in streams], [stream.valid for stream in streams]
    offered, last = pyrtl.mux(source, *valid, default=valid[-1]), named(turn_end & last_turn, f"{name}_last_beat")
    if starter:
        offered = offered & (streams[starter].valid | ~_is_start(name, step, last, reset))
    joined.drive(pyrtl.mux(source, *data, default=data[-1]), offered, last)
    for index, stream in enumerate(streams):
        stream.accept(joined.ready & (source == index))
    step <<= joined.transfer
    return fifo(f"{name}_output", joined, _DEPTH, reset)


def constant_stream(name: str, words: Sequence[int], output: StreamType, reset: WireVector) -> Stream:
    """The same tensor from a read-only memory, again and again.

    Args:
        name: prefix of the signals.
        words: the beats of the tensor, as non-negative integers.
        output: the stream's type.
        reset: starts the tensor again.

    Raises:
        HardwareError: the words are not those of one tensor.
    """
    if len(words) != output.beats:
        raise HardwareError(f"{len(words)} words are no tensor of {output.beats} beats", where=name)
    read = WireVector(1, f"{name}_read")
    address, at_end = wrapping_counter(f"{name}_address", len(words), read, reset)
    buffer = credit_fifo(
        f"{name}_output",
        output,
        _CONSTANT_DEPTH,
        push=delayed_flag(read, 1, f"{name}_push", reset),
        data=registered_rom(name, words, output.bits, address),
        last=delayed(at_end, 1, f"{name}_push_last"),
        reserved=read,
        reset=reset,
    )
    read <<= buffer.room_for(1)
    return buffer.output


def _is_start(name: str, step: WireVector, last: WireVector, reset: WireVector) -> WireVector:
    """Whether a tensor has not begun."""
    start = state(f"{name}_start", 1, 1)
    follow(start, select(step, last, start), reset)
    return start


def _check(name: str, given: StreamType, made: StreamType, positions: int, chosen: int, axes: Sequence[Axis]) -> None:
    if given.lanes != made.lanes or given.element != made.element:
        raise HardwareError(f"beats of {given} cannot leave as beats of {made}", where=name)
    walked, taken = math.prod(axis.length for axis in axes), math.prod(len(axis.chosen) for axis in axes)
    if (walked, taken) != (positions, chosen):
        raise HardwareError(f"a walk of {walked} beats, {taken} of them chosen, from {given} to {made}", where=name)


def _turns(name: str, streams: Sequence[Stream], parts: Sequence[int], output: StreamType) -> int:
    """How often each stream has its turn in a tensor."""
    turns = output.beats // sum(parts)
    fits = len(streams) == len(parts) > 1 and all(
        (stream.type.beats, stream.type.lanes, stream.type.element) == (part * turns, output.lanes, output.element)
        for stream, part in zip(streams, parts, strict=True)
    )
    if not fits or output.beats != turns * sum(parts):
        given = " and ".join(str(stream.type) for stream in streams)
        raise HardwareError(f"{list(parts)} beats in turn of {given} do not make {output}", where=name)
    return turns
