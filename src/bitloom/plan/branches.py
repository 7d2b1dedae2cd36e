"""How much the branches of a fork must hold so that they can join again.

```
            ┌─▶ circuit (needs the beats of some rows before it gives one) ─▶┐
  x ─ fork ─┤                                                               join ─▶
            └─▶ [FIFO] ───────────────────────────────────────────────────▶─┘
```

The join takes a beat of each branch at a time. Before its beat k comes out of the upper branch, the circuits there
must have taken some number N of beats of x, and the fork hands out a beat only when every branch takes it; so all but
the last of N must have entered the FIFO, of which k have left: a FIFO that holds the largest such difference cannot
block, and one that holds less blocks under any timing (a network of circuits that wait for data and for room, and
look at nothing else, blocks always or never: Kahn, "The semantics of a simple language for parallel programming",
1974; Parks, "Bounded scheduling of process networks", 1995). That is the `least` depth. It is counted from the
schedules of the circuits, for any wiring: for each value, how many beats of each input of the network it takes.

To keep every circuit busy a FIFO must also hold what arrives while the other branch computes; `depth` adds that, from
the times at which beats leave the circuits when inputs come evenly spread over the interval.
"""

from __future__ import annotations

import numpy as np

from bitloom.hw.width import collects
from bitloom.ops.schedule import Beats, at_beats, converted
from bitloom.plan.flow import Arrival, Flow, Step
from bitloom.plan.plan import Branch

# Beats by which timing inside circuits can differ from the even spread assumed here.
_MARGIN = 4


def find_branches(steps: tuple[Step, ...], interval: int) -> tuple[Branch, ...]:
    """The FIFOs in front of every circuit that takes several streams.

    Args:
        steps: every circuit at work.
        interval: cycles between inferences.
    """
    return tuple(branch for step in steps if len(step.arrivals) > 1 for branch in _joined(step, interval))


def _joined(step: Step, interval: int) -> list[Branch]:
    """The FIFO in front of each operand of a join."""
    found = []
    for position, arrival in enumerate(step.arrivals):
        least = _least(arrival, step.result)
        depth = max(_most_waiting(step, arrival, interval), least)
        if depth > 0:
            depth += _MARGIN
        found.append(Branch(step.node.name, position, arrival.value, arrival.type, depth, least))
    return found


def _least(arrival: Arrival, result: Flow) -> int:
    """The depth without which some beat of the result could never come."""
    flow = arrival.flow
    moved = np.maximum(_given(flow, result) - flow.forked, 0)
    # Beats in front of the join, the one included that collects narrower ones into a wider: it holds as many itself.
    waiting = converted(moved, arrival.type, flow.type) - np.concatenate([[0], arrival.needed[:-1]])
    return max(int(waiting.max()) - collects(flow.type, arrival.type), 0)


def _given(flow: Flow, result: Flow) -> Beats:
    """Beats that a branch can have given when just as much input has come as each beat of the result needs."""
    counts = [np.searchsorted(beats, result.needed[name], side="right") for name, beats in flow.needed.items()]
    return np.minimum.reduce(counts).astype(np.int64)


def _most_waiting(step: Step, arrival: Arrival, interval: int) -> int:
    """The most beats that have been offered and not yet taken, inferences following each other at the interval.

    Nothing waits that the join takes in the very cycle in which it is offered.
    """
    count = np.arange(1, arrival.type.beats + 1)
    coming = at_beats(arrival.flow.times, converted(count, arrival.flow.type, arrival.type))
    taking = step.result.times - step.latency
    leaving = taking[np.minimum(np.searchsorted(arrival.needed, count), len(taking) - 1)]
    if (leaving <= coming).all():
        return 0
    waiting = np.zeros(len(coming), np.int64)
    for shift in range(-int((leaving[-1] - coming[0]) // interval) - 1, 2):
        waiting += np.searchsorted(coming + shift * interval, coming, side="right")
        waiting -= np.searchsorted(leaving + shift * interval, coming, side="left")
    return int(waiting.max())
