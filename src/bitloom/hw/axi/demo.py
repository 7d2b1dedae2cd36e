"""The AXI demo: a stream fills a memory, the circuit adds it up, and the sum is read over AXI4-Lite.

::

    s_axis ──▶ skid buffer ──▶ memory ──▶ word ──▶ + ──▶ sum ──┐
               (loading)          ▲                            ▼
                                  └──────── address ◀── s_axi registers

    state      loading ── last beat ──▶ summing ── all words added ──▶ done ── control.clear ──▶ loading

While the circuit is summing or done it takes no beat, so the next packet waits at the port until software clears. A
packet longer than the memory loses its tail and sets ``events.overflow``. The word that ``address`` chooses is in
``word`` two cycles after the write took effect, which is before a manager that has seen the answer can read it.
"""

from __future__ import annotations

import enum
import io
from collections.abc import Sequence
from dataclasses import dataclass

import pyrtl
from pyrtl import Const, WireVector, select

from bitloom.errors import InputError
from bitloom.hw.axi.bench import BusBench, LiteManager, send_packet
from bitloom.hw.axi.lite import OKAY, LiteRegisters, lite_registers
from bitloom.hw.axi.register_map import Access, Field, Register, RegisterMap
from bitloom.hw.axi.stream import AxiStream, stream_subordinate
from bitloom.hw.registers import connect, delayed_flag, follow, named, state
from bitloom.hw.waveform import render_waveform

DATA_BITS = 32


class State(enum.IntEnum):
    """What the circuit is doing."""

    LOAD = 0
    SUM = 1
    DONE = 2


def demo_register_map(address_bits: int) -> RegisterMap:
    """The registers of the demo, for a memory of ``2**address_bits`` words.

    >>> print(demo_register_map(4).table())
    offset  register  access  bits  field     reset  description
    0x000   control   pulse   0     clear     0      forget the packet and load the next
    0x004   status    ro      1:0   state     0      0 loading, 1 summing, 2 done
    0x008   events    w1c     0     done      0      a sum was completed
    0x008   events    w1c     1     overflow  0      a packet was longer than the memory
    0x00c   count     ro      4:0   value     0      words in the memory
    0x010   sum_low   ro      31:0  value     0      low word of the sum
    0x014   sum_high  ro      31:0  value     0      high word of the sum, two's complement
    0x018   address   rw      3:0   value     0      which word to show
    0x01c   word      ro      31:0  value     0      the word shown
    """
    done = Field("done", description="a sum was completed")
    overflow = Field("overflow", lowest=1, description="a packet was longer than the memory")
    clear = Field("clear", description="forget the packet and load the next")
    phase = Field("state", bits=2, description="0 loading, 1 summing, 2 done")
    word, read_only = Register.word, Access.READ_ONLY
    return RegisterMap(
        (
            Register("control", 0x00, Access.PULSE, (clear,)),
            Register("status", 0x04, read_only, (phase,)),
            Register("events", 0x08, Access.WRITE_ONE_TO_CLEAR, (done, overflow)),
            word("count", 0x0C, read_only, bits=address_bits + 1, description="words in the memory"),
            word("sum_low", 0x10, read_only, description="low word of the sum"),
            word("sum_high", 0x14, read_only, description="high word of the sum, two's complement"),
            word("address", 0x18, Access.READ_WRITE, bits=address_bits, description="which word to show"),
            word("word", 0x1C, read_only, description="the word shown"),
        )
    )


