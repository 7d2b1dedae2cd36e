"""Coroutines for cocotb tests: clock, reset, random pauses, and a watcher of the handshake rule of AXI channels."""

from __future__ import annotations

import random
from collections.abc import Iterator

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge


async def start(dut, clock="clk", reset="rst", active_low=False, cycles=3):
    """Start a 10 ns clock and hold reset for some cycles."""
    cocotb.start_soon(Clock(getattr(dut, clock), 10, unit="ns").start())
    await pulse_reset(dut, clock, reset, active_low, cycles)


async def pulse_reset(dut, clock="clk", reset="rst", active_low=False, cycles=1):
    """Hold reset for some clock edges."""
    getattr(dut, reset).value = int(not active_low)
    await wait(dut, cycles, clock)
    getattr(dut, reset).value = int(active_low)


async def wait(dut, cycles, clock="clk"):
    """Wait for some rising edges."""
    for _ in range(cycles):
        await RisingEdge(getattr(dut, clock))


def random_pauses(probability: float, generator: random.Random) -> Iterator[bool]:
    """For the pause generators of cocotbext-axi: pause in a cycle with this probability."""
    while True:
        yield generator.random() < probability


def watch_channel(dut, bus, valid, ready, payload, clock="clk", reset="rst", active_low=False):
    """Check, from now on, that VALID stays and the payload holds still until READY (ARM IHI 0022, section A3.2.1).

    Args:
        dut: the design.
        bus: prefix of the ports, such as ``m_axis``.
        valid: name of the VALID port without the prefix.
        ready: name of the READY port without the prefix.
        payload: names of the ports that must hold still, without the prefix.
        clock: name of the clock.
        reset: name of the reset, during which nothing is checked.
        active_low: whether it is low in reset.
    """
    ports = [getattr(dut, f"{bus}_{name}") for name in (valid, ready, *payload)]
    resetting = getattr(dut, reset)

    async def watch():
        waiting = None
        while True:
            await RisingEdge(getattr(dut, clock))
            if bool(int(resetting.value)) != active_low:
                waiting = None
                continue
            is_valid, is_ready, *values = [port.value for port in ports]
            assert is_valid.is_resolvable, f"{bus}_{valid} is undefined"
            assert is_ready.is_resolvable, f"{bus}_{ready} is undefined"
            if waiting is not None:
                assert int(is_valid), f"{bus}_{valid} fell before {ready}"
                assert values == waiting, f"{bus}: payload changed while waiting"
            waiting = values if int(is_valid) and not int(is_ready) else None

    return cocotb.start_soon(watch())
