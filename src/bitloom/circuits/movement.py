"""Operators that move elements: their result is their operand at other positions, and one circuit serves them all.

A movement says for each axis of the result along which axis of the operand it runs and at which indices. It is built
from at most two parts, each left out where it would do nothing:

```
  in ─▶ [keep: drop what no index names] ─▶ [reorder: the rest along the path of the result] ─▶ out
```

The first holds nothing (`bitloom.hw.slice`), the second holds frames of the tensor (`bitloom.hw.reorder`): outer axes
that stay in order make frames, an axis along which elements only repeat ends them, and the axes inside are the path.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from pyrtl import WireVector

from bitloom.arith import IntType
from bitloom.circuits.schedule import Beats, Schedule
from bitloom.circuits.streaming import Estimate, Folding, StreamingCircuit, fifo_logic, lane_counts
from bitloom.errors import GraphError
from bitloom.hw.memory import ram_size
from bitloom.hw.reorder import LATENCY as REORDER_LATENCY
from bitloom.hw.reorder import Reordering, reorder
from bitloom.hw.slice import LATENCY as KEEP_LATENCY
from bitloom.hw.slice import Axis, keep
from bitloom.hw.stream import Stream, StreamType

Indices = tuple[int, ...]


@dataclass(frozen=True)
class Movement:
    """``result[i0, i1, ...] = operand[...]``, where axis ``axes[k][0]`` of the operand is at ``axes[k][1][ik]``.

    Attributes:
        shape: of the operand, perhaps cut into more axes than it has.
        axes: for each axis of the result, the operand's axis and its indices; each of the operand's axes once.
    """

    shape: tuple[int, ...]
    axes: tuple[tuple[int, Indices], ...]

    def __post_init__(self) -> None:
        if sorted(axis for axis, _ in self.axes) != list(range(len(self.shape))):
            raise GraphError(f"a movement along axes {[axis for axis, _ in self.axes]} of shape {list(self.shape)}")
        for axis, indices in self.axes:
            if not indices or not 0 <= min(indices) <= max(indices) < self.shape[axis]:
                raise GraphError(f"indices of axis {axis} are none of shape {list(self.shape)}")

    @cached_property
    def kept(self) -> tuple[Axis, ...]:
        """The walk over the operand that keeps what some index names, in as few axes as will do."""
        named = sorted((axis, sorted(set(indices))) for axis, indices in self.axes)
        return merged(Axis(length, chosen) for length, (_, chosen) in zip(self.shape, named, strict=True))

    @cached_property
    def drops(self) -> bool:
        """Whether there is anything to drop."""
        return any(len(axis.chosen) < axis.length for axis in self.kept)

    @cached_property
    def order(self) -> tuple[tuple[int, int, Indices], ...]:
        """For each axis of the result, its stride and size in what was kept, and its indices there.

        Axes of one index are left out, and neighbours that stay together and in order are one.
        """
        sizes = {axis: len(set(indices)) for axis, indices in self.axes}
        strides = {axis: math.prod(sizes[inner] for inner in range(axis + 1, len(self.shape))) for axis in sizes}
        found: list[tuple[int, int, Indices]] = []
        for axis, indices in self.axes:
            position = {index: rank for rank, index in enumerate(sorted(set(indices)))}
            ranks = tuple(position[index] for index in indices)
            if len(ranks) == 1:
                continue
            stride, size = strides[axis], sizes[axis]
            if found and found[-1][0] == stride * size and _in_order(found[-1]) and ranks == tuple(range(size)):
                outer = found.pop()[1]
                size, ranks = size * outer, tuple(range(size * outer))
            found.append((stride, size, ranks))
        return tuple(found)

    @cached_property
    def reorders(self) -> bool:
        """Whether anything changes its place among what is kept, or is repeated."""
        return not (not self.order or (len(self.order) == 1 and _in_order(self.order[0])))

    @cached_property
    def run(self) -> int:
        """Elements that always move together: lanes divide them."""
        run = together(self.kept)
        if self.reorders:
            stride, size, _ = self.order[-1]
            run = math.gcd(run, size if stride == 1 and _in_order(self.order[-1]) else 1)
        return run

    def keep_axes(self, lanes: int) -> tuple[Axis, ...]:
        """The walk in beats."""
        return in_beats(self.kept, lanes)

    def reordering(self, lanes: int) -> Reordering:
        """The path in beats."""
        size = math.prod(len(axis.chosen) for axis in self.kept)
        waiting = list(self.order)
        repeats: tuple[int, ...] = (1,)
        if waiting[0][0] * waiting[0][1] == size and _in_order(waiting[0]):
            size = waiting.pop(0)[0]
        stride, length, ranks = waiting[0]
        if stride * length == size and list(ranks) == sorted(ranks) and stride % lanes == 0:
            size = stride
            repeats = tuple(np.bincount(ranks).tolist())
            waiting.pop(0)
        path = [tuple(rank * axis_stride for rank in indices) for axis_stride, _, indices in waiting]
        beats = [tuple(offset // lanes for offset in offsets) for offsets in path]
        if lanes > 1 and waiting:
            stride, length, _ = waiting[-1]
            beats[-1] = tuple(range(length * stride // lanes))
        return Reordering(size // lanes, tuple(beats) or ((0,),), repeats)


def _in_order(axis: tuple[int, int, Indices]) -> bool:
    return axis[2] == tuple(range(axis[1]))


def _contiguous(axis: Axis) -> bool:
    return axis.chosen[-1] - axis.chosen[0] + 1 == len(axis.chosen)


def merged(axes: Iterable[Axis]) -> tuple[Axis, ...]:
    """The same walk in as few axes as will do: those taken whole become part of the one around them."""
    found: list[Axis] = []
    for axis in reversed(tuple(axes)):
        if axis.length == 1:
            continue
        chosen = range(axis.chosen[0], axis.chosen[-1] + 1) if _contiguous(axis) else axis.chosen
        if found and len(found[-1].chosen) == found[-1].length and _contiguous(axis):
            inner = found.pop().length
            found.append(Axis(axis.length * inner, range(chosen[0] * inner, (chosen[-1] + 1) * inner)))
        else:
            found.append(Axis(axis.length, chosen))
    return tuple(reversed(found))


def together(axes: Sequence[Axis]) -> int:
    """Elements along the innermost axis of a merged walk that are always chosen together or not at all."""
    if not axes:
        return 1
    return math.gcd(axes[-1].length, axes[-1].chosen[0], len(axes[-1].chosen)) if _contiguous(axes[-1]) else 1


def in_beats(axes: Sequence[Axis], lanes: int) -> tuple[Axis, ...]:
    """A merged walk in beats of so many elements, a divisor of `together`."""
    if lanes == 1:
        return tuple(axes)
    inner = axes[-1]
    chosen = range(inner.chosen[0] // lanes, (inner.chosen[-1] + 1) // lanes)
    return (*axes[:-1], Axis(inner.length // lanes, chosen))


def chosen_beats(axes: Sequence[Axis]) -> Beats:
    """Positions of the chosen beats of a walk, ascending."""
    positions = np.zeros(1, np.int64)
    for axis in axes:
        positions = (positions[:, None] * axis.length + np.array(axis.chosen, np.int64)[None]).reshape(-1)
    return positions


def lane_foldings(run: int) -> Iterable[Folding]:
    """A folding for each divisor of a run of elements that move together; one element a cycle if there is no run."""
    for lanes in lane_counts(run):
        yield Folding(pe=lanes, simd=lanes, results=lanes)


def dense_stream(element: IntType, shape: Sequence[int], lanes: int) -> StreamType:
    """A tensor in full beats: rows of its last axis, or one row where beats cross their ends."""
    size = math.prod(shape)
    row = shape[-1] if shape and shape[-1] % lanes == 0 else size
    return StreamType(element, row, size // row, lanes)


def walk_logic(axes: Sequence[Axis]) -> int:
    """Look-up tables of the counters of a walk and of the comparisons with them, as synthesis makes them."""
    bits = [(axis.length - 1).bit_length() for axis in axes if axis.length > 1]
    return sum(width + 2 for width in bits)


def path_logic(order: Reordering) -> int:
    """Look-up tables of the address along a path, its counters and memories of differences, as synthesis makes them."""
    address = (order.frame - 1).bit_length()
    logic = 2 * address + 10
    for axis in order.path:
        uneven = len({high - low for low, high in itertools.pairwise(axis)}) > 1
        logic += (len(axis) - 1).bit_length() + 2 + uneven * address * -(-len(axis) // 64)
    if max(order.repeats) > 1:
        logic += 2 * (max(order.repeats) - 1).bit_length() + 2
    if len(set(order.repeats)) > 1:
        logic += (len(order.repeats) - 1).bit_length() + 2 * -(-len(order.repeats) // 64)
    return logic


@dataclass(frozen=True)
class MovementCircuit(StreamingCircuit):
    """Dropping and reordering.

    Attributes:
        element: what moves.
        given: shape of the operand.
        made: shape of the result.
        movement: from one to the other.
    """

    element: IntType
    given: tuple[int, ...]
    made: tuple[int, ...]
    movement: Movement

    def foldings(self) -> Iterable[Folding]:
        """Lanes that divide the run of elements that move together; a transposed last axis has none but one."""
        return lane_foldings(self.movement.run)

    def estimate(self, folding: Folding) -> Estimate:
        """Exact cycles, but an upper bound where something is both dropped and reordered in uneven frames."""
        bits = folding.simd * self.element.bits
        logic = blocks = 0
        if self.movement.drops:
            logic += walk_logic(self.movement.keep_axes(folding.simd)) + fifo_logic(bits)
        if self.movement.reorders:
            order = self.movement.reordering(folding.simd)
            address = (order.frame - 1).bit_length()
            blocks, tables = ram_size(2 << address, bits, folding.fabric)
            logic += tables + fifo_logic(bits) + path_logic(order)
        return Estimate(cycles=self._cycles(folding.simd), ram_blocks=blocks, logic=logic)

    def _cycles(self, lanes: int) -> int:
        beats = math.prod(self.given) // lanes
        if not self.movement.reorders:
            return beats
        order = self.movement.reordering(lanes)
        if not self.movement.drops:
            return order.steady_cycles(beats // order.frame)
        taken = chosen_beats(self.movement.keep_axes(lanes)).reshape(-1, order.frame)
        walks = np.diff(taken[:, -1], prepend=taken[-1, -1] - beats)
        arrivals = list(zip(walks.tolist(), (taken[:, -1] - taken[:, 0] + 1).tolist(), strict=True))
        return max(beats, order.steady_cycles(len(taken), arrivals))

    def input_types(self, folding: Folding) -> tuple[StreamType, ...]:
        """Rows of the operand's last axis."""
        return (dense_stream(self.element, self.given, folding.simd),)

    def output_type(self, folding: Folding) -> StreamType:
        """Rows of the result's last axis."""
        return dense_stream(self.element, self.made, folding.simd)

    def schedule(self, folding: Folding) -> Schedule:
        """A kept beat waits for itself, a reordered one for its whole frame."""
        latency = 0
        needed = np.arange(1, math.prod(self.made) // folding.simd + 1, dtype=np.int64)
        if self.movement.reorders:
            order = self.movement.reordering(folding.simd)
            passes = order.path_beats * np.array(order.repeats, np.int64)
            frames = np.repeat(np.arange(1, len(passes) + 1), passes)
            turn, position = np.divmod(needed - 1, passes.sum())
            needed = (turn * len(passes) + frames[position]) * order.frame
            latency += REORDER_LATENCY
        if self.movement.drops:
            needed = chosen_beats(self.movement.keep_axes(folding.simd))[needed - 1] + 1
            latency += KEEP_LATENCY
        return Schedule((needed,), latency)

    def build(self, name: str, folding: Folding, streams: Sequence[Stream], reset: WireVector) -> Stream:
        """See `bitloom.hw.slice.keep` and `bitloom.hw.reorder.reorder`."""
        stream, made = streams[0], self.output_type(folding)
        if self.movement.drops:
            axes = self.movement.keep_axes(folding.simd)
            kept = made
            if self.movement.reorders:
                size = math.prod(len(axis.chosen) for axis in axes) * folding.simd
                kept = StreamType(self.element, size, 1, folding.simd)
            stream = keep(f"{name}_keep", stream, axes, kept, reset)
        if self.movement.reorders:
            stream = reorder(f"{name}_reorder", stream, self.movement.reordering(folding.simd), made, reset)
        return replace(stream, type=made)