def build_axi_demo(address_bits: int, reset: WireVector | None = None) -> LiteRegisters:
    """Build the demo's circuit with the ports ``s_axis_*`` and ``s_axi_*`` in the working block.

    Args:
        address_bits: the memory has ``2**address_bits`` words of 32 bits, 1 to 20.
        reset: returns everything to its start; None leaves that to a reset of all registers at export.

    Raises:
        InputError: the memory is too small or too large.
    """
    if not 1 <= address_bits <= 20:
        raise InputError(f"a memory of 2**{address_bits} words", where="axi demo", remedy="choose 1 to 20 address bits")
    registers = lite_registers(demo_register_map(address_bits), reset=reset)
    reset = Const(0, bitwidth=1) if reset is None else reset
    stream = stream_subordinate(DATA_BITS, reset=reset)
    clear = registers.value("control.clear")
    memory = pyrtl.MemBlock(DATA_BITS, address_bits, "packet", max_read_ports=1, max_write_ports=1)
    phase = state("phase", 2)
    loading, summing = phase == State.LOAD, phase == State.SUM
    count, overflow = _load(memory, stream, loading, clear, reset)

    index = state("index", address_bits + 1)
    reading = named(summing & (index != count), "reading")
    follow(index, select(clear, Const(0, bitwidth=len(index)), (index + reading).truncate(len(index))), reset)
    shown = registers.value("address.value")
    address, word = pyrtl.Register(address_bits, "packet_address"), pyrtl.Register(DATA_BITS, "packet_word")
    address.next <<= select(summing, index[:address_bits], shown)
    word.next <<= memory[address]
    total, adding = _sum(word, reading, clear, address_bits, reset)
    finished = named(summing & ~reading & ~adding, "finished")

    loaded = stream.transfer & stream.last
    following = select(loaded, Const(State.SUM, 2), select(finished, Const(State.DONE, 2), phase))
    follow(phase, select(clear, Const(State.LOAD, 2), following), reset)

    wide = total.sign_extended(2 * DATA_BITS)
    for field, value in {
        "status.state": phase,
        "events.done": finished,
        "events.overflow": overflow,
        "count.value": count,
        "sum_low.value": wide[:DATA_BITS],
        "sum_high.value": wide[DATA_BITS:],
        "word.value": word,
    }.items():
        registers.drive(field, value)
    return registers


def _load(
    memory: pyrtl.MemBlock, stream: AxiStream, loading: WireVector, clear: WireVector, reset: WireVector
) -> tuple[WireVector, WireVector]:
    """Write the beats of a packet one after the other: how many there are, and whether one finds no room."""
    count = state("count", memory.addrwidth + 1)
    full = count[-1]
    connect(stream.ready, loading & ~clear)
    store = named(stream.transfer & ~full, "store")
    memory[count[: memory.addrwidth]] <<= pyrtl.MemBlock.EnabledWrite(stream.data, enable=store)
    follow(count, select(clear, Const(0, bitwidth=len(count)), (count + store).truncate(len(count))), reset)
    return count, stream.transfer & full


def _sum(
    word: WireVector, reading: WireVector, clear: WireVector, address_bits: int, reset: WireVector
) -> tuple[WireVector, WireVector]:
    """Add each word two cycles after its address was given: the signed sum, and whether words are on their way."""
    total = state("total", DATA_BITS + address_bits)
    first = delayed_flag(reading, 1, "fetching", reset)
    arrived = delayed_flag(first, 1, "arrived", reset)
    added = (total + word.sign_extended(len(total))).truncate(len(total))
    kept = select(arrived, added, total)
    follow(total, select(clear, Const(0, bitwidth=len(total)), kept), reset)
    return total, first | arrived


@dataclass(frozen=True)
class Transaction:
    """Something that happened on a bus.

    Attributes:
        cycle: in which it was completed.
        bus: ``s_axis`` or ``s_axi``.
        text: what it was.
    """

    cycle: int
    bus: str
    text: str


@dataclass(frozen=True, eq=False)
class AxiDemo:
    """A run of the demo.

    Attributes:
        values: what was streamed in.
        total: the sum read over AXI4-Lite.
        words: the memory's words, read back over AXI4-Lite.
        cycles: from the start to the last answer.
        transactions: everything the buses did, in order.
        registers: the register map as a table.
        waveform: the ports and the circuit's state, as text.
        verilog: the circuit, module ``axi_sum``, with ``clk`` and a synchronous ``rst``.
    """

    values: tuple[int, ...]
    total: int
    words: tuple[int, ...]
    cycles: int
    transactions: tuple[Transaction, ...]
    registers: str
    waveform: str
    verilog: str

    @property
    def equal(self) -> bool:
        """Whether the sum and the words read are those of the values sent."""
        return self.total == sum(self.values) and self.words == self.values


