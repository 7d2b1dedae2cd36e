"""Runs inside the simulator: packets through a stream port in and a stream port out, against cocotbext-axi."""

from __future__ import annotations

import os
import random

import cocotb
from bus_checks import pulse_reset, random_pauses, start, wait, watch_channel
from cocotbext.axi import AxiStreamBus, AxiStreamFrame, AxiStreamSink, AxiStreamSource

PAUSE_IN, PAUSE_OUT = (float(os.environ.get(name, "0")) for name in ("PAUSE_IN", "PAUSE_OUT"))


def ends(dut, generator):
    source = AxiStreamSource(AxiStreamBus.from_prefix(dut, "s_axis"), dut.clk, dut.rst)
    sink = AxiStreamSink(AxiStreamBus.from_prefix(dut, "m_axis"), dut.clk, dut.rst)
    if PAUSE_IN:
        source.set_pause_generator(random_pauses(PAUSE_IN, generator))
    if PAUSE_OUT:
        sink.set_pause_generator(random_pauses(PAUSE_OUT, generator))
    watch_channel(dut, "m_axis", "tvalid", "tready", ["tdata", "tlast", "tkeep"])
    return source, sink


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def packets_arrive_unchanged_and_in_order(dut):
    generator = random.Random(1)
    await start(dut)
    source, sink = ends(dut, generator)
    packets = [generator.randbytes(generator.randrange(1, 40)) for _ in range(60)]
    for packet in packets:
        await source.send(AxiStreamFrame(packet))
    for packet in packets:
        assert bytes(await sink.recv()) == packet
    assert sink.empty()


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def reset_at_any_cycle_leaves_a_working_port(dut):
    generator = random.Random(2)
    await start(dut)
    source, sink = ends(dut, generator)
    for _ in range(40):
        await source.send(AxiStreamFrame(generator.randbytes(40)))
        await wait(dut, generator.randrange(15))
        source.clear()
        await pulse_reset(dut)
        await wait(dut, 2)
        sink.clear()
        packet = generator.randbytes(17)
        await source.send(AxiStreamFrame(packet))
        assert bytes(await sink.recv()) == packet
