"""The reset of a network: a wave that goes against the data, from one unit to the one before it in a cycle.

One register that resets everything would have to reach the whole chip within a cycle. So every unit has one of its
own, beside it, which that of the unit behind it sets off:

```
   wanted ──▶ [core_reset] ─┬─▶ [m_axis_reset] ─┬─▶ [node_1_reset] ─┬─▶ [node_0_reset] ─▶ ports open
                            ▼                   ▼                   ▼
                         counters             output             node 1

   cycle          0  1  2  3  4  5  6  7  8  9 10
   wanted         1  0  0  0  0  0  0  0  0  0  0
   core_reset     0  1  1  1  1  1  0  0  0  0  0
   m_axis_reset   0  0  1  1  1  1  1  0  0  0  0
   node_1_reset   0  0  0  1  1  1  1  1  0  0  0
   node_0_reset   0  0  0  0  1  1  1  1  1  0  0
   closed         0  1  1  1  1  1  1  1  1  1  0
```

Each is high for so long that in some cycle all are. A unit that begins by itself, as one with a constant does, begins
when all that takes its beats is ready for them; and nothing enters until the ports open, behind the last.
"""

from __future__ import annotations

from collections.abc import Sequence

from pyrtl import Const, Register, WireVector, select

from bitloom.hw.registers import delayed, named, state


class ResetWave:
    """The resets of units.

    Args:
        wanted: somebody wants a reset.
        units: their names, in the order of the data.

    Attributes:
        front: where the wave begins: resets what only looks at the ports.
        closed: high from the wave's beginning until it has passed; nothing may enter or leave.
    """

    def __init__(self, wanted: WireVector, units: Sequence[str]) -> None:
        # As many as make all resets meet, and as many again until the last one has ended.
        length = len(units) + 2
        total = length + len(units)
        bits = total.bit_length()
        left = state("core_reset_left", bits)
        passing = left != 0
        fewer = select(passing, (left - 1).truncate(bits), Const(0, bits))
        left.next <<= select(wanted, Const(total, bits), fewer)
        self.closed: Register = state("core_closed", 1)
        self.closed.next <<= wanted | passing
        begins = wanted | (left > len(units) + 1)
        self.front = named(delayed(begins, 1, "core_reset_wanted"), "core_reset")
        self._resets, reset = dict[str, WireVector](), self.front
        for name in reversed(units):
            reset = named(delayed(reset, 1, f"{name}_reset"), f"{name}_reset")
            self._resets[name] = reset

    def of(self, unit: str) -> WireVector:
        """The reset of a unit."""
        return self._resets[unit]
