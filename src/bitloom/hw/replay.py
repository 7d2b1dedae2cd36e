"""Keeping a vector so that it can be read several times, while the next one arrives."""

from __future__ import annotations

from dataclasses import dataclass

from pyrtl import MemBlock, Register, WireVector, concat, select

from bitloom.hw.registers import follow, named, state, wrapping_counter
from bitloom.hw.stream import Stream


@dataclass(frozen=True, eq=False)
class ReplayedVector:
    """A vector's beats, each vector offered several times.

    Attributes:
        available: the beat to read next has arrived.
        word: the beat read in the previous cycle.
    """

    available: WireVector
    word: WireVector


def replay(name: str, stream: Stream, passes: int, read: WireVector, reset: WireVector) -> ReplayedVector:
    """Two banks of memory: one is read `passes` times, beat after beat, while the other one fills.

    ```
               write bank 1             read bank 0
      in ────▶ [ 0 1 2 . . ]   ───▶   [ 0 1 2 3 4 ]  0 1 2 3 4 0 1 2 3 4 ...
    ```

    The first pass may follow right behind the arriving beats.

    Args:
        name: prefix of the signals.
        stream: vectors are its rows; its `ready` gets driven.
        passes: how often each vector is read.
        read: take the next beat; allowed only while `available`. The word appears a cycle later.
        reset: forgets everything.
    """
    beats = stream.type.row_beats
    bits = max(1, (beats - 1).bit_length())
    memory = MemBlock(
        bitwidth=stream.type.bits, addrwidth=bits + 1, name=f"{name}_memory", max_read_ports=1, max_write_ports=1
    )
    write_bank, read_bank = state(f"{name}_write_bank", 1), state(f"{name}_read_bank", 1)
    full = [state(f"{name}_full{bank}", 1) for bank in (0, 1)]
    write_full = named(select(write_bank, full[1], full[0]), f"{name}_write_full")
    stream.accept(~write_full)
    arrive = named(stream.valid & ~write_full, f"{name}_arrive")
    arriving, arrive_end = wrapping_counter(f"{name}_arriving", beats, arrive, reset)
    memory[concat(write_bank, arriving)] <<= MemBlock.EnabledWrite(stream.data, enable=arrive)
    reading, read_end = wrapping_counter(f"{name}_reading", beats, read, reset)
    _, last_pass = wrapping_counter(f"{name}_pass", passes, read & read_end, reset)
    filled, emptied = arrive & arrive_end, read & read_end & last_pass
    for bank in (0, 1):
        fills = filled & (write_bank == bank)
        empties = emptied & (read_bank == bank)
        follow(full[bank], fills | (full[bank] & ~empties), reset)
    follow(write_bank, write_bank ^ filled, reset)
    follow(read_bank, read_bank ^ emptied, reset)
    behind = (read_bank == write_bank) & (reading < arriving)
    available = named(select(read_bank, full[1], full[0]) | behind, f"{name}_available")
    word = Register(stream.type.bits, f"{name}_word")
    word.next <<= memory[concat(read_bank, reading)]
    return ReplayedVector(available, word)
