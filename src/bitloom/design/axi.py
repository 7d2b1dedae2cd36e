"""The registers of a design with an AXI bus: control, status, cycle counters, the last result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyrtl
from pyrtl import Const, Register, WireVector, select

from bitloom.arith import IntType
from bitloom.design.ports import extend_elements
from bitloom.hw.argmax import argmax
from bitloom.hw.axi.lite import LiteRegisters, lite_registers
from bitloom.hw.axi.register_map import Access, Field, RegisterMap
from bitloom.hw.axi.register_map import Register as MapRegister
from bitloom.hw.registers import delayed, delayed_flag, follow, named, state, wrapping_counter
from bitloom.hw.stream import Stream
from bitloom.plan import Plan, Port

IDENTITY = int.from_bytes(b"MOLB", "big")
MAP_VERSION = 1
# The first output's last values are registers if they fit in so many words.
_MOST_OUTPUT_WORDS = 16
_FIRST_OUTPUT_OFFSET = 0x40
_COUNTER = 32
# Registers from a port to what counts there: the two may be at different edges of the chip.
_TO_COUNTERS = 2


def register_map(plan: Plan) -> RegisterMap:
    """The registers of a plan's design.

    `class` is the index of the first largest element of the first output. `output0`, `output1`, ... hold the last
    complete first output, packed as on ``m_axis`` and filled with zeros; they exist if it has at most 64 bytes. They
    change together, in the cycle after the result's last beat has left; `class` and `inferences` follow together
    some cycles later. So whoever has read that n inferences are complete finds the n-th result, or a later one,
    everywhere. `busy`, `latency`, `interval` and `errors` see a beat some cycles after it has crossed its port.
    """
    read_only = Access.READ_ONLY
    registers = [
        MapRegister.word("identity", 0x00, read_only, description="0x4D4F4C42, 'BLOM' in memory order"),
        MapRegister.word("version", 0x04, read_only, description="of this map"),
        MapRegister(
            "control",
            0x08,
            Access.PULSE,
            (Field("reset", description="empties the network, clears counters and result"),),
        ),
        MapRegister("status", 0x0C, read_only, (Field("busy", description="inferences are under way"),)),
        MapRegister(
            "errors",
            0x10,
            Access.WRITE_ONE_TO_CLEAR,
            (Field("frame", description="tlast was not on the last beat of an input"),),
        ),
        MapRegister.word("inferences", 0x14, read_only, description="completed since reset"),
        MapRegister.word(
            "latency", 0x18, read_only, description="cycles of the last inference that began with the network empty"
        ),
        MapRegister.word("interval", 0x1C, read_only, description="cycles between the last two results, 0 before"),
        MapRegister.word("class", 0x20, read_only, description="index of the largest element of the last result"),
        MapRegister.word("size", 0x24, read_only, description="elements of a result"),
    ]
    registers += [
        MapRegister.word(f"output{word}", _FIRST_OUTPUT_OFFSET + 4 * word, read_only, description="of the last result")
        for word in range(_output_words(plan))
    ]
    return RegisterMap(tuple(registers), address_bits=8)


def _output_words(plan: Plan) -> int:
    port = plan.outputs[0]
    words = port.type.beats * (port.bus_bits // 32)
    return words if port.bus_bits % 32 == 0 and words <= _MOST_OUTPUT_WORDS else 0


@dataclass(frozen=True, eq=False)
class AxiRegisters:
    """What the rest of the design needs from the registers.

    Attributes:
        reset: software asks for a reset of the network.
        bus: the register file.
    """

    reset: WireVector
    bus: LiteRegisters


def add_registers(plan: Plan, bus_reset: WireVector) -> AxiRegisters:
    """Make the ``s_axi_*`` ports; `watch` connects what the registers show.

    Args:
        plan: of the design.
        bus_reset: resets the bus itself, which software's reset must not.
    """
    bus = lite_registers(register_map(plan), reset=bus_reset)
    bus.drive("identity.value", Const(IDENTITY, 32))
    bus.drive("version.value", Const(MAP_VERSION, 32))
    bus.drive("size.value", Const(plan.outputs[0].type.size, 32))
    return AxiRegisters(bus.value("control.reset"), bus)


def watch(plan: Plan, registers: AxiRegisters, arriving: Sequence[Stream], leaving: Stream, reset: WireVector) -> None:
    """Connect counters and the last result, which look at the ports and never hold a beat back.

    Args:
        plan: of the design.
        registers: made by `add_registers`.
        arriving: the inputs as they cross their ports.
        leaving: the first output as it crosses its port.
        reset: of the network; counters start again.
    """
    bus = registers.bus
    ends = named(leaving.transfer & leaving.last, "result_ends")
    _follow_last_result(plan, bus, leaving, ends, reset)
    classes = _classes(leaving, reset)
    completed = named(classes.transfer, "result_complete")
    held_class = state("last_class", _COUNTER)
    follow(held_class, select(completed, classes.data, held_class), reset)
    bus.drive("class.value", held_class)
    count = state("inference_count", _COUNTER)
    follow(count, select(completed, (count + 1).truncate(_COUNTER), count), reset)
    bus.drive("inferences.value", count)
    first, misframed = _frame(arriving[0], "input_beat", reset)
    frame_errors = [misframed] + [
        _frame(stream, f"input{index}_beat", reset)[1] for index, stream in enumerate(arriving[1:], start=1)
    ]
    bus.drive("errors.frame", pyrtl.rtl_any(*frame_errors))
    # Both as late, so that distances stay the same.
    started = delayed_flag(first, 1, "input_start", reset)
    _count_cycles(bus, started, delayed_flag(ends, _TO_COUNTERS + 1, "result_end", reset), reset)


def _classes(leaving: Stream, reset: WireVector) -> Stream:
    """The index of the largest element of each result, some cycles after its last beat has left.

    The comparison sees a beat a cycle after it has left. It takes one in every cycle, because its answers are taken at
    once.
    """
    seen = Stream.declare("result_seen", leaving.type)
    data, last = delayed(leaving.data, 1, "result_left"), delayed(leaving.last, 1, "result_left_last")
    seen.drive(data, delayed_flag(leaving.transfer, 1, "result_left_valid", reset), last)
    classes = argmax("result_class", seen, IntType(_COUNTER, signed=False), reset)
    classes.accept(Const(1, 1))
    return classes


def _follow_last_result(plan: Plan, bus: LiteRegisters, leaving: Stream, ends: WireVector, reset: WireVector) -> None:
    """Collect the words of a result as they leave and show them together once the last has left."""
    words = _output_words(plan)
    if not words:
        return
    port = plan.outputs[0]
    beat_words = port.bus_bits // 32
    data = extend_elements(leaving, port.container)
    index, _ = wrapping_counter("result_beat", port.type.beats, leaving.transfer, reset)
    for word in range(words):
        beat, part = divmod(word, beat_words)
        now = data[32 * part : 32 * (part + 1)]
        if beat == port.type.beats - 1:
            now = _without_empty_lanes(now, port, word)
        else:
            collected = Register(32, f"result_word{word}")
            collected.next <<= select(leaving.transfer & (index == beat), now, collected)
            now = collected
        shown = state(f"last_result_word{word}", 32)
        follow(shown, select(ends, now, shown), reset)
        bus.drive(f"output{word}.value", shown)


def _without_empty_lanes(now: WireVector, port: Port, word: int) -> WireVector:
    """A word of a result's last beat, zeros where the result has no more elements."""
    bits = min(32, max(0, port.type.size * port.container - 32 * word))
    return now[:bits].zero_extended(32) if bits else Const(0, 32)


