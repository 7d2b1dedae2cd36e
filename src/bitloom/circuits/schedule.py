"""When a circuit can give each beat: what the depths of buffers between circuits follow from.

A `Schedule` says for every beat of a circuit's result how many beats of each operand the circuit must have taken
before. It is a property of the circuit, not of timing: under any stalls a beat cannot leave earlier, and nothing else
but room is needed for it to leave. So it decides, exactly, how much the other branch of a fork must be able to hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bitloom.hw.stream import StreamType

Beats = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Schedule:
    """What each beat of a result waits for.

    Attributes:
        needed: for each stream operand, int64, shape (beats of the result,): beats of the operand, counted from the
            start of the tensor, that must have been taken before the beat can leave. Never decreasing.
        latency: cycles from taking the last needed beat until the result's beat is offered.
        held: beats of each operand that the circuit takes and keeps until the others' have come.
        on_demand: whether it takes a beat only when the next of the result needs it, and lets the others wait.
    """

    needed: tuple[Beats, ...]
    latency: int
    held: int = 0
    on_demand: bool = False


def elementwise(sources: Sequence[StreamType], target: StreamType, latency: int) -> Schedule:
    """Each beat waits for the beats that hold the same elements, by their position in the tensor."""
    last = _last_elements(target)
    return Schedule(tuple(_beats_through(source, last) for source in sources), latency)


def rowwise(source: StreamType, target: StreamType, latency: int) -> Schedule:
    """Each beat of the result's row r waits for the operand's rows 0 to r, of which there are as many."""
    row = np.arange(target.beats, dtype=np.int64) // target.row_beats
    return Schedule(((row + 1) * source.row_beats * source.rows // target.rows,), latency)


def whole_tensor(source: StreamType, target: StreamType, latency: int) -> Schedule:
    """Nothing leaves before everything has come."""
    return Schedule((np.full(target.beats, source.beats, np.int64),), latency)


def converted(needed: Beats, source: StreamType, target: StreamType) -> Beats:
    """The beats of a stream that must have arrived for `needed` beats of what its width is converted to.

    Args:
        needed: beats of `target`; none where a beat of the result waits for nothing.
        source: what arrives.
        target: what it is converted to.
    """
    if source == target:
        return needed
    return at_beats(_beats_through(source, _last_elements(target)), needed)


def at_beats(values: Beats, count: Beats) -> Beats:
    """What stands at the last of so many beats; 0 for none of them.

    >>> at_beats(np.array([5, 6, 7]), np.array([0, 1, 3]))
    array([0, 5, 7])
    """
    return np.concatenate([[0], values])[count]


def _last_elements(stream: StreamType) -> Beats:
    """For each beat the position in the tensor of its last element."""
    row, beat = np.divmod(np.arange(stream.beats, dtype=np.int64), stream.row_beats)
    return row * stream.row + np.minimum((beat + 1) * stream.lanes, stream.row) - 1


def _beats_through(stream: StreamType, elements: Beats) -> Beats:
    """How many beats it takes until elements have come."""
    row, column = np.divmod(elements, stream.row)
    return row * stream.row_beats + column // stream.lanes + 1
