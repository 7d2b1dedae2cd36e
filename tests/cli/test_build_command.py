"""``bitloom build``."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest


def test_writes_a_folder_and_says_what_it_is(program, small_model, tmp_path):
    ended = program(
        "build", small_model, "-o", tmp_path / "out" / "small", "--dsp", 2, "--bus", "stream", "--random", 3
    )
    assert (ended.status, ended.err) == (0, "")
    report = json.loads((tmp_path / "out" / "small" / "report.json").read_text())
    assert (report["bus"], report["target"]["dsp"], report["totals"]["multipliers"]) == ("stream", 2, 2)
    assert ended.lines[1] == (
        f"latency {report['latency_cycles']} cycles, interval {report['interval_cycles']} cycles (planned 18, held by "
        "fully_connected_0)"
    )
    assert ended.lines[-2:] == ["vectors: all 3 random inputs (seed 0)", f"written to {tmp_path}/out/small"]


def test_json_is_the_report(program, small_model, tmp_path):
    ended = program("build", small_model, "-o", tmp_path / "small", "--interval", 10, "--json")
    assert ended.status == 0
    assert json.loads(ended.out) == json.loads((tmp_path / "small" / "report.json").read_text())


def test_the_vectors_can_be_a_data_set_or_a_file(program, digits, small_model, tmp_path):
    ended = program("build", digits, "-o", tmp_path / "digits", "--interval", 400, "--num-images", 2)
    assert "vectors: 2 of 359 test images of digits" in ended.lines
    np.save(tmp_path / "inputs.npy", np.zeros((5, 6), np.int8))
    ended = program("build", small_model, "-o", tmp_path / "small", "--input", tmp_path / "inputs.npy")
    assert f"vectors: all 5 inferences in {tmp_path}/inputs.npy" in ended.lines
    assert len((tmp_path / "small" / "n_small_tb_s_axis.hex").read_text().split()) == 5 * 2


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--dsp", "1"], "network 'small': 1 multipliers are too few; allow 2"),
        (["--interval", "1"], "no folding reaches an interval of 1 cycles; the smallest possible over this bus is "),
        (["--interval", "4", "--dsp", "3"], "argument --dsp: not allowed with argument --interval; see"),
        (["--board", "basys"], "no board is named 'basys'; choose one of pynq-z2"),
        (["--bus", "wishbone"], "argument --bus: invalid choice: 'wishbone'"),
        (["--interval", "0"], "argument --interval: 0 is too small"),
        (["-o", "/proc/small"], "/proc/small: cannot be written: "),
        (["-o", "FULL"], "FULL: is not empty and bitloom did not write it ('mine' is in it); choose another folder"),
        (["-o", "FULL/mine"], "FULL/mine: is a file, not a folder; choose another folder"),
        (["-o", "FULL/mine/below"], "FULL/mine: is a file, not a folder; choose another folder"),
        (["--num-images", "0"], "argument --num-images: 0 is too small"),
        (["--dataset", "iris"], "has 6 elements and iris 4 features"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(program, small_model, tmp_path, arguments, line):
    full = tmp_path / "full"
    full.mkdir()
    (full / "mine").write_text("x")
    given = [argument.replace("FULL", str(full)) for argument in arguments]
    ended = program("build", small_model, "-o", tmp_path / "made" / "small", *given)
    assert ended.status == 2
    assert ended.out == ""
    assert len(ended.err.splitlines()) == 1
    assert line.replace("FULL", str(full)) in ended.err
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["full", "mine"]


def test_a_model_that_is_missing(program, tmp_path):
    ended = program("build", tmp_path / "none.tflite", "-o", tmp_path / "out")
    assert (ended.status, ended.err) == (2, f"bitloom: error: {tmp_path}/none.tflite: no such file; check the path\n")
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
@pytest.mark.usefixtures("_ctrl_c")
def test_an_interrupted_build_leaves_nothing(digits, tmp_path):
    """Ctrl-C at some time during the work: status 130, one line, and the earlier build untouched."""
    folder = tmp_path / "digits"
    command = [sys.executable, "-m", "bitloom", "build", digits, "-o", folder, "--dsp", "3"]
    for delay in (0.9, 1.6):
        process = subprocess.Popen([*command, "--num-images", "300"], stderr=subprocess.PIPE, text=True)
        time.sleep(delay)
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=60)
        if process.returncode == 0:  # a fast machine: it was done
            shutil.rmtree(folder)
        else:
            assert process.returncode in (130, -signal.SIGINT), error
        assert not list(tmp_path.iterdir())
