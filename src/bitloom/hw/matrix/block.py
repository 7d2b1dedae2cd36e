"""Block multiplication: one small systolic array, used again and again, computes a larger product.

The product is cut into tiles of the array's size; dimensions need not be multiples of it. For each tile one panel
of `a` and one panel of `b` stream out of their memories through the array, `length` beats back to back, and the rows
of the finished tile leave one a cycle while the next tile already accumulates::

       rows of a:  panel 0 │ a[0:R]        b:  panel 0  panel 1  panel 2
                   panel 1 │ a[R:2R]           (C columns each, the last one may have fewer)

       ┌──────────┐ word: R elements of one column   ┌──────────┐
       │ memory a ├─────────────────────────────────▶│ systolic │  finished   ┌────────┐ row segment: C elements,
       └──────────┘                                  │ array    ├────────────▶│ rows,  ├────────▶ valid, ready,
       ┌──────────┐ word: C elements of one row      │ R x C    │  tile       │ one by │         row, column, last
       │ memory b ├─────────────────────────────────▶│          │             │ one    │
       └──────────┘                                  └──────────┘             └────────┘

    order of tiles:   (a panel 0, b panel 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)

Timing of a tile: in cycle c its first addresses, in c + 1 its first words, in c + length its last words, in
c + length + R + C + 3 its first row segment. The next tile starts in cycle c + `slots`; its last beat waits until
all rows of this tile have been taken, because it is the one that would overwrite them. A consumer may therefore
pause at any time, and a product starts as soon as its predecessor has been fed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyrtl

from bitloom.arith.ranges import Interval
from bitloom.errors import HardwareError
from bitloom.hw.matrix.channel import MatrixChannel
from bitloom.hw.matrix.integer import storage
from bitloom.hw.matrix.panels import PanelMemory, address_bits
from bitloom.hw.matrix.systolic import Beat, SystolicArray, bias_cycles, make_systolic_array, systolic_latency
from bitloom.hw.matrix.values import IntegerArray, integer_array, pack_values, to_array
from bitloom.hw.matrix.wire_matrix import WireMatrix
from bitloom.hw.registers import connect


@dataclass(frozen=True, eq=False)
class BlockProduct:
    """A built block multiplier.

    Attributes:
        channel: row segments of the product, shape (array columns,). Elements beyond the product's last column are
            meaningless; rows beyond its last are not sent.
        row: the row of the product that the segment belongs to.
        column: the number of the segment within its row; it starts at column ``column * array columns``.
        address: ``row * segments per row + column``, for storing the product row by row.
        last: the segment is the product's last.
        idle: a product can start; the memories are not being read.
        array: the array inside, for waveforms.
        shape: of the product.
        slots: cycles between tiles if no consumer pauses and `length` is long enough (see `block_interval`).
    """

    channel: MatrixChannel
    row: pyrtl.WireVector
    column: pyrtl.WireVector
    address: pyrtl.WireVector
    last: pyrtl.WireVector
    idle: pyrtl.WireVector
    array: SystolicArray
    shape: tuple[int, int]
    slots: int

    @property
    def segments(self) -> int:
        """Row segments per row of the product."""
        return -(-self.shape[1] // self.channel.matrix.size)

    def assemble(self, segments: list[IntegerArray]) -> IntegerArray:
        """The product from all its segments in the order sent; int64 (or object beyond 64 bits), `shape`."""
        rows, columns = self.array.result.shape
        result = np.zeros((self.shape[0], self.segments * columns), segments[0].dtype)
        remaining = iter(segments)
        for top in range(0, self.shape[0], rows):
            for column in range(self.segments):
                for row in range(top, min(top + rows, self.shape[0])):
                    result[row, column * columns : (column + 1) * columns] = next(remaining)
        return result[:, : self.shape[1]]


def block_interval(length: int, rows: int, columns: int, *, bias: bool = False) -> int:
    """Cycles between tiles when no consumer pauses.

    >>> block_interval(144, 4, 4), block_interval(3, 4, 4)
    (144, 16)
    """
    return max(_slots(length, rows, columns, bias), systolic_latency(rows, columns) + rows + 1)


def block_multiply(
    name: str,
    a: PanelMemory,
    b: PanelMemory,
    start: pyrtl.WireVector,
    *,
    a_zero: int = 0,
    b_zero: int = 0,
    bias: IntegerArray | None = None,
) -> BlockProduct:
    """Build ``(a - a_zero) @ (b - b_zero) + bias``, exactly, from an array of ``a.lanes`` x ``b.lanes`` cells.

    Args:
        name: prefix of all names.
        a: the left matrix, (rows, length).
        b: the right matrix transposed, (columns, length).
        start: one bit: begin a product in a cycle in which `idle` is 1. Kept at 1, products follow without a gap.
        a_zero: the zero point of `a`.
        b_zero: the zero point of `b`.
        bias: constants of a shape that broadcasts to (rows, columns), kept in a ROM.

    Raises:
        HardwareError: shapes do not fit together.

    A 3x4 by 4x5 product from 2x2 cells: two panels of rows, three of columns.

    >>> left, right = np.arange(12).reshape(3, 4) - 6, np.arange(20).reshape(4, 5) - 10
    >>> pyrtl.reset_working_block()
    >>> a, b = PanelMemory.rom("a", left, lanes=2), PanelMemory.rom("b", right.T, lanes=2)
    >>> built = block_multiply("mm", a, b, pyrtl.Input(1, "start"), bias=np.array([[100], [200], [300]]))
    >>> stored = store_product("c", built)
    >>> simulation = pyrtl.Simulation()
    >>> for cycle in range(100):
    ...     simulation.step({"start": int(cycle == 0)})
    >>> (stored.read(simulation) == left @ right + [[100], [200], [300]]).all()
    np.True_
    """
    if a.shape[1] != b.shape[1]:
        raise HardwareError(
            f"a is {list(a.shape)} and b transposed is {list(b.shape)}: inner dimensions differ",
            where=name,
            remedy="give b transposed, as (columns, length)",
        )
    shape, length = (a.shape[0], b.shape[0]), a.shape[1]
    slots = _slots(length, a.lanes, b.lanes, bias is not None)
    in_flight = pyrtl.Register(1, f"{name}_in_flight", reset_value=0)
    feeder = _feed(name, a, b, start, slots, in_flight)
    beat = Beat(*(_registered(f"{name}_beat_{bit}", getattr(feeder, bit)) for bit in ("valid", "first", "last")))
    array = make_systolic_array(
        name,
        a.read(f"{name}_a", feeder.a_address),
        b.read(f"{name}_b", feeder.b_address),
        beat,
        terms=length,
        left_zero=a_zero,
        top_zero=b_zero,
        bias=_bias(f"{name}_bias", bias, shape, feeder, (a.lanes, b.lanes)),
    )
    return _drain(name, feeder, array, in_flight, shape, slots)


@dataclass(frozen=True)
class _Feeder:
    """Where the feeder is, and the control of the beat whose addresses are in the registers.

    `row` is the first row of the product in this panel of a, `segment` the address of its first row segment.
    """

    a_address: pyrtl.WireVector
    b_address: pyrtl.WireVector
    a_panel: pyrtl.WireVector
    b_panel: pyrtl.WireVector
    row: pyrtl.WireVector
    segment: pyrtl.WireVector
    valid: pyrtl.WireVector
    first: pyrtl.WireVector
    last: pyrtl.WireVector
    idle: pyrtl.WireVector


def _feed(
    name: str, a: PanelMemory, b: PanelMemory, start: pyrtl.WireVector, slots: int, in_flight: pyrtl.WireVector
) -> _Feeder:
    """Three nested counters (slot, panel of b, panel of a) and what follows from them, without multiplying."""
    length = a.shape[1]

    def counter(part: str, count: int) -> pyrtl.Register:
        return pyrtl.Register(address_bits(count), f"{name}_{part}", reset_value=0)

    slot, a_panel, b_panel = counter("slot", slots), counter("a_panel", a.panels), counter("b_panel", b.panels)
    a_address, a_base = counter("a_address", a.panels * length), counter("a_base", a.panels * length)
    b_address = counter("b_address", b.panels * length)
    row = counter("first_row", a.panels * a.lanes)
    segment = counter("first_segment", a.panels * a.lanes * b.panels)
    running = pyrtl.Register(1, f"{name}_running", reset_value=0)
    valid, tile_end = pyrtl.WireVector(1, f"{name}_feeding"), pyrtl.WireVector(1, f"{name}_tile_end")
    panel_end, idle = pyrtl.WireVector(1, f"{name}_panel_end"), pyrtl.WireVector(1, f"{name}_idle")
    last = slot == length - 1
    advance = running & ~(last & in_flight)
    valid <<= advance if slots == length else advance & (slot < length)
    tile_end <<= advance & (slot == slots - 1)
    panel_end <<= tile_end & (b_panel == b.panels - 1)
    idle <<= ~running | (panel_end & (a_panel == a.panels - 1))
    next_a_base = (a_base + length)[: len(a_base)]
    with pyrtl.conditional_assignment:
        with idle:
            running.next |= start
            for register in (slot, a_panel, b_panel, a_address, a_base, b_address, row, segment):
                register.next |= 0
        with panel_end:
            slot.next |= 0
            b_panel.next |= 0
            b_address.next |= 0
            a_panel.next |= a_panel + 1
            a_address.next |= next_a_base
            a_base.next |= next_a_base
            row.next |= row + a.lanes
            segment.next |= segment + a.lanes * b.panels
        with tile_end:
            slot.next |= 0
            b_panel.next |= b_panel + 1
            b_address.next |= b_address + valid
            a_address.next |= a_base
        with advance:
            slot.next |= slot + 1
            a_address.next |= a_address + valid
            b_address.next |= b_address + valid
    return _Feeder(a_address, b_address, a_panel, b_panel, row, segment, valid, slot == 0, last, idle)


def _bias(
    name: str, bias: IntegerArray | None, shape: tuple[int, int], feeder: _Feeder, tile: tuple[int, int]
) -> WireMatrix | None:
    """The bias of the tile being fed, from a ROM: a word per panel of columns, or per tile if the rows differ."""
    if bias is None:
        return None
    values = integer_array(bias, name)
    try:
        values = np.broadcast_to(values, shape)
    except ValueError as error:
        raise HardwareError(f"shape {list(values.shape)} does not broadcast to {list(shape)}", where=name) from error
    interval = Interval(min(0, int(values.min())), max(0, int(values.max())))
    rows, columns = tile
    panels = [-(-length // lanes) for length, lanes in zip(shape, tile, strict=True)]
    padded = np.zeros((panels[0] * rows, panels[1] * columns), values.dtype)
    padded[: shape[0], : shape[1]] = values
    same_rows = bool((values == values[:1]).all())
    if same_rows:
        words, word_shape = padded[0].reshape(-1, columns), (1, columns)
        address = feeder.b_panel
    else:
        tiles = padded.reshape(panels[0], rows, panels[1], columns).transpose(0, 2, 1, 3)
        # Panel numbers side by side make the address, so the ROM has room for a power of two of column panels.
        room = 1 << len(feeder.b_panel)
        words = np.zeros((panels[0], room, rows * columns), values.dtype)
        words[:, : panels[1]] = tiles.reshape(panels[0], panels[1], -1)
        words, word_shape = words.reshape(-1, rows * columns), tile
        address = pyrtl.concat(feeder.a_panel, feeder.b_panel)
    return _constant_words(name, words, address, word_shape, interval).broadcast_to(tile)


def _constant_words(
    name: str, words: IntegerArray, address: pyrtl.WireVector, shape: tuple[int, ...], interval: Interval
) -> WireMatrix:
    """Last cycle's word of a ROM, as a matrix."""
    bits, _ = storage(interval)
    contents = [pack_values(word, bits) for word in words.tolist()]
    memory = pyrtl.RomBlock(
        words.shape[1] * bits, len(address), contents, name=name, max_read_ports=1, pad_with_zeros=True
    )
    word = pyrtl.Register(words.shape[1] * bits, f"{name}_word")
    word.next <<= memory[address]
    return WireMatrix.from_packed(name, word, shape, interval)


