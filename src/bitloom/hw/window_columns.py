"""Windows by whole columns of taps: the image's rows spread over banks, so that a column is read in one cycle.

```
                       row 0 ─▶ bank 0 ─┐
  in ── row by row ──▶ row 1 ─▶ bank 1 ─┼─▶ turn, so that the top tap comes first ──▶ pad ──▶ column of taps
                       row 2 ─▶ bank 2 ─┘
                       row 3 ─▶ bank 0
```

A kernel of three rows has three banks, and any three rows one below the other are in three of them. Taps that are
`dilation` rows apart are so too when each bank gets that many rows in a row. Banks in front of the one with the top tap
are read one turn further on.

With all taps of the kernel a beat, the columns pass along the places of a window:

```
  column of taps ──┬─▶ [place 1] ──┬─▶ [place 0]
                   ▼               ▼           ▼
                 kx=2            kx=1        kx=0      one window, complete when its last column is there
```

A place is a register, or a small memory with a word for each of a pixel's words. Each output row starts anew with
its first window's columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyrtl
from pyrtl import Const, MemBlock, Register, WireVector, concat_list, select

from bitloom.hw.loop_nest import LoopNest, by_position, loop_nest
from bitloom.hw.registers import connect, constant, follow, named, state, wrapping_counter
from bitloom.hw.stream import Stream
from bitloom.hw.window_control import arrived, index_bits, input_side, inside, loops
from bitloom.hw.window_shape import Taps, WindowShape


@dataclass(frozen=True, eq=False)
class _Columns:
    """Columns of taps behind the banks, and what has come along with them.

    Attributes:
        taps: the taps from the top, padded.
        present: a column has been read.
        last: it is the image's last one.
        flags: what else was known when it was read.
        move: the next stage takes it; to be driven.
    """

    taps: list[WireVector]
    present: WireVector
    last: WireVector
    flags: list[WireVector]
    move: WireVector


def column_window(name: str, stream: Stream, shape: WindowShape, padding_value: int, reset: WireVector) -> Stream:
    """A kernel column's taps a beat; see `bitloom.hw.window.window`."""
    step = WireVector(1, f"{name}_step")
    nest = loop_nest(f"{name}_at", loops(shape), step, reset)
    columns = _read(name, stream, shape, padding_value, nest, [])
    output = Stream.declare(f"{name}_out", shape.output_type(stream.type.element))
    valid, last = state(f"{name}_valid", 1), state(f"{name}_last", 1)
    connect(columns.move, ~valid | output.ready)
    follow(valid, select(columns.move, columns.present, valid), reset)
    follow(last, select(columns.move, columns.last, last), reset)
    output.drive(_held(f"{name}_data", concat_list(columns.taps), columns.move), valid, last)
    return output


def whole_window(name: str, stream: Stream, shape: WindowShape, padding_value: int, reset: WireVector) -> Stream:
    """All taps a beat; see `bitloom.hw.window.window`."""
    step, completes = WireVector(1, f"{name}_step"), WireVector(1, f"{name}_completes")
    nest = loop_nest(f"{name}_at", loops(shape), step, reset, once={"repeat": ~completes})
    _completing(name, shape, nest, completes)
    moves_on = named(nest.ends["repeat"], f"{name}_moves_on")
    columns = _read(name, stream, shape, padding_value, nest, [completes, moves_on])
    output = Stream.declare(f"{name}_out", shape.output_type(stream.type.element))
    held, valid, last, on = (state(f"{name}_{flag}", 1) for flag in ("present", "valid", "last", "on"))
    connect(columns.move, ~valid | output.ready)
    for flag, value in (
        (held, columns.present),
        (valid, columns.present & columns.flags[0]),
        (last, columns.last),
        (on, columns.flags[1]),
    ):
        follow(flag, select(columns.move, value, flag), reset)
    newest = _held(f"{name}_column", concat_list(columns.taps), columns.move)
    shift = named(held & on & columns.move, f"{name}_shift")
    places = _places(name, shape, newest, named(held & columns.move, f"{name}_leaves"), shift, nest)
    bits = stream.type.bits
    rows = [[place[tap * bits : (tap + 1) * bits] for place in places] for tap in range(shape.kernel[0])]
    output.drive(concat_list([tap for row in rows for tap in row]), valid, last)
    return output


