"""The AXI demo: its simulation in PyRTL, and its circuit under a third party's bus models."""

from __future__ import annotations

import io

import pyrtl
import pytest
from cocotb_run import run_cocotb

from bitloom.errors import InputError
from bitloom.hw.axi.demo import build_axi_demo, run_axi_demo


@pytest.mark.parametrize("values", [[5], [1, -1], [2**31 - 1] * 5, [-(2**31)] * 17, list(range(64))])
def test_the_sum_and_the_words_come_back(values):
    demo = run_axi_demo(values)
    assert demo.equal
    assert demo.total == sum(values)
    assert demo.words == tuple(values)


def test_what_is_shown():
    demo = run_axi_demo([3, 4], pauses=[2, 5], columns=100)
    assert [step.text for step in demo.transactions if step.bus == "s_axis"] == ["beat 3", "beat 4"]
    assert demo.transactions[1].cycle - demo.transactions[0].cycle == 6
    assert any("sum_low" in step.text and step.text.endswith("-> 7") for step in demo.transactions)
    assert "DONE" in demo.waveform
    assert max(map(len, demo.waveform.splitlines())) <= 100
    assert "module axi_sum(clk, rst" in demo.verilog
    assert "0x010   sum_low" in demo.registers


def test_the_callers_block_is_left_alone():
    pyrtl.reset_working_block()
    pyrtl.Input(3, "mine")
    run_axi_demo([1])
    assert {wire.name for wire in pyrtl.working_block().wirevector_set} == {"mine"}


@pytest.mark.parametrize("values", [[], [2**31], [-(2**31) - 1]])
def test_values_that_cannot_be_streamed_are_refused(values):
    with pytest.raises(InputError, match="axi demo"):
        run_axi_demo(values)


def test_sizes_that_make_no_memory_are_refused():
    with pytest.raises(InputError, match="address bits"):
        build_axi_demo(0)


@pytest.mark.parametrize("explicit_reset", [False, True])
def test_bus_models_agree(tmp_path, explicit_reset):
    pyrtl.reset_working_block()
    build_axi_demo(4, pyrtl.Input(1, "rst") if explicit_reset else None)
    text = io.StringIO()
    pyrtl.output_to_verilog(text, add_reset=not explicit_reset)
    run_cocotb(
        text.getvalue(),
        top="toplevel",
        module="cocotb_axi_demo",
        folder=tmp_path,
        environment={"ADDRESS_BITS": "4"},
    )
