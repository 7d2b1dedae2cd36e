"""The rounding of ONNX Runtime's quantized operators; skipped where it is not installed."""

from __future__ import annotations

import numpy as np
import pytest

from bitloom.arith import Rescale, Rounding

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

ZERO_POINT = 3
SCALES = [
    (1.0, 0.5, 1.0),
    (1.0, 3.0, 256.0),
    (0.0117, 0.0031, 0.093),
    (0.05, 0.0007, 0.11),
    (1.0, 2.0**-19 * 1.1, 1.0),
    (1.0, 2.0**-24 * 1.7, 1.0),
]


def accumulators(real: float) -> np.ndarray:
    """Where rounding matters: beside every half, at powers of two, and anywhere in int32."""
    halves = np.round((np.arange(-140, 140) + 0.5) / real)
    near = (halves[:, None] + np.arange(-3, 4)).ravel()
    powers = 2.0 ** np.arange(32)
    anywhere = np.random.default_rng(0).uniform(-(2.0**31), 2.0**31, 500)
    scaled = np.random.default_rng(1).uniform(-140 / real, 140 / real, 2000)
    ends = np.concatenate([powers, -powers, powers - 1, powers + 1, 1 - powers])
    every = np.concatenate([near, ends, anywhere, scaled, np.arange(-600, 600)])
    return np.unique(every[(every >= -(2**31)) & (every < 2**31)].astype(np.int64))


def run(node: onnx.NodeProto, feed: dict[str, np.ndarray], constants: dict[str, np.ndarray], shape: tuple[int, ...]):
    """One node, of int8 input and output, without graph optimisation."""
    helper, numpy_helper = onnx.helper, onnx.numpy_helper
    inputs = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
        for name, value in feed.items()
    ]
    result = helper.make_tensor_value_info("y", onnx.TensorProto.INT8, shape)
    graph = helper.make_graph(
        [node], "g", inputs, [result], [numpy_helper.from_array(value, name) for name, value in constants.items()]
    )
    domains = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=domains, ir_version=8)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, feed)[0]


def expected(values: np.ndarray, real: float, rounding: Rounding) -> np.ndarray:
    return np.clip(Rescale((real,), rounding).apply(values) + ZERO_POINT, -128, 127)


@pytest.mark.parametrize("scales", SCALES)
def test_convolution(scales):
    """The bias is added before the rescale, so it reaches any accumulator."""
    x, w, y = (np.float32(scale) for scale in scales)
    real = float(x * w / y)
    values = accumulators(real)
    zero = np.int8(0)
    node = onnx.helper.make_node("QLinearConv", ["x", "sx", "z", "w", "sw", "z", "sy", "zy", "bias"], ["y"])
    constants = {"sx": x, "sw": w, "sy": y, "z": zero, "zy": np.int8(ZERO_POINT)}
    constants |= {"w": np.zeros((len(values), 1, 1, 1), np.int8), "bias": values.astype(np.int32)}
    constants = {name: np.asarray(value) for name, value in constants.items()}
    got = run(node, {"x": np.zeros((1, 1, 1, 1), np.int8)}, constants, (1, len(values), 1, 1)).ravel()
    assert np.array_equal(got, expected(values, real, Rounding.FLOAT32))


@pytest.mark.parametrize("scales", SCALES[:4])
def test_matrix_product(scales):
    """Products of int8, which reach every half of a multiplier of 1/2 or 3/256."""
    a, b, y = (np.float32(scale) for scale in scales)
    real = float(a * b / y)
    left, right = np.arange(-128, 128, dtype=np.int8), np.arange(-128, 128, dtype=np.int8)
    node = onnx.helper.make_node("QLinearMatMul", ["a", "sa", "z", "b", "sb", "z", "sy", "zy"], ["y"])
    constants = {"b": right[None, :], "sa": a, "sb": b, "sy": y, "z": np.int8(0), "zy": np.int8(ZERO_POINT)}
    constants = {name: np.asarray(value) for name, value in constants.items()}
    got = run(node, {"a": left[:, None]}, constants, (256, 256))
    values = left[:, None].astype(np.int64) * right[None, :]
    assert np.array_equal(got, expected(values, real, Rounding.FLOAT32))
    if scales[1] in (0.5, 3.0):
        assert not np.array_equal(got, expected(values, real, Rounding.FLOAT64))


def test_float32_differs_from_an_exact_product():
    """Why it is a rounding of its own: the product is rounded before its half is looked for."""
    real = float(np.float32(2.0**-19 * 1.1))
    values = accumulators(real)
    exact = expected(values, real, Rounding.HALF_EVEN)
    assert (exact != expected(values, real, Rounding.FLOAT32)).any()
