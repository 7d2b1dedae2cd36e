"""A plain training loop for classifiers in PyTorch, float or quantization-aware."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from bitloom.errors import DataError, TrainError
from bitloom.train.torch_nodes import require_torch

Floats = npt.NDArray[np.floating[Any]]
Labels = npt.NDArray[np.integer[Any]]
FitProgress = Callable[[int, float], None]

_SCALE_RATE = 0.1
_MEASURED = 1000


def fit(
    network: Any,
    x: Floats,
    labels: Labels,
    *,
    epochs: int,
    batch_size: int = 64,
    learning_rate: float = 1e-3,
    seed: int = 0,
    teacher: Any = None,
    progress: FitProgress | None = None,
) -> None:
    """Train by cross-entropy with Adam, the learning rate falling to 0 along half a cosine.

    Args:
        network: a `FakeQuantized` network or a ``torch.nn.Module``; called with a batch it gives scores
            (batch, classes). Trained in place.
        x: (samples, *shape), real inputs.
        labels: (samples,), class indices.
        epochs: passes over the samples.
        batch_size: samples of a step.
        learning_rate: at the start; scales of a `FakeQuantized` network get a tenth of it.
        seed: of the order of samples.
        teacher: a network whose scores are learned beside the labels (Hinton et al. 2015), such as the float one.
        progress: called as ``progress(epoch, loss)`` after every epoch, counted from 1.

    Raises:
        MissingExtraError: PyTorch is not installed.
        DataError: NaN or infinity among the inputs, or another number of labels.
        TrainError: senseless numbers, or training that diverges.
    """
    torch = require_torch()
    if len(x) != len(labels) or not len(x):
        raise DataError(f"{len(x)} samples and {len(labels)} labels", remedy="give as many, and at least one")
    if not np.isfinite(x).all():
        raise DataError("the inputs contain NaN or infinity", remedy="replace them before training")
    if min(epochs, batch_size) < 1 or not learning_rate > 0:
        raise TrainError(f"{epochs} epochs of batches of {batch_size} at a learning rate of {learning_rate:g}")
    inputs, targets = torch.tensor(np.asarray(x, np.float32)), torch.tensor(np.asarray(labels, np.int64))
    optimizer = torch.optim.Adam(_groups(network, learning_rate))
    steps = epochs * -(-len(x) // batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    generator = torch.Generator().manual_seed(seed)
    for epoch in range(1, epochs + 1):
        total = 0.0
        for batch in torch.randperm(len(x), generator=generator).split(batch_size):
            loss = _loss(torch, network, inputs[batch], targets[batch], teacher)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += float(loss.detach()) * len(batch)
        if not np.isfinite(total):
            raise TrainError(f"training diverged in epoch {epoch}", remedy="use a smaller learning rate")
        if progress:
            progress(epoch, total / len(x))


def _groups(network: Any, learning_rate: float) -> Any:
    """Scales move slowly, because everything depends on them."""
    if not hasattr(network, "scales"):
        return [{"params": list(network.parameters()), "lr": learning_rate}]
    scales = network.scales()
    ours = {id(scale) for scale in scales}
    others = [value for value in network.parameters() if id(value) not in ours]
    return [{"params": others, "lr": learning_rate}, {"params": scales, "lr": learning_rate * _SCALE_RATE}]


def _loss(torch: Any, network: Any, x: Any, labels: Any, teacher: Any) -> Any:
    scores = _scores(network, x)
    loss = torch.nn.functional.cross_entropy(scores, labels)
    if teacher is None:
        return loss
    with torch.no_grad():
        wanted = torch.softmax(_scores(teacher, x), dim=1)
    return 0.5 * loss + 0.5 * torch.nn.functional.cross_entropy(scores, wanted)


def _scores(network: Any, x: Any) -> Any:
    made = network.logits(x) if hasattr(network, "logits") else network(x)
    return made.reshape(len(x), -1)


def classes(network: Any, x: Floats) -> npt.NDArray[np.int64]:
    """The class of the highest score, the first of equal ones, (samples,); in parts, without gradients."""
    torch = require_torch()
    found = []
    with torch.no_grad():
        for start in range(0, len(x), _MEASURED):
            part = network(torch.tensor(np.asarray(x[start : start + _MEASURED], np.float32)))
            found.append(part.reshape(len(part), -1).numpy().argmax(axis=1))
    return np.concatenate(found).astype(np.int64)
