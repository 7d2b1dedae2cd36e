"""``bitloom train``: epochs and both accuracies are printed, three files are written, and they are what they say."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bitloom as bl
from data import test_data

SHORT = ["--epochs", 3, "--quantized-epochs", 2]


def test_training_prints_epochs_and_accuracies(program: Any, tmp_path: Path) -> None:
    folder = tmp_path / "made" / "iris"
    ended = program("train", "--dataset", "iris", "--layers", "6,5", "--seed", 3, *SHORT, "-o", folder)
    assert (ended.status, ended.err) == (0, "")
    epoch = r"epoch +(\d) of (\d)   loss \d+\.\d{4}   train +\d+\.\d\d %   test +\d+\.\d\d %"
    found = [re.fullmatch(rf"(float|quantization-aware) +{epoch}", line) for line in ended.lines[:5]]
    assert [match.groups() for match in found if match] == [
        ("float", "1", "3"),
        ("float", "2", "3"),
        ("float", "3", "3"),
        ("quantization-aware", "1", "2"),
        ("quantization-aware", "2", "2"),
    ]
    assert ended.lines[6] == "network    4-6-5-3 on iris, seed 3"
    accuracies = [
        re.fullmatch(r"(float|int8 ) +(\S+) %  \((\d+) of 30 test samples right\)", ended.lines[7 + i]) for i in (0, 1)
    ]
    for match in accuracies:
        assert match
        assert f"{100 * int(match[3]) / 30:.2f}" == match[2]
    names = ["float.tflite", "int8.tflite", "weights.npz"]
    assert ended.lines[9:] == [f"written    {folder / name}" for name in names]
    assert sorted(path.name for path in folder.iterdir()) == names

    model = bl.load(folder / "int8.tflite")
    samples = bl.dataset_samples(model, "iris")
    logits = bl.run(model, samples.inputs).tensors["logits"].reshape(-1, 3)
    assert accuracies[1]
    assert int((logits.argmax(axis=1) == samples.labels).sum()) == int(accuracies[1][3])
    with np.load(folder / "weights.npz") as arrays:
        assert arrays["layer0.weights"].shape == (6, 4)
        assert arrays["layer1.weights"].dtype == np.int8


def test_a_seed_gives_the_same_files(program: Any, tmp_path: Path) -> None:
    made = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        arguments = ["--dataset", "iris", "--seed", seed, *SHORT, "--quiet", "--per-channel", "--softmax"]
        ended = program("train", *arguments, "-o", tmp_path / name)
        assert ended.status == 0
        assert not any("epoch" in line for line in ended.lines)
        made.append({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()})
    assert made[0] == made[1]
    assert made[0] != made[2]
    text = program("show", tmp_path / "a" / "int8.tflite").out
    assert "softmax" in text
    assert "axis=0" in text


def test_mnist_from_a_folder(program: Any, tmp_path: Path) -> None:
    folder = test_data("mnist")
    arguments = ["--dataset", "mnist", "--mnist-folder", folder, "--layers", 6, "--epochs", 1, "--quantized-epochs", 1]
    ended = program("train", *arguments, "-o", tmp_path / "mnist")
    assert ended.status == 0
    assert "network    144-6-10 on mnist, seed 0" in ended.lines
    run = ["--dataset", "mnist", "--folder", folder, "--num-images", 50]
    checked = program("verify", tmp_path / "mnist" / "int8.tflite", "--executors", "litert,numpy", *run)
    assert checked.lines[0].endswith("50 of 10,000 test images of mnist")
    assert checked.status == 0


@pytest.mark.parametrize("existing", ["file", "folder"])
def test_other_files_in_the_folder_are_left_alone(program: Any, tmp_path: Path, existing: str) -> None:
    other = tmp_path / "out" / "other"
    other.parent.mkdir()
    other.mkdir() if existing == "folder" else other.write_text("mine")
    assert program("train", "--dataset", "iris", *SHORT, "--quiet", "-o", tmp_path / "out").status == 0
    assert other.exists()
    assert len(list((tmp_path / "out").iterdir())) == 4
