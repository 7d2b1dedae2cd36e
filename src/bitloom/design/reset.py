"""The reset of a network: a wave that goes along with the data, from one unit to the next in a cycle.

One register that resets everything would have to reach the whole chip within a cycle. So every unit has one of its
own, beside it, which the one before sets off:

```
   wanted ──▶ [core_reset] ─┬─▶ [node_0_reset] ─┬─▶ [node_1_reset] ─┬─▶ ...
                            ▼                   ▼                   ▼
   ports closed          counters             node 0              node 1

   cycle          0   1   2   3   4   5
   wanted         1   0   0   0   0   0
   core_reset     0   1   0   0   0   0
   node_0_reset   0   0   1   0   0   0
   node_1_reset   0   0   0   1   0   0
   closed         0   1   1   1   1   0
```

A unit is empty from its cycle on, and what gives it its input was emptied before. So nothing reaches it until the ports
open, which they do when the last unit is empty. What the wave has not reached yet goes on for some cycles, unseen.
"""

from __future__ import annotations

from pyrtl import Const, Register, WireVector, select

from bitloom.hw.registers import delayed, named, state


class ResetWave:
    """Makes the resets of units, in the order of the data.

    Attributes:
        front: where the wave begins: resets what only looks at the ports.
        closed: high from the wave's beginning until it has passed; nothing may enter or leave.
    """

    def __init__(self, wanted: WireVector) -> None:
        self.front = named(delayed(wanted, 1, "core_reset_wanted"), "core_reset")
        self.closed: Register = state("core_closed", 1)
        self._wanted, self._last, self._units = wanted, self.front, 0

    def next(self, name: str) -> WireVector:
        """The reset of the next unit, ``{name}_reset``; all that it takes its input from have theirs already."""
        self._last = named(delayed(self._last, 1, f"{name}_reset"), f"{name}_reset")
        self._units += 1
        return self._last

    def finish(self) -> None:
        """Drive `closed`, when every unit has its reset."""
        cycles = self._units + 1
        bits = cycles.bit_length()
        left = state("core_reset_left", bits)
        passing = left != 0
        fewer = select(passing, (left - 1).truncate(bits), Const(0, bits))
        left.next <<= select(self._wanted, Const(cycles, bits), fewer)
        self.closed.next <<= self._wanted | passing
