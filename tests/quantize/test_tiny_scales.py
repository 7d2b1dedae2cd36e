"""Activations whose bounds lie far beyond what a layer ever makes, as in networks that nobody has trained."""

from __future__ import annotations

import numpy as np
import pytest

import bitloom as bl
from bitloom.ir.float_graph import FloatGraph, FloatNode, FloatTensor


@pytest.mark.parametrize("activation", ["RELU6", "RELU_N1_TO_1"])
@pytest.mark.parametrize("size", [1e-11, 1e-3, 5.0])
def test_bounds_that_no_result_reaches(activation: str, size: float) -> None:
    rng = np.random.default_rng(3)
    tensors = (
        FloatTensor("x", (1, 6)),
        FloatTensor("weights", (4, 6), size * rng.standard_normal((4, 6))),
        FloatTensor("bias", (4,), np.zeros(4)),
        FloatTensor("y", (1, 4)),
    )
    node = FloatNode("FULLY_CONNECTED", ("x", "weights", "bias"), ("y",), {"fused_activation_function": activation})
    network = bl.quantize(FloatGraph("net", ("x",), ("y",), tensors, (node,)), rng.standard_normal((200, 1, 6)))
    assert bl.verify(network, bl.random_inputs(network, 50), ["litert", "numpy"]).equal
    made = network.type("y").required_quantization
    results = bl.run(network, bl.random_inputs(network, 50)).tensors["y"].astype(float)
    reals = (results - made.zero_point) * made.scale
    assert reals.max() <= (6.0 if activation == "RELU6" else 1.0) * 1.01
    assert len(np.unique(results)) > 5
