"""Runs inside the simulator: a whole design with its AXI buses against cocotbext-axi.

The design and the vectors come from test_axi_design.py: inputs of 9 int8 elements, results of 5, which are NumPy's.
The sink checks what `tkeep` says too: a result arrives as exactly 5 bytes.
"""

from __future__ import annotations

import json
import logging
import os
import random

import cocotb
import numpy as np
from bus_checks import pulse_reset, random_pauses, start, wait, watch_channel
from cocotbext.axi import AxiLiteBus, AxiLiteMaster, AxiStreamBus, AxiStreamFrame, AxiStreamSink, AxiStreamSource
from design_monitor import DesignMonitor

OKAY, SLVERR, DECERR = 0, 2, 3
IDENTITY, VERSION = 0x4D4F_4C42, 1

REGISTERS = json.loads(os.environ["REGISTERS"])  # name: (offset, access)
INTERVAL, LATENCY = int(os.environ["INTERVAL"]), int(os.environ["LATENCY"])
with np.load(os.environ["VECTORS"]) as vectors:
    INPUTS = [row.tobytes() for row in vectors["inputs"]]
    RESULTS = [row.tobytes() for row in vectors["results"]]
    TIES = [int(index) for index in vectors["ties"]]
CLOCKING = {"clock": "aclk", "reset": "aresetn", "active_low": True}


class Bench:
    """The design with a bus model on each bus and a monitor of everything."""

    def __init__(self, dut, seed):
        clocked = (dut.aclk, dut.aresetn)
        self.dut, self.random = dut, random.Random(seed)
        # The models tell of every beat otherwise.
        logging.getLogger(f"cocotb.{dut._name}").setLevel(logging.WARNING)
        self.source = AxiStreamSource(AxiStreamBus.from_prefix(dut, "s_axis"), *clocked, reset_active_level=False)
        self.sink = AxiStreamSink(AxiStreamBus.from_prefix(dut, "m_axis"), *clocked, reset_active_level=False)
        self.lite = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axi"), *clocked, reset_active_level=False)

    @classmethod
    async def begin(cls, dut, seed):
        bench = cls(dut, seed)
        await start(dut, **CLOCKING)
        bench.monitor = DesignMonitor(dut, RESULTS[0])
        for bus, valid, payload in (("m_axis", "t", ["tdata", "tlast", "tkeep"]), ("s_axi", "r", ["rdata", "rresp"])):
            watch_channel(dut, bus, f"{valid}valid", f"{valid}ready", payload, **CLOCKING)
        watch_channel(dut, "s_axi", "bvalid", "bready", ["bresp"], **CLOCKING)
        return bench

    def pause(self, source, sink):
        """Pause both ends with these probabilities from now on."""
        for end, probability in ((self.source, source), (self.sink, sink)):
            end.set_pause_generator(random_pauses(probability, self.random) if probability else None)
            end.pause = False

    async def read(self, name):
        answer = await self.lite.read(REGISTERS[name][0], 4)
        assert answer.resp == OKAY
        return int.from_bytes(answer.data, "little")

    async def write(self, name, value):
        answer = await self.lite.write(REGISTERS[name][0], value.to_bytes(4, "little"))
        return answer.resp

    async def result_words(self):
        """The last result as the registers show it: 5 bytes."""
        words = [await self.read(name) for name in sorted(REGISTERS) if name.startswith("output")]
        return b"".join(word.to_bytes(4, "little") for word in words)

    async def infer(self, *indices):
        """Send inputs and check that their results come, as frames of exactly the result's bytes."""
        for index in indices:
            self.source.send_nowait(AxiStreamFrame(INPUTS[index]))
        for index in indices:
            assert bytes(await self.sink.recv()) == RESULTS[index], f"inference {index}"
        # Until the registers follow.
        await wait(self.dut, 12, "aclk")

    async def shows(self, count, index):
        """Check that the registers show a number of inferences and a result."""
        assert await self.read("inferences") == count
        assert await self.read("class") == np.frombuffer(RESULTS[index], np.int8).argmax()
        assert await self.result_words() == RESULTS[index].ljust(8, b"\0")
        assert await self.read("status") == 0