def _completing(name: str, shape: WindowShape, nest: LoopNest, completes: WireVector) -> None:
    """Count the columns that are still missing before the next window is complete."""
    first, between = shape.span[1] - 1, shape.stride[1] - 1
    bits = max(1, max(first, between).bit_length())
    missing = state(f"{name}_missing", bits, first)
    completes <<= missing == 0
    following = select(completes, constant(between, bits), (missing - 1).truncate(bits))
    following = select(nest.finishes["x"], constant(first, bits), following)
    inner = nest.finishes["block"]
    follow(missing, select(nest.step & inner, following, missing), nest.reset)


def _places(
    name: str, shape: WindowShape, newest: WireVector, leaves: WireVector, shift: WireVector, nest: LoopNest
) -> list[WireVector]:
    """The columns of the window, the oldest first; those between dilated taps are only passed along."""
    columns = [newest]
    address: WireVector | None = None
    if shape.pixel_words > 1:
        address = _word_of_pixel(name, shape, leaves, shift, nest)
    for place in range(shape.span[1] - 2, -1, -1):
        if address is None:
            register = Register(newest.bitwidth, f"{name}_place{place}")
            register.next <<= select(shift, columns[0], register)
            columns.insert(0, register)
        else:
            memory = MemBlock(newest.bitwidth, address.bitwidth, f"{name}_place{place}", asynchronous=True)
            memory[address] <<= MemBlock.EnabledWrite(columns[0], enable=shift)
            read = WireVector(newest.bitwidth, f"{name}_place{place}_word")
            read <<= memory[address]
            columns.insert(0, read)
    return columns[:: shape.dilation[1]]


def _word_of_pixel(name: str, shape: WindowShape, leaves: WireVector, shift: WireVector, nest: LoopNest) -> WireVector:
    """Which word of its pixel the newest column is: words of a block, repeated, then the next block's."""
    bits = (shape.pixel_words - 1).bit_length()
    if shape.repeats == 1 or shape.block_words == 1:
        word, _ = wrapping_counter(f"{name}_place_word", shape.pixel_words, shift, nest.reset)
        return word
    word, end = wrapping_counter(f"{name}_place_word", shape.block_words, leaves, nest.reset)
    if shape.blocks == 1:
        return word
    base, last = state(f"{name}_place_block", bits), shape.channels // shape.lanes - shape.block_words
    following = select(base == last, Const(0, bitwidth=bits), (base + shape.block_words).truncate(bits))
    follow(base, select(shift & end, following, base), nest.reset)
    return named((base + word).truncate(bits), f"{name}_place_address")


def _held(name: str, value: WireVector, move: WireVector) -> WireVector:
    """A register that follows `value` while `move` is high."""
    register = Register(len(value), name)
    register.next <<= select(move, value, register)
    return register


