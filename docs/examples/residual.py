"""A small residual network as a TFLite file: two convolutions, the addition of what went around them, a mean."""

from __future__ import annotations

import numpy as np

import bitloom as bl
from bitloom.export.flatbuffer import OperatorSpec, TensorSpec, write_model
from bitloom.frontends import load_tflite

SIDE, CHANNELS = 12, 8
_SCALE = 0.05


def residual_network() -> bl.Model:
    """Random weights, the same on every machine; images of 12 x 12 pixels and 8 channels."""
    image = (1, SIDE, SIDE, CHANNELS)
    first, second = (_convolution(name, seed) for seed, name in enumerate(("first", "second")))
    tensors = [
        _activation("x", image),
        *first,
        _activation("features", image),
        *second,
        _activation("change", image),
        _activation("sum", image),
        TensorSpec("pixels", (2,), np.int32, data=np.array([1, 2], np.int32)),
        _activation("mean", (1, CHANNELS)),
    ]
    index = {tensor.name: position for position, tensor in enumerate(tensors)}
    operators = [
        _operator("CONV_2D", index, ("x", "first_weights", "first_bias"), "features", fused="RELU"),
        _operator("CONV_2D", index, ("features", "second_weights", "second_bias"), "change"),
        OperatorSpec("ADD", (index["x"], index["change"]), (index["sum"],), {"fused_activation_function": "RELU"}),
        OperatorSpec("MEAN", (index["sum"], index["pixels"]), (index["mean"],), {"keep_dims": False}),
    ]
    return load_tflite(write_model(tensors, operators, [index["x"]], [index["mean"]]), "residual")


def _activation(name: str, shape: tuple[int, ...]) -> TensorSpec:
    return TensorSpec(name, shape, np.int8, scales=(_SCALE,), zero_points=(-3,))


def _convolution(name: str, seed: int) -> tuple[TensorSpec, TensorSpec]:
    """Weights of 3x3 taps with a scale for each output, and biases."""
    random = np.random.Generator(np.random.PCG64(seed))
    weights = random.integers(-127, 128, (CHANNELS, 3, 3, CHANNELS)).astype(np.int8)
    scales = [0.001 * (1 + output / CHANNELS) for output in range(CHANNELS)]
    bias = random.integers(-2000, 2000, CHANNELS).astype(np.int32)
    # Weights of CONV_2D have their outputs along axis 0.
    return (
        TensorSpec(f"{name}_weights", weights.shape, np.int8, scales=scales, data=weights),
        TensorSpec(f"{name}_bias", bias.shape, np.int32, scales=[_SCALE * scale for scale in scales], data=bias),
    )


def _operator(kind: str, index: dict[str, int], read: tuple[str, ...], made: str, fused: str = "NONE") -> OperatorSpec:
    options = {"padding": "SAME", "stride_h": 1, "stride_w": 1, "fused_activation_function": fused}
    return OperatorSpec(kind, tuple(index[name] for name in read), (index[made],), options)
