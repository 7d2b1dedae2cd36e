"""Runs inside the simulator: a whole network between cocotbext-axi's stream source and sink and AXI4-Lite master."""

from __future__ import annotations

import os
import random

import cocotb
import numpy as np
from bus_checks import pulse_reset, random_pauses, start, wait, watch_channel
from cocotb.triggers import RisingEdge
from cocotbext.axi import (
    AxiLiteBus,
    AxiLiteMaster,
    AxiResp,
    AxiStreamBus,
    AxiStreamFrame,
    AxiStreamSink,
    AxiStreamSource,
)

IDENTITY, VERSION, CONTROL, STATUS, ERRORS, INFERENCES, LATENCY, INTERVAL, CLASS, SIZE = range(0, 0x28, 4)
OUTPUT0 = 0x40
LOW = {"clock": "aclk", "reset": "aresetn", "active_low": True}


class Bench:
    """The design, its bus models, and what it should answer."""

    def __init__(self, dut, stall: float) -> None:
        vectors = np.load(os.environ["VECTORS"])
        self.dut, self.inputs, self.outputs = dut, vectors["inputs"], vectors["outputs"]
        generator = random.Random(5)
        self.source = AxiStreamSource(AxiStreamBus.from_prefix(dut, "s_axis"), dut.aclk, dut.aresetn, False)
        self.sink = AxiStreamSink(AxiStreamBus.from_prefix(dut, "m_axis"), dut.aclk, dut.aresetn, False)
        self.master = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axi"), dut.aclk, dut.aresetn, False)
        if stall:
            self.source.set_pause_generator(random_pauses(stall, generator))
            self.sink.set_pause_generator(random_pauses(stall, generator))

    @classmethod
    async def started(cls, dut, stall: float = 0.0) -> Bench:
        await start(dut, **LOW)
        watch_channel(dut, "m_axis", "tvalid", "tready", ["tdata", "tlast", "tkeep"], **LOW)
        watch_channel(dut, "s_axi", "rvalid", "rready", ["rdata", "rresp"], **LOW)
        return cls(dut, stall)

    async def send(self, index: int) -> None:
        await self.source.send(AxiStreamFrame(self.inputs[index].tobytes()))

    async def receive(self, index: int) -> None:
        frame = await self.sink.recv()
        # The sink drops the bytes whose tkeep is low: what is left must be the tensor, no more and no less.
        assert bytes(frame.tdata) == self.outputs[index].tobytes(), index

    async def infer(self, indices) -> None:
        for index in indices:
            await self.send(index)
        for index in indices:
            await self.receive(index)

    async def shown(self) -> bytes:
        words = -(-self.outputs.shape[1] // 4)
        read = [await self.master.read_dword(OUTPUT0 + 4 * word) for word in range(words)]
        return b"".join(word.to_bytes(4, "little") for word in read)

    async def settle(self) -> None:
        await wait(self.dut, 20, "aclk")


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def back_to_back_with_pauses_on_every_channel(dut):
    bench = await Bench.started(dut, stall=0.4)
    await bench.infer(range(len(bench.inputs)))
    await bench.settle()
    assert await bench.master.read_dword(INFERENCES) == len(bench.inputs)
    assert await bench.master.read_dword(STATUS) == 0
    assert await bench.master.read_dword(ERRORS) == 0


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def registers_say_what_happened(dut):
    bench = await Bench.started(dut)
    assert await bench.master.read_dword(IDENTITY) == 0x4D4F4C42
    assert await bench.master.read_dword(VERSION) == 1
    assert await bench.master.read_dword(SIZE) == bench.outputs.shape[1]
    for index in range(len(bench.inputs)):
        await bench.infer([index])
        await bench.settle()
        assert await bench.master.read_dword(INFERENCES) == index + 1
        assert await bench.master.read_dword(CLASS) == int(np.argmax(bench.outputs[index])), "ties go to the first"
        size = bench.outputs.shape[1]
        assert (await bench.shown())[:size] == bench.outputs[index].tobytes()


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def counted_cycles_are_those_seen_outside(dut):
    bench = await Bench.started(dut)
    firsts, lasts = [], []

    async def watch():
        cycle, started = 0, False
        while True:
            await RisingEdge(dut.aclk)
            cycle += 1
            if int(dut.s_axis_tvalid.value) and int(dut.s_axis_tready.value):
                if not started:
                    firsts.append(cycle)
                started = not int(dut.s_axis_tlast.value)
            if int(dut.m_axis_tvalid.value) and int(dut.m_axis_tready.value) and int(dut.m_axis_tlast.value):
                lasts.append(cycle)

    watching = cocotb.start_soon(watch())
    await bench.infer([0])
    await bench.settle()
    assert await bench.master.read_dword(LATENCY) == lasts[0] - firsts[0] + 1
    await bench.infer([1, 2, 3, 4])
    await bench.settle()
    assert await bench.master.read_dword(INTERVAL) == lasts[-1] - lasts[-2]
    assert await bench.master.read_dword(LATENCY) == lasts[1] - firsts[1] + 1, "of the one that began with it empty"
    watching.cancel()


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def a_result_is_never_shown_in_part(dut):
    bench = await Bench.started(dut, stall=0.2)
    whole = {output.tobytes() for output in bench.outputs} | {bytes(bench.outputs.shape[1])}
    for index in range(len(bench.inputs)):
        await bench.send(index)
    size = bench.outputs.shape[1]
    for _ in range(12):
        # Two equal readings with an equal count between them were taken while one result stood.
        before = await bench.master.read_dword(INFERENCES)
        seen = (await bench.shown())[:size]
        if before == await bench.master.read_dword(INFERENCES):
            assert seen in whole
    for index in range(len(bench.inputs)):
        await bench.receive(index)


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def a_misplaced_last_is_an_error_until_cleared(dut):
    bench = await Bench.started(dut)
    await bench.source.send(AxiStreamFrame(bench.inputs[0].tobytes()[:4]))
    await bench.settle()
    assert await bench.master.read_dword(ERRORS) == 1
    await bench.master.write_dword(ERRORS, 1)
    assert await bench.master.read_dword(ERRORS) == 0
    await bench.master.write_dword(CONTROL, 1)
    await bench.settle()
    await bench.infer([1, 2])
    assert await bench.master.read_dword(ERRORS) == 0


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def wrong_addresses_are_answered(dut):
    bench = await Bench.started(dut)
    for address in (0x28, 0x3C, 0xFC):
        assert (await bench.master.read(address, 4)).resp == AxiResp.DECERR
        assert (await bench.master.write(address, b"\1\0\0\0")).resp == AxiResp.DECERR
    for address in (IDENTITY, STATUS, INFERENCES, OUTPUT0):
        assert (await bench.master.write(address, b"\1\0\0\0")).resp == AxiResp.SLVERR
        assert (await bench.master.read(address, 4)).resp == AxiResp.OKAY
    await bench.infer([0])


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def resets_at_any_time_leave_a_working_network(dut):
    bench = await Bench.started(dut)
    generator = random.Random(9)
    for attempt in range(12):
        await bench.send(attempt % len(bench.inputs))
        await bench.send((attempt + 1) % len(bench.inputs))
        await wait(dut, generator.randrange(1, 120), "aclk")
        if attempt % 2:
            await pulse_reset(dut, cycles=2, **LOW)
        else:
            while not bench.source.idle():
                await wait(dut, 1, "aclk")
            await bench.master.write_dword(CONTROL, 1)
        bench.source.clear()
        await bench.settle()
        bench.sink.clear()
        following = [(attempt + 2) % len(bench.inputs), (attempt + 3) % len(bench.inputs)]
        for index in following:
            await bench.send(index)
        # Software's reset may end a result in the middle, which the sink takes for the start of the next.
        frame = await bench.sink.recv()
        assert bytes(frame.tdata).endswith(bench.outputs[following[0]].tobytes())
        assert attempt % 2 == 0 or len(frame.tdata) == bench.outputs.shape[1]
        await bench.receive(following[1])
