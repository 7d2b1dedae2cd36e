"""A convolutional network trained in PyTorch on MNIST, 28x28 pixels, quantized to 8 bits after training.

Run from the repository: ``python -m benchmarks.mnist_torch``; it needs the extras ``torch`` and ``onnx``. The MNIST
files come from the folder that the environment variable BITLOOM_MNIST names, or are fetched. Training takes some
minutes. ONNX Runtime quantizes the same network with the same images, in the same run.
"""

from __future__ import annotations

import argparse
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import nn

import bitloom as bl
from benchmarks.commands import WORK, mismatches
from benchmarks.onnx_static import SOURCE, quantized_answers
from benchmarks.rows import Row, keep, show
from bitloom.data.mnist import load_mnist
from bitloom.ir.float_graph import FloatGraph
from bitloom.run.float_litert import evaluate_float

_FOLDER = WORK / "mnist_torch"
_COMMAND = "python -m benchmarks.mnist_torch"
_EPOCHS, _BATCH, _PEAK_RATE = 6, 128, 0.01
_CALIBRATION = 1000
_SIMULATED = 20


def network() -> nn.Sequential:
    """Two convolutions with pools, one dense layer: 10,922 parameters, 290 thousand products."""
    return nn.Sequential(
        *(nn.Conv2d(1, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(8, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(16 * 7 * 7, 10)),
    )


def images() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Training images and labels, test images and labels; images of shape (n, 1, 28, 28) in [0, 1]."""
    dataset = load_mnist(size=(28, 28))
    train, test = (torch.tensor(x).reshape(-1, 1, 28, 28) for x in (dataset.train_x, dataset.test_x))
    return train, torch.tensor(dataset.train_y), test, torch.tensor(dataset.test_y)


def train(x: torch.Tensor, labels: torch.Tensor, seed: int = 0, epochs: int = _EPOCHS) -> nn.Sequential:
    """Train in real numbers, images moved by up to two pixels; the same weights again from the same seed."""
    torch.manual_seed(seed)
    module = network().train()
    optimizer = torch.optim.AdamW(module.parameters(), lr=_PEAK_RATE, weight_decay=0.01)
    steps = epochs * (len(x) // _BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _PEAK_RATE, total_steps=steps)
    for epoch in range(epochs):
        start, losses = time.perf_counter(), []
        for chosen in torch.randperm(len(x))[: len(x) // _BATCH * _BATCH].reshape(-1, _BATCH):
            down, across = torch.randint(-2, 3, (2,)).tolist()
            moved = torch.roll(x[chosen], (down, across), (2, 3))
            loss = nn.functional.cross_entropy(module(moved), labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        print(f"epoch {epoch + 1}: loss {np.mean(losses):.4f}, {time.perf_counter() - start:.0f} s", flush=True)
    return module.eval()


def trained(x: torch.Tensor, labels: torch.Tensor, path: Path, *, again: bool) -> nn.Sequential:
    """The network of an earlier run, or a new one."""
    if again or not path.exists():
        module = train(x, labels)
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(module.state_dict(), path)
        return module
    module = network()
    module.load_state_dict(torch.load(path, weights_only=True))
    return module.eval()


def integers(graph: bl.Graph, x: np.ndarray) -> np.ndarray:
    """Real inputs as the integers that a quantized network takes."""
    given = graph.type(graph.inputs[0])
    scale, element = given.required_quantization, given.integer
    steps = np.rint(x / np.float32(scale.scale)) + scale.zero_point
    return steps.clip(element.minimum, element.maximum).astype(element.dtype)


def accuracy(answers: np.ndarray, labels: np.ndarray) -> float:
    """In percent."""
    return float(100 * (answers.reshape(len(labels), -1).argmax(axis=1) == labels).mean())


def peer_accuracy(module: nn.Sequential, calibration: np.ndarray, x: np.ndarray, labels: np.ndarray) -> float:
    """Of the same network quantized by ONNX Runtime, with ranges of the same images."""
    path = _FOLDER / "float.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the exporter's own future
        torch.onnx.export(module, (torch.tensor(x[:1]),), str(path), dynamo=True, verbose=False, external_data=False)
    return accuracy(quantized_answers(path, calibration[:, None], x[:, None]), labels)


def main() -> None:
    """Train, quantize, measure, print, keep."""
    parser = argparse.ArgumentParser(prog=_COMMAND, description=__doc__)
    parser.add_argument("--no-train", action="store_true", help="use the network of an earlier run")
    parser.add_argument("--bits", default="8/8", help="of weights and activations")
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # sums are then the same everywhere
    train_x, train_y, test_x, test_y = images()
    start = time.perf_counter()
    module = trained(train_x, train_y, _FOLDER / "float.pt", again=not arguments.no_train)
    training = time.perf_counter() - start
    graph = bl.from_torch(module, test_x[:1], name="mnist_cnn")
    start = time.perf_counter()
    quantized = bl.quantize(graph, train_x[:_CALIBRATION, None].numpy(), arguments.bits)
    quantizing = time.perf_counter() - start
    bl.save(quantized, _FOLDER / "quantized.bitloom")
    rows = [Row("training in PyTorch", training, "s", _COMMAND)] if not arguments.no_train else []
    peer = peer_accuracy(module, train_x[:_CALIBRATION].numpy(), test_x.numpy(), test_y.numpy())
    rows += _measured(graph, quantized, test_x.numpy(), test_y.numpy(), module, peer)
    rows.append(Row("quantizing, 1,000 images for calibration", quantizing, "s", _COMMAND))
    show("MNIST 28x28, two convolutions and a dense layer, trained in PyTorch", rows, "onnxruntime")
    if arguments.bits == "8/8" and not arguments.no_train:
        print(f"\nkept in {keep('mnist_torch', 'MNIST 28x28, 8C3-P2-16C3-P2-10', rows, SOURCE)}")


def _measured(
    graph: FloatGraph, quantized: bl.Graph, x: np.ndarray, labels: np.ndarray, module: nn.Sequential, peer: float
) -> list[Row]:
    """Accuracies on the test images, and what differs between executors."""
    with torch.no_grad():
        real = accuracy(module(torch.tensor(x)).numpy(), labels)
    ran = accuracy(evaluate_float(graph, {graph.inputs[0]: x[:, None]})[graph.outputs[0]], labels)
    given = integers(quantized, x)[:, None]
    found = accuracy(bl.run(quantized, given).tensors[quantized.outputs[0]], labels)
    software = bl.verify(quantized, given[:1000], ["litert", "numpy"])
    start = time.perf_counter()
    hardware = bl.verify(quantized, given[:_SIMULATED], ["numpy", "verilog"], stalls=True)
    simulating = time.perf_counter() - start
    return [
        Row("accuracy in PyTorch, real numbers", real, "%", _COMMAND, "at least 98.8", key="float"),
        Row("accuracy of the float graph, by LiteRT", ran, "%", _COMMAND),
        Row("accuracy in integers", found, "%", _COMMAND, f"at least {peer:g}", f"{peer:g}", key="quantized"),
        Row("points lost", round(real - found, 4), "%", _COMMAND, "at most 0.1", f"{real - peer:.4g}"),
        Row("LiteRT against NumPy, 1,000 images: differing", _differing(software), "", _COMMAND, "exactly 0"),
        Row(f"NumPy against Verilog, {_SIMULATED} images: differing", _differing(hardware), "", _COMMAND, "exactly 0"),
        Row("Verilog, compiling included", simulating, "s", _COMMAND),
    ]


def _differing(found: bl.Verification) -> int:
    return mismatches(found.to_json())


if __name__ == "__main__":
    main()
