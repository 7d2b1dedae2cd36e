"""Real models on every executor: every tensor equal to LiteRT's."""

from __future__ import annotations

import numpy as np
import pytest

import bitloom as bl
from bitloom.data import SHIPPED_DIGITS
from bitloom.plan import Bus, Target
from data import test_data as find_data


@pytest.mark.parametrize("stalls", [False, True], ids=["", "stalls"])
def test_the_shipped_digits_network(stalls):
    model = bl.load(SHIPPED_DIGITS)
    samples = bl.dataset_samples(model, "digits", count=24)
    found = bl.verify(model, samples.inputs, executors=("litert", "numpy", "pyrtl", "verilog"), stalls=stalls)
    assert found.equal
    assert {tensor.name for tensor in found.tensors} == set(model.graph.computed)


def test_a_network_nobody_here_made():
    """The anomaly detector of MLPerf Tiny: ten dense layers, 264,192 multiply-accumulates, on a real recording."""
    model = bl.load(find_data("mlperf_tiny/ad01_int8.tflite"))
    recording = np.fromfile(find_data("mlperf_tiny/inputs/normal_id_01_00000000_hist_librosa.bin"), "<f4")
    frames = recording.reshape(200, 128)
    windows = np.stack([frames[start : start + 5].reshape(-1) for start in range(0, 160, 20)])
    (name,) = model.graph.inputs
    quantization = model.graph.type(name).required_quantization
    inputs = np.clip(np.round(windows / quantization.scale) + quantization.zero_point, -128, 127).astype(np.int8)
    options = {"target": Target(interval=4000), "bus": Bus.AXI, "stalls": True}
    found = bl.verify(model, inputs[:2], executors=("litert", "numpy", "verilog"), **options)
    assert found.equal
    assert len(found.tensors) == 10
