"""The four MLPerf Tiny reference models, unmodified: NumPy is LiteRT, on real inputs and on random ones."""

import numpy as np
import pytest
from models import assert_same_tensors, joined, random_inputs

import bitloom as bl
from bitloom.data.quantized import quantize_inputs
from bitloom.ir.operator import Array
from bitloom.run import create_executor
from data import test_data

FILES = {
    "ad01_int8": (264_192, 10),
    "pretrainedResnet_quant": (12_501_632, 16),
    "kws_ref_model": (2_656_768, 13),
    "vww_96_int8": (7_489_664, 31),
}
"""Multiply-accumulates, and tensors that operators make."""

KEYWORDS = 1000


def load(name: str) -> bl.Model:
    return bl.load(test_data(f"mlperf_tiny/{name}.tflite"))


def quantized(model: bl.Model, values: Array) -> dict[str, Array]:
    """Real values as the model's inputs, shape (inferences, *shape)."""
    (name,) = model.graph.inputs
    tensor = model.graph.type(name)
    quantization = tensor.required_quantization
    integers = quantize_inputs(values.astype(np.float32), quantization.scale, quantization.zero_point)
    return {name: integers.reshape(-1, *tensor.shape)}


def keywords() -> tuple[Array, Array]:
    """Quantized spectrograms and what was said."""
    samples = np.load(test_data("mlperf_tiny/inputs/kws01.npz"))
    return samples["x"], samples["y"]


def real_inputs(name: str, model: bl.Model) -> dict[str, Array]:
    """What each model is made for."""
    if name == "ad01_int8":
        frames = np.fromfile(test_data("mlperf_tiny/inputs/normal_id_01_00000000_hist_librosa.bin"), "<f4")
        frames = frames.reshape(-1, 128)
        return quantized(model, np.stack([frames[start : start + 5].reshape(-1) for start in range(0, 196, 15)]))
    if name == "pretrainedResnet_quant":
        image = np.load(test_data("mlperf_tiny/inputs/cifar10-test-data-class3.npz"))
        (pixels,) = image.values()
        # Its input has a scale of one: pixels less 128.
        return quantized(model, pixels.transpose(0, 2, 3, 1))
    if name == "kws_ref_model":
        return {model.graph.inputs[0]: keywords()[0][:20].reshape(-1, *model.graph.type(model.graph.inputs[0]).shape)}
    gray = np.load(test_data("mlperf_tiny/inputs/vww_inputs.npz"))["x"]
    # The gray values are from -1 to 1, the model's three channels from 0 to 1.
    return quantized(model, np.repeat((gray[..., None] + 1) / 2, 3, axis=3))


@pytest.mark.parametrize("name", FILES)
def test_every_tensor_is_litert(name: str) -> None:
    model = load(name)
    macs, tensors = FILES[name]
    assert (model.graph.macs, len(model.graph.computed)) == (macs, tensors)
    real = real_inputs(name, model)
    assert all(len(np.unique(array)) > 50 for array in real.values()), "quiet or saturated inputs would show little"
    inputs = joined(real, random_inputs(model.graph, 16, seed=3))
    numpy, litert = (create_executor(executor, model).run(inputs) for executor in ("numpy", "litert"))
    assert len(litert.tensors) == tensors
    assert_same_tensors(numpy, litert)


def test_a_thousand_keywords() -> None:
    """901 of 1000 are recognised, as with LiteRT's reference kernels; a hundred are compared in every tensor."""
    model = load("kws_ref_model")
    samples, labels = keywords()
    assert len(labels) == KEYWORDS
    (name,), (output,) = model.graph.inputs, model.graph.outputs
    inputs = {name: samples.reshape(-1, *model.graph.type(name).shape)}
    numpy = create_executor("numpy", model).run(inputs)
    found = numpy.tensors[output].reshape(KEYWORDS, -1).argmax(axis=1)
    assert int((found == labels).sum()) == 901
    some = {name: inputs[name][::10]}
    assert_same_tensors(
        create_executor("numpy", model).run(some),
        create_executor("litert", model).run(some),
    )


def test_resnet_takes_less_than_a_twentieth_of_a_second() -> None:
    """The best of several runs: other programs slow some of them."""
    model = load("pretrainedResnet_quant")
    inputs = random_inputs(model.graph, 4, seed=4)
    executor = create_executor("numpy", model)
    assert max(executor.run(inputs).inferences_per_second for _ in range(8)) > 20
