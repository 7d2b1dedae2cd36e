"""The benchmark of the MLPerf Tiny models: real inputs as files, and errors in one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import bitloom as bl
from data import test_data

ROOT = Path(__file__).parents[1]
REAL = {"resnet8": 1, "kws": 20, "vww": 2, "ad01": 196}


@pytest.fixture(autouse=True)
def at_the_repository(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", REAL)
def test_real_and_random_inputs_are_written(name: str) -> None:
    from benchmarks.mlperf_inputs import INPUTS, KEYWORDS, RANDOM, prepare
    from benchmarks.mlperf_models import MODELS

    (model,) = (model for model in MODELS if model.name == name)
    assert prepare(model, test_data("mlperf_tiny")) == REAL[name]
    graph = bl.load(model.path).graph
    assert graph.macs == model.macs
    inputs = np.load(model.folder / INPUTS)
    assert inputs.dtype == np.int8
    assert inputs.shape == (REAL[name] + RANDOM, *graph.type(graph.inputs[0]).shape)
    assert len(np.unique(inputs[: REAL[name]])) > 50
    assert (model.folder / KEYWORDS).exists() == (name == "kws")


def test_another_file_is_not_measured(tmp_path: Path) -> None:
    from benchmarks.mlperf_inputs import prepare
    from benchmarks.mlperf_models import MODELS

    (tmp_path / MODELS[0].file).write_bytes(b"another model")
    with pytest.raises(SystemExit, match="is not the published reference model"):
        prepare(MODELS[0], tmp_path)


def test_a_folder_that_is_not_named_or_not_there_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from benchmarks.mlperf_inputs import data_folder

    monkeypatch.delenv("BITLOOM_TEST_DATA", raising=False)
    with pytest.raises(SystemExit, match="set BITLOOM_TEST_DATA or give --models DIR"):
        data_folder(None)
    with pytest.raises(SystemExit, match="holds no folder mlperf_tiny"):
        data_folder(str(tmp_path))


def test_what_was_not_measured_is_a_dash(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from benchmarks import mlperf_table

    monkeypatch.setattr(mlperf_table, "RESULTS", tmp_path)
    (tmp_path / "mlperf_tiny_kws.json").write_text(
        '{"rows": [{"key": "interval_cycles", "value": 9000}, {"key": "dsp", "value": 100}]}'
    )
    lines = mlperf_table.markdown_table().splitlines()
    assert "| bitloom | 9,000 | 100 | - | - | - | 2.95 |" in lines[4]
    assert "| bitloom | - | - | - | - | - | - |" in lines[2]
