"""Reducing a tensor along one axis while it streams by: sums and maxima, a beat per cycle.

The tensor is seen as (outer, reduced, inner), the last index fastest. Where `inner` is more than 1, a beat holds
elements of neighbouring results, whose partial results wait in a small memory:

```
  beat ──▶ [element] ──────────────────────────────(+)──┬──▶ rescale or clamp ──▶ [output FIFO] ──▶ out
           cycle 1                                  ▲   │     at the last step          │
  word counter ──▶ memory[inner / lanes] ──▶ [partial]  │                               │
                    ▲         cycle 1       0 at the    │                               │
                    └───────────────────────────────────┘                               │
  a beat of the last step starts only if room is reserved ◀──────── credits ────────────┘
```

Where `inner` is 1, a beat holds elements of one result, which a tree reduces first; and where a beat holds all of
`inner`, a register is the memory. Between the counters and the output FIFO nothing ever stops, so that stalls cannot
change a result. Several axes are reduced one after the other, the last one first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pyrtl import Const, MemBlock, Register, WireVector, concat, concat_list, select

from bitloom.arith import Interval, IntType
from bitloom.errors import HardwareError
from bitloom.hw.fabric import XC7, Fabric
from bitloom.hw.fifo import credit_depth, credit_fifo
from bitloom.hw.loop_nest import by_position
from bitloom.hw.reduction import Reduction, combined, joined, kept, rounded
from bitloom.hw.registers import counted, delayed, delayed_flag, named, resized, wrapping_counter
from bitloom.hw.rescale import RescaleConstants, clamp, rescale, rescale_latency
from bitloom.hw.serialize import serialize
from bitloom.hw.stream import Stream, StreamType

_ROUNDING_LATENCY = 2

__all__ = [
    "Finish",
    "Positions",
    "ReduceShape",
    "Reduction",
    "reduce",
    "reduce_fifo_depth",
    "reduce_latency",
]


@dataclass(frozen=True)
class ReduceShape:
    """How a tensor is seen, and how it comes.

    Attributes:
        outer: results along the axes before the reduced one.
        reduced: elements of one result.
        inner: results along the axes behind.
        lanes: elements per beat; divides `inner`, or `reduced` where `inner` is 1.
        results: results finished per cycle, 0 for all of a beat. Fewer of them share what finishes them, where beats
            are as wide as `inner` and a result has beats enough.
    """

    outer: int
    reduced: int
    inner: int
    lanes: int = 1
    results: int = 0

    def __post_init__(self) -> None:
        if min(self.outer, self.reduced, self.inner, self.lanes) < 1 or self.along % self.lanes:
            raise HardwareError(
                f"{self.lanes} lanes for a reduction of ({self.outer}, {self.reduced}, {self.inner}) elements"
            )
        if self.serial_beats > 1 and (
            self.words > 1 or self.reduced_lanes % self.results or self.serial_beats > self.steps
        ):
            raise HardwareError(f"{self.results} results per cycle do not keep up with {self}")

    @property
    def along(self) -> int:
        """Elements of the axis along which beats lie."""
        return self.inner if self.inner > 1 else self.reduced

    @property
    def words(self) -> int:
        """Beats between elements of the same result: the words of the memory."""
        return self.inner // self.lanes if self.inner > 1 else 1

    @property
    def steps(self) -> int:
        """Beats of a result."""
        return self.reduced if self.inner > 1 else self.reduced // self.lanes

    @property
    def reduced_lanes(self) -> int:
        """Results that are there together."""
        return self.lanes if self.inner > 1 else 1

    @property
    def result_lanes(self) -> int:
        """Results per output beat."""
        return self.results or self.reduced_lanes

    @property
    def serial_beats(self) -> int:
        """Output beats of the results that are there together."""
        return -(-self.reduced_lanes // self.result_lanes)

    @property
    def tree_levels(self) -> int:
        """Levels of the tree within a beat."""
        return (self.lanes - 1).bit_length() if self.inner == 1 else 0

    @property
    def cycles(self) -> int:
        """Cycles per tensor without stalls: one per input beat."""
        return self.outer * self.steps * self.words

    def input_type(self, element: IntType) -> StreamType:
        """What the unit takes."""
        if self.inner == 1:
            return StreamType(element, self.reduced, self.outer, self.lanes)
        return StreamType(element, self.inner, self.outer * self.reduced, self.lanes)

    def output_type(self, element: IntType) -> StreamType:
        """What the unit gives."""
        return StreamType(element, self.inner, self.outer, self.result_lanes)

    def results_within(self, cycles: int) -> int:
        """The most output beats that begin in so many consecutive cycles."""
        periods, rest = divmod(cycles, self.steps * self.words)
        return (periods * self.words + min(rest, self.words)) * self.serial_beats


@dataclass(frozen=True)
class Positions:
    """Which of several roundings a result has, by its place in an image.

    The rescale's constants come in groups of a beat's lanes; the group of pixel (y, x) is
    ``rows[y] * 2**column_bits + columns[x]``.

    Attributes:
        rows: for each row of pixels.
        columns: for each pixel of a row.
        beats: output beats per pixel.
    """

    rows: tuple[int, ...]
    columns: tuple[int, ...]
    beats: int

    @property
    def column_bits(self) -> int:
        """Width of a column's part."""
        return max(self.columns).bit_length()

    @property
    def groups(self) -> list[tuple[int, int]]:
        """The (row, column) values of each group, in their order."""
        return [(row, column) for row in range(max(self.rows) + 1) for column in range(1 << self.column_bits)]