def _read(
    name: str,
    stream: Stream,
    shape: WindowShape,
    padding_value: int,
    nest: LoopNest,
    along: Sequence[WireVector],
) -> _Columns:
    """Store the rows and read columns of taps, in the order of the nest; drives the nest's step."""
    reset = nest.reset
    move, free = WireVector(1, f"{name}_move"), WireVector(1, f"{name}_free")
    index, within, written = _needed_word(name, shape, nest)
    push = input_side(name, stream, shape, nest, written, reset)
    memories = _write(name, stream, shape, push, reset)
    has_column = inside(nest, "x", shape)
    has_rows = [_by_row(nest, shape.tap_rows[:, tap], shape.height) for tap in range(shape.kernel[0])]
    offered = named(arrived(name, shape, index, written) | ~(has_column & within), f"{name}_offered")
    words, turn = _read_banks(name, shape, nest, memories, free)
    flags = [offered, nest.finishes["y"], *along, *(~(has_column & row) for row in has_rows)]
    # Block memories answer late in the cycle: their words go into registers before anything is made of them.
    takes = WireVector(1, f"{name}_takes")
    behind = _stage(f"{name}_read", flags, free, reset)
    stage = _stage(f"{name}_taken", behind, takes, reset)
    free <<= ~behind[0] | takes
    takes <<= ~stage[0] | move
    connect(nest.step, offered & free)
    taken = [_held(f"{name}_taken{index}", word, takes) for index, word in enumerate(words)]
    turn = _held(f"{name}_taken_turn", turn, takes)
    pad = concat_list([constant(padding_value, stream.type.element.bits)] * shape.lanes)
    taps = []
    for tap, padded in enumerate(stage[-shape.kernel[0] :]):
        turned = _choose(turn, [taken[(start + tap) % shape.banks] for start in range(shape.banks)])
        taps.append(select(padded, pad, turned))
    return _Columns(taps, stage[0], stage[1], stage[2 : 2 + len(along)], move)


def _stage(name: str, flags: Sequence[WireVector], free: WireVector, reset: WireVector) -> list[WireVector]:
    """Registers that take the flags while `free` is high."""
    registers = [state(f"{name}_flag{index}", 1) for index in range(len(flags))]
    for register, flag in zip(registers, flags, strict=True):
        follow(register, select(free, flag, register), reset)
    return registers


def _by_row(nest: LoopNest, rows: npt.NDArray[np.int64], height: int) -> WireVector:
    """Whether a row of the image, one for each output row, is inside of it."""
    return _table_of_rows(nest, ((rows >= 0) & (rows < height)).astype(int).tolist(), 1)


def _table_of_rows(nest: LoopNest, values: Sequence[int], bits: int) -> WireVector:
    return by_position(nest.counts["y"], values, bits) if "y" in nest.counts else constant(values[0], bits)


def _needed_word(name: str, shape: WindowShape, nest: LoopNest) -> tuple[WireVector, WireVector, Register]:
    """The word that a read waits for, whether it has a row to wait for, and the write count."""
    bits = index_bits(shape)
    rows, down = shape.need_rows, shape.row_words
    advances = _table_of_rows(nest, [*(np.diff(rows) * down).tolist(), 0][: max(1, len(rows))], bits)
    index = nest.walk(
        f"{name}_index",
        {**_across(shape), "y": int(rows[-1] - rows[0]) * down},
        start=int(rows[0]) * down + int(shape.read_columns[0, 0]) * shape.pixel_words,
        around=shape.image_words,
        bits=bits,
        outermost=advances,
    )
    waits = (rows >= 0) & (shape.first_rows < shape.height)
    return index, _table_of_rows(nest, waits.astype(int).tolist(), 1), state(f"{name}_written", bits)


def _across(shape: WindowShape) -> dict[str, int]:
    """By how many words the loops within a row advance."""
    across = shape.pixel_words
    x = across if shape.taps is Taps.ALL else across * shape.stride[1]
    return {"word": 1, "kx": across * shape.dilation[1], "block": shape.block_words, "x": x}


