"""Runs inside the simulator: an AXI4-Lite register file against cocotbext-axi and a model in Python.

The registers are those of test_axi_lite.py.
"""

from __future__ import annotations

import os
import random

import cocotb
from bus_checks import pulse_reset, random_pauses, start, wait, watch_channel
from cocotbext.axi import AxiLiteBus, AxiLiteMaster
from cocotbext.axi.axil_channels import (
    AxiLiteARSource,
    AxiLiteARTransaction,
    AxiLiteAWSource,
    AxiLiteAWTransaction,
    AxiLiteBSink,
    AxiLiteRSink,
    AxiLiteWSource,
    AxiLiteWTransaction,
)

OKAY, SLVERR, DECERR = 0, 2, 3
CONTROL, SCRATCH, ECHO, EVENTS, KICK, KICKS = 0x00, 0x04, 0x08, 0x10, 0x14, 0x18
UNMAPPED = (0x0C, 0x1C, 0x40, 0xFC)
READ_ONLY = (ECHO, KICKS)
CONTROL_MASK, CONTROL_RESET = 0x0000_FF03, 0x0000_5A02
PAUSE = float(os.environ.get("PAUSE", "0"))


class Model:
    """What software should see."""

    def __init__(self):
        self.control, self.scratch, self.events, self.kicks = CONTROL_RESET, 0, 0, 0

    def read(self, address):
        words = {
            CONTROL: self.control,
            SCRATCH: self.scratch,
            ECHO: self.scratch ^ 0xFFFF_FFFF,
            EVENTS: self.events,
            KICK: 0,
            KICKS: self.kicks,
        }
        word = address & ~3
        return (words[word], OKAY) if word in words else (0, DECERR)

    def write(self, address, data, strobes):
        mask = sum(0xFF << (8 * lane) for lane in range(4) if strobes >> lane & 1)
        word = address & ~3
        if word in READ_ONLY:
            return SLVERR
        if word == CONTROL:
            mask &= CONTROL_MASK
            self.control = (self.control & ~mask) | (data & mask)
        elif word == SCRATCH:
            self.scratch = (self.scratch & ~mask) | (data & mask)
        elif word == EVENTS:
            self.events &= ~(data & mask)
        elif word == KICK:
            self.kicks += data & mask & 1
        else:
            return DECERR
        return OKAY


class Channels:
    """The five channels, each driven on its own."""

    def __init__(self, dut, generator):
        bus = AxiLiteBus.from_prefix(dut, "s_axi")
        clock_and_reset = dut.clk, dut.rst
        self.dut = dut
        self.aw = AxiLiteAWSource(bus.write.aw, *clock_and_reset)
        self.w = AxiLiteWSource(bus.write.w, *clock_and_reset)
        self.b = AxiLiteBSink(bus.write.b, *clock_and_reset)
        self.ar = AxiLiteARSource(bus.read.ar, *clock_and_reset)
        self.r = AxiLiteRSink(bus.read.r, *clock_and_reset)
        if PAUSE:
            for channel in (self.aw, self.w, self.b, self.ar, self.r):
                channel.set_pause_generator(random_pauses(PAUSE, generator))
        watch_channel(dut, "s_axi", "bvalid", "bready", ["bresp"])
        watch_channel(dut, "s_axi", "rvalid", "rready", ["rdata", "rresp"])

    async def write(self, address, data, strobes=15, data_lead=0):
        """Write with the data some cycles before (or, negative, after) the address."""
        await self.start_write(address, data, strobes, data_lead)
        return int((await self.b.recv()).bresp)

    async def start_write(self, address, data, strobes=15, data_lead=0):
        sends = [
            self.w.send(AxiLiteWTransaction(wdata=data, wstrb=strobes)),
            self.aw.send(AxiLiteAWTransaction(awaddr=address, awprot=0)),
        ]
        for position, send in enumerate(sends if data_lead >= 0 else reversed(sends)):
            if position:
                await wait(self.dut, abs(data_lead))
            await send

    async def read(self, address):
        await self.ar.send(AxiLiteARTransaction(araddr=address, arprot=0))
        answer = await self.r.recv()
        return int(answer.rdata), int(answer.rresp)


