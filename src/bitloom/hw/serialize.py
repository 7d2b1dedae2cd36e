"""Handing many accumulators on, some per cycle.

```
              done
   sum 0 ──▶ [captured 0] ─┐
   sum 1 ──▶ [captured 1] ─┼─ mux ──▶ value 0      beat 0: sums 0, 1;  beat 1: sums 2, 3;  ...
   sum 2 ──▶ [captured 2] ─┼─ mux ──▶ value 1
   sum 3 ──▶ [captured 3] ─┘
              position, group ──▶ which channels they are
```
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyrtl
from pyrtl import Const, Register, WireVector, select

from bitloom.hw.registers import follow, named, state, wrapping_counter


@dataclass(frozen=True, eq=False)
class Serialized:
    """The wires of one beat of results.

    Attributes:
        values: one wire per lane.
        group: which beat of the row: lane i is channel ``group * lanes + i``.
        emit: the values are there.
        ends: they end the tensor.
    """

    values: list[WireVector]
    group: WireVector
    emit: WireVector
    ends: WireVector


def serialize(
    name: str,
    sums: Sequence[WireVector],
    done: WireVector,
    reset: WireVector,
    *,
    results: int,
    block_beats: int,
    blocks: int,
    rows: int,
) -> Serialized:
    """Hand the sums of each finished fold on, `results` per cycle.

    A row is made of blocks, a block of one fold or of several, of which the last may have fewer results.

    Args:
        name: prefix of the signals.
        sums: the sums of a fold.
        done: they are there, in this cycle only; again after as many cycles as a fold has beats of results, at the
            earliest.
        reset: forgets everything.
        results: sums per beat.
        block_beats: beats of results per block.
        blocks: blocks per row.
        rows: rows per tensor.
    """
    beats = -(-len(sums) // results)
    emit = WireVector(1, f"{name}_emit")
    group, row_end = wrapping_counter(f"{name}_group", block_beats * blocks, emit, reset)
    _, last_row = wrapping_counter(f"{name}_row", rows, emit & row_end, reset)
    if beats == 1:
        emit <<= done
        return Serialized(list(sums), group, emit, row_end & last_row)
    block_end = row_end
    if blocks > 1 and block_beats % beats:
        _, block_end = wrapping_counter(f"{name}_block_beat", block_beats, emit, reset)
    captured = []
    for index, value in enumerate(sums):
        register = Register(value.bitwidth, f"{name}_captured{index}")
        register.next <<= select(done, value, register)
        captured.append(register)
    active = state(f"{name}_serial_active", 1)
    bits = (beats - 1).bit_length()
    position = state(f"{name}_serial", bits)
    emit <<= active
    ends = named(block_end | (position == beats - 1), f"{name}_serial_end")
    follow(active, done | (active & ~ends), reset)
    follow(position, select(done, Const(0, bits), (position + 1).truncate(bits)), reset)
    values = []
    for lane in range(results):
        choices = captured[lane::results]
        values.append(
            pyrtl.mux(position, *choices, default=choices[-1])
            if len(choices) < 1 << bits
            else pyrtl.mux(position, *choices)
        )
    return Serialized(values, group, emit, row_end & last_row)
