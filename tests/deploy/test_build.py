"""What a build writes: a design that stands alone, a testbench that can fail, a report that says what is so."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from models import dense_network, every_operator_network

import bitloom as bl
from bitloom.errors import ExecutionError, ExportError, InputError, PlanError, UnsupportedError, UsageError
from bitloom.plan import Bus, Target
from bitloom.run.pyrtl_executor import PyrtlExecutor

needs_icarus = pytest.mark.skipif(shutil.which("iverilog") is None, reason="Icarus Verilog is not installed")

REPORT_KEYS = {
    *("written_by", "files", "format", "model", "top", "organisation", "bus", "target", "macs", "latency_cycles"),
    *("interval_cycles", "planned_interval_cycles", "bottleneck", "ports", "layers", "totals", "resources"),
    *("measured", "branches", "network"),
}
LAYER_KEYS = {
    *("name", "operator", "macs", "folding", "cycles", "multipliers", "other_multipliers", "utilisation"),
    *("memory_bits", "ram_blocks", "logic", "schedule", "facts", "notes"),
}


def network(seed=3, sizes=(7, 6, 4)):
    return dense_network(sizes, seed)


def simulate(folder: Path, *plusargs: str) -> subprocess.CompletedProcess[str]:
    """Run the testbench of a folder in Icarus, as its README says."""
    top = json.loads((folder / "report.json").read_text())["top"]
    compiled = ["iverilog", "-g2012", "-o", "sim.vvp", f"{top}.v", f"{top}_tb.v"]
    subprocess.run(compiled, cwd=folder, check=True)
    return subprocess.run(["vvp", "-n", "sim.vvp", *plusargs], cwd=folder, capture_output=True, text=True, check=False)


@needs_icarus
@pytest.mark.parametrize("bus", list(Bus))
@pytest.mark.parametrize("target", [Target(interval=6), Target(dsp=2)])
def test_the_testbench_passes_and_counts_the_cycles_of_the_report(tmp_path, bus, target):
    built = bl.build(network(), tmp_path / "design", bus=bus, target=target, vectors=6)
    ended = simulate(built.folder)
    assert ended.returncode == 0, ended.stdout
    passed = re.search(r"^PASS: 6 inferences, first after (\d+) cycles, all after (\d+)$", ended.stdout, re.MULTILINE)
    first, last = map(int, passed.groups())
    assert first == built.report["latency_cycles"]
    assert last == first + 5 * built.report["interval_cycles"]
    assert simulate(built.folder, "+stall=40", "+seed=5").returncode == 0


@needs_icarus
def test_a_wrong_weight_in_the_verilog_fails_the_testbench(tmp_path):
    built = bl.build(network(sizes=(7, 4)), tmp_path / "design", target=Target(dsp=1), vectors=8)
    verilog = built.folder / "dense_network.v"
    text = verilog.read_text()
    weights = list(re.finditer(r"weights\w*_rom\[\d+\]\s*=\s*\d+'h([0-9a-f]+);", text))
    assert len(weights) == 16  # 14 pairs, and 2 that fill up the memory
    for weight in weights[:14:3]:
        verilog.write_text(text[: weight.start(1)] + f"{int(weight[1], 16) ^ 0x40:x}" + text[weight.end(1) :])
        ended = simulate(built.folder)
        assert ended.returncode != 0
        assert re.search("^FAIL", ended.stdout, re.MULTILINE)


@needs_icarus
def test_the_makefile_runs_the_testbench(tmp_path):
    built = bl.build(network(), tmp_path / "design", vectors=2)
    ended = subprocess.run(
        ["make", "icarus", "STALL=20"], cwd=built.folder, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "PASS: 2 inferences" in ended.stdout
    bl.build(network(), built.folder, vectors=2)  # what make left there is no obstacle
    planned = subprocess.run(
        ["make", "-n", "synth-ecp5", "synth-xc7"], cwd=built.folder, capture_output=True, text=True, check=True
    )
    for script in ("synth_ecp5 -no-rw-check -top dense_network", "synth_xilinx -family xc7"):
        assert f"read_verilog dense_network.v; {script}" in planned.stdout


def test_the_report_says_what_is_so(tmp_path):
    graph = network()
    built = bl.build(graph, tmp_path / "design", target=Target(interval=8), bus=Bus.STREAM)
    report = json.loads((built.folder / "report.json").read_text())
    assert report == built.report
    assert report.keys() == REPORT_KEYS
    assert sorted(report["files"]) == sorted(path.name for path in built.folder.iterdir())
    assert report["written_by"].startswith("bitloom ")
    assert (report["organisation"], report["bus"], report["resources"]) == ("dataflow", "stream", None)
    assert report["target"] == {"interval": 8, "dsp": None, "board": "pynq-z2"}
    assert report["macs"] == graph.macs == 7 * 6 + 6 * 4
    assert report["interval_cycles"] == report["planned_interval_cycles"] == report["bottleneck"]["cycles"] <= 8
    assert report["latency_cycles"] > report["interval_cycles"]
    assert [layer["macs"] for layer in report["layers"]] == [42, 24]
    for layer, planned in zip(report["layers"], built.circuit.plan.nodes, strict=True):
        assert layer.keys() == LAYER_KEYS
        outputs = -(-layer["folding"]["pe"] // (1 + layer["folding"]["packed"]))
        assert layer["multipliers"] == outputs * layer["folding"]["simd"]
        assert layer["cycles"] == planned.estimate.cycles
        assert layer["utilisation"] == round(layer["macs"] / (layer["multipliers"] * report["interval_cycles"]), 3)
        low, high = layer["facts"]["accumulator_low"], layer["facts"]["accumulator_high"]
        assert low < 0 < high < 1 << (layer["facts"]["accumulator_bits"] - 1)
        assert layer["notes"][0] == f"accumulator [{low}, {high}] int{layer['facts']['accumulator_bits']}"
    assert report["totals"]["multipliers"] == built.circuit.plan.dsp
    (source, sink) = report["ports"]
    assert (source["direction"], source["shape"], source["element"]) == ("input", [1, 7], "int8")
    assert source["beats"] == -(-7 // source["lanes"])
    assert (sink["direction"], sink["tensor"]) == ("output", graph.outputs[0])


def test_every_operator_and_float_edges(tmp_path):
    """Layers without multiplications have no utilisation; the ports carry the integers between the float edges."""
    built = bl.build(every_operator_network(1), tmp_path / "design", vectors=2, target=Target(dsp=60))
    # The first inferences find the buffers empty and come at another pace; the interval is that of the later ones.
    assert built.report["interval_cycles"] == built.report["planned_interval_cycles"]
    layers = {layer["operator"]: layer for layer in built.report["layers"]}
    assert {"fully_connected", "softmax", "logistic"} <= layers.keys()
    assert layers["logistic"]["utilisation"] is None
    assert {port["element"] for port in built.report["ports"]} == {"int8"}


def test_the_readme_tells_how_to_use_the_folder(tmp_path):
    built = bl.build(network(), tmp_path / "design", vectors=3)
    text = (built.folder / "README.md").read_text()
    for needed in (
        "`dense_network.v`",
        "3 inferences",
        "make verilator",
        "synth-xc7",
        "0x00c",
        "inferences are under way",
    ):
        assert needed in text
    assert "| `s_axis_*` | input | `x` | int8[1, 7] | 0.003921568859368563 * (integer + 128) | 32 | 4 | 2 |" in text
    assert "`s_axis`: the last beat of a tensor carries 3 of 4 elements" in text
    stream = bl.build(network(), tmp_path / "stream", bus=Bus.STREAM).folder / "README.md"
    assert "## Registers" not in stream.read_text()


def test_given_inputs_are_the_vectors(tmp_path):
    inputs = np.arange(-14, 14).reshape(4, 7)
    built = bl.build(network(), tmp_path / "design", inputs=inputs)
    words = (built.folder / "dense_network_tb_s_axis.hex").read_text().split()
    sent = np.array([int(word, 16) for word in words], "<u4").view(np.int8).reshape(4, 8)[:, :7]
    np.testing.assert_array_equal(sent, inputs)


def test_the_same_model_gives_the_same_folder(tmp_path):
    built = [bl.build(network(), tmp_path / name, vectors=2) for name in ("one", "two")]
    one, two = ({path.name: path.read_bytes() for path in made.folder.iterdir()} for made in built)
    assert one.keys() == two.keys()
    different = [name for name in one if one[name] != two[name]]
    assert not different


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"target": Target(dsp=1)}, PlanError, "1 multipliers are too few; allow 2"),
        ({"target": Target(interval=1)}, PlanError, "no folding reaches an interval of 1 cycles"),
        ({"vectors": 0}, UsageError, "0 vectors"),
        ({"inputs": np.zeros((2, 9), np.int8)}, InputError, r"has shape \[2, 9\]"),
    ],
)
def test_what_cannot_be_built_leaves_nothing(tmp_path, options, error, said):
    with pytest.raises(error, match=said):
        bl.build(network(), tmp_path / "design", **options)
    assert not list(tmp_path.iterdir())


def test_a_folder_of_somebody_else_is_refused_before_the_work(tmp_path, monkeypatch):
    (tmp_path / "mine").write_text("x")
    monkeypatch.setattr("bitloom.run.pyrtl_executor.PyrtlExecutor.__init__", lambda *_: pytest.fail("worked in vain"))
    with pytest.raises(ExportError, match="bitloom did not write it"):
        bl.build(network(), tmp_path)


def test_a_circuit_that_disagrees_with_its_software_is_not_written(tmp_path, monkeypatch):
    right = PyrtlExecutor.run

    def wrong(self, inputs):
        result = right(self, inputs)
        result.tensors["t0"][2, 0, 1] ^= 1
        return result

    monkeypatch.setattr(PyrtlExecutor, "run", wrong)
    with pytest.raises(ExecutionError, match="disagree about the tensor 't0'"):
        bl.build(network(), tmp_path / "design")
    assert not list(tmp_path.iterdir())


def test_an_operator_without_hardware_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("bitloom.plan.planner.has_hardware", lambda operator: False)
    with pytest.raises(UnsupportedError, match="fully_connected has no hardware"):
        bl.build(network(), tmp_path / "design")
    assert not list(tmp_path.iterdir())
