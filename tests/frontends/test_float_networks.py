"""Networks in real numbers on their whole way: read, quantized, computed by LiteRT and NumPy, planned as circuits."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("onnx")

import bitloom as bl
from bitloom.plan.planner import make_plan
from data import test_data


def test_the_keyword_network_with_random_calibration() -> None:
    graph = bl.load_float(test_data("onnx/micro_kws_m_static_fp32.onnx"))
    samples = np.random.default_rng(5).standard_normal((40, 1, 1960)).astype(np.float32)
    network = bl.quantize(graph, samples)
    assert bl.verify(network, bl.random_inputs(network, 40), ["litert", "numpy"]).equal
    assert "transpose" not in [node.operator.name for node in network.nodes]
    assert make_plan(network).interval > 0


def test_a_module_of_pytorch() -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("onnxscript")
    nn = torch.nn
    torch.manual_seed(2)
    module = nn.Sequential(
        *(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU6(), nn.MaxPool2d(2)),
        *(nn.Conv2d(4, 4, 3, padding=1, groups=4), nn.Conv2d(4, 6, 1), nn.Hardswish()),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3)),
    )
    graph = bl.from_torch(module, torch.randn(1, 1, 8, 8))
    network = bl.quantize(graph, torch.randn(50, 1, 1, 8, 8).numpy())
    found = bl.verify(network, bl.random_inputs(network, 3), ["litert", "numpy", "pyrtl"])
    assert found.equal
    assert {"4", "5", "6", "9"} <= {tensor.name for tensor in found.tensors}
