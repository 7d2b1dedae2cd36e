"""The integers of training are the integers of inference, judged by LiteRT."""

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from hypothesis import given
from hypothesis import strategies as st

from bitloom.data import quantize_inputs
from bitloom.data.random_bits import RandomBits
from bitloom.errors import TrainError
from bitloom.export.flatbuffer import OperatorSpec, TensorSpec, write_model
from bitloom.train.models import int8_model, litert_outputs, read_int8_layers
from bitloom.train.network import Parameters
from bitloom.train.quantized import (
    Quantization,
    QuantizedLayer,
    observe_ranges,
    quantize_layer,
    quantize_network,
    quantized_forward,
)


@given(st.floats(-1000, 1000), st.floats(-1000, 1000))
def test_a_range_is_covered_and_zero_is_an_integer(one: float, other: float) -> None:
    low, high = min(one, other), max(one, other)
    quantization = Quantization.of_range(low, high)
    scale, zero_point = quantization.scale, quantization.zero_point
    assert scale > 0
    assert scale == np.float32(scale)
    assert -128 <= zero_point <= 127
    # One step is lost at most, half of it at either end, to put 0 on an integer.
    assert scale * (-128 - zero_point) <= min(low, 0) + 0.51 * scale
    assert scale * (127 - zero_point) >= max(high, 0) - 0.51 * scale
    assert 255 * scale <= max(high, 0) - min(low, 0) + 1e-4 * scale * 255 + 1e-6


def test_a_range_of_relu_starts_at_the_lowest_integer() -> None:
    assert Quantization.of_range(0.0, 25.5) == Quantization(float(np.float32(0.1)), -128)
    assert Quantization.of_range(3.0, 25.5).zero_point == -128  # stretched to contain 0
    assert Quantization.of_range(0.0, 0.0).scale > 0


SOURCE, OUTPUT = Quantization(0.5, -128), Quantization(0.25, 3)
WEIGHTS = np.array([[1.0, -0.5, 0.25], [0.1, 0.01, -0.02]])
BIAS = np.array([3.0, -0.5])


def test_weights_of_a_layer_share_a_scale() -> None:
    layer = quantize_layer(WEIGHTS, BIAS, SOURCE, OUTPUT, relu=True, per_channel=False)
    scale = np.float64(np.float32(1 / 127))
    assert layer.weight_scales.tolist() == [np.float32(1 / 127)]
    assert layer.weights.tolist() == [[127, -64, 32], [13, 1, -3]]
    assert layer.bias.tolist() == [round(3.0 / (0.5 * scale)), round(-0.5 / (0.5 * scale))]
    assert (layer.weights.dtype, layer.bias.dtype) == (np.int8, np.int32)
    assert layer.real_multipliers == pytest.approx([0.5 * scale / 0.25], rel=1e-15)
    assert layer.multipliers[0] * 2.0 ** (layer.shifts[0] - 31) == pytest.approx(0.5 * scale / 0.25, rel=1e-9)
    assert 2**30 <= layer.multipliers[0] < 2**31


def test_each_channel_can_have_its_own_scale() -> None:
    layer = quantize_layer(WEIGHTS, BIAS, SOURCE, OUTPUT, relu=True, per_channel=True)
    assert layer.weight_scales.tolist() == [np.float32(1 / 127), np.float32(0.1 / 127)]
    assert np.abs(layer.weights).max(axis=1).tolist() == [127, 127]
    real = layer.weights * layer.weight_scales[:, None].astype(np.float64)
    assert np.abs(real - WEIGHTS).max() <= layer.weight_scales.max() * 0.5001
    assert len(layer.multipliers) == len(layer.shifts) == 2


@pytest.mark.parametrize("per_channel", [False, True])
def test_a_bias_fits_however_small_its_weights(per_channel: bool) -> None:
    layer = quantize_layer(WEIGHTS * 1e-12, BIAS * 1e3, SOURCE, OUTPUT, relu=True, per_channel=per_channel)
    real = layer.bias * layer.bias_scales
    np.testing.assert_allclose(real, BIAS * 1e3, rtol=1e-6)
    assert np.abs(layer.bias.astype(np.int64)).max() <= 2**30 + 2**8
    silent = quantize_layer(WEIGHTS * 0, BIAS * 0, SOURCE, OUTPUT, relu=True, per_channel=per_channel)
    assert not silent.weights.any()
    assert (silent.weight_scales > 0).all()


def random_network(sizes: tuple[int, ...], seed: int, per_channel: bool) -> tuple[list[QuantizedLayer], np.ndarray]:
    """Layers with calibrated ranges, and int8 inputs."""
    parameters = Parameters.random(sizes, RandomBits(seed))
    random = np.random.default_rng(seed)
    for bias in parameters.biases:
        bias += random.normal(size=bias.shape) * 0.2
    source = Quantization.of_range(-0.3, 1.0)
    x = random.integers(-128, 128, (500, sizes[0]), np.int8)
    ranges = observe_ranges(parameters, source, x.astype(np.float64) - source.zero_point, 99.0, per_channel=per_channel)
    quantizations = [source, *(Quantization.of_range(*found) for found in ranges)]
    return quantize_network(parameters, quantizations, per_channel=per_channel), x


