"""``bitloom run``: the same lines for every executor, of exactly the images asked for."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from models import dense_network, every_operator_network

import bitloom as bl
from bitloom.data import SHIPPED_DIGITS
from bitloom.export.tflite import graph_to_tflite

# A line of an image: number, expected, actual, a mark where they differ, ten scores.
LINE = re.compile(r"^ +(\d+) +(\d) +(\d)  ([ !]) ((?: +-?\d+){10})$")


def image_lines(lines: list[str]) -> list[tuple[int, int, int, str, list[int]]]:
    found = [LINE.match(line) for line in lines]
    return [
        (int(match[1]), int(match[2]), int(match[3]), match[4], [int(score) for score in match[5].split()])
        for match in found
        if match
    ]


def test_golden_text(program: Any, digits: Path) -> None:
    ended = program("run", digits, "--executor", "numpy", "--start-image", 24, "--num-images", 3)
    assert (ended.status, ended.err) == (0, "")
    assert ended.lines[0] == f"{digits} on numpy: 3 of 359 test images of digits, from number 24"
    assert ended.lines[1:7] == [
        "",
        "  image  expected    actual        0    1    2    3    4    5    6    7    8    9  scores",
        "     24         4         4      -41  -43  -52  -56   85  -47  -40  -35  -42  -60",
        "     25         9         8  !   -65  -15  -58   12  -69  -26  -67  -70   68  -25",
        "     26         0         0      106  -44  -24  -39  -33  -51  -33  -31  -35    6",
        "",
    ]
    assert ended.lines[7] == "accuracy  66.67 %  (2 of 3 right)"
    assert re.fullmatch(r"time      [\d.]+ ms, [\d,]+ inferences/s, after 0 ms of setup", ended.lines[8])
    assert ended.lines[9:] == ["cycles    none: this is software"]


@pytest.mark.parametrize("batch_size", [None, 1, 4, 100])
@pytest.mark.parametrize("executor", ["litert", "pyrtl"])
def test_every_executor_prints_the_same_lines_in_any_batches(
    program: Any, digits: Path, executor: str, batch_size: int | None
) -> None:
    arguments = ["--dataset", "digits", "--start-image", 350, "--num-images", "all"]
    batches = [] if batch_size is None else ["--batch-size", batch_size]
    expected = program("run", digits, "--executor", "numpy", *arguments)
    found = program("run", digits, "--executor", executor, *arguments, *batches)
    assert found.status == 0
    # 9 images and no more: batches of 4 leave one for the last.
    assert [line[0] for line in image_lines(found.lines)] == list(range(350, 359))
    assert found.lines[1:13] == expected.lines[1:13]
    assert found.lines[0] == expected.lines[0].replace("on numpy", f"on {executor}")
    if executor == "pyrtl":
        assert re.fullmatch(
            r"cycles    \d+ from first input to last output, (\d+|-) between inferences", found.lines[-1]
        )


def test_lines_are_what_the_model_computes(program: Any, digits: Path) -> None:
    model = bl.load(digits)
    samples = bl.dataset_samples(model, "digits")
    logits = bl.run(model, samples.inputs).tensors["logits"].reshape(-1, 10)
    ended = program("run", digits, "--executor", "numpy", "--num-images", "all")
    lines = image_lines(ended.lines)
    assert [line[0] for line in lines] == list(range(359))
    assert [line[1] for line in lines] == samples.labels.tolist()
    assert [line[2] for line in lines] == logits.argmax(axis=1).tolist()
    assert [line[4] for line in lines] == logits.tolist()
    assert [line[3] == "!" for line in lines] == (samples.labels != logits.argmax(axis=1)).tolist()
    right = int((samples.labels == logits.argmax(axis=1)).sum())
    assert f"accuracy  {100 * right / 359:.2f} %  ({right} of 359 right)" in ended.lines
    assert ended.lines[0].endswith("on numpy: all 359 test images of digits")


def test_more_images_than_there_are_gives_those_there_are(program: Any, digits: Path) -> None:
    ended = program("run", digits, "--executor", "numpy", "--start-image", 357, "--num-images", 50)
    assert [line[0] for line in image_lines(ended.lines)] == [357, 358]
    assert ended.lines[0].endswith("2 of 359 test images of digits, from number 357")


def test_files_of_arrays(program: Any, digits: Path, tmp_path: Path) -> None:
    samples = bl.dataset_samples(digits, "digits", count=6)
    images = samples.inputs["input"]
    np.save(tmp_path / "x.npy", images.reshape(6, 64).astype(np.int64))
    np.savez(tmp_path / "x.npz", input=images, labels=np.where(np.arange(6) < 4, samples.labels, 0))
    plain = program("run", digits, "--executor", "numpy", "--input", tmp_path / "x.npy")
    assert plain.status == 0
    assert plain.lines[0].endswith(f"all 6 inferences in {tmp_path / 'x.npy'}")
    assert plain.lines[3].split()[:3] == ["0", "-", str(samples.labels[0])]
    assert "accuracy  the right answers are not known" in plain.lines
    labelled = program("run", digits, "--executor", "numpy", "--input", tmp_path / "x.npz", "--start-image", 2)
    assert labelled.lines[0].endswith("4 of 6 inferences in " + str(tmp_path / "x.npz") + ", from number 2")
    lines = image_lines(labelled.lines)
    assert [line[0] for line in lines] == [2, 3, 4, 5]
    assert [line[1] for line in lines] == [*samples.labels[2:4].tolist(), 0, 0]
    assert "accuracy  50.00 %  (2 of 4 right)" in labelled.lines


def test_json_holds_everything(program: Any, digits: Path, tmp_path: Path) -> None:
    file = tmp_path / "run.json"
    file.write_text("old")
    arguments = ["run", digits, "--executor", "pyrtl", "--num-images", 3, "--start-image", 24]
    assert program(*arguments, "--json", file).status == 0
    assert list(tmp_path.iterdir()) == [file]
    written = json.loads(file.read_text())
    assert (written["model"], written["executor"], written["inferences"]) == ("digits", "pyrtl", 3)
    assert written["accuracy"] == pytest.approx(2 / 3)
    assert written["latency_cycles"] > written["interval_cycles"] > 0
    assert written["inferences_per_second"] == pytest.approx(3 / written["seconds"])
    second = {"image": 25, "expected": 9, "actual": 8, "scores": [-65, -15, -58, 12, -69, -26, -67, -70, 68, -25]}
    assert written["images"][1] == second
    only = program(*arguments[:-1], "24", "--json", "-")
    assert json.loads(only.out)["images"] == written["images"]


def test_quiet_prints_the_summary_only(program: Any, digits: Path) -> None:
    ended = program("run", digits, "--executor", "numpy", "--quiet")
    assert not image_lines(ended.lines)
    assert [line.split()[0] for line in ended.lines[2:]] == ["accuracy", "time", "cycles"]


def test_without_a_source_of_inputs_the_fitting_data_set_or_random_numbers(program: Any, small_model: Path) -> None:
    first = program("run", small_model, "--executor", "numpy")
    assert first.lines[0].endswith("on numpy: all 10 random inputs (seed 0)")
    again = program("run", small_model, "--executor", "litert", "--random", 10)
    assert again.lines[2:13] == first.lines[2:13]
    other = program("run", small_model, "--executor", "numpy", "--seed", 1)
    assert other.lines[2:13] != first.lines[2:13]


def test_ties_go_to_the_first_and_many_scores_to_the_highest(program: Any, tmp_path: Path) -> None:
    text = 'graph "wide" { input %x: int8[1, 20] %y: int8[20] = reshape @r (%x) {shape=[20]} output %y }'
    (tmp_path / "wide.bitloom").write_text(text)
    x = np.zeros((2, 20), int)
    x[0, [4, 9]] = 7
    np.save(tmp_path / "x.npy", x)
    model = tmp_path / "wide.bitloom"
    ended = program("run", model, "--executor", "numpy", "--input", tmp_path / "x.npy")
    assert ended.lines[2:5] == [
        "  image  expected    actual     the 5 highest scores",
        "      0         -         4     4:7 9:7 0:0 1:0 2:0",
        "      1         -         0     0:0 1:0 2:0 3:0 4:0",
    ]


def test_classes_have_names(program: Any, tmp_path: Path) -> None:
    (tmp_path / "flowers.tflite").write_bytes(graph_to_tflite(dense_network((4, 5, 3), seed=1)))
    ended = program("run", tmp_path / "flowers.tflite", "--executor", "numpy", "--num-images", 2)
    assert ended.lines[0].endswith("2 of 30 test samples of iris")
    assert "setosa" in ended.out or "versicolor" in ended.out or "virginica" in ended.out
    assert max(map(len, ended.lines[2:5])) < 60


def test_arg_max_answers_and_the_scores_it_read(program: Any, tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(graph_to_tflite(dense_network((6, 4), seed=2, tail="arg_max")))
    ended = program("run", tmp_path / "m.tflite", "--executor", "numpy", "--random", 6, "--json", "-")
    written = json.loads(ended.out)
    assert all(image["actual"] == int(np.argmax(image["scores"])) for image in written["images"])
    assert {len(image["scores"]) for image in written["images"]} == {4}


def test_float_outputs(program: Any, tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(graph_to_tflite(every_operator_network(0)))
    ended = program("run", tmp_path / "m.tflite", "--executor", "numpy", "--random", 2)
    assert (ended.status, ended.err) == (0, "")


@pytest.mark.parametrize("kernels", ["reference", "default"])
def test_litert_kernels(program: Any, digits: Path, kernels: str) -> None:
    ended = program("run", digits, "--executor", "litert", "--litert-kernels", kernels, "--num-images", "all")
    assert ended.status == 0
    assert len(image_lines(ended.lines)) == 359


def test_targets_change_the_circuit(program: Any) -> None:
    arguments = ["run", SHIPPED_DIGITS, "--executor", "pyrtl", "--num-images", 3, "--json", "-", "--bus", "stream"]
    slow = json.loads(program(*arguments, "--interval", 200).out)
    quick = json.loads(program(*arguments, "--interval", 20).out)
    assert quick["interval_cycles"] <= 20 < slow["interval_cycles"] <= 200
    assert quick["images"] == slow["images"]
