"""``bitloom quantize``: what it prints and writes, and how it ends when something is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from float_networks import FloatNetwork, small_cnn

import bitloom as bl
from bitloom.data import load_dataset
from bitloom.run.float_litert import float_graph_to_tflite


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a float model, samples for it, and a model for digits."""
    folder = tmp_path_factory.mktemp("quantize")
    net = small_cnn()
    (folder / "cnn.tflite").write_bytes(float_graph_to_tflite(net.graph())[0])
    np.save(folder / "samples.npy", net.samples(40))
    nearest = FloatNetwork((1, 64))
    digits = load_dataset("digits")
    means = np.stack([digits.train_x[digits.train_y == digit].mean(axis=0) for digit in range(10)])
    # The nearest mean: |x - m|^2 = |x|^2 - 2 (m x - |m|^2 / 2).
    nearest.add("FULLY_CONNECTED", (1, 10), "x", means, -(means**2).sum(axis=1) / 2, name="scores")
    (folder / "digits.tflite").write_bytes(float_graph_to_tflite(nearest.graph())[0])
    return folder


@pytest.mark.parametrize("suffix", ["bitloom", "tflite"])
def test_written_and_exact(program, files, tmp_path, suffix) -> None:
    path = tmp_path / f"out.{suffix}"
    ended = program("quantize", files / "cnn.tflite", "--calibrate", files / "samples.npy", "-o", path)
    assert ended.status == 0, ended.err
    assert ended.lines[0].split() == ["layer", "operator", "weights", "bits", "range", "SQNR"]
    assert [line.split()[1] for line in ended.lines[1:4]] == ["conv_2d", "max_pool_2d", "conv_2d"]
    assert ended.lines[-1].endswith(str(path))
    model = bl.load(path)
    assert bl.verify(model, bl.random_inputs(model, 10), ["litert", "numpy"]).equal


def test_accuracy_on_a_data_set(program, files, tmp_path) -> None:
    path = tmp_path / "digits.bitloom"
    ended = program("quantize", files / "digits.tflite", "--calibrate", "digits", "-o", path, "--json", "-")
    assert ended.status == 0, ended.err
    content = json.loads(ended.out)
    accuracy = content["accuracy"]
    assert accuracy["samples"] == 359
    assert accuracy["float"] > 0.85
    assert abs(accuracy["float"] - accuracy["integers"]) < 0.01
    assert content["samples"] == 1000
    assert content["layers"][0]["weight_bits"] == 8
    answers = bl.run(path, bl.dataset_samples(bl.load(path), "digits").inputs).tensors["scores"]
    right = (answers.reshape(-1, 10).argmax(axis=1) == load_dataset("digits").test_y).mean()
    assert right == pytest.approx(accuracy["integers"])


