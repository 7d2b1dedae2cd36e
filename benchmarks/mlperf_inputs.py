"""Real inputs of the MLPerf Tiny models, as arrays that `bitloom` commands take, and the models beside them."""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

import bitloom as bl
from benchmarks.mlperf_models import TinyModel
from bitloom.data.quantized import quantize_inputs
from bitloom.ir.operator import Array

VARIABLE = "BITLOOM_TEST_DATA"
RANDOM = 16
KEYWORDS_IN_VERILOG = 20

INPUTS, KEYWORDS = "inputs.npy", "keywords.npz"
"""Real and then random inputs, for every executor; and all keywords with their labels."""


def data_folder(given: str | None) -> Path:
    """The folder that holds ``mlperf_tiny/``.

    Raises:
        SystemExit: there is none.
    """
    named = given or os.environ.get(VARIABLE)
    if not named:
        raise SystemExit(f"the models are in no known folder; set {VARIABLE} or give --models DIR")
    if not Path(named, "mlperf_tiny").is_dir():
        raise SystemExit(f"{named} holds no folder mlperf_tiny; set {VARIABLE} or give --models DIR")
    return Path(named, "mlperf_tiny")


def prepare(model: TinyModel, data: Path) -> int:
    """Copy the model, and write its inputs beside it.

    Args:
        model: of the suite.
        data: what `data_folder` gave.

    Returns:
        How many of the inputs are real; `RANDOM` more follow them.

    Raises:
        SystemExit: the model is not there, or is not the published file.
    """
    source = data / model.file
    if not source.is_file():
        raise SystemExit(f"{source}: no such file")
    if hashlib.sha256(source.read_bytes()).hexdigest() != model.sha256:
        raise SystemExit(f"{source} is not the published reference model")
    model.folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, model.path)
    graph = bl.load(model.path).graph
    (name,) = graph.inputs
    real = _REAL[model.name](data / "inputs", graph)
    np.save(model.folder / INPUTS, np.concatenate([real, bl.random_inputs(graph, RANDOM)[name]]))
    if model.name == "kws":
        samples = np.load(data / "inputs" / "kws01.npz")
        labelled = {name: samples["x"], "labels": samples["y"].astype(np.int64)}
        np.savez(model.folder / KEYWORDS, **labelled)
    return len(real)


def _quantized(graph: bl.Graph, values: Array) -> Array:
    """Real numbers as the integers of the only input, shape (inferences, *shape)."""
    tensor = graph.type(graph.inputs[0])
    quantization = tensor.required_quantization
    integers = quantize_inputs(values, quantization.scale, quantization.zero_point, tensor.integer)
    return integers.reshape(-1, *tensor.shape)


def _image(folder: Path, graph: bl.Graph) -> Array:
    """One CIFAR-10 test image. The scale of the input is one: pixels from 0 to 255 are what it counts."""
    (pixels,) = np.load(folder / "cifar10-test-data-class3.npz").values()
    return _quantized(graph, pixels.transpose(0, 2, 3, 1))


def _keywords(folder: Path, graph: bl.Graph) -> Array:
    """The first keywords, which are quantized already."""
    samples = np.load(folder / "kws01.npz")["x"]
    return np.asarray(samples[:KEYWORDS_IN_VERILOG].reshape(-1, *graph.type(graph.inputs[0]).shape))


def _photographs(folder: Path, graph: bl.Graph) -> Array:
    """Two gray pictures from -1 to 1, in three equal channels from 0 to 1, as the model takes them."""
    gray = np.load(folder / "vww_inputs.npz")["x"]
    return _quantized(graph, np.repeat((gray[..., None] + 1) / 2, 3, axis=3))


def _sounds(folder: Path, graph: bl.Graph) -> Array:
    """Windows of five frames of 128 bands, each a frame after the one before."""
    frames = np.fromfile(folder / "normal_id_01_00000000_hist_librosa.bin", "<f4").reshape(-1, 128)
    return _quantized(graph, np.stack([frames[start : start + 5].ravel() for start in range(len(frames) - 4)]))


_REAL: Mapping[str, Callable[[Path, bl.Graph], Array]] = {
    "resnet8": _image,
    "kws": _keywords,
    "vww": _photographs,
    "ad01": _sounds,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare where the models are."""
    parser.add_argument(
        "--models", metavar="DIR", help=f"the folder that holds mlperf_tiny/ (default: the variable {VARIABLE})"
    )
