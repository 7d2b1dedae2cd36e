"""The convolutional network of `mnist_torch`, trained on with weights and activations of few bits.

Run from the repository: ``python -m benchmarks.mnist_aware``; it needs the extra ``torch``. The MNIST files come from
the folder that the environment variable BITLOOM_MNIST names, or are fetched. Where `mnist_torch` has not run before,
the network is trained in real numbers first; then each width takes some minutes.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch

import bitloom as bl
from benchmarks.commands import WORK, mismatches
from benchmarks.mnist_torch import accuracy, images, integers, trained
from benchmarks.rows import Row, keep, show
from bitloom.train import FakeQuantized, NetworkWidths, classes, fit

_FOLDER = WORK / "mnist_aware"
_COMMAND = "python -m benchmarks.mnist_aware"
_WIDTHS = {
    "4/8": (NetworkWidths(4, 8), "at most 0.5"),
    "4/4": (NetworkWidths(4, 4), "at most 0.5"),
    "2/4": (NetworkWidths(2, 4), ""),
}
_CALIBRATION, _JUDGED, _SIMULATED, _STEPPED = 1000, 1000, 100, 2
_BATCH = 128


def main() -> None:
    """Train, measure, print, keep."""
    parser = argparse.ArgumentParser(prog=_COMMAND, description=__doc__)
    parser.add_argument("--epochs", type=int, default=2, help="with integers, for each width; others are not kept")
    parser.add_argument("--only", choices=tuple(_WIDTHS), help="one width; nothing is kept then")
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # sums are then the same everywhere
    train_x, train_y, test_x, test_y = images()
    module = trained(train_x, train_y, WORK / "mnist_torch" / "float.pt", again=False)
    graph = bl.from_torch(module, test_x[:1], name="mnist_cnn")
    real = accuracy(np.eye(10)[classes(module, test_x.numpy())], test_y.numpy())
    rows = [Row("accuracy in PyTorch, real numbers", real, "%", _COMMAND, "at least 98.8", key="float")]
    for name in [arguments.only] if arguments.only else _WIDTHS:
        widths, wanted = _WIDTHS[name]
        network = FakeQuantized(graph, train_x[:_CALIBRATION].numpy(), widths)
        before = accuracy(np.eye(10)[classes(network.eval(), test_x.numpy())], test_y.numpy())
        rows.append(Row(f"{name}: accuracy before training on", before, "%", _COMMAND, key=f"{name} before"))
        start = time.perf_counter()
        fit(
            network.train(),
            train_x.numpy(),
            train_y.numpy(),
            epochs=arguments.epochs,
            batch_size=_BATCH,
            teacher=module,
            progress=_told,
        )
        rows.append(Row(f"{name}: training on, {arguments.epochs} epochs", time.perf_counter() - start, "s", _COMMAND))
        quantized = network.eval().integer_graph()
        _FOLDER.mkdir(parents=True, exist_ok=True)
        bl.save(quantized, _FOLDER / f"{name.replace('/', '_')}.bitloom")
        rows += _measured(name, quantized, test_x.numpy(), test_y.numpy(), classes(network, test_x.numpy()))
        lost = rows[-1].value or 0.0
        rows.append(Row(f"{name}: points lost", real - lost, "%", _COMMAND, wanted, key=f"{name} lost"))
    show("MNIST 28x28, two convolutions and a dense layer, trained with integers of few bits", rows)
    if not arguments.only and arguments.epochs == parser.get_default("epochs"):
        print(f"\nkept in {keep('mnist_aware', 'MNIST 28x28, 8C3-P2-16C3-P2-10, quantization-aware', rows)}")


def _told(epoch: int, loss: float) -> None:
    print(f"  epoch {epoch}: loss {loss:.4f}", flush=True)


def _measured(name: str, graph: bl.Graph, x: np.ndarray, labels: np.ndarray, aware: np.ndarray) -> list[Row]:
    """What differs between executors, and, last, the accuracy of the integer graph on all test images.

    Args:
        name: of the widths.
        graph: in integers.
        x: test images.
        labels: of these.
        aware: the classes that PyTorch's own evaluation says.
    """
    given = integers(graph, x)[:, None]
    found = bl.run(graph, given).tensors[graph.outputs[0]].reshape(len(x), -1)
    others = int((found.argmax(axis=1) != aware).sum())
    hardware = bl.verify(graph, given[:_SIMULATED], ["numpy", "verilog"], stalls=True)
    stepped = bl.verify(graph, given[:_STEPPED], ["numpy", "pyrtl"])
    compared = [
        (f"NumPy against Verilog, {_SIMULATED} images, stalls", mismatches(hardware.to_json())),
        (f"NumPy against PyRTL, {_STEPPED} images", mismatches(stepped.to_json())),
        ("answers of PyTorch's evaluation against NumPy, 10,000 images", others),
    ]
    if name == "4/8":  # which TFLite files can say
        judged = bl.verify(_reloaded(graph), given[:_JUDGED], ["litert", "numpy"])
        compared.append((f"LiteRT on the exported file against NumPy, {_JUDGED:,}", mismatches(judged.to_json())))
    rows = [Row(f"{name}: {what}: differing", differ, "", _COMMAND, "exactly 0") for what, differ in compared]
    return [*rows, Row(f"{name}: accuracy in integers", accuracy(found, labels), "%", _COMMAND, key=name)]


def _reloaded(graph: bl.Graph) -> bl.Model:
    path = _FOLDER / "exported.tflite"
    bl.save(graph, path)
    return bl.load(path)


if __name__ == "__main__":
    main()
