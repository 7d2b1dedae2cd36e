"""AXI4-Lite register files: the bus under a third party's model, and corner cases one cycle at a time."""

from __future__ import annotations

import io

import pyrtl
import pytest
from cocotb_run import run_cocotb

from bitloom.errors import HardwareError
from bitloom.hw.axi.bench import BusBench, LiteManager
from bitloom.hw.axi.lite import DECERR, OKAY, SLVERR, lite_registers
from bitloom.hw.axi.register_map import Access, Field, Register, RegisterMap

MAP = RegisterMap(
    (
        Register("control", 0x00, Access.READ_WRITE, (Field("mode", 2, 0, 2), Field("gain", 8, 8, 0x5A))),
        Register.word("scratch", 0x04, Access.READ_WRITE),
        Register.word("echo", 0x08, Access.READ_ONLY),
        Register("events", 0x10, Access.WRITE_ONE_TO_CLEAR, (Field("one"), Field("other", lowest=1))),
        Register("kick", 0x14, Access.PULSE, (Field("go"),)),
        Register.word("kicks", 0x18, Access.READ_ONLY, bits=16),
    ),
    address_bits=8,
)


def build(reset=None):
    registers = lite_registers(MAP, reset=reset)
    event = pyrtl.Input(2, "happened")
    kicks = pyrtl.Register(16, "kicks", reset_value=0)
    counted = (kicks + registers.value("kick.go"))[:16]
    kicks.next <<= counted if reset is None else pyrtl.select(reset, 0, counted)
    registers.drive("echo.value", ~registers.value("scratch.value"))
    registers.drive("events.one", event[0])
    registers.drive("events.other", event[1])
    registers.drive("kicks.value", kicks)
    mode = pyrtl.Output(2, "mode")
    mode <<= registers.value("control.mode")
    return registers


@pytest.mark.parametrize(("pause", "explicit_reset"), [("0", False), ("0.4", True), ("0.8", False)])
def test_bus_model_agrees(tmp_path, pause, explicit_reset):
    pyrtl.reset_working_block()
    build(pyrtl.Input(1, "rst") if explicit_reset else None)
    text = io.StringIO()
    pyrtl.output_to_verilog(text, add_reset=not explicit_reset)
    run_cocotb(text.getvalue(), top="toplevel", module="cocotb_axi_lite", folder=tmp_path, environment={"PAUSE": pause})


@pytest.fixture
def bench():
    pyrtl.reset_working_block()
    build()
    return BusBench(pyrtl.Simulation())


def test_every_output_comes_from_a_register(bench):
    sources, _ = pyrtl.working_block().net_connections()
    for port in pyrtl.working_block().wirevector_subset(pyrtl.Output):
        driver = port
        while not isinstance(driver, pyrtl.Register):
            net = sources[driver]
            assert net.op in "ws", f"{port.name} is computed by '{net.op}'"
            (driver,) = net.args


def test_answers_and_values(bench):
    manager = LiteManager(bench)
    assert manager.read(0x00) == (0x5A02, OKAY)
    assert manager.write(0x00, 0xFFFF_FFFF) == OKAY
    assert manager.read(0x00) == (0xFF03, OKAY)
    assert bench.see("mode") == 3
    assert manager.write(0x08, 1) == SLVERR
    assert manager.write(0x0C, 1) == DECERR
    assert manager.read(0x0C) == (0, DECERR)
    assert manager.read(0x80) == (0, DECERR)


def test_pulse_lasts_one_cycle(bench):
    manager = LiteManager(bench)
    for wanted in (1, 2):
        assert manager.write(0x14, 1) == OKAY
        for _ in range(5):
            bench.step()
        assert manager.read(0x18) == (wanted, OKAY)
    assert manager.read(0x14) == (0, OKAY)
    assert manager.write(0x14, 1, strobes=0b1110) == OKAY
    assert manager.read(0x18) == (2, OKAY)


def test_an_event_in_any_cycle_of_its_clearing_is_kept(bench):
    """Whenever the event comes, it is either cleared (before the write took effect) or still there, never doubled."""
    manager = LiteManager(bench)
    seen = []
    for moment in range(6):
        manager.write(0x10, 3)
        bench.inputs |= {"s_axi_awvalid": 1, "s_axi_wvalid": 1, "s_axi_awaddr": 0x10, "s_axi_wdata": 1}
        bench.inputs |= {"s_axi_wstrb": 15, "s_axi_bready": 1}
        for cycle in range(8):
            bench.step(happened=int(cycle == moment), **({"s_axi_awvalid": 0, "s_axi_wvalid": 0} if cycle else {}))
        seen.append(manager.read(0x10)[0])
    # The write takes effect at the end of cycle 1: an event of cycle 0 is set by then and cleared, later ones stay.
    assert seen == [0, 1, 1, 1, 1, 1]


def test_two_cycles_a_write_and_three_a_read(bench):
    bench.step()
    bench.inputs |= {"s_axi_awvalid": 1, "s_axi_wvalid": 1, "s_axi_bready": 1, "s_axi_arvalid": 1, "s_axi_rready": 1}
    written, read = [], []
    for _ in range(20):
        bench.step()
        written.append(bench.see("s_axi_bvalid"))
        read.append(bench.see("s_axi_rvalid"))
    assert written == [0, 0] + [1, 0] * 9
    assert read == [0, 0, 0] + [1, 0, 0] * 5 + [1, 0]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RegisterMap(()), "at least one"),
        (lambda: RegisterMap((Register.word("a", 2, Access.READ_ONLY),)), "multiple of 4"),
        (lambda: RegisterMap((Register.word("a", 0x1000, Access.READ_ONLY),)), "within 12 address bits"),
        (lambda: RegisterMap((Register.word("a", 0, Access.PULSE), Register.word("a", 4, Access.PULSE))), "name a"),
        (
            lambda: RegisterMap((Register.word("a", 0, Access.PULSE), Register.word("b", 0, Access.PULSE))),
            "offset 0",
        ),
        (lambda: RegisterMap((Register("a", 0, Access.PULSE, ()),)), "no field"),
        (lambda: RegisterMap((Register("a", 0, Access.PULSE, (Field("x", 4), Field("y", 1, 3))),)), "overlaps"),
        (lambda: RegisterMap((Register("a", 0, Access.PULSE, (Field("x", 4, 30),)),)), "leaves the 32-bit word"),
        (lambda: RegisterMap((Register("a", 0, Access.PULSE, (Field("x", 4, 0, 1),)),)), "cannot reset to 1"),
        (lambda: RegisterMap((Register("A b", 0, Access.PULSE, (Field("x"),)),)), "no lower-case identifier"),
        (lambda: RegisterMap((Register("a", 0, Access.PULSE, (Field("x"), Field("x", lowest=1))),)), "share a name"),
        (lambda: MAP["nothing"], "no register is named nothing"),
    ],
)
def test_a_wrong_map_is_refused(make, message):
    with pytest.raises(HardwareError, match=message):
        make()


def test_wrong_fields_are_named():
    pyrtl.reset_working_block()
    registers = lite_registers(MAP)
    with pytest.raises(HardwareError, match=r"no value comes from a field 'echo\.value'"):
        registers.value("echo.value")
    with pytest.raises(HardwareError, match=r"nothing drives a field 'control\.mode'"):
        registers.drive("control.mode", pyrtl.Const(1))
    with pytest.raises(HardwareError, match="17 bits do not fit its 16"):
        registers.drive("kicks.value", pyrtl.Const(0, bitwidth=17))