def _frame(stream: Stream, name: str, reset: WireVector) -> tuple[WireVector, WireVector]:
    """Whether the first beat of a tensor was taken, and whether its `last` was wrong; `_TO_COUNTERS` cycles before."""
    taken = delayed_flag(stream.transfer, _TO_COUNTERS, f"{name}_taken", reset)
    last = delayed(stream.last, _TO_COUNTERS, f"{name}_last")
    count, at_end = wrapping_counter(name, stream.type.beats, taken, reset)
    return taken & (count == 0), taken & (last ^ at_end)


def _count_cycles(bus: LiteRegisters, first: WireVector, ends: WireVector, reset: WireVector) -> None:
    """Inferences under way, latency of one that found none under way, distance of results."""
    under_way = state("inferences_under_way", 16)
    change = select(first & ~ends, under_way + 1, select(ends & ~first, under_way - 1, under_way))
    follow(under_way, change, reset)
    bus.drive("status.busy", under_way != 0)
    timing = state("latency_timing", 1)
    starts = named(first & (under_way == 0), "latency_start")
    follow(timing, starts | (timing & ~ends), reset)
    elapsed = state("latency_elapsed", _COUNTER)
    follow(elapsed, select(starts, Const(2, _COUNTER), (elapsed + 1).truncate(_COUNTER)), reset)
    latency = state("latency_cycles", _COUNTER)
    follow(latency, select(ends & timing, elapsed, latency), reset)
    bus.drive("latency.value", latency)
    since, interval = state("interval_elapsed", _COUNTER), state("interval_cycles", _COUNTER)
    timed = state("interval_timing", 1)
    follow(timed, timed | ends, reset)
    follow(since, select(ends, Const(1, _COUNTER), (since + 1).truncate(_COUNTER)), reset)
    follow(interval, select(ends & timed, since, interval), reset)
    bus.drive("interval.value", interval)
