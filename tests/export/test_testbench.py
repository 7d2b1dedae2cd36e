"""The self-checking testbench, in both simulators: right vectors pass, everything wrong fails with a status."""

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from models import dense_network, random_inputs

from bitloom.design import design
from bitloom.errors import ExportError
from bitloom.export.testbench import write_testbench
from bitloom.export.verilog import to_verilog
from bitloom.plan import Bus, Target, make_plan

INFERENCES = 6
SIMULATORS = ("icarus", "verilator")


@dataclass(frozen=True)
class Build:
    """A folder with a design and its testbench, and how to run it."""

    folder: Path
    simulator: str
    top: str

    def run(self, *plusargs: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run what was compiled."""
        program = ["vvp", "-n", self.folder / f"{self.top}_tb.vvp"]
        if self.simulator == "verilator":
            program = [self.folder / "obj_dir" / f"V{self.top}_tb"]
        command = [*program, *plusargs]
        return subprocess.run(command, cwd=folder or self.folder, capture_output=True, text=True, check=False)


def write(folder: Path, bus: Bus, *, seed: int = 1, text_of=lambda text: text) -> str:
    """Design, testbench, vectors; the name of the top module."""
    # Odd sizes: the last beats of input and output are partly filled.
    graph = dense_network([13, 7, 5], seed)
    circuit = design(make_plan(graph, Target(interval=14), bus))
    module = to_verilog(circuit)
    (folder / f"{module.top}.v").write_text(text_of(module.text))
    tensors = graph.evaluate(random_inputs(graph, INFERENCES, seed))
    for name, text in write_testbench(circuit, module, tensors).items():
        (folder / name).write_text(text)
    return module.top


def make(folder: Path, target: str, *variables: str) -> subprocess.CompletedProcess[str]:
    command = ["make", target, f"PYTHON={sys.executable}", *variables]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module", params=SIMULATORS)
def build(request, tmp_path_factory):
    """Compiled once per simulator; tests copy the vectors before they damage them."""
    if request.param == "icarus" and shutil.which("iverilog") is None:
        pytest.skip("Icarus Verilog (iverilog) is not installed")
    folder = tmp_path_factory.mktemp(request.param)
    top = write(folder, Bus.AXI)
    result = make(folder, request.param)
    assert result.returncode == 0, result.stderr + result.stdout
    assert re.search(r"^PASS: 6 inferences, first after \d+ cycles, all after \d+$", result.stdout, re.MULTILINE)
    return Build(folder, request.param, top)


def vectors(build: Build, folder: Path) -> dict[str, Path]:
    """A copy of the vectors, by port."""
    for file in build.folder.glob("*.hex"):
        shutil.copy(file, folder)
    return {port: folder / f"{build.top}_tb_{port}.hex" for port in ("s_axis", "m_axis")}


def assert_fails(result: subprocess.CompletedProcess[str], message: str) -> None:
    assert result.returncode != 0
    assert re.search("^FAIL$", result.stdout, re.MULTILINE)
    assert "PASS" not in result.stdout
    assert re.search(message, result.stdout), result.stdout


def cycles(result: subprocess.CompletedProcess[str]) -> int:
    assert result.returncode == 0, result.stdout
    return int(re.search(r"PASS: .* all after (\d+)", result.stdout).group(1))


def test_passes_with_pauses(build):
    smooth = cycles(build.run())
    paused = {cycles(build.run("+stall=80", f"+seed={seed}")) for seed in range(3)}
    assert len(paused) > 1
    assert min(paused) > smooth
    assert cycles(build.run("+stall=80", "+seed=2")) in paused


def test_vectors_may_be_anywhere(build, tmp_path):
    vectors(build, tmp_path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert cycles(build.run(f"+vectors={tmp_path}", folder=elsewhere))


@pytest.mark.parametrize("port", ["s_axis", "m_axis"])
def test_missing_vectors_fail(build, port, tmp_path):
    vectors(build, tmp_path)[port].unlink()
    assert_fails(build.run(folder=tmp_path), f"_tb_{port}.hex is not in '.'; name its folder with .vectors=")


@pytest.mark.parametrize("port", ["s_axis", "m_axis"])
def test_vectors_cut_short_fail(build, port, tmp_path):
    file = vectors(build, tmp_path)[port]
    file.write_text("\n".join(file.read_text().splitlines()[:3]) + "\n")
    assert_fails(build.run(folder=tmp_path), f"the vectors of {port} end after 3 beats")


def test_one_wrong_bit_fails(build, tmp_path):
    file = vectors(build, tmp_path)["m_axis"]
    words = file.read_text().splitlines()
    words[-1] = f"{int(words[-1], 16) ^ 1:08x}"
    file.write_text("\n".join(words) + "\n")
    assert_fails(build.run(folder=tmp_path), rf"m_axis, inference {INFERENCES - 1}, beat 1: data \w+ \(expected \w+\)")


def test_another_input_fails(build, tmp_path):
    file = vectors(build, tmp_path)["s_axis"]
    words = file.read_text().splitlines()
    words[0] = f"{int(words[0], 16) ^ 0x7F7F7F7F:08x}"
    file.write_text("\n".join(words) + "\n")
    assert_fails(build.run(folder=tmp_path), "m_axis, inference 0, beat 0: data")


@pytest.mark.skipif(shutil.which("iverilog") is None, reason="Icarus Verilog (iverilog) is not installed")
@pytest.mark.parametrize(
    ("found", "replaced", "message"),
    [
        (".s_axis_tvalid(s_axis_tvalid)", ".s_axis_tvalid(1'b0)", "no beat moved for 10000 cycles"),
        (".m_axis_tlast(m_axis_tlast)", ".m_axis_tlast()", r"last z \(0\)"),
        (".m_axis_tkeep(m_axis_tkeep)", ".m_axis_tkeep()", r"keep z+ \(1111\)"),
        (".m_axis_tdata(m_axis_tdata)", ".m_axis_tdata()", "data x+ "),
        (".m_axis_tready(m_axis_tready)", ".m_axis_tready(1'b1)", "expected"),
    ],
)
def test_a_broken_design_fails(found, replaced, message, tmp_path):
    def damaged(text):
        assert found in text
        return text.replace(found, replaced, 1)

    write(tmp_path, Bus.AXI, text_of=damaged)
    result = make(tmp_path, "icarus", "STALL=30")
    assert_fails(result, message)


@pytest.mark.skipif(shutil.which("iverilog") is None, reason="Icarus Verilog (iverilog) is not installed")
@pytest.mark.parametrize("seed", [2, 3])
def test_wide_streams_pass(seed, tmp_path):
    write(tmp_path, Bus.STREAM, seed=seed)
    for stall in (0, 50):
        result = make(tmp_path, "icarus", f"STALL={stall}")
        assert result.returncode == 0, result.stdout + result.stderr
        assert "PASS" in result.stdout


def test_make_clean_leaves_only_what_was_written(tmp_path):
    write(tmp_path, Bus.STREAM)
    written = sorted(tmp_path.iterdir())
    assert any(file.suffix == ".hex" for file in written)
    if shutil.which("iverilog"):
        make(tmp_path, "icarus")
        assert sorted(tmp_path.iterdir()) != written
    assert make(tmp_path, "clean").returncode == 0
    assert sorted(tmp_path.iterdir()) == written


def test_vectors_that_do_not_fit_are_refused():
    graph = dense_network([4, 2], 0)
    circuit = design(make_plan(graph, Target(interval=20), Bus.STREAM))
    module = to_verilog(circuit)
    tensors = graph.evaluate(random_inputs(graph, 3, 0))
    with pytest.raises(ExportError, match="no vectors are given for 'x'"):
        write_testbench(circuit, module, {name: tensors[name] for name in graph.outputs})
    with pytest.raises(ExportError, match="the vectors have 2, 3 inferences"):
        write_testbench(circuit, module, {**tensors, "x": tensors["x"][:2]})
    with pytest.raises(ExportError, match="the vectors have 0 inferences"):
        write_testbench(circuit, module, {name: tensor[:0] for name, tensor in tensors.items()})