def random_address(generator):
    mapped = (CONTROL, SCRATCH, ECHO, EVENTS, KICK, KICKS)
    return generator.choice(mapped * 2 + UNMAPPED) + generator.choice((0, 0, 0, 1, 2, 3))


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def registers_follow_the_model(dut):
    generator = random.Random(1)
    dut.happened.value = 0
    await start(dut)
    channels, model = Channels(dut, generator), Model()
    for _ in range(400):
        address = random_address(generator)
        if generator.random() < 0.5:
            data, strobes = generator.getrandbits(32), generator.randrange(16)
            response = await channels.write(address, data, strobes, data_lead=generator.randrange(-4, 5))
            assert response == model.write(address, data, strobes), f"write to {address:#x}"
        else:
            assert await channels.read(address) == model.read(address), f"read of {address:#x}"
        if generator.random() < 0.2:
            happened = generator.randrange(4)
            await wait(dut, 3)
            dut.happened.value = happened
            await wait(dut, 1)
            dut.happened.value = 0
            await wait(dut, 1)
            model.events |= happened


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def reads_and_writes_at_once_keep_their_order(dut):
    """Requests queued as fast as the bus takes them: every one is answered, in order."""
    generator = random.Random(2)
    dut.happened.value = 0
    await start(dut)
    channels, model = Channels(dut, generator), Model()
    writes = [(random_address(generator), generator.getrandbits(32), generator.randrange(16)) for _ in range(150)]
    reads = [random_address(generator) for _ in range(150)]

    async def write_all():
        async def addresses():
            for address, _, _ in writes:
                await channels.aw.send(AxiLiteAWTransaction(awaddr=address, awprot=0))

        async def data():
            for _, word, strobes in writes:
                await channels.w.send(AxiLiteWTransaction(wdata=word, wstrb=strobes))

        cocotb.start_soon(addresses())
        cocotb.start_soon(data())
        return [int((await channels.b.recv()).bresp) for _ in writes]

    async def read_all():
        async def addresses():
            for address in reads:
                await channels.ar.send(AxiLiteARTransaction(araddr=address, arprot=0))

        cocotb.start_soon(addresses())
        return [int((await channels.r.recv()).rresp) for _ in reads]

    writing, reading = cocotb.start_soon(write_all()), cocotb.start_soon(read_all())
    assert await writing == [model.write(*write) for write in writes]
    assert await reading == [model.read(address)[1] for address in reads]
    for address in (CONTROL, SCRATCH, KICKS):
        assert await channels.read(address) == model.read(address)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def whole_master_moves_bytes(dut):
    """cocotbext-axi's own master: unaligned byte accesses become strobes."""
    dut.happened.value = 0
    await start(dut)
    master = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axi"), dut.clk, dut.rst)
    await master.write(SCRATCH, b"\x11\x22\x33\x44")
    await master.write(SCRATCH + 1, b"\xaa\xbb")
    assert (await master.read(SCRATCH, 4)).data == b"\x11\xaa\xbb\x44"
    assert (await master.read(SCRATCH + 2, 1)).data == b"\xbb"
    assert (await master.write(ECHO, b"\x00\x00\x00\x00")).resp == SLVERR
    assert (await master.read(0x40, 4)).resp == DECERR


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def reset_at_any_cycle_leaves_a_working_core(dut):
    generator = random.Random(3)
    dut.happened.value = 0
    await start(dut)
    channels = Channels(dut, generator)
    for _ in range(40):
        for _ in range(generator.randrange(3)):
            cocotb.start_soon(channels.start_write(SCRATCH, generator.getrandbits(32)))
            cocotb.start_soon(channels.ar.send(AxiLiteARTransaction(araddr=SCRATCH, arprot=0)))
        await wait(dut, generator.randrange(12))
        await pulse_reset(dut)
        for channel in (channels.aw, channels.w, channels.b, channels.ar, channels.r):
            channel.clear()
        await wait(dut, 2)
        model = Model()
        assert not int(dut.s_axi_bvalid.value)
        assert not int(dut.s_axi_rvalid.value)
        assert await channels.read(CONTROL) == model.read(CONTROL)
        assert await channels.read(SCRATCH) == model.read(SCRATCH)
        assert await channels.write(SCRATCH, 0x1234_5678) == OKAY
        assert await channels.read(SCRATCH) == (0x1234_5678, OKAY)