@cocotb.test(timeout_time=100, timeout_unit="us")
async def registers_after_reset(dut):
    bench = await Bench.begin(dut, 1)
    fixed = {"identity": IDENTITY, "version": VERSION, "size": len(RESULTS[0])}
    for name in REGISTERS:
        assert await bench.read(name) == fixed.get(name, 0), name


@cocotb.test(timeout_time=200, timeout_unit="us")
async def wrong_addresses_answer_errors_and_change_nothing(dut):
    bench = await Bench.begin(dut, 2)
    await bench.infer(0)
    offsets = dict(REGISTERS.values())
    for offset in range(0, 256, 4):
        read = await bench.lite.read(offset, 4)
        wanted = OKAY if offset in offsets else DECERR
        assert read.resp == wanted, f"read of {offset:#x}"
        if offset in offsets and offsets[offset] != "ro":
            continue
        written = await bench.lite.write(offset, b"\xff\xff\xff\xff")
        assert written.resp == (SLVERR if offset in offsets else DECERR), f"write to {offset:#x}"
        assert (await bench.lite.read(offset, 4)).data == read.data
    await bench.shows(1, 0)


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def results_stream_while_registers_are_read(dut):
    """Back to back and with pauses on either side; the monitor checks in every cycle what the registers show."""
    bench = await Bench.begin(dut, 3)
    done = 0
    for source, sink in ((0, 0), (0.6, 0), (0, 0.6), (0.3, 0.3), (0, 0.9)):
        bench.pause(source, sink)
        indices = [bench.random.randrange(len(INPUTS)) for _ in range(24)]
        sending = cocotb.start_soon(bench.infer(*indices))
        counts = [done]
        while not sending.done():
            counts.append(await bench.read("inferences"))
            shown = await bench.read("output0")
            assert shown in {int.from_bytes(result[:4], "little") for result in [*RESULTS, bytes(4)]}
            await bench.read("status")
        assert counts == sorted(counts)
        done += len(indices)
        await bench.shows(done, indices[-1])
    assert bench.monitor.results_seen == done
    assert await bench.read("errors") == 0


@cocotb.test(timeout_time=500, timeout_unit="us")
async def cycle_counters_count_as_the_bus_does(dut):
    bench = await Bench.begin(dut, 4)
    await bench.infer(0)
    assert await bench.read("interval") == 0, "one result has no interval"
    assert await bench.read("latency") == bench.monitor.latency(0) == LATENCY
    await bench.infer(*range(12))
    assert await bench.read("interval") == bench.monitor.interval() == INTERVAL
    # Of the first of the twelve: only that one found the network empty.
    assert await bench.read("latency") == bench.monitor.latency(1) == LATENCY
    for source, sink in ((0.7, 0), (0, 0.7), (0.5, 0.5)):
        bench.pause(source, sink)
        first = bench.monitor.results_seen
        await bench.infer(*range(6))
        assert await bench.read("interval") == bench.monitor.interval()
        assert await bench.read("latency") == bench.monitor.latency(first)


@cocotb.test(timeout_time=500, timeout_unit="us")
async def busy_while_inferences_are_under_way(dut):
    bench = await Bench.begin(dut, 5)
    bench.sink.pause = True
    sending = cocotb.start_soon(bench.infer(0))
    # Until the wave of the reset has passed and the first beat is counted.
    await wait(dut, 12, "aclk")
    for _ in range(LATENCY):
        assert await bench.read("status") == 1
        assert await bench.read("inferences") == 0
    bench.sink.pause = False
    await sending
    await bench.shows(1, 0)


@cocotb.test(timeout_time=500, timeout_unit="us")
async def class_is_the_first_of_equal_largest(dut):
    bench = await Bench.begin(dut, 6)
    assert len(TIES) >= 4
    for count, index in enumerate(TIES, start=1):
        await bench.infer(index)
        await bench.shows(count, index)