def _drain(
    name: str,
    feeder: _Feeder,
    array: SystolicArray,
    in_flight: pyrtl.Register,
    shape: tuple[int, int],
    slots: int,
) -> BlockProduct:
    """Send the rows of each finished tile, first to last, and say then that the result registers are free."""
    rows, columns = array.result.shape
    segments = -(-shape[1] // columns)
    row_bits, segment_bits, all_bits = (address_bits(count) for count in (shape[0], segments, shape[0] * segments))
    issued = feeder.valid & feeder.last
    # At most one tile is in flight, so its place needs to be noted only once, when its last beat is fed.
    column = pyrtl.Register(segment_bits, f"{name}_out_column")
    row, address = pyrtl.Register(row_bits, f"{name}_out_row"), pyrtl.Register(all_bits, f"{name}_out_address")
    panel_row = pyrtl.Register(address_bits(rows), f"{name}_out_panel_row", reset_value=0)
    valid = pyrtl.Register(1, f"{name}_out_valid", reset_value=0)
    channel = MatrixChannel(
        _pick_row(f"{name}_out", array.result, panel_row), valid, pyrtl.WireVector(1, f"{name}_out_ready")
    )
    bottom = row == shape[0] - 1
    tile_done = channel.transfer & ((panel_row == rows - 1) | bottom)
    with pyrtl.conditional_assignment:
        with issued:
            column.next |= feeder.b_panel
            row.next |= feeder.row
            address.next |= feeder.segment + feeder.b_panel
            panel_row.next |= 0
        with channel.transfer:
            row.next |= row + 1
            address.next |= address + segments
            panel_row.next |= panel_row + 1
    valid.next <<= array.completing | (valid & ~tile_done)
    in_flight.next <<= issued | (in_flight & ~tile_done)
    last = bottom & (column == segments - 1)
    return BlockProduct(channel, row, column, address, last, feeder.idle, array, shape, slots)


def _pick_row(name: str, tile: WireMatrix, number: pyrtl.WireVector) -> WireMatrix:
    """One row of a tile, chosen by a wire."""
    rows, columns = tile.shape
    picked = WireMatrix.wires(name, (columns,), tile.interval)
    for j in range(columns):
        choices = [tile[i, j] for i in range(rows)]
        target = picked.array[j]
        target <<= pyrtl.mux(number, *choices, default=choices[-1]) if rows > 1 else choices[0]
    return picked


@dataclass(frozen=True, eq=False)
class StoredProduct:
    """A product in a memory: row by row, each word a segment of `lanes` elements.

    Attributes:
        memory: the words.
        shape: of the product.
        lanes: elements per word.
        bits: of an element.
        signed: whether elements are two's complement.
        done: one bit: the last word of a product is written at the end of this cycle.
    """

    memory: pyrtl.MemBlock
    shape: tuple[int, int]
    lanes: int
    bits: int
    signed: bool
    done: pyrtl.WireVector

    def read(self, simulation: Any) -> IntegerArray:
        """What a simulation's memory holds; words never written count as zero."""
        words = simulation.inspect_mem(self.memory)
        segments = -(-self.shape[1] // self.lanes)
        mask = (1 << self.bits) - 1
        flat = [
            (words.get(address, 0) >> (lane * self.bits)) & mask
            for address in range(self.shape[0] * segments)
            for lane in range(self.lanes)
        ]
        padded = to_array(flat, (self.shape[0], segments * self.lanes), self.bits, self.signed)
        return padded[:, : self.shape[1]]


def store_product(name: str, product: BlockProduct) -> StoredProduct:
    """Write a product into a memory named `name`, a segment per cycle; see `block_multiply` for an example."""
    matrix = product.channel.matrix
    words = product.shape[0] * product.segments
    memory = pyrtl.MemBlock(matrix.size * matrix.bits, address_bits(words), name, max_read_ports=1, max_write_ports=1)
    memory[product.address] <<= pyrtl.MemBlock.EnabledWrite(matrix.packed, enable=product.channel.valid)
    connect(product.channel.ready, pyrtl.Const(1, bitwidth=1))
    done = pyrtl.WireVector(1, f"{name}_done")
    done <<= product.channel.valid & product.last
    return StoredProduct(memory, product.shape, matrix.size, matrix.bits, matrix.signed, done)


def _slots(length: int, rows: int, columns: int, bias: bool) -> int:
    """Cycles for which the addresses of a tile last: a bias must hold until the first beat has crossed the array."""
    return max(length, bias_cycles(rows, columns)) if bias else length


def _registered(name: str, wire: pyrtl.WireVector) -> pyrtl.Register:
    register = pyrtl.Register(len(wire), name, reset_value=0)
    register.next <<= wire
    return register