def _write(name: str, stream: Stream, shape: WindowShape, push: WireVector, reset: WireVector) -> list[MemBlock]:
    """The banks, written row by row in turn; every image begins in the first bank."""
    bits, banks, rows = (shape.depth - 1).bit_length(), shape.banks, shape.bank_rows
    _, row_end = wrapping_counter(f"{name}_row_word", shape.row_words, push, reset)
    row_done = named(push & row_end, f"{name}_row_done")
    _, image_end = wrapping_counter(f"{name}_row", shape.height, row_done, reset)
    image_done = named(row_done & image_end, f"{name}_image_done")
    address, bank = (
        state(f"{name}_address", bits),
        [state(f"{name}_bank{index}", 1, int(index == 0)) for index in range(banks)],
    )
    phase_bits = max(1, (rows - 1).bit_length())
    phase = state(f"{name}_bank_row", phase_bits)
    phase_end = phase == rows - 1
    next_phase = select(phase_end | image_done, Const(0, bitwidth=phase_bits), (phase + 1).truncate(phase_bits))
    follow(phase, select(row_done, next_phase, phase), reset)
    turn = row_done & phase_end
    for index, register in enumerate(bank):
        turned = select(turn, bank[index - 1], register)
        follow(register, select(image_done, Const(int(index == 0), bitwidth=1), turned), reset)
    last_slot = int(shape.bank_of(np.array([shape.height - 1]))[1][0])
    delta = select(turn & ~bank[-1], constant(1 - rows * shape.row_words, bits), constant(1, bits))
    delta = select(image_done, constant((shape.image_slots - last_slot - 1) * shape.row_words + 1, bits), delta)
    follow(address, select(push, (address + delta).truncate(bits), address), reset)
    memories = []
    for index in range(banks):
        memory = MemBlock(
            stream.type.bits, bits, f"{name}_memory{index}", max_read_ports=1, max_write_ports=1, asynchronous=True
        )
        memory[address] <<= MemBlock.EnabledWrite(stream.data, enable=push & bank[index])
        memories.append(memory)
    return memories


def _read_banks(
    name: str, shape: WindowShape, nest: LoopNest, memories: Sequence[MemBlock], free: WireVector
) -> tuple[list[WireVector], WireVector]:
    """The words of all banks a cycle later, and which bank has the top tap."""
    bits, down = (shape.depth - 1).bit_length(), shape.row_words
    group = shape.banks * shape.bank_rows
    place = state(f"{name}_place_in_banks", max(1, (group - 1).bit_length()), int(shape.first_rows[0]) % group)
    places = np.arange(group)
    bank, slot = shape.bank_of(places)
    next_bank_slot = shape.bank_of(places + shape.stride[0])[1]
    follows = _table(place, ((places + shape.stride[0]) % group).tolist(), place.bitwidth)
    following = select(nest.finishes["y"], Const(place.reset_value or 0, bitwidth=place.bitwidth), follows)
    follow(place, select(nest.step & nest.finishes["x"], following, place), nest.reset)
    advance = _table(place, ((next_bank_slot - slot) * down).tolist(), bits)
    starts = shape.bank_of(shape.first_rows)[1] * down
    addresses = [
        nest.walk(
            f"{name}_read_{kind}",
            {**_across(shape), "y": int(starts[-1] - starts[0])},
            start=int(starts[0]) + int(shape.read_columns[0, 0]) * shape.pixel_words + further * down,
            around=shape.image_slots * down,
            bits=bits,
            outermost=advance,
        )
        for kind, further in (("address", 0), ("further", shape.bank_rows))[: 1 if shape.banks == 1 else 2]
    ]
    words = []
    for index, memory in enumerate(memories):
        address = addresses[0]
        if index < shape.banks - 1:
            address = select(_table(place, (index < bank).astype(int).tolist(), 1), addresses[1], address)
        words.append(_held(f"{name}_word{index}", memory[address], free))
    turn_bits = max(1, (shape.banks - 1).bit_length())
    return words, _held(f"{name}_turn", _table(place, bank.tolist(), turn_bits), free)


def _table(index: WireVector, values: Sequence[int], bits: int) -> WireVector:
    """``values[index]``."""
    return _choose(index, [constant(value, bits) for value in values])


def _choose(index: WireVector, values: Sequence[WireVector]) -> WireVector:
    if len(values) == 1:
        return values[0]
    full = [*values, *[values[-1]] * ((1 << index.bitwidth) - len(values))]
    return pyrtl.mux(index, *full)
