"""How operands that are smaller than the result come as streams: repeated by a memory, or held.

The axes of a result fall into groups, along which an operand either has elements of its own or repeats what it has:

```
   operand (2, 1, 4, 1) in a result of (2, 3, 4, 5)

      2 own | 3 repeated | 4 own | 5 repeated
      frames   a path through each frame     each element held for 5 elements
```

The first own group cuts the operand into frames, which `bitloom.hw.reorder` reads along a path as often as needed. A
last repeated group needs no memory, because the same element goes on being offered. Where the last group is the
operand's own, elements come some at a time, and rows of the result must not be longer than the group.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from pyrtl import WireVector

from bitloom.arith import IntType
from bitloom.circuits.schedule import Beats
from bitloom.hw.join import hold
from bitloom.hw.reorder import LATENCY as REORDER_LATENCY
from bitloom.hw.reorder import Reordering, reorder
from bitloom.hw.stream import Stream, StreamType


@dataclass(frozen=True)
class Broadcast:
    """An operand and the result it is broadcast to.

    Attributes:
        element: the operand's type.
        shape: of the operand.
        result: the result's shape.
    """

    element: IntType
    shape: tuple[int, ...]
    result: tuple[int, ...]

    @cached_property
    def groups(self) -> tuple[tuple[bool, int], ...]:
        """Whether the axes are the operand's own, and how many positions they have, the outermost first."""
        padded = (1,) * (len(self.result) - len(self.shape)) + self.shape
        axes = [(own == length, length) for own, length in zip(padded, self.result, strict=True) if length > 1]
        return tuple(
            (own, math.prod(length for _, length in group))
            for own, group in itertools.groupby(axes, key=lambda axis: axis[0])
        )

    @property
    def is_whole(self) -> bool:
        """Whether nothing is repeated."""
        return all(own for own, _ in self.groups)

    @property
    def inner(self) -> int:
        """Elements of the last group: the length of a row divides it."""
        return self.groups[-1][1] if self.groups else 1

    @property
    def is_held(self) -> bool:
        """Whether the last group repeats elements."""
        return bool(self.groups) and not self.groups[-1][0]

    @property
    def _inside(self) -> tuple[tuple[bool, int], ...]:
        """The groups along which frames are read: without the first own one and the last repeated one."""
        groups = self.groups[:-1] if self.is_held else self.groups
        return groups[1:] if groups and groups[0][0] else groups

    @property
    def frame(self) -> int:
        """Elements of a frame."""
        return math.prod(length for own, length in self._inside if own)

    @property
    def is_reordered(self) -> bool:
        """Whether frames are read from a memory."""
        return any(not own for own, _ in self._inside)

    def given(self, result: StreamType) -> StreamType:
        """What comes in, for a result of a type."""
        size = math.prod(self.shape)
        if self.is_held:
            return StreamType(self.element, 1, size)
        return StreamType(self.element, result.row, size // result.row, result.lanes)

    def order(self, result: StreamType) -> Reordering:
        """How frames are read."""
        row, beats = (1, 1) if self.is_held else (result.row, result.row_beats)
        groups, stride, path = list(self._inside), 1, []
        for position, (own, length) in reversed(list(enumerate(groups))):
            innermost = position == len(groups) - 1
            count = length // row * beats if innermost else length
            path.append(tuple(stride * index if own else 0 for index in range(count)))
            stride *= count if own else 1
        repeats = len(path.pop())  # The outermost of a frame's groups repeats.
        return Reordering(stride, tuple(reversed(path)), (repeats,))

    def held_beats(self, result: StreamType) -> int:
        """For how many beats each element is held."""
        return self.inner // result.row * result.row_beats

    def needed(self, result: StreamType) -> Beats:
        """Beats that must have come for each beat of the result; whole frames where those are read from a memory."""
        own = np.arange(math.prod(self.shape), dtype=np.int64).reshape(self.shape)
        rows = np.broadcast_to(own, self.result).reshape(result.rows, result.row)
        starts = np.arange(0, result.row, result.lanes)
        last = np.maximum.accumulate(np.maximum.reduceat(rows, starts, axis=1).reshape(-1))
        if self.is_reordered:
            last = (last // self.frame + 1) * self.frame - 1
        given = self.given(result)
        row, column = np.divmod(last, given.row)
        needed: Beats = row * given.row_beats + column // given.lanes + 1
        return needed

    @property
    def latency(self) -> int:
        """Cycles that the repetition takes."""
        return REORDER_LATENCY if self.is_reordered else 0

    def memory(self, result: StreamType) -> tuple[int, int]:
        """Words and width of the memory."""
        if not self.is_reordered:
            return 0, 0
        return 2 * self.order(result).frame, self.given(result).bits

    def build(self, name: str, stream: Stream, result: StreamType, reset: WireVector) -> Stream:
        """The operand with as many beats as the result.

        Args:
            name: prefix of the signals.
            stream: as `given` says; its `ready` gets driven.
            result: of the type that the result will have.
            reset: forgets everything.
        """
        if self.is_reordered:
            order = self.order(result)
            beats = order.path_beats * order.repeats[0] * stream.type.beats // order.frame
            lanes = stream.type.lanes
            stream = reorder(f"{name}_repeat", stream, order, StreamType(self.element, lanes, beats, lanes), reset)
        if self.is_held:
            made = StreamType(self.element, result.row, result.rows, result.lanes)
            stream = hold(name, stream, made, self.held_beats(result), reset)
        return stream