@cocotb.test(timeout_time=500, timeout_unit="us")
async def wrong_frames_are_remembered_until_cleared(dut):
    bench = await Bench.begin(dut, 7)
    # Two tensors in one frame, a tensor in two, and right again: the results do not depend on the frames.
    for frames in ([INPUTS[0].ljust(12, b"\0") + INPUTS[1]], [INPUTS[0][:4], INPUTS[0][4:], INPUTS[1]]):
        assert await bench.read("errors") == 0
        for frame in frames:
            bench.source.send_nowait(AxiStreamFrame(frame))
        for index in (0, 1):
            assert bytes(await bench.sink.recv()) == RESULTS[index]
        assert await bench.read("errors") == 1
        assert await bench.write("errors", 0) == OKAY
        await bench.infer(2)
        assert await bench.read("errors") == 1, "only a written one clears"
        assert await bench.write("errors", 1) == OKAY
        assert await bench.read("errors") == 0
    await bench.infer(3, 4)
    assert await bench.read("errors") == 0


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def software_reset_in_any_cycle(dut):
    """What was under way is gone; the bus and its sticky error stay."""
    bench = Bench(dut, 8)
    await start(dut, **CLOCKING)
    # Without `watch_channel`: software's reset takes back a result that waits, as it is meant to.
    bench.monitor = DesignMonitor(dut, RESULTS[0])
    for trial in range(25):
        bench.pause(0, bench.random.choice((0, 0.7, 1)))
        for _ in range(bench.random.randrange(3)):
            bench.source.send_nowait(AxiStreamFrame(INPUTS[bench.random.randrange(len(INPUTS))]))
        if begun := bench.random.randrange(3):
            bench.source.send_nowait(AxiStreamFrame(INPUTS[0][: 4 * begun]))
        await bench.source.wait()
        await wait(dut, bench.random.randrange(LATENCY + 5), "aclk")
        assert await bench.write("control", 1) == OKAY
        bench.pause(0, 0)
        await wait(dut, 2, "aclk")
        assert await bench.read("errors") == int(begun > 0)
        assert await bench.write("errors", 1) == OKAY
        for name in ("inferences", "latency", "interval", "class", "status"):
            assert await bench.read(name) == 0, name
        assert await bench.result_words() == bytes(8)
        first = bench.monitor.results_seen
        for index in (trial, trial + 1):
            bench.source.send_nowait(AxiStreamFrame(INPUTS[index]))
        while bench.monitor.results_seen < first + 2:
            await wait(dut, 1, "aclk")
        assert bench.monitor.results[-2:] == [RESULTS[trial], RESULTS[trial + 1]]
        await wait(dut, 12, "aclk")
        await bench.shows(2, trial + 1)


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def hardware_reset_in_any_cycle(dut):
    bench = await Bench.begin(dut, 9)
    for trial in range(25):
        bench.pause(bench.random.choice((0, 0.5)), bench.random.choice((0, 0.5, 1)))
        for _ in range(4):
            bench.source.send_nowait(AxiStreamFrame(INPUTS[bench.random.randrange(len(INPUTS))]))
        for name in ("control", "errors"):
            bench.lite.init_write(REGISTERS[name][0], b"\1\0\0\0")
        bench.lite.init_read(REGISTERS["output0"][0], 4)
        await wait(dut, bench.random.randrange(LATENCY + 4 * INTERVAL), "aclk")
        bench.source.clear()
        await pulse_reset(dut, **CLOCKING, cycles=bench.random.randrange(2, 5))
        bench.pause(bench.random.choice((0, 0.5)), bench.random.choice((0, 0.5)))
        await wait(dut, 2, "aclk")
        bench.sink.clear()
        for name in ("inferences", "latency", "interval", "class", "errors", "status"):
            assert await bench.read(name) == 0, name
        await bench.infer(trial, trial + 1)
        await bench.shows(2, trial + 1)
