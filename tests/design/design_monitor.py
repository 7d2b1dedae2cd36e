"""Runs inside the simulator: looks at every bus and at the registers of a design in every cycle."""

from __future__ import annotations

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge

_INPUT_BEATS = 3


class DesignMonitor:
    """Records what moves, and checks that in every cycle out of reset all of this holds.

    - Nothing that a bus shows is undefined.
    - The words of the last result are those of the result whose last beat has left most recently, together, in the
      cycle after; zero before there is one.
    - The count of inferences and the class change together, in order, and never before those words.

    A reset, of hardware or software, begins the record anew, but for `results` and `results_seen`.
    """

    def __init__(self, dut, example):
        self.dut = dut
        self.size = len(example)
        self.results = []
        self.results_seen = 0
        self._begin()
        cocotb.start_soon(self._watch())

    def _begin(self):
        self.cycle = 0
        self.input_beats = 0
        self.starts, self.ends = [], []
        self.beats = b""
        self.since_reset = []
        self.counted = 0

    def latency(self, inference):
        """Cycles from an inference's first input beat to its last output beat, both counted; since reset."""
        return self.ends[inference] - self.starts[inference] + 1

    def interval(self):
        """Cycles between the last two results."""
        return self.ends[-1] - self.ends[-2]

    async def _watch(self):
        dut = self.dut
        while True:
            await RisingEdge(dut.aclk)
            # The design registers its reset: it empties everything at the end of the cycle in which this is high.
            if dut.aresetn.value == 0 or dut.core.core_reset.value == 1:
                self._begin()
                continue
            self.cycle += 1
            self._check_definedness()
            self._check_registers()
            self._record()

    def _check_definedness(self):
        dut = self.dut
        for name in ("s_axis_tready", "m_axis_tvalid", "s_axi_awready", "s_axi_wready", "s_axi_arready"):
            assert getattr(dut, name).value.is_resolvable, f"{name} is undefined"
        if dut.m_axis_tvalid.value == 1:
            assert dut.m_axis_tkeep.value.is_resolvable
            assert dut.m_axis_tlast.value.is_resolvable
        for valid, payload in (("r", ("rdata", "rresp")), ("b", ("bresp",))):
            if getattr(dut, f"s_axi_{valid}valid").value == 1:
                assert all(getattr(dut, f"s_axi_{name}").value.is_resolvable for name in payload)

    def _check_registers(self):
        core = self.dut.core
        wanted = (self.since_reset[-1] if self.since_reset else b"").ljust(8, b"\0")
        shown = [core.last_result_word0.value, core.last_result_word1.value]
        assert b"".join(int(word).to_bytes(4, "little") for word in shown) == wanted
        count, index = int(core.inference_count.value), int(core.last_class.value)
        assert count in (self.counted, self.counted + 1)
        assert count <= len(self.since_reset)
        self.counted = count
        assert index == (np.frombuffer(self.since_reset[count - 1], np.int8).argmax() if count else 0)

    def _record(self):
        dut = self.dut
        if dut.s_axis_tvalid.value == 1 and dut.s_axis_tready.value == 1:
            if self.input_beats % _INPUT_BEATS == 0:
                self.starts.append(self.cycle)
            self.input_beats += 1
        if dut.m_axis_tvalid.value == 1 and dut.m_axis_tready.value == 1:
            data, keep = dut.m_axis_tdata.value, int(dut.m_axis_tkeep.value)
            kept = [data[8 * lane + 7 : 8 * lane] for lane in range(4) if keep >> lane & 1]
            assert all(byte.is_resolvable for byte in kept), "a byte that belongs to a result is undefined"
            self.beats += bytes(int(byte.to_unsigned()) for byte in kept)
            if dut.m_axis_tlast.value == 1:
                assert len(self.beats) == self.size
                self.ends.append(self.cycle)
                self.since_reset.append(self.beats)
                self.results.append(self.beats)
                self.results_seen += 1
                self.beats = b""
