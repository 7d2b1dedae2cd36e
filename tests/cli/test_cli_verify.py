"""``bitloom verify``: what it prints and writes, and that it ends with 1 where anything differs."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import bitloom as bl
from bitloom.ir.operator import Array
from bitloom.run import RunResult
from bitloom.run.numpy_executor import NumpyExecutor


def test_golden_text(program: Any, digits: Path) -> None:
    ended = program("verify", digits, "--executors", "litert,numpy,pyrtl", "--num-images", 20)
    assert (ended.status, ended.err) == (0, "")
    assert ended.lines[:7] == [
        f"{digits}: 20 of 359 test images of digits",
        "",
        "tensor   operator         shape  elements  numpy  pyrtl",
        "dense_1  fully_connected  1x27        540  equal  equal",
        "dense_2  fully_connected  1x19        380  equal  equal",
        "logits   fully_connected  1x10        200  equal  equal",
        "",
    ]
    assert ended.lines[7].split() == ["executor", "inferences/s", "seconds", "setup", "latency", "interval"]
    assert ended.lines[8].startswith("litert (judge)  ")
    assert re.fullmatch(r"numpy .* ms +- +- +-", ended.lines[9])
    assert re.fullmatch(r"pyrtl .* \d+ cycles +\d+ cycles", ended.lines[10])
    assert ended.lines[-1] == "equal: litert, numpy, pyrtl agree on all 1,120 elements of 3 tensors"


def test_stalls_are_asked_of_circuits(program: Any, small_model: Path) -> None:
    arguments = ["verify", small_model, "--executors", "numpy,pyrtl", "--random", 30, "--json", "-"]
    free = json.loads(program(*arguments).out)
    stalled = [json.loads(program(*arguments, "--stalls", "--seed", seed).out) for seed in range(4)]
    assert [(run["equal"], run["stalls"]) for run in (free, *stalled)] == [(True, False)] + 4 * [(True, True)]
    latency = free["executors"]["pyrtl"]["latency_cycles"]
    delays = [run["executors"]["pyrtl"]["latency_cycles"] - latency for run in stalled]
    # The first inference can be lucky, but not with every seed.
    assert min(delays) >= 0
    assert len(set(delays)) > 1


def test_json_of_the_shape_promised(program: Any, small_model: Path, tmp_path: Path) -> None:
    file = tmp_path / "out.json"
    ended = program("verify", small_model, "--executors", "pyrtl,litert", "--random", 4, "--json", file)
    assert ended.status == 0
    written = json.loads(file.read_text())
    model = bl.load(small_model)
    assert (written["model"], written["equal"], written["judge"]) == ("small", True, "litert")
    assert list(written["executors"]) == ["pyrtl", "litert"]
    for name, executor in written["executors"].items():
        assert executor["seconds"] > 0
        assert executor["inferences_per_second"] == pytest.approx(4 / executor["seconds"])
        assert (executor["latency_cycles"] is None) == (executor["interval_cycles"] is None) == (name == "litert")
    assert [
        (tensor["name"], tensor["shape"], tensor["elements"], tensor["mismatches"]) for tensor in written["tensors"]
    ] == [
        (name, list(model.graph.type(name).shape), 4 * model.graph.type(name).size, {"pyrtl": 0, "litert": 0})
        for name in model.graph.computed
    ]
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(file.stat().st_mode) == 0o666 & ~umask


@pytest.fixture
def _wrong_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A NumPy executor that is off by three in one element of the second layer of inference 5."""
    right = NumpyExecutor.run

    def wrong(self: NumpyExecutor, inputs: Mapping[str, Array]) -> RunResult:
        result = right(self, inputs)
        tensors = {name: tensor.copy() for name, tensor in result.tensors.items()}
        tensors["dense_2"][5, 0, 7] -= 3 if tensors["dense_2"][5, 0, 7] > 0 else -3
        return dataclasses.replace(result, tensors=tensors)

    monkeypatch.setattr(NumpyExecutor, "run", wrong)


@pytest.mark.usefixtures("_wrong_numpy")
def test_a_difference_ends_with_status_1_and_says_where(program: Any, digits: Path, tmp_path: Path) -> None:
    arguments = ["verify", digits, "--executors", "litert,numpy", "--start-image", 40, "--num-images", 8]
    arguments += ["--batch-size", 8, "--json", tmp_path / "x.json"]
    ended = program(*arguments)
    assert (ended.status, ended.err) == (1, "")
    assert ended.lines[3:6] == [
        "dense_1  fully_connected  1x27        216  equal",
        "dense_2  fully_connected  1x19        152  1 differs, by up to 3",
        "logits   fully_connected  1x10         80  equal",
    ]
    place = r"different: at inference 45, element \[0, 7\] of 'dense_2', litert has (-?\d+) and numpy (-?\d+)"
    match = re.fullmatch(place, ended.lines[-1])
    assert match
    assert abs(int(match[1]) - int(match[2])) == 3
    written = json.loads((tmp_path / "x.json").read_text())
    assert written["equal"] is False
    assert written["tensors"][1]["mismatches"] == {"litert": 0, "numpy": 1}
    assert written["tensors"][1]["largest_difference"] == {"litert": 0, "numpy": 3}


def test_quiet_prints_the_verdict(program: Any, digits: Path) -> None:
    ended = program("verify", digits, "--executors", "litert,numpy", "--quiet")
    assert ended.lines[1:] == ["", "equal: litert, numpy agree on all 5,600 elements of 3 tensors"]


def test_default_kernels_show_only_outputs(program: Any, digits: Path) -> None:
    ended = program("verify", digits, "--executors", "litert,numpy,pyrtl", "--litert-kernels", "default", "--random", 3)
    rows = {line.split()[0]: line.split()[4:] for line in ended.lines[3:6]}
    # The intermediate tensors are compared between the executors that show them.
    assert rows["dense_1"] == rows["dense_2"] == ["equal", "equal"]


def test_long_names_keep_both_ends(program: Any, tmp_path: Path) -> None:
    name = "functional_1/" + "x" * 60 + "/BiasAdd"
    text = f'graph "g" {{ input %x: int8[1, 4] %"{name}": int8[4] = reshape @r (%x) {{shape=[4]}} output %"{name}" }}'
    (tmp_path / "m.bitloom").write_text(text)
    ended = program("verify", tmp_path / "m.bitloom", "--executors", "litert,numpy", "--random", 2)
    assert re.match(r"functional_1/x+\.\.\.x+/BiasAdd  reshape   4 +8  equal$", ended.lines[3])
    assert max(map(len, ended.lines[1:])) <= 100


def test_json_into_a_device_leaves_the_device(program: Any, small_model: Path) -> None:
    assert program("verify", small_model, "--executors", "litert,numpy", "--json", "/dev/null").status == 0
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_json_through_a_link_keeps_the_link(program: Any, small_model: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "real.json")
    assert program("verify", small_model, "--executors", "litert,numpy", "--json", tmp_path / "link").status == 0
    assert (tmp_path / "link").is_symlink()
    assert json.loads((tmp_path / "real.json").read_text())["equal"]
