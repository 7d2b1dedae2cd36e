"""The skid buffer: a register stage for a ready/valid channel that registers both directions at full throughput."""

from __future__ import annotations

from dataclasses import dataclass

import pyrtl
from pyrtl import Register, WireVector, select

from bitloom.hw.registers import follow, named, state


@dataclass(frozen=True, eq=False)
class SkidBuffer:
    """The wires of a built buffer, all registers.

    Attributes:
        payload: what leaves.
        valid: something leaves.
        ready: the answer to whoever fills the buffer.
    """

    payload: WireVector
    valid: WireVector
    ready: WireVector


def skid_buffer(
    name: str, payload: WireVector, valid: WireVector, ready: WireVector, reset: WireVector | None = None
) -> SkidBuffer:
    """Put two registers into a channel: one that leaves, one for the beat that arrives while leaving is stopped.

    ```
                     ┌───────┐
     payload ──┬────▶│ spare ├──┐     ┌─────┐
               │     └───────┘  ├────▶│ out ├──▶ payload
               └────────────────┘     └─────┘

     cycle           0   1   2   3   4   5   6
     payload in      A   B   C   D   D   D   E
     ready (made)    1   1   1   0   0   1   1        one cycle after the stop: nothing is combinational
     out                 A   B   B   B   C   D
     spare                       C   C                C was taken in cycle 2, when `out` could not leave
     ready (given)   1   1   0   0   1   1   1
    ```

    Args:
        name: prefix of the registers.
        payload: what to carry: data, last and whatever else belongs together.
        valid: the producer offers a beat.
        ready: the consumer takes a beat; may be a wire that is driven later.
        reset: empties the buffer; None leaves that to a reset of all registers at export. After reset `ready` is low
            for one cycle.

    >>> import pyrtl
    >>> pyrtl.reset_working_block()
    >>> buffer = skid_buffer("skid", pyrtl.Input(8, "data"), pyrtl.Input(1, "valid"), pyrtl.Input(1, "ready"))
    >>> simulation = pyrtl.Simulation()
    >>> waiting, seen = [1, 2, 3, 4], []
    >>> for ready in (1, 1, 1, 0, 0, 1, 1, 1, 1):
    ...     simulation.step({"data": (waiting or [0])[0], "valid": int(bool(waiting)), "ready": ready})
    ...     if waiting and simulation.inspect("skid_ready"):
    ...         taken = waiting.pop(0)
    ...     if ready and simulation.inspect("skid_valid"):
    ...         seen.append(simulation.inspect("skid_payload"))
    >>> seen
    [1, 2, 3, 4]
    """
    reset = pyrtl.Const(0, bitwidth=1) if reset is None else reset
    out, spare = Register(len(payload), f"{name}_payload"), Register(len(payload), f"{name}_spare")
    out_valid, spare_valid, in_ready = (state(f"{name}_{part}", 1) for part in ("valid", "spare_valid", "ready"))
    taken = named(valid & in_ready, f"{name}_taken")
    free = named(~out_valid | ready, f"{name}_free")
    keeps = ~free & (spare_valid | taken)
    # A beat is taken only while the spare is empty, so what is in the spare always leaves before what arrives.
    out.next <<= select(free, select(spare_valid, spare, payload), out)
    spare.next <<= select(spare_valid, spare, payload)
    follow(out_valid, ~free | spare_valid | taken, reset)
    follow(spare_valid, keeps, reset)
    follow(in_ready, ~keeps, reset)
    return SkidBuffer(out, out_valid, in_ready)
