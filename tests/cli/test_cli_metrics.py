"""Confusion matrix, precision and recall of ``bitloom run``, and the models that come with the program."""

from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

from bitloom.data import SHIPPED_DIGITS, SHIPPED_IRIS

IRIS = ("run", "iris", "--dataset", "iris", "--num-images", "all")


@pytest.mark.parametrize("executor", ["litert", "numpy", "verilog"])
def test_iris_out_of_the_box(program: Any, executor: str) -> None:
    ended = program(*IRIS, "--executor", executor, "--quiet")
    assert (ended.status, ended.err) == (0, "")
    assert ended.lines[2] == "accuracy  100.00 %  (30 of 30 right)"
    assert [line.split() for line in ended.lines[-5:]] == [
        ["right", "\\", "said", "setosa", "versicolor", "virginica", "precision", "recall"],
        ["─" * len(ended.lines[-4])],
        ["setosa", "10", "0", "0", "100.00", "%", "100.00", "%"],
        ["versicolor", "0", "10", "0", "100.00", "%", "100.00", "%"],
        ["virginica", "0", "0", "10", "100.00", "%", "100.00", "%"],
    ]


def test_as_json_and_as_a_picture(program: Any, tmp_path: Path) -> None:
    picture = tmp_path / "digits.svg"
    arguments = ("run", "digits", "--executor", "numpy", "--num-images", "all", "--confusion", picture, "--json", "-")
    written = json.loads(program(*arguments).out)
    counts = written["metrics"]["confusion"]
    assert sum(map(sum, counts)) == 359
    assert sum(counts[digit][digit] for digit in range(10)) == round(written["accuracy"] * 359)
    assert written["metrics"]["recall"][8] == counts[8][8] / sum(counts[8])
    root = ElementTree.fromstring(picture.read_text(encoding="utf-8"))
    assert "digits on numpy: 98.33 %" in ["".join(text.itertext()) for text in root.iter(f"{{{SVG}}}text")]


SVG = "http://www.w3.org/2000/svg"


def test_of_a_few_samples_there_is_no_matrix(program: Any) -> None:
    assert "precision" not in program("run", "digits", "--executor", "numpy").out
    assert "precision" in program("run", "digits", "--executor", "numpy", "--num-images", 30).out


def test_without_labels_there_is_no_picture(program: Any, tmp_path: Path) -> None:
    picture = tmp_path / "iris.svg"
    ended = program("run", "iris", "--executor", "numpy", "--random", 5, "--confusion", picture)
    assert ended.status == 2
    assert ended.err.strip().endswith("use --dataset")
    assert len(ended.err.strip().splitlines()) == 1
    assert not picture.exists()


def test_a_picture_that_cannot_be_written_is_refused_before_the_work(program: Any, tmp_path: Path) -> None:
    ended = program(*IRIS, "--executor", "numpy", "--confusion", tmp_path / "no" / "iris.svg")
    assert (ended.status, ended.out) == (2, "")


def test_a_picture_is_not_given_the_name_of_another_format(program: Any, tmp_path: Path) -> None:
    ended = program(*IRIS, "--executor", "numpy", "--confusion", tmp_path / "iris.png")
    assert ended.status == 2
    assert "iris.png: the picture is SVG; let the name end with .svg" in ended.err
    assert list(tmp_path.iterdir()) == []


def test_names_of_models_that_come_along(program: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert program("show", "iris").out == program("show", SHIPPED_IRIS).out
    monkeypatch.chdir(tmp_path)
    Path("iris").write_bytes(SHIPPED_DIGITS.read_bytes())  # a file of that name comes first
    assert program("show", "iris").out.split("[")[1] == program("show", SHIPPED_DIGITS).out.split("[")[1]


def test_scikit_learn_is_not_needed() -> None:
    program = "import sys; from bitloom.cli import main; main(sys.argv[1:]); print('sklearn' in sys.modules)"
    command = [sys.executable, "-c", program, *IRIS, "--executor", "numpy", "--quiet"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip().endswith("False")
