"""The quantizer's path of sequential networks."""

from typing import Any

import numpy as np
import pytest

import bitloom as bl
from bitloom.errors import InputError, UsageError
from bitloom.export.tflite import graph_to_tflite
from bitloom.frontends import load_tflite
from bitloom.quantize import QuantizeOptions, Widths
from bitloom.sequential import Conv2d, Flatten, Linear, MaxPool2d, ReLU, Sequential, SoftMax, TruncateLSB

IRIS = bl.load_dataset("iris")
# Folded, so that its circuit compiles in a moment.
TARGET = bl.Target(interval=40)


def iris(bits: int = 8) -> Sequential:
    layers = [Linear(4, 30, bits=bits), TruncateLSB(8), ReLU(), Linear(30, 30, bits=bits), TruncateLSB(8), ReLU()]
    return Sequential([*layers, Linear(30, 3, bits=bits), SoftMax()], name="iris").train(IRIS)


def right(graph: bl.Graph, executor: str = "numpy", **options: Any) -> int:
    samples = bl.dataset_samples(graph, "iris")
    seen = bl.run(graph, samples.inputs, executor, **options)
    return int((seen.tensors[graph.outputs[0]].ravel() == samples.labels).sum())


def test_iris_in_8_bits_is_as_good_in_verilog_as_in_float() -> None:
    network = iris()
    graph = network.quantize(IRIS.train_x)
    in_float = round(bl.train(IRIS, quantized_epochs=1).float_accuracy * len(IRIS.test_y))
    assert right(graph, "verilog", target=TARGET) == right(graph) >= in_float - 1
    samples = bl.dataset_samples(graph, "iris")
    assert bl.verify(graph, samples.inputs, ["numpy", "pyrtl", "verilog"], target=TARGET).equal
    model = load_tflite(graph_to_tflite(graph), "iris")
    assert bl.verify(model, samples.inputs, ["litert", "numpy"]).equal


def test_layers_have_the_widths_they_say() -> None:
    graph = (
        Sequential([Linear(4, 6, bits=3), ReLU(), Linear(6, 5, bits=5), ReLU(), Linear(5, 3)], name="widths")
        .train(IRIS, epochs=2)
        .quantize(IRIS.train_x, QuantizeOptions(Widths(8, 6), layers={"linear_4": Widths(2, 7)}))
    )
    weights = [graph.operands(node)[1].type.integer.bits for node in graph.nodes]
    assert weights == [3, 5, 2]
    assert [graph.type(name).integer.bits for name in graph.computed] == [6, 6, 7]
    assert bl.verify(graph, bl.random_inputs(graph, 10), ["numpy", "pyrtl"]).equal


def test_iris_in_4_bits_trained_with_integers() -> None:
    torch = pytest.importorskip("torch", reason="the extra bitloom[torch] is not installed")
    torch.set_num_threads(1)
    from bitloom.train.torch_fit import fit

    network = iris(bits=4).fake_quantized(IRIS.train_x, activations=4, inputs=4, outputs=5)
    fit(network, IRIS.train_x, IRIS.train_y, epochs=30, batch_size=16, learning_rate=2e-3)
    graph = network.integer_graph()
    assert [graph.type(name).integer.bits for name in (*graph.inputs, *graph.computed)] == [4, 4, 4, 5]
    assert [graph.operands(node)[1].type.integer.bits for node in graph.nodes] == [4, 4, 4]
    samples = bl.dataset_samples(graph, "iris")
    assert bl.verify(graph, samples.inputs, ["numpy", "pyrtl", "verilog"], target=TARGET).equal
    answers = bl.run(graph, samples.inputs).tensors[graph.outputs[0]].reshape(-1, 3).argmax(axis=1)
    assert (answers == samples.labels).sum() >= 28


def test_images_with_weights_of_pytorch_s_layout() -> None:
    rng = np.random.default_rng(0)
    network = Sequential(
        [Conv2d(1, 3, 3, padding=1), ReLU(), MaxPool2d(2), Flatten(), Linear(27, 4)], input_shape=(6, 6, 1)
    ).load_state_dict({
        "0.weight": rng.normal(size=(3, 1, 3, 3)), "0.bias": rng.normal(size=3),
        "4.weight": rng.normal(size=(4, 27)), "4.bias": rng.normal(size=4),
    })  # fmt: skip
    graph = network.quantize(rng.random((50, 6, 6, 1)))
    inputs = bl.random_inputs(graph, 10)
    assert bl.verify(load_tflite(graph_to_tflite(graph), "net"), inputs, ["litert", "numpy", "pyrtl"]).equal


def test_calibration_with_nan_is_refused() -> None:
    with pytest.raises(InputError, match="sample 0 holds nan"):
        iris().quantize(np.full((3, 4), np.nan))


def test_widths_the_quantizer_does_not_make_are_refused() -> None:
    with pytest.raises(UsageError, match="20 bits"):
        iris(bits=20).quantize(IRIS.train_x)
