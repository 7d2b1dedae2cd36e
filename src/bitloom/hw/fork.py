"""One stream to several consumers."""

from __future__ import annotations

from pyrtl import WireVector

from bitloom.hw.registers import follow, named, state
from bitloom.hw.stream import Stream


def fork(name: str, stream: Stream, branches: int, reset: WireVector) -> list[Stream]:
    """Offer every beat to each of several consumers; each takes it when it can.

    ```
                   ┌─▶ branch 0   [taken 0]
       in ─────────┼─▶ branch 1   [taken 1]      in is ready when all branches have taken the beat
                   └─▶ branch 2   [taken 2]
    ```

    A flag per branch remembers that it has taken the current beat, so no branch waits for another to become ready.

    Args:
        name: prefix of the signals.
        stream: what comes in; its `ready` gets driven.
        branches: how many consumers.
        reset: forgets who has taken what.

    Returns:
        One stream per branch.
    """
    if branches == 1:
        return [stream]
    outputs, served = [], []
    for branch in range(branches):
        output = Stream.declare(f"{name}_{branch}", stream.type)
        taken = state(f"{name}_{branch}_taken", 1)
        output.drive(stream.data, stream.valid & ~taken, stream.last)
        done = named(taken | output.ready, f"{name}_{branch}_done")
        outputs.append(output)
        served.append((taken, done))
    everyone = served[0][1]
    for _, done in served[1:]:
        everyone = everyone & done
    everyone = named(everyone, f"{name}_all_done")
    stream.accept(everyone)
    for taken, done in served:
        follow(taken, stream.valid & done & ~everyone, reset)
    return outputs