@dataclass(frozen=True)
class Finish:
    """What becomes of a reduced value: nothing, a clamp, or a rescale.

    Attributes:
        output: the type of the results.
        bounds: clamps to them, if given.
        constants: rescales with them, if given; one channel per lane, or one for each lane in each group.
        in_logic: whether a rescale multiplies by adders.
        fabric: of the chip.
        positions: decide the group of constants.
        binary32: whether the last sum is rounded to 24 bits, by itself in a cycle.
    """

    output: IntType
    bounds: Interval | None = None
    constants: RescaleConstants | None = None
    in_logic: bool = True
    fabric: Fabric = XC7
    positions: Positions | None = None
    binary32: bool = False

    @property
    def latency(self) -> int:
        """Cycles it takes."""
        if self.binary32:
            return _ROUNDING_LATENCY
        return rescale_latency(self.fabric) if self.constants is not None else int(self.bounds is not None)


def reduce_latency(shape: ReduceShape, finish: Finish) -> int:
    """Cycles from taking a result's last beat until it is offered, with those that leave before it.

    >>> reduce_latency(ReduceShape(outer=1, reduced=9, inner=4, lanes=2), Finish(IntType(8)))
    2
    """
    serial = shape.serial_beats if shape.serial_beats > 1 else 0
    return shape.tree_levels + serial + finish.latency + 2


def reduce_fifo_depth(shape: ReduceShape, finish: Finish) -> int:
    """Output beats that can be under way without slowing the input, a power of two."""
    return credit_depth(lambda cycles: shape.results_within(reduce_latency(shape, finish) + cycles - 1))


