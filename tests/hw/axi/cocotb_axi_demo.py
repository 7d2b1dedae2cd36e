"""Runs inside the simulator: the AXI demo's circuit between cocotbext-axi's stream source and AXI4-Lite master."""

from __future__ import annotations

import os
import random
import struct

import cocotb
from bus_checks import random_pauses, start, wait, watch_channel
from cocotbext.axi import AxiLiteBus, AxiLiteMaster, AxiStreamBus, AxiStreamFrame, AxiStreamSource

CONTROL, STATUS, EVENTS, COUNT, SUM_LOW, SUM_HIGH, ADDRESS, WORD = range(0, 0x20, 4)
DONE = 2
WORDS = 1 << int(os.environ.get("ADDRESS_BITS", "4"))


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def sums_are_right_packet_after_packet(dut):
    generator = random.Random(1)
    await start(dut)
    watch_channel(dut, "s_axi", "rvalid", "rready", ["rdata", "rresp"])
    source = AxiStreamSource(AxiStreamBus.from_prefix(dut, "s_axis"), dut.clk, dut.rst)
    source.set_pause_generator(random_pauses(0.3, generator))
    master = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axi"), dut.clk, dut.rst)
    lengths = [1, WORDS, WORDS + 5, 7, WORDS - 1]
    packets = [[generator.choice((-(2**31), 2**31 - 1, -1, 12345)) for _ in range(length)] for length in lengths]
    # All packets at once: the circuit itself holds the next one back until software has cleared.
    for packet in packets:
        await source.send(AxiStreamFrame(struct.pack(f"<{len(packet)}i", *packet)))
    for packet in packets:
        kept = packet[:WORDS]
        while await master.read_dword(STATUS) != DONE:
            pass
        assert await master.read_dword(EVENTS) == (3 if len(packet) > WORDS else 1)
        assert await master.read_dword(COUNT) == len(kept)
        low, high = await master.read_dword(SUM_LOW), await master.read_dword(SUM_HIGH)
        assert struct.unpack("<q", struct.pack("<II", low, high)) == (sum(kept),)
        for address in {0, len(kept) - 1, generator.randrange(len(kept))}:
            await master.write_dword(ADDRESS, address)
            assert await master.read_dword(WORD) == kept[address] % 2**32
        await master.write_dword(EVENTS, 3)
        assert await master.read_dword(EVENTS) == 0
        await master.write_dword(CONTROL, 1)
    await wait(dut, 5)
    assert await master.read_dword(STATUS) == 0
    assert await master.read_dword(COUNT) == 0
