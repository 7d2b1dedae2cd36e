"""Float graphs by LiteRT, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from float_networks import FloatNetwork, small_cnn

from bitloom.errors import ExecutionError, ExportError, InputError
from bitloom.run.float_litert import FloatEvaluator, evaluate_float


def test_dense() -> None:
    net = FloatNetwork((1, 3))
    weights, bias = np.array([[1.0, 2.0, 3.0], [0.0, -1.0, 0.5]]), np.array([0.5, 0.0])
    net.add("FULLY_CONNECTED", (1, 2), "x", weights, bias, name="y", fused_activation_function="RELU")
    x = net.samples(7)
    tensors = evaluate_float(net.graph(), {"x": x})
    assert list(tensors) == ["x", "y"]
    np.testing.assert_array_equal(tensors["x"], x)
    np.testing.assert_allclose(tensors["y"], np.maximum(x @ weights.T + bias, 0), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("layer", ["conv", "depthwise"])
def test_convolutions_without_bias(layer) -> None:
    net = FloatNetwork((1, 3, 3, 2))
    name = net.conv("x", 2, 1, bias=None) if layer == "conv" else net.depthwise("x", 1, bias=None)
    weights = net.tensors[f"{name}/1"].constant
    x = net.samples(2)
    wanted = x @ weights[:, 0, 0].T if layer == "conv" else x * weights[0, 0, 0]
    np.testing.assert_allclose(evaluate_float(net.graph(), {"x": x})[name], wanted, rtol=1e-5, atol=1e-6)


def test_chunks_are_the_whole() -> None:
    net = small_cnn()
    evaluator = FloatEvaluator(net.graph())
    inputs, seen = {"x": net.samples(600)}, []
    chunks = list(evaluator.chunks(inputs, lambda done, total: seen.append((done, total))))
    assert len(chunks) > 1
    assert [done for done, _ in seen] == np.cumsum([len(chunk["x"]) for chunk in chunks]).tolist()
    assert seen[-1] == (600, 600)
    whole = evaluator.run(inputs)
    for name in whole:
        np.testing.assert_array_equal(np.concatenate([chunk[name] for chunk in chunks]), whole[name])


def test_bad_inputs() -> None:
    evaluator = FloatEvaluator(small_cnn().graph())
    with pytest.raises(InputError, match="input 'x' is missing"):
        evaluator.run({})
    with pytest.raises(InputError, match=r"has shape \[2, 3\], and \[samples, 1, 12, 12, 2\] is needed"):
        evaluator.run({"x": np.zeros((2, 3))})


def test_what_litert_refuses() -> None:
    net = FloatNetwork((1, 3))
    net.add("CONCATENATION", (1, 6), "x", "x", axis=5)
    with pytest.raises(ExecutionError, match="LiteRT refuses the float model"):
        evaluate_float(net.graph(), {"x": net.samples(1)})
    net = FloatNetwork((1, 3))
    net.add("SOFTMAX", (1, 5), "x", beta=1.0)
    with pytest.raises(ExecutionError, match=r"LiteRT makes shape \[1, 3\], the float graph says \[1, 5\]"):
        evaluate_float(net.graph(), {"x": net.samples(1)})
    net = FloatNetwork((1, 3))
    net.same("NO_SUCH", "x")
    with pytest.raises(ExportError, match="not a builtin operator"):
        evaluate_float(net.graph(), {"x": net.samples(1)})