def reduce(
    name: str,
    stream: Stream,
    shape: ReduceShape,
    reduction: Reduction,
    finish: Finish,
    reset: WireVector,
    *,
    elements: Interval | None = None,
) -> Stream:
    """Reduce the middle axis of (outer, reduced, inner).

    Args:
        name: prefix of the signals.
        stream: beats as those of ``shape.input_type``, however cut into rows; its `ready` gets driven.
        shape: sizes and lanes.
        reduction: what to compute.
        finish: what becomes of the results.
        reset: forgets the tensors under way.
        elements: the values that come, if not all of their type.

    Returns:
        The results, of type ``shape.output_type``.

    >>> import pyrtl
    >>> from bitloom.hw.simulate import simulate_stream
    >>> pyrtl.reset_working_block()
    >>> shape, finish = ReduceShape(outer=1, reduced=3, inner=2), Finish(IntType(10))
    >>> source = Stream.input_ports("source", shape.input_type(IntType(8)))
    >>> sink = Stream.output_ports("sink", shape.output_type(IntType(10)))
    >>> reduce("total", source, shape, Reduction.SUM, finish, pyrtl.Input(1, "reset")).feed(sink)
    >>> simulate_stream([[1, -10, 2, -20, 3, -30], [100] * 6], source, sink).tensors.tolist()
    [[6, -60], [300, 300]]
    """
    given = stream.type
    if (given.lanes, given.beats) != (shape.lanes, shape.cycles) or given.has_partial_beats:
        raise HardwareError(f"{stream.name} carries {stream.type}, a reduction takes {shape}", where=name)
    if finish.binary32 != (reduction is Reduction.BINARY32_SUM):
        raise HardwareError("binary32 sums are rounded at the end, and nothing else is", where=name)
    whole = Interval(given.element.minimum, given.element.maximum)
    bounds = reduction.bounds(elements or whole, shape.reduced)
    accepted = WireVector(1, f"{name}_accepted")
    word, row_end = wrapping_counter(f"{name}_word", shape.words, accepted, reset)
    step, last_step = wrapping_counter(f"{name}_step", shape.steps, accepted & row_end, reset)
    _, last_outer = wrapping_counter(f"{name}_outer", shape.outer, accepted & row_end & last_step, reset)
    final = named(accepted & last_step, f"{name}_final")

    taken, levels = _elements(name, stream, shape, reduction)
    begun = delayed_flag(accepted, levels, f"{name}_begun", reset)
    values = _partial_results(
        name,
        taken,
        bounds.signed_bits,
        reduction,
        shape,
        word=word,
        following=counted(word, row_end, accepted),
        fabric=finish.fabric,
        first=delayed(named(step == 0, f"{name}_first"), levels, f"{name}_first"),
        valid=begun,
    )
    group = delayed(_group(name, finish.positions, final, reset), levels, f"{name}_group")
    done = delayed_flag(final, levels, f"{name}_done", reset)
    if shape.serial_beats > 1:
        # Constants belong to all results that are there together.
        held_group = Register(group.bitwidth, f"{name}_held_group")
        held_group.next <<= select(done, group, held_group)
        sequence = serialize(
            f"{name}_results",
            values,
            done,
            reset,
            results=shape.result_lanes,
            block_beats=shape.serial_beats,
            blocks=1,
            rows=shape.outer,
        )
        values, group, emit, ends = sequence.values, held_group, sequence.emit, sequence.ends
    else:
        emit, ends = done, delayed_flag(final & last_outer & row_end, levels, f"{name}_ends", reset)
    buffer = credit_fifo(
        f"{name}_output",
        shape.output_type(finish.output),
        reduce_fifo_depth(shape, finish),
        push=delayed_flag(emit, finish.latency, f"{name}_push", reset),
        data=concat_list(_finished(name, values, group, finish)),
        last=delayed_flag(ends, finish.latency, f"{name}_push_last", reset),
        reserved=select(final, Const(shape.serial_beats), Const(0, shape.serial_beats.bit_length())),
        reset=reset,
    )
    ready = named(~last_step | buffer.room_for(shape.serial_beats), f"{name}_in_ready")
    stream.accept(ready)
    accepted <<= stream.valid & ready
    return buffer.output


def _elements(name: str, stream: Stream, shape: ReduceShape, reduction: Reduction) -> tuple[list[WireVector], int]:
    """The elements of a beat as signed numbers in registers, those of one result reduced; and how late they are."""
    taken = []
    for lane in range(shape.lanes):
        value = stream.lane(lane)
        signed = value if stream.type.element.signed else concat(Const(0, 1), value)
        taken.append(delayed(signed, 1, f"{name}_element{lane}"))
    level = 0
    while shape.inner == 1 and len(taken) > 1:
        pairs = [combined(reduction, *taken[start : start + 2]) for start in range(0, len(taken), 2)]
        taken = [delayed(value, 1, f"{name}_level{level}_{index}") for index, value in enumerate(pairs)]
        level += 1
    return taken, 1 + level