def run_axi_demo(
    values: Sequence[int], *, pauses: Sequence[int] = (), ascii_only: bool = False, columns: int | None = None
) -> AxiDemo:
    """Stream values in, let the circuit add them, and read the sum and the memory over AXI4-Lite, all in PyRTL.

    Args:
        values: at least one, each a signed 32-bit integer.
        pauses: cycles the stream waits before each value; missing ones are 0.
        ascii_only: draw the waveform with ASCII characters.
        columns: break the waveform into pieces of at most this width.

    Raises:
        InputError: there are no values, too many, or one that is no int32.

    >>> demo = run_axi_demo([10, -20, 30])
    >>> demo.total, demo.words, demo.equal
    (20, (10, -20, 30), True)
    >>> print(demo.transactions[-1].text)
    read word (0x01c) -> 30
    """
    numbers = tuple(int(value) for value in values)
    limit = 1 << (DATA_BITS - 1)
    if not numbers:
        raise InputError("no values to stream", where="axi demo", remedy="give at least one")
    if not all(-limit <= value < limit for value in numbers):
        raise InputError("a value is no signed 32-bit integer", where="axi demo", remedy="stay within 32 bits")
    with pyrtl.temp_working_block():
        registers = build_axi_demo(max(1, (len(numbers) - 1).bit_length()))
        verilog = io.StringIO()
        pyrtl.output_to_verilog(verilog, add_reset=True, module_name="axi_sum")
        simulation = pyrtl.Simulation()
        session = _Session(BusBench(simulation), registers.map, [])
        total, words = session.run(numbers, pauses)
    return AxiDemo(
        values=numbers,
        total=total,
        words=words,
        cycles=session.bench.cycle,
        transactions=tuple(session.transactions),
        registers=registers.map.table(),
        waveform=_waveform(simulation, ascii_only, columns),
        verilog=verilog.getvalue(),
    )


@dataclass
class _Session:
    """What software does in the demo, and the notes it takes."""

    bench: BusBench
    map: RegisterMap
    transactions: list[Transaction]

    def run(self, values: tuple[int, ...], pauses: Sequence[int]) -> tuple[int, tuple[int, ...]]:
        """Send a packet, wait for the sum, read it and the memory."""
        mask = (1 << DATA_BITS) - 1
        moved = send_packet(self.bench, [value & mask for value in values], pauses=pauses)
        for cycle, value in zip(moved, values, strict=True):
            self.transactions.append(Transaction(cycle, "s_axis", f"beat {value}"))
        while self.read("status") != State.DONE:
            pass
        total = _signed(self.read("sum_low") | self.read("sum_high") << DATA_BITS, 2 * DATA_BITS)
        words = []
        for address in range(self.read("count")):
            self.write("address", address)
            words.append(_signed(self.read("word"), DATA_BITS))
        return total, tuple(words)

    def read(self, name: str) -> int:
        """Read a register by name."""
        offset = self.map[name].offset
        data, response = LiteManager(self.bench).read(offset)
        self._note(f"read {name} (0x{offset:03x}) -> {_signed(data, DATA_BITS)}", response)
        return data

    def write(self, name: str, value: int) -> None:
        """Write a register by name."""
        offset = self.map[name].offset
        response = LiteManager(self.bench).write(offset, value)
        self._note(f"write {name} (0x{offset:03x}) <- {value}", response)

    def _note(self, text: str, response: int) -> None:
        answer = "" if response == OKAY else f", response {response}"
        self.transactions.append(Transaction(self.bench.cycle - 1, "s_axi", text + answer))


def _signed(value: int, bits: int) -> int:
    return value - (1 << bits) if value >> (bits - 1) else value


def _waveform(simulation: pyrtl.Simulation, ascii_only: bool, columns: int | None) -> str:
    stream = ["s_axis_tdata", "s_axis_tvalid", "s_axis_tready", "s_axis_tlast"]
    inside = ["phase", "count", "packet_address", "packet_word", "total"]
    read = ["s_axi_araddr", "s_axi_arvalid", "s_axi_arready", "s_axi_rdata", "s_axi_rvalid", "s_axi_rready"]
    formats = {"phase": pyrtl.enum_name(State), "s_axi_araddr": hex, "count": str, "packet_address": str}
    return render_waveform(
        simulation.tracer, stream + inside + read, formats, signed=True, ascii_only=ascii_only, columns=columns
    )
