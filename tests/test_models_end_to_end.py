"""Whole models from their files: LiteRT, NumPy, PyRTL and Verilog compute the same integers in every tensor."""

from collections.abc import Mapping

import numpy as np
import pytest
from models import assert_same_tensors

import bitloom as bl
from bitloom.data import SHIPPED_DIGITS
from bitloom.data.quantized import quantize_inputs
from bitloom.ir.operator import Array
from bitloom.plan import Bus, Target
from bitloom.run import ExecutorOptions, RunResult, create_executor
from data import test_data

EXECUTIONS = {
    "pyrtl-fast": ("pyrtl", ExecutorOptions(simulation="fast")),
    "pyrtl-compiled": ("pyrtl", ExecutorOptions(simulation="compiled", target=Target(dsp=8))),
    "verilog-verilator": ("verilog", ExecutorOptions()),
    "verilog-stalls": ("verilog", ExecutorOptions(stalls=True, seed=5)),
}
AD01 = "mlperf_tiny/ad01_int8.tflite"
AD01_RECORDING = "mlperf_tiny/inputs/normal_id_01_00000000_hist_librosa.bin"
MEL_BANDS, FRAMES = 128, 5


def compute(model: bl.Model, inputs: Mapping[str, Array], executor: str, options: ExecutorOptions) -> RunResult:
    result = create_executor(executor, model, options).run(inputs)
    assert tuple(result.tensors) == model.graph.computed
    return result


@pytest.fixture(scope="module")
def digits() -> tuple[bl.Model, dict[str, Array], Array]:
    """The shipped network, 32 real test digits, and what they are."""
    model = bl.load(SHIPPED_DIGITS)
    samples = bl.dataset_samples(model, "digits")
    return model, {name: array[:32] for name, array in samples.inputs.items()}, samples.labels[:32]


def test_digits_are_recognised_by_litert_and_numpy_alike(digits) -> None:
    model, inputs, labels = digits
    litert = compute(model, inputs, "litert", ExecutorOptions())
    numpy = compute(model, inputs, "numpy", ExecutorOptions())
    assert_same_tensors(litert, numpy)
    classes = numpy.tensors["logits"].reshape(32, -1).argmax(axis=1)
    assert (classes == labels).mean() > 0.9


@pytest.mark.parametrize("execution", EXECUTIONS)
def test_digits_in_circuits(digits, execution: str) -> None:
    model, inputs, _ = digits
    expected = compute(model, inputs, "litert", ExecutorOptions())
    seen = compute(model, inputs, *EXECUTIONS[execution])
    assert_same_tensors(expected, seen)
    assert seen.cycles is not None


def sound_windows(starts: tuple[int, ...]) -> Array:
    """Windows of five consecutive frames of a recording, float32, shape (windows, 640)."""
    frames = np.fromfile(test_data(AD01_RECORDING), "<f4").reshape(-1, MEL_BANDS)
    return np.stack([frames[start : start + FRAMES].reshape(-1) for start in starts])


def test_an_autoencoder_of_ten_layers_on_sound() -> None:
    """264,192 weights: the largest of the dense models, folded to some 20 multipliers."""
    model = bl.load(test_data(AD01))
    (name,) = model.graph.inputs
    tensor = model.graph.type(name)
    quantization = tensor.required_quantization
    windows = quantize_inputs(sound_windows((0, 37, 101, 195)), quantization.scale, quantization.zero_points[0])
    inputs = {name: windows.reshape(-1, *tensor.shape)}
    assert len(np.unique(windows)) > 50, "quiet or saturated inputs would show little"
    expected = compute(model, inputs, "litert", ExecutorOptions())
    assert_same_tensors(expected, compute(model, inputs, "numpy", ExecutorOptions()))
    for stalls in (False, True):
        options = ExecutorOptions(target=Target(interval=20_000), bus=Bus.AXI, stalls=stalls, seed=1)
        seen = compute(model, inputs, "verilog", options)
        assert_same_tensors(expected, seen)
        assert seen.cycles is not None
        assert stalls or seen.cycles.interval <= 20_000