def test_every_option(program, files, tmp_path) -> None:
    path = tmp_path / "out.bitloom"
    options = (
        "--bits 5/6 --per-tensor --ranges percentile --percentile 99 --weight-ranges mse --symmetric --power-of-two"
    )
    ended = program(
        *("quantize", files / "cnn.tflite", "--calibrate", "random", "--samples", 20, "--seed", 3, "-o", path),
        *options.split(),
        *("--dead-channels", "keep", "--float-io", "--layer", "x=8/8", "--layer", "fully_connected_8=7/16"),
    )
    assert ended.status == 0, ended.err
    graph = bl.load(path).graph
    assert str(graph.type("x").element) == "float32"
    assert str(graph.type("fully_connected_8").element) == "int16"
    weights = [
        value.type for value in graph.values if value.is_constant and str(value.type.element) in ("int5", "int7")
    ]
    assert len(weights) == 3
    assert all(len(each.required_quantization.scales) == 1 for each in weights)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["cnn.tflite", "--calibrate", "missing.npy"], "no such file"),
        (["cnn.tflite", "--calibrate", "bad.npy"], "sample 1 holds nan at [0, 0, 0, 0]"),
        (["cnn.tflite", "--calibrate", "empty.npy"], "there are no samples"),
        (["cnn.tflite", "--calibrate", "shape.npy"], "has shape [4, 7]"),
        (["missing.tflite", "--calibrate", "random"], "no such file"),
        (["bad.npy", "--calibrate", "random"], "is not a model file of a known format"),
        (["cnn.tflite"], "--calibrate"),
        (["cnn.tflite", "--calibrate", "random", "--bits", "33/8"], "weights of 33 bits; integers here have 1 to 32"),
        (["cnn.tflite", "--calibrate", "random", "--bits", "8/0"], "activations of 0 bits"),
        (["cnn.tflite", "--calibrate", "random", "--bits", "wide"], "'wide' is no width"),
        (["cnn.tflite", "--calibrate", "random", "--layer", "x"], "--layer: 'x' gives no layer bits"),
        (["cnn.tflite", "--calibrate", "random", "--layer", "nobody=4/8"], "there is no layer 'nobody'"),
        (["cnn.tflite", "--calibrate", "random", "--per-channel", "--per-tensor"], "not allowed with"),
        (["cnn.tflite", "--calibrate", "mnist"], "is no grey image"),
        (["dead.tflite", "--calibrate", "random"], "output channel 1 of 3 are 0"),
        (["nan.tflite", "--calibrate", "random"], "tensor 'y/1': holds nan at [0, 0]"),
        (["unknown.tflite", "--calibrate", "random"], "EXP cannot be quantized"),
    ],
)
def test_bad_input(program, files, tmp_path, monkeypatch, arguments, said) -> None:
    monkeypatch.chdir(files)
    np.save("empty.npy", np.zeros((0, 288)))
    np.save("shape.npy", np.zeros((4, 7)))
    np.save("bad.npy", np.stack([np.zeros(288), np.full(288, np.nan)]))
    for name, weights in (("dead", np.array([[1.0], [0.0], [2.0]])), ("nan", np.array([[1.0]]))):
        net = FloatNetwork((1, 1))
        net.add("FULLY_CONNECTED", (1, len(weights)), "x", weights, name="y")
        content = float_graph_to_tflite(net.graph())[0]
        if name == "nan":
            content = content.replace(np.float32(1).tobytes(), np.float32("nan").tobytes())
        Path(f"{name}.tflite").write_bytes(content)
    net = FloatNetwork((1, 2))
    net.same("EXP", "x")
    Path("unknown.tflite").write_bytes(float_graph_to_tflite(net.graph())[0])
    out = tmp_path / "out.bitloom"
    out.write_text("before")
    ended = program("quantize", *arguments, "-o", out)
    assert ended.status == 2, ended.err
    assert said in ended.err
    assert ended.err.count("\n") == 1
    assert ended.out == ""
    assert out.read_text() == "before"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ("output", "bits", "said"),
    [
        ("out.txt", "8/8", "is no format"),
        ("missing/out.tflite", "8/8", "cannot be written"),
        (".", "8/8", "is no format"),
        ("out.tflite", "8/4", "TFLite has no kernels for 8/4 bits"),
        ("out.tflite", "12/8", "TFLite has no kernels for 12/8 bits"),
    ],
)
def test_bad_destinations(program, files, tmp_path, monkeypatch, output, bits, said) -> None:
    monkeypatch.chdir(tmp_path)
    ended = program("quantize", files / "cnn.tflite", "--calibrate", "random", "-o", output, "--bits", bits)
    assert ended.status == 2
    assert said in ended.err
    assert not list(tmp_path.iterdir())


def test_a_float_model_does_not_replace_itself(program, files, tmp_path) -> None:
    model, link = tmp_path / "cnn.tflite", tmp_path / "link.tflite"
    model.write_bytes((files / "cnn.tflite").read_bytes())
    link.symlink_to(model)
    for output in (model, link):
        ended = program("quantize", model, "--calibrate", "random", "-o", output)
        assert ended.status == 2
        assert f"{output}: is the model itself, which would be lost; choose another name" in ended.err
    assert model.read_bytes() == (files / "cnn.tflite").read_bytes()
