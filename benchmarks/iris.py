"""Fisher's Iris, 4-30-30-3: in float, naively in 8 bits, quantized, and trained with integers; answers of the Verilog.

Run from the repository: ``python -m benchmarks.iris``; it needs the extra ``torch``, for 6 and 4 bits. The float
network is trained in NumPy, the same on every machine.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np
import torch

import bitloom as bl
from benchmarks.commands import WORK, mismatches
from benchmarks.rows import Row, keep, show
from bitloom.data import Dataset, quantize_inputs
from bitloom.ir import FloatGraph
from bitloom.run.float_litert import evaluate_float
from bitloom.sequential import Linear, ReLU, Sequential, SoftMax, TruncateLSB
from bitloom.train import fit

SOURCE = "the project that had the same API before (hardware accuracy 45.8 %, float 98.3 %); quoted, not measured again"
_COMMAND = "python -m benchmarks.iris"
_FOLDER = WORK / "iris"
_EPOCHS, _BATCH, _RATE = 100, 16, 2e-3
_STEPPED = 30


def network(bits: int) -> Sequential:
    """Three dense layers, with the truncations that only the naive path has."""
    return Sequential(
        [
            *(Linear(4, 30, bits=bits), TruncateLSB(8), ReLU()),
            *(Linear(30, 30, bits=bits), TruncateLSB(8), ReLU()),
            *(Linear(30, 3, bits=bits), SoftMax()),
        ],
        name="iris",
    )


def main() -> None:
    """Train, quantize, measure, print, keep."""
    argparse.ArgumentParser(prog=_COMMAND, description=__doc__).parse_args()
    torch.set_num_threads(1)
    _FOLDER.mkdir(parents=True, exist_ok=True)
    iris = bl.load_dataset("iris")
    in_float = network(8).train(iris)
    real = in_float.float_graph()
    right = _right(_scores(real, _all(iris)), iris)
    rows = list(_counted("float", right, right, peer="98.3 % of 120"))
    naive = in_float.naive(0.0, 1.0)
    rows += _of_graph("naive 8 bits", naive, iris, right, peer="45.8 % of 120")
    aligned = in_float.naive(0.0, 1.0, aligned_biases=True)
    rows += _of_graph("naive 8 bits, biases in steps of products", aligned, iris, right)
    rows += _of_graph("naive 8 bits, 10 bits dropped", _dropping(in_float, 10).naive(0.0, 1.0), iris, right)
    rows += _of_graph("8 bits, quantized", in_float.quantize(iris.train_x), iris, right, at_most=1, litert=True)
    for bits in (6, 4):
        trained = network(bits).train(iris).fake_quantized(iris.train_x, activations=bits, inputs=bits, outputs=bits)
        fit(trained, iris.train_x, iris.train_y, epochs=_EPOCHS, batch_size=_BATCH, learning_rate=_RATE)
        name = f"{bits} bits, trained with integers"
        rows += _of_graph(name, trained.integer_graph(), iris, right, at_most=2)
    show("Iris, 4-30-30-3, 120 flowers to train, 30 to test; answers of the Verilog", rows, "before")
    print(f"\nkept in {keep('iris', 'Iris, 4-30-30-3', rows, SOURCE)}")


def _dropping(trained: Sequential, bits: int) -> Sequential:
    """The same network that drops another number of bits."""
    layers = [TruncateLSB(bits) if isinstance(layer, TruncateLSB) else layer for layer in trained.layers]
    return Sequential(layers, name=trained.name, parameters=trained.parameters)


def _all(iris: Dataset) -> np.ndarray:
    """Features of training and test samples."""
    return np.concatenate([iris.train_x, iris.test_x])


def _scores(graph: FloatGraph, x: np.ndarray) -> np.ndarray:
    return evaluate_float(graph, {graph.inputs[0]: x[:, None]})[graph.outputs[0]].reshape(len(x), -1).argmax(axis=1)


def _right(answers: np.ndarray, iris: Dataset) -> tuple[int, int]:
    """Right answers of the test samples, and of all."""
    correct = answers == np.concatenate([iris.train_y, iris.test_y])
    return int(correct[len(iris.train_y) :].sum()), int(correct.sum())


def _counted(
    name: str, right: tuple[int, int], in_float: tuple[int, int], *, at_most: int | None = None, peer: str = ""
) -> Iterator[Row]:
    for part, total, count, real in zip(("test", "all"), (30, 150), right, in_float, strict=True):
        wanted = "" if at_most is None else f"at least {real - at_most}"
        yield Row(f"{name}: right of {total} ({part})", count, "flowers", _COMMAND, wanted, peer, f"{name} {part}")
        peer = ""
    yield Row(f"{name}: of all", 100 * right[1] / 150, "%", _COMMAND)


def _of_graph(
    name: str,
    graph: bl.Graph,
    iris: Dataset,
    in_float: tuple[int, int],
    *,
    at_most: int | None = None,
    peer: str = "",
    litert: bool = False,
) -> Iterator[Row]:
    """Answers of the Verilog, and what differs between executors."""
    bl.save(graph, _FOLDER / f"{name.replace(',', '').replace(' ', '_')}.bitloom")
    given = graph.type(graph.inputs[0])
    scale = given.required_quantization
    x = quantize_inputs(_all(iris), scale.scale, scale.zero_point, given.integer)[:, None]
    answers = bl.run(graph, x, "verilog").tensors[graph.outputs[0]].reshape(len(x), -1)
    classes = answers[:, 0] if answers.shape[1] == 1 else answers.argmax(axis=1)
    yield from _counted(name, _right(classes, iris), in_float, at_most=at_most, peer=peer)
    compared = {
        "NumPy against Verilog, stalls": bl.verify(graph, x, ["numpy", "verilog"], stalls=True),
        f"NumPy against PyRTL, {_STEPPED} flowers": bl.verify(graph, x[:_STEPPED], ["numpy", "pyrtl"]),
    }
    if litert:
        path = _FOLDER / "exported.tflite"
        bl.save(graph, path)
        compared["LiteRT on the exported file against NumPy"] = bl.verify(bl.load(path), x, ["litert", "numpy"])
    for what, found in compared.items():
        yield Row(f"{name}: {what}: differing", mismatches(found.to_json()), "", _COMMAND, "exactly 0")


if __name__ == "__main__":
    main()
