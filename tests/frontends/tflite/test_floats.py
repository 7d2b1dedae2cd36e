"""Float TFLite files as float graphs, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from float_networks import branches, small_cnn
from models import dense_network

from bitloom.errors import ModelFormatError, UnsupportedError
from bitloom.export.flatbuffer import OperatorSpec, TensorSpec, write_model
from bitloom.export.tflite import graph_to_tflite
from bitloom.frontends import load_float
from bitloom.frontends.tflite.floats import load_float_tflite
from bitloom.run.float_litert import evaluate_float, float_graph_to_tflite


def dense(weights: np.ndarray, *, scales: tuple[float, ...] = (), stored: bool = False, signature=None) -> bytes:
    """A dense layer, its weights perhaps widened by DEQUANTIZE."""
    tensors = [
        TensorSpec("x", (1, 2), "float32", shape_signature=signature),
        TensorSpec("w", weights.shape, weights.dtype, scales=scales, data=weights),
        TensorSpec("w32", weights.shape, "float32"),
        TensorSpec("y", (1, 3), "float32"),
    ]
    widening = [OperatorSpec("DEQUANTIZE", (1,), (2,))] if stored else []
    layer = OperatorSpec("FULLY_CONNECTED", (0, 2 if stored else 1), (3,))
    return write_model(tensors, [*widening, layer], (0,), (3,))


@pytest.mark.parametrize("make", [small_cnn, branches])
def test_written_and_read_again(make, tmp_path) -> None:
    net = make()
    path = tmp_path / "net.tflite"
    path.write_bytes(float_graph_to_tflite(net.graph())[0])
    graph = load_float(path)
    assert graph.name == "net"
    assert [node.kind for node in graph.nodes] == [node.kind for node in net.nodes]
    samples = {"x": net.samples(3)}
    before, after = evaluate_float(net.graph(), samples), evaluate_float(graph, samples)
    assert before.keys() == after.keys()
    for name in before:
        np.testing.assert_array_equal(before[name], after[name])


def test_float16_weights() -> None:
    weights = np.array([[1, 2], [3, 4], [5, 0.25]], np.float16)
    graph = load_float_tflite(dense(weights, stored=True), "net")
    assert [node.kind for node in graph.nodes] == ["FULLY_CONNECTED"]
    np.testing.assert_array_equal(graph.tensor("w32").constant, weights.astype(np.float32))


@pytest.mark.parametrize("scales", [(0.5,), (0.5, 0.25, 2.0)])
def test_weights_of_dynamic_range_quantization(scales) -> None:
    weights = np.array([[1, -2], [3, 4], [5, 127]], np.int8)
    graph = load_float_tflite(dense(weights, scales=scales), "net")
    wanted = weights * np.broadcast_to(np.array(scales), (3,))[:, None]
    np.testing.assert_array_equal(graph.tensor("w").constant, wanted.astype(np.float32))


def test_a_batch_that_may_change() -> None:
    graph = load_float_tflite(dense(np.ones((3, 2), np.float32), signature=(-1, 2)), "net")
    assert graph.tensor("x").shape == (1, 2)
    with pytest.raises(UnsupportedError, match="dynamic"):
        load_float_tflite(dense(np.ones((3, 2), np.float32), signature=(1, -1)), "net")


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_weights_that_are_not_finite(number) -> None:
    weights = np.ones((3, 2), np.float32)
    weights[1, 1] = number
    with pytest.raises(ModelFormatError, match=r"m.tflite: tensor 'w': holds (nan|inf) at \[1, 1\]"):
        load_float_tflite(dense(weights), "net", "m.tflite")


def test_a_quantized_model() -> None:
    with pytest.raises(UnsupportedError, match="is quantized already"):
        load_float_tflite(graph_to_tflite(dense_network((4, 3), 0)), "net")


def test_state() -> None:
    tensors = [TensorSpec("x", (1,), "float32"), TensorSpec("y", (1,), "float32")]
    content = write_model(tensors, [OperatorSpec("READ_VARIABLE", (0,), (1,))], (0,), (1,))
    with pytest.raises(UnsupportedError, match="keeps state"):
        load_float_tflite(content, "net")


def test_types_that_no_float_graph_has() -> None:
    tensors = [TensorSpec("x", (1,), "float64"), TensorSpec("y", (1,), "float64")]
    with pytest.raises(UnsupportedError, match="tensors of float64"):
        load_float_tflite(write_model(tensors, [OperatorSpec("ABS", (0,), (1,))], (0,), (1,)), "net")
    with pytest.raises(UnsupportedError, match="constants of int16"):
        load_float_tflite(dense(np.ones((3, 2), np.int16)), "net")


@pytest.mark.parametrize("content", [b"", b"x" * 100, b"\0\0\0\0TFL3"])
def test_files_of_other_kinds(content, tmp_path) -> None:
    path = tmp_path / "net.tflite"
    path.write_bytes(content)
    with pytest.raises(ModelFormatError):
        load_float(path)


def test_truncated_at_many_places() -> None:
    content = float_graph_to_tflite(small_cnn().graph())[0]
    for end in range(0, len(content) - 1, 97):
        with pytest.raises((ModelFormatError, UnsupportedError)):
            load_float_tflite(content[:end], "net")
