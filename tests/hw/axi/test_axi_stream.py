"""AXI4-Stream ports: under a third party's bus model, and their speed one cycle at a time."""

from __future__ import annotations

import io
from collections import deque

import numpy as np
import pyrtl
import pytest
from cocotb_run import run_cocotb

from bitloom.errors import HardwareError
from bitloom.hw.axi.stream import AxiStream, stream_manager, stream_subordinate


def build(reset=None, keep=True):
    pyrtl.reset_working_block()
    if reset == "explicit":
        reset = pyrtl.Input(1, "rst")
    stream_manager(stream_subordinate(32, keep=keep, reset=reset), reset=reset)


@pytest.mark.parametrize(
    ("pause_in", "pause_out", "reset"),
    [("0", "0", None), ("0.5", "0", None), ("0", "0.5", "explicit"), ("0.3", "0.7", None)],
)
def test_bus_model_agrees(tmp_path, pause_in, pause_out, reset):
    build(reset)
    text = io.StringIO()
    pyrtl.output_to_verilog(text, add_reset=reset is None)
    environment = {"PAUSE_IN": pause_in, "PAUSE_OUT": pause_out}
    run_cocotb(text.getvalue(), top="toplevel", module="cocotb_axi_stream", folder=tmp_path, environment=environment)


def drive(readies, offers):
    """Send numbers 1, 2, 3, ... in the cycles offered; what arrives, with the cycle of each."""
    simulation = pyrtl.Simulation()
    waiting, arrived = deque(range(1, 1000)), []
    offering = False
    for cycle, (ready, offer) in enumerate(zip(readies, offers, strict=True)):
        offering = offering or bool(offer)
        simulation.step(
            {
                "s_axis_tdata": waiting[0] if offering else 0xDEAD,
                "s_axis_tvalid": int(offering),
                "s_axis_tlast": waiting[0] % 3 == 0 if offering else 0,
                "m_axis_tready": int(ready),
            }
        )
        if offering and simulation.inspect("s_axis_tready"):
            waiting.popleft()
            offering = False
        if ready and simulation.inspect("m_axis_tvalid"):
            arrived.append((cycle, simulation.inspect("m_axis_tdata"), simulation.inspect("m_axis_tlast")))
    return arrived


def test_a_beat_moves_in_every_cycle():
    build(keep=False)
    arrived = drive([1] * 50, [1] * 50)
    # One cycle after reset, then one for each of the two registers on the way.
    assert [cycle for cycle, _, _ in arrived] == list(range(3, 50))


def test_after_a_stop_no_cycle_is_lost():
    build(keep=False)
    arrived = drive([1] * 10 + [0] * 7 + [1] * 20, [1] * 37)
    assert [cycle for cycle, _, _ in arrived] == [*range(3, 10), *range(17, 37)]
    assert [value for _, value, _ in arrived] == list(range(1, 28))


def test_order_and_last_survive_any_pattern():
    random = np.random.default_rng(4)
    for probability in (0.2, 0.5, 0.8):
        build(keep=False)
        arrived = drive(random.random(400) < probability, random.random(400) < 1 - probability / 2)
        assert [value for _, value, _ in arrived] == list(range(1, len(arrived) + 1))
        assert all(bool(last) == (value % 3 == 0) for _, value, last in arrived)
        assert len(arrived) > 50


def test_every_output_comes_from_a_register():
    build()
    sources, _ = pyrtl.working_block().net_connections()
    for port in pyrtl.working_block().wirevector_subset(pyrtl.Output):
        driver = port
        while not isinstance(driver, pyrtl.Register):
            net = sources[driver]
            assert net.op in "ws", f"{port.name} is computed by '{net.op}'"
            (driver,) = net.args


@pytest.mark.parametrize("bits", [0, 4, 12])
def test_a_stream_carries_bytes(bits):
    pyrtl.reset_working_block()
    with pytest.raises(HardwareError, match="whole number of bytes"):
        stream_subordinate(bits)
    with pytest.raises(HardwareError, match="whole number of bytes"):
        stream_manager(AxiStream.declare("inner", max(bits, 1)))
