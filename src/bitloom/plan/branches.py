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
schedules of the circuits, for any wiring: for each value, how many beats of each forked value before it it takes.

To keep every circuit busy a FIFO must also hold what arrives while the other branch computes; `depth` adds that, from
the times at which beats leave the circuits when inputs come evenly spread over the interval.
"""

from __future__ import annotations

import numpy as np

from bitloom.circuits.schedule import at_beats, converted
from bitloom.hw.width import collects
from bitloom.plan.flow import Arrival, Step
from bitloom.plan.plan import Branch

# Beats by which timing inside circuits can differ from the even spread assumed here.
_MARGIN = 4


def find_branches(steps: tuple[Step, ...], interval: int) -> tuple[Branch, ...]:
    """The FIFOs in front of every circuit that takes several streams, or lets its only one wait.

    Args:
        steps: every circuit at work.
        interval: cycles between inferences.
    """
    found = (_alone(step, interval) if len(step.arrivals) == 1 else _joined(step, interval) for step in steps)
    return tuple(branch for branches in found for branch in branches)


def _alone(step: Step, interval: int) -> list[Branch]:
    """The FIFO in front of what waits for no other stream, but takes its own unevenly: it keeps up the speed only."""
    arrival = step.arrivals[0]
    depth = _most_waiting(step, arrival, interval) if step.on_demand else 0
    return [Branch(step.node.name, 0, arrival.value, arrival.type, depth + _MARGIN, 0)] if depth else []


def _joined(step: Step, interval: int) -> list[Branch]:
    """The FIFO in front of each operand of a join."""
    found = []
    for position, arrival in enumerate(step.arrivals):
        least = _least(arrival, step)
        depth = max(_most_waiting(step, arrival, interval), least)
        if depth > 0:
            depth += _MARGIN
        found.append(Branch(step.node.name, position, arrival.value, arrival.type, depth, least))
    return found


def _least(arrival: Arrival, step: Step) -> int:
    """The depth without which some beat of the result could never come.

    Beats that must leave a fork for the sake of the other branches, and that this branch has no use for yet, must find
    room in it: all of those that its circuits make of them, and that the join does not take yet.
    """
    flow, result = arrival.flow, step.result
    gone = np.concatenate([[0], arrival.needed[:-1]])
    most = 0
    for fork, own in flow.needed.items():
        # The last of the beats that the others need is offered to them while this branch may still refuse it.
        left = {name: count - (name == fork) for name, count in result.needed.items()}
        made = np.minimum.reduce([np.searchsorted(flow.needed[name], left[name], side="right") for name in flow.needed])
        # Some are held by the join itself, and one by what collects narrower beats into it.
        held = step.held + collects(flow.type, arrival.type)
        waiting = converted(made, arrival.type, flow.type) - gone - held
        most = max(most, int(waiting[left[fork] >= at_beats(own, arrival.taken)].max(initial=0)))
    return most


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
