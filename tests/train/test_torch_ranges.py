"""What quantization-aware training knows without PyTorch: widths, where scales begin, and what it says without it."""

import subprocess
import sys
from collections.abc import Mapping

import numpy as np
import pytest

from bitloom.errors import MissingExtraError, UsageError
from bitloom.ir import FloatGraph, FloatNode, FloatTensor
from bitloom.sequential import Linear, Sequential
from bitloom.train.torch_fit import fit
from bitloom.train.torch_quantized import FakeQuantized
from bitloom.train.torch_ranges import NetworkWidths, activation_range, weight_limit, weight_scales

RNG = np.random.default_rng(0)
GRAPH = FloatGraph(
    "net", ("x",), ("y",), (FloatTensor("x", (1, 4)), FloatTensor("y", (1, 4))), (FloatNode("RELU", ("x",), ("y",)),)
)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weights": 0}, "weights: a width of 0 bits; choose 1 to 8"),
        ({"weights": 33}, "weights: a width of 33 bits; choose"),
        ({"weights": 9}, "training makes 1 to 8"),
        ({"activations": 40}, "activations: a width of 40 bits; choose 1 to 16"),
        ({"inputs": 17}, "inputs: a width of 17 bits, and training makes 1 to 16"),
        ({"outputs": 12}, "or of more, not both; choose all up to 8, or all of 9 to 16"),
        ({"layers": {"y": (4, 0)}}, "activations 'y': a width of 0 bits"),
    ],
)
def test_widths_that_cannot_be_are_refused(options: Mapping[str, int], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        NetworkWidths(**options)  # type: ignore[arg-type]


def test_without_pytorch_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'bitloom\[torch\]'"):
        FakeQuantized(GRAPH, np.ones((2, 4)))
    network = Sequential([Linear(2, 2)]).load_state_dict({"weight": np.eye(2), "bias": np.zeros(2)})
    with pytest.raises(MissingExtraError, match=r"pip install 'bitloom\[torch\]'"):
        network.fake_quantized(np.ones((2, 2)))
    with pytest.raises(MissingExtraError, match="torch"):
        fit(None, np.ones((2, 4)), np.zeros(2), epochs=1)


def test_importing_the_module_loads_no_pytorch() -> None:
    program = "import sys, bitloom.train.torch_quantized, bitloom.train.torch_fit; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout.strip() == "False"


@pytest.mark.parametrize("bits", range(1, 9))
def test_scales_lose_less_than_those_of_the_extremes(bits: int) -> None:
    weights = RNG.standard_t(3, size=(5, 200))
    limit = weight_limit(bits)

    def loss(scales: np.ndarray) -> np.ndarray:
        steps = weights / scales[:, None]
        whole = np.where(steps >= 0, 1, -1) if bits == 1 else np.rint(np.clip(steps, -limit, limit))
        return np.square(whole * scales[:, None] - weights).sum(axis=1)

    assert (loss(weight_scales(weights, bits, per_channel=True)) <= loss(np.abs(weights).max(axis=1) / limit)).all()


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 12, 16])
def test_ranges_hold_0_and_rectified_values_use_all_integers(bits: int) -> None:
    found = activation_range(np.maximum(RNG.normal(size=1000), 0), bits)
    assert found.zero_point == (found.element.minimum if bits <= 8 else 0)
    assert activation_range(np.zeros(4), bits).scale > 0
