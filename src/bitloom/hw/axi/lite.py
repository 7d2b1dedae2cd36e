"""An AXI4-Lite subordinate with registers, generated from a `RegisterMap`.

::

    AW ──▶ [address]──┐                      ┌─▶ [value] ──▶ to the circuit (read-write, pulse)
                      ├─ both held ─ decode ─┤
    W  ──▶ [data   ]──┘        │             └─▶ clear bits  (write one to clear)
    B  ◀── [response] ◀────────┘

    AR ──▶ [address] ─ decode, select ─▶ [word] ──▶ [data, response] ──▶ R
                             ▲
                             └── from the circuit (read-only, write one to clear), [value]

Every box is a register and every output port comes from one. Reads and writes are independent of each other and so
are the address and data of a write, which may come in any order. A response waits for BREADY or RREADY for as long
as it takes; meanwhile one more request is held, and none is lost. Every request is answered:

    ======================================  ========  =============================
    request                                 response  effect
    ======================================  ========  =============================
    mapped address                          OKAY      bytes with WSTRB 1 are written
    write to a read-only register           SLVERR    none
    address of no register                  DECERR    none; a read gives 0
    ======================================  ========  =============================

The lowest two address bits are ignored: AXI4-Lite accesses whole words (ARM IHI 0022, section B1.1). A write with its
address and data in cycle c changes registers at the end of cycle c + 1 and answers in c + 2. A read of cycle c gives
what registers hold in c + 1 and answers in c + 3: what it shows may stand anywhere on the chip. Peak rate is a write
every two cycles and a read every three.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyrtl
from pyrtl import Const, Input, Output, WireVector, concat, concat_list, select

from bitloom.errors import HardwareError
from bitloom.hw.axi.register_map import WORD_BITS, Access, Field, Register, RegisterMap
from bitloom.hw.registers import connect, follow, named, state

# Response codes: ARM IHI 0022, table A3-4.
OKAY, SLVERR, DECERR = 0, 2, 3


@dataclass(frozen=True, eq=False)
class LiteRegisters:
    """The circuit's side of a register file.

    Attributes:
        map: the registers.
        values: wires the circuit reads: fields of read-write and pulse registers, and what is set in
            write-one-to-clear ones; by ``"register.field"``.
        driven: wires the circuit must drive: the value of read-only fields, the events that set
            write-one-to-clear bits; by ``"register.field"``.
    """

    map: RegisterMap
    values: dict[str, WireVector]
    driven: dict[str, WireVector]

    def value(self, field: str) -> WireVector:
        """What software last wrote (read-write), writes now (pulse), or has not cleared yet.

        Raises:
            HardwareError: no such field has a value.
        """
        return _look_up(self.values, field, "no value comes from")

    def drive(self, field: str, source: WireVector) -> None:
        """Give a read-only field its value, or a write-one-to-clear field its events; narrower sources get zeros.

        Raises:
            HardwareError: no such field is driven by the circuit, or the source is wider.
        """
        target = _look_up(self.driven, field, "nothing drives")
        if len(source) > len(target):
            raise HardwareError(f"{len(source)} bits do not fit its {len(target)}", where=f"field {field}")
        connect(target, source.zero_extended(len(target)))


def lite_registers(
    register_map: RegisterMap, *, name: str = "s_axi", prefix: str = "csr", reset: WireVector | None = None
) -> LiteRegisters:
    """Build the ports ``<name>_awaddr`` ... ``<name>_rready`` and the registers behind them.

    Args:
        register_map: what there is.
        name: of the bus.
        prefix: of the registers' names: ``<prefix>_<register>_<field>``.
        reset: returns everything to its reset value; None leaves that to a reset of all registers at export.

    >>> pyrtl.reset_working_block()
    >>> gain = Register("gain", 0, Access.READ_WRITE, (Field("value", bits=8, reset=5),))
    >>> twice = Register("twice", 4, Access.READ_ONLY, (Field("value", bits=9),))
    >>> registers = lite_registers(RegisterMap((gain, twice)))
    >>> registers.drive("twice.value", concat(registers.value("gain.value"), Const(0, bitwidth=1)))
    >>> from bitloom.hw.axi.bench import BusBench, LiteManager
    >>> manager = LiteManager(BusBench(pyrtl.Simulation()))
    >>> manager.read(4), manager.write(0, 21), manager.read(4), manager.write(4, 1), manager.read(8)
    ((10, 0), 0, (42, 0), 2, (0, 3))
    """
    reset = Const(0, bitwidth=1) if reset is None else reset
    values: dict[str, WireVector] = {}
    driven: dict[str, WireVector] = {}
    write = _write_channel(name, register_map, reset)
    words: dict[int, WireVector] = {}
    for register in register_map.registers:
        hit = named(write.enable & (write.word == register.offset >> 2), f"{prefix}_{register.name}_written")
        parts: dict[Field, WireVector] = {}
        for field in register.fields:
            key, wire_name = f"{register.name}.{field.name}", f"{prefix}_{register.name}_{field.name}"
            if register.access in (Access.READ_ONLY, Access.WRITE_ONE_TO_CLEAR):
                driven[key] = WireVector(field.bits, f"{wire_name}_in")
            kept = _field(wire_name, field, register.access, driven.get(key), hit, write, reset)
            if register.access is not Access.READ_ONLY:
                values[key] = kept
            parts[field] = Const(0, bitwidth=field.bits) if register.access is Access.PULSE else kept
        words[register.offset] = _word(parts)
    _read_channel(name, register_map, words, reset)
    return LiteRegisters(register_map, values, driven)


@dataclass(frozen=True)
class _Write:
    """A write that takes effect at the end of a cycle in which `enable` is high: word address, data, bit mask."""

    enable: WireVector
    word: WireVector
    data: WireVector
    mask: WireVector


def _write_channel(name: str, register_map: RegisterMap, reset: WireVector) -> _Write:
    """Hold an address and data until both are there and the last response has gone, then write and respond."""
    address_bits = register_map.address_bits
    response_valid, response = state(f"{name}_response_valid", 1), state(f"{name}_response", 2)
    free = named(~response_valid | Input(1, f"{name}_bready"), f"{name}_response_free")
    execute = WireVector(1, f"{name}_execute")
    Input(3, f"{name}_awprot")
    address, address_held = _request(f"{name}_aw", Input(address_bits, f"{name}_awaddr"), execute, reset)
    beat, data_held = _request(
        f"{name}_w", concat(Input(4, f"{name}_wstrb"), Input(WORD_BITS, f"{name}_wdata")), execute, reset
    )
    execute <<= address_held & data_held & free
    word, strobes = address[2:], beat[WORD_BITS:]
    mask = concat_list([bit for strobe in strobes for bit in [strobe] * 8])
    read_only = [register for register in register_map.registers if register.access is Access.READ_ONLY]
    mapped, refused = _any_of(word, register_map.registers), _any_of(word, tuple(read_only))
    answer = select(mapped, select(refused, Const(SLVERR, 2), Const(OKAY, 2)), Const(DECERR, 2))
    follow(response, select(execute, answer, response), reset)
    follow(response_valid, execute | ~free, reset)
    connect(Output(1, f"{name}_bvalid"), response_valid)
    connect(Output(2, f"{name}_bresp"), response)
    return _Write(execute, word, beat[:WORD_BITS], mask)


def _read_channel(name: str, register_map: RegisterMap, words: dict[int, WireVector], reset: WireVector) -> None:
    """Hold an address until the last answer has gone, then answer."""
    valid, response = state(f"{name}_read_valid", 1), state(f"{name}_read_response", 2)
    data = state(f"{name}_read_data", WORD_BITS)
    free = named(~valid | Input(1, f"{name}_rready"), f"{name}_read_free")
    execute = WireVector(1, f"{name}_read_execute")
    Input(3, f"{name}_arprot")
    address, held = _request(f"{name}_ar", Input(register_map.address_bits, f"{name}_araddr"), execute, reset)
    found = state(f"{name}_read_found", 1)
    follow(found, held & ~execute, reset)
    execute <<= held & found & free
    # At most one word is selected, so that gating each and joining them by OR chooses it.
    nothing = Const(0, bitwidth=WORD_BITS)
    gated = [select(address[2:] == offset >> 2, value, nothing) for offset, value in words.items()]
    while len(gated) > 1:
        gated = [one | other for one, other in zip(gated[::2], [*gated[1::2], nothing], strict=False)]
    word, answer = pyrtl.Register(WORD_BITS, f"{name}_read_word"), pyrtl.Register(2, f"{name}_read_answer")
    word.next <<= gated[0]
    answer.next <<= select(_any_of(address[2:], register_map.registers), Const(OKAY, 2), Const(DECERR, 2))
    follow(data, select(execute, word, data), reset)
    follow(response, select(execute, answer, response), reset)
    follow(valid, execute | ~free, reset)
    connect(Output(1, f"{name}_rvalid"), valid)
    connect(Output(WORD_BITS, f"{name}_rdata"), data)
    connect(Output(2, f"{name}_rresp"), response)


def _request(name: str, payload: WireVector, done: WireVector, reset: WireVector) -> tuple[WireVector, WireVector]:
    """Take one request of a channel and hold it until `done`: the request, and whether one is held.

    READY is a register: high while nothing is held, low in the cycle after reset.
    """
    ready, held = state(f"{name}_is_ready", 1), state(f"{name}_held", 1)
    request = pyrtl.Register(len(payload), f"{name}_request")
    taken = named(Input(1, f"{name}valid") & ready, f"{name}_taken")
    request.next <<= select(taken, payload, request)
    holds = taken | (held & ~done)
    follow(held, holds, reset)
    follow(ready, ~holds, reset)
    connect(Output(1, f"{name}ready"), ready)
    return request, held


def _field(
    name: str,
    field: Field,
    access: Access,
    driven: WireVector | None,
    hit: WireVector,
    write: _Write,
    reset: WireVector,
) -> WireVector:
    """The register behind one field; for a read-only field there is none."""
    if driven is not None and access is Access.READ_ONLY:
        return driven
    place = slice(field.lowest, field.lowest + field.bits)
    data, mask = write.data[place], write.mask[place]
    value = state(name, field.bits, field.reset)
    written = {
        Access.READ_WRITE: (data & mask) | (value & ~mask),
        Access.WRITE_ONE_TO_CLEAR: value & ~(data & mask),
        Access.PULSE: data & mask,
    }[access]
    following = select(hit, written, Const(0, bitwidth=field.bits) if access is Access.PULSE else value)
    follow(value, following if driven is None else following | driven, reset)
    return value


def _word(parts: dict[Field, WireVector]) -> WireVector:
    """The fields at their places, zeros between."""
    pieces: list[WireVector] = []
    position = 0
    for field in sorted(parts, key=lambda field: field.lowest):
        if field.lowest > position:
            pieces.append(Const(0, bitwidth=field.lowest - position))
        pieces.append(parts[field])
        position = field.lowest + field.bits
    if position < WORD_BITS:
        pieces.append(Const(0, bitwidth=WORD_BITS - position))
    return concat_list(pieces)


def _any_of(word: WireVector, registers: tuple[Register, ...]) -> WireVector:
    if not registers:
        return Const(0, bitwidth=1)
    return pyrtl.rtl_any(*(word == register.offset >> 2 for register in registers))


def _look_up(wires: dict[str, WireVector], field: str, problem: str) -> WireVector:
    if field not in wires:
        raise HardwareError(
            f"{problem} a field '{field}'", where="register map", remedy=f"the fields are {', '.join(wires) or 'none'}"
        )
    return wires[field]