def litert_tensors(model: bytes, x: np.ndarray) -> list[np.ndarray]:
    """Every activation after the input."""
    interpreter = Interpreter(
        model_content=model,
        experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
        experimental_preserve_all_tensors=True,
        num_threads=1,
    )
    interpreter.resize_tensor_input(0, x.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(0, x)
    interpreter.invoke()
    names = {details["name"]: details["index"] for details in interpreter.get_tensor_details()}
    return [
        interpreter.get_tensor(index)
        for name, index in names.items()
        if name.startswith(("dense", "logits")) and "." not in name
    ]


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("sizes", [(9, 10), (17, 13, 5), (33, 21, 15, 11, 3)])
def test_training_computes_what_litert_computes(sizes: tuple[int, ...], per_channel: bool) -> None:
    layers, x = random_network(sizes, 8, per_channel)
    activations = litert_tensors(int8_model(layers, "test"), x)
    assert len(activations) == len(layers)
    centred = x.astype(np.float64) - layers[0].input.zero_point
    for depth, found in enumerate(activations, start=1):
        real, record = quantized_forward(layers[:depth], centred)
        output = layers[depth - 1].output
        np.testing.assert_array_equal(np.rint(real / output.scale) + output.zero_point, found)
        # With a range of 99 percent, something saturates and most does not.
        assert 0 < np.mean(~record[-1].passes_gradient) < 0.9
        assert len(np.unique(found)) > 50


def test_gradients_pass_rounding_and_stop_at_saturation() -> None:
    layer = QuantizedLayer(
        weights=np.array([[1], [1], [1], [1]], np.int8),
        bias=np.array([0, 1000, -1000, -1], np.int32),
        weight_scales=np.array([1.0], np.float32),
        input=Quantization(1.0, 0),
        output=Quantization(2.0, -128),
        relu=True,
    )
    logits, record = quantized_forward([layer], np.array([[5.0]]))
    # 5 / 2 rounds to even 2; 1005 / 2 saturates at 255; -995 / 2 is cut to 0; 4 / 2 is 2.
    assert logits.tolist() == [[4.0, 510.0, 0.0, 4.0]]
    assert record[0].passes_gradient.tolist() == [[True, False, False, True]]


def test_ranges_leave_out_the_rarest_values() -> None:
    parameters = Parameters([np.eye(2)], [np.zeros(2)])
    source = Quantization(1.0, 0)
    x = np.zeros((1000, 2))
    x[0, 0], x[1, 1], x[2:, 0] = 100.0, -100.0, np.linspace(-1, 1, 998)
    (everything,) = observe_ranges(parameters, source, x, 100.0, per_channel=False)
    assert everything == pytest.approx((-100, 100), rel=1e-6)
    (most,) = observe_ranges(parameters, source, x, 99.9, per_channel=False)
    assert most == pytest.approx((-1, 1), abs=0.02)


@pytest.mark.parametrize("per_channel", [False, True])
def test_a_written_model_reads_back(per_channel: bool) -> None:
    layers, _ = random_network((9, 7, 4), 2, per_channel)
    for softmax in (False, True):
        read = read_int8_layers(int8_model(layers, "test", softmax=softmax))
        assert len(read) == 2
        for one, other in zip(layers, read, strict=True):
            np.testing.assert_array_equal(one.weights, other.weights)
            np.testing.assert_array_equal(one.bias, other.bias)
            np.testing.assert_array_equal(one.weight_scales, other.weight_scales)
            assert (one.input, one.output, one.relu) == (other.input, other.output, other.relu)


def test_a_softmax_at_the_end_gives_probabilities() -> None:
    layers, _ = random_network((9, 7, 4), 2, False)
    x = np.random.default_rng(9).uniform(size=(20, 9)).astype(np.float32)
    logits = layers[-1].output
    real = (litert_outputs(int8_model(layers, "test"), x).astype(np.float64) - logits.zero_point) * logits.scale
    probabilities = (litert_outputs(int8_model(layers, "test", softmax=True), x) + 128.0) / 256
    exponentials = np.exp(real)
    np.testing.assert_allclose(probabilities, exponentials / exponentials.sum(1, keepdims=True), atol=1 / 256)


def test_inputs_of_any_shape_are_quantized_for_the_model() -> None:
    layers, _ = random_network((6, 4), 3, False)
    x = np.random.default_rng(1).uniform(-0.3, 1, (5, 6)).astype(np.float32)
    centred = quantize_inputs(x, layers[0].input.scale, layers[0].input.zero_point).astype(np.float64)
    expected, _ = quantized_forward(layers, centred - layers[0].input.zero_point)
    found = litert_outputs(int8_model(layers, "test"), x)
    output = layers[-1].output
    np.testing.assert_array_equal(found, np.rint(expected / output.scale) + output.zero_point)


def test_a_missing_bias_is_zero_and_other_operators_are_refused() -> None:
    tensors = [
        TensorSpec("x", (1, 2), np.int8, (0.5,), (0,)),
        TensorSpec("w", (3, 2), np.int8, (0.5,), data=np.ones((3, 2), np.int8)),
        TensorSpec("y", (1, 3), np.int8, (0.5,), (0,)),
    ]
    dense = OperatorSpec("FULLY_CONNECTED", (0, 1), (2,))
    assert read_int8_layers(write_model(tensors, [dense], (0,), (2,)))[0].bias.tolist() == [0, 0, 0]
    with pytest.raises(TrainError, match="only dense layers"):
        read_int8_layers(write_model(tensors, [OperatorSpec("RELU", (0,), (2,))], (0,), (2,)))
    tensors[0] = TensorSpec("x", (1, 2), np.float32)
    with pytest.raises(TrainError, match="not int8"):
        read_int8_layers(write_model(tensors, [dense], (0,), (2,)))