def _partial_results(
    name: str,
    elements: Sequence[WireVector],
    bits: int,
    reduction: Reduction,
    shape: ReduceShape,
    *,
    word: WireVector,
    following: WireVector,
    first: WireVector,
    valid: WireVector,
    fabric: Fabric,
) -> list[WireVector]:
    """The results so far, this beat included; `word` comes a cycle before the rest, `following` is its next value."""
    if shape.words == 1:
        registers = [Register(bits, f"{name}_partial{lane}") for lane in range(len(elements))]
        values = [joined(reduction, *pair, first, bits) for pair in zip(registers, elements, strict=True)]
        for register, value, element in zip(registers, values, elements, strict=True):
            register.next <<= select(valid, kept(reduction, value, element, shape.steps), register)
    else:
        # Read in one cycle, written in the next, so that a word must not come twice in a row: there are two at least.
        # Of three, it can be read a cycle before, and have a cycle to come from a memory that is slow.
        early = fabric.memory_registers > 0 and shape.words > 2
        memory = MemBlock(
            bitwidth=bits * len(elements),
            addrwidth=(shape.words - 1).bit_length(),
            name=f"{name}_partial_memory",
            max_read_ports=1,
            max_write_ports=1,
            asynchronous=early,  # the register behind it makes the read synchronous
        )
        partial = Register(memory.bitwidth, f"{name}_partial")
        partial.next <<= memory[following if early else word]
        ready = delayed(partial, int(early), f"{name}_partial")
        fields = [ready[lane * bits : (lane + 1) * bits] for lane in range(len(elements))]
        values = [joined(reduction, *pair, first, bits) for pair in zip(fields, elements, strict=True)]
        pairs = zip(values, elements, strict=True)
        stored = concat_list([kept(reduction, value, element, shape.steps) for value, element in pairs])
        memory[delayed(word, 1, f"{name}_written_word")] <<= MemBlock.EnabledWrite(stored, enable=valid)
    return [named(value, f"{name}_result{lane}") for lane, value in enumerate(values)]


def _group(name: str, positions: Positions | None, final: WireVector, reset: WireVector) -> WireVector:
    """Which constants the result has whose last beat is taken."""
    if positions is None:
        return Const(0, 1)
    _, pixel_end = wrapping_counter(f"{name}_pixel_beat", positions.beats, final, reset)
    pixel = named(final & pixel_end, f"{name}_pixel_done")
    column, line_end = wrapping_counter(f"{name}_column", len(positions.columns), pixel, reset)
    row, _ = wrapping_counter(f"{name}_row", len(positions.rows), pixel & line_end, reset)
    row_bits = max(1, max(positions.rows).bit_length())
    parts = [by_position(row, positions.rows, row_bits)]
    if positions.column_bits:
        parts.append(by_position(column, positions.columns, positions.column_bits))
    return named(concat(*parts), f"{name}_group")


def _finished(name: str, values: list[WireVector], group: WireVector, finish: Finish) -> list[WireVector]:
    """Rescale, clamp, or neither."""
    if finish.constants is not None:
        return rescale(
            f"{name}_rescale",
            values,
            group,
            finish.constants,
            finish.output,
            in_logic=finish.in_logic,
            fabric=finish.fabric,
        )
    if finish.binary32:
        sums = [delayed(value, 1, f"{name}_sum{lane}") for lane, value in enumerate(values)]
        return [delayed(rounded(value), 1, f"{name}_rounded{lane}") for lane, value in enumerate(sums)]
    if finish.bounds is not None:
        return [
            delayed(clamp(value, finish.bounds, finish.output), 1, f"{name}_clamped{lane}")
            for lane, value in enumerate(values)
        ]
    return [resized(value, finish.output.bits) for value in values]
