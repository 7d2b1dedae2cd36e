"""Nested counters, and registers that follow them by adding: addresses without multipliers or wide comparisons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyrtl
from pyrtl import Const, WireVector, select

from bitloom.hw.registers import constant, follow, named, state, wrapping_counter


@dataclass(frozen=True)
class Loop:
    """One loop of a nest.

    Attributes:
        name: what it counts.
        length: how often it runs, at least once.
    """

    name: str
    length: int


@dataclass(frozen=True, eq=False)
class LoopNest:
    """Nested counters that step together.

    Attributes:
        name: prefix of the signals.
        loops: the innermost first.
        counts: the counter of each loop that is longer than one, by name.
        ends: whether each loop is at its last turn, by name.
        finishes: whether this step is the last one of that loop and of all loops inside it, by name.
        step: the nest advances.
        reset: returns it to its start.
    """

    name: str
    loops: tuple[Loop, ...]
    counts: Mapping[str, WireVector]
    ends: Mapping[str, WireVector]
    finishes: Mapping[str, WireVector]
    step: WireVector
    reset: WireVector

    def walk(
        self,
        name: str,
        strides: Mapping[str, int],
        start: int,
        around: int,
        bits: int,
        outermost: WireVector | None = None,
    ) -> WireVector:
        """A register equal to ``start + sum of stride * count`` over the loops, modulo ``2**bits``.

        ```
          step ends ... ─▶ which loop advances ─▶ one of a few constants ─▶ (+) ─▶ register
        ```

        Args:
            name: of the register.
            strides: how much each loop adds per turn; loops left out add nothing.
            start: its value after reset.
            around: how much the start has moved when the whole nest begins again.
            bits: width of the register.
            outermost: how much the outermost loop adds, where that is no constant; its stride is then its whole way
                from the first turn to the last.
        """
        register = state(name, bits, start % (1 << bits))
        inside = inner = 0  # how far the loops inside have come when they end
        last = self.loops[-1]
        deltas = []
        for loop in self.loops:
            stride = strides.get(loop.name, 0)
            deltas.append(stride - inner)
            inside, inner = inner, inner + stride * (loop.length - 1 if outermost is None or loop is not last else 1)
        delta: WireVector = constant(around - inner, bits)
        for loop, value in reversed(list(zip(self.loops, deltas, strict=True))):
            if loop.length > 1:
                advance: WireVector = constant(value, bits)
                if outermost is not None and loop is last:
                    advance = (outermost + constant(-inside, bits)).truncate(bits)
                delta = select(self.ends[loop.name], delta, advance)
        following = (register + delta).truncate(bits)
        follow(register, select(self.step, following, register), self.reset)
        return register


def loop_nest(
    name: str,
    loops: Sequence[Loop],
    step: WireVector,
    reset: WireVector,
    once: Mapping[str, WireVector] | None = None,
) -> LoopNest:
    """Make the counters of nested loops.

    Args:
        name: prefix of the signals.
        loops: the innermost first.
        step: the nest advances; may be driven later.
        reset: returns it to its start.
        once: loops that run only once while a wire is high; it may change only when such a loop ends.

    >>> import pyrtl
    >>> pyrtl.reset_working_block()
    >>> loops = [Loop("column", 3), Loop("row", 2)]
    >>> nest = loop_nest("at", loops, pyrtl.Input(1, "step"), pyrtl.Input(1, "reset"))
    >>> address = nest.walk("address", {"column": 1, "row": 8}, start=2, around=16, bits=6)
    >>> simulation = pyrtl.Simulation()
    >>> seen = []
    >>> for _ in range(8):
    ...     simulation.step({"step": 1, "reset": 0})
    ...     seen.append(simulation.inspect("address"))
    >>> seen
    [2, 3, 4, 10, 11, 12, 18, 19]
    """
    counts: dict[str, WireVector] = {}
    ends: dict[str, WireVector] = {}
    finishes: dict[str, WireVector] = {}
    finished: WireVector = Const(1, bitwidth=1)
    for loop in loops:
        if loop.length > 1:
            counter = f"{name}_{loop.name}"
            single = (once or {}).get(loop.name, Const(0, bitwidth=1))
            counts[loop.name], end = wrapping_counter(counter, loop.length, step & finished & ~single, reset)
            ends[loop.name] = end | single
            finished = named(finished & ends[loop.name], f"{counter}_finishes")
        else:
            ends[loop.name] = Const(1, bitwidth=1)
        finishes[loop.name] = finished
    return LoopNest(name, tuple(loops), counts, ends, finishes, step, reset)


def by_position(count: WireVector, values: Sequence[int], bits: int) -> WireVector:
    """``values[count]`` where the values seldom change along the way: one comparison for each change.

    >>> import pyrtl
    >>> pyrtl.reset_working_block()
    >>> value = pyrtl.Output(4, "value")
    >>> value <<= by_position(pyrtl.Input(3, "count"), [0, 5, 5, 5, 9], 4)
    >>> simulation = pyrtl.Simulation()
    >>> simulation.step_multiple({"count": [0, 1, 2, 3, 4]})
    >>> simulation.tracer.trace["value"]
    [0, 5, 5, 5, 9]
    """
    changes = [position for position in range(1, len(values)) if values[position] != values[position - 1]]
    chosen: WireVector = constant(values[-1], bits)
    for change in reversed(changes):
        bound = Const(change, bitwidth=count.bitwidth)
        if change == len(values) - 1:
            before = count != bound
        elif change == 1:
            before = count == pyrtl.Const(0, bitwidth=count.bitwidth)
        else:
            before = count < bound
        chosen = select(before, constant(values[change - 1], bits), chosen)
    return chosen
