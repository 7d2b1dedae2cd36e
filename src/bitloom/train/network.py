"""A multilayer perceptron with its gradients, in NumPy.

Dense layers with ReLU between them; the last layer's outputs are the logits::

    x (batch, features) ──▶ W1 x + b1 ──▶ ReLU ──▶ W2 x + b2 ──▶ ... ──▶ logits (batch, classes)

The forward pass leaves, per layer, what the backward pass needs. The quantized forward pass of
`bitloom.train.quantized` leaves the same, so both share the backward pass: that is the straight-through
estimator (Bengio et al. 2013; Jacob et al. 2018, section 3): rounding counts as the identity, saturation as a
constant.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bitloom.data.random_bits import RandomBits
from bitloom.train.exact import Matrix, exact_column_sums, exact_matmul, softmax


@dataclass
class Parameters:
    """What is trained, updated in place.

    Attributes:
        weights: one (outputs, inputs) matrix per layer, as TFLite stores them.
        biases: one (outputs,) vector per layer.
    """

    weights: list[Matrix]
    biases: list[Matrix]

    @classmethod
    def random(cls, sizes: tuple[int, ...], random: RandomBits) -> Parameters:
        """Uniform weights of variance 2 / inputs (He et al. 2015), biases 0; `sizes` from features to classes."""
        pairs = list(itertools.pairwise(sizes))
        return cls(
            [random.uniform((outputs, inputs)) * math.sqrt(6.0 / inputs) for inputs, outputs in pairs],
            [np.zeros(outputs) for _, outputs in pairs],
        )


@dataclass(frozen=True)
class LayerPass:
    """What one layer's forward pass leaves for its backward pass.

    Attributes:
        inputs: (batch, inputs), the real numbers that went in.
        weights: (outputs, inputs), the real numbers they were multiplied by.
        passes_gradient: (batch, outputs), false where the output was cut off (by ReLU, or by saturation).
    """

    inputs: Matrix
    weights: Matrix
    passes_gradient: npt.NDArray[np.bool_]


def forward(parameters: Parameters, x: Matrix) -> tuple[Matrix, list[LayerPass]]:
    """The logits of a batch, and the record for `gradients`."""
    record = []
    last = len(parameters.weights) - 1
    for index, (weights, bias) in enumerate(zip(parameters.weights, parameters.biases, strict=True)):
        y = exact_matmul(x, weights.T) + bias
        positive = y > 0 if index < last else np.ones_like(y, bool)
        record.append(LayerPass(x, weights, positive))
        x = np.where(positive, y, 0.0)
    return x, record


def gradients(record: list[LayerPass], by_logits: Matrix) -> Parameters:
    """The loss's gradients by all weights and biases, from its gradient by the logits."""
    by_weights, by_biases = [], []
    gradient = by_logits
    for layer in reversed(record):
        gradient = gradient * layer.passes_gradient
        by_weights.append(exact_matmul(gradient.T, layer.inputs))
        by_biases.append(exact_column_sums(gradient))
        gradient = exact_matmul(gradient, layer.weights)
    return Parameters(by_weights[::-1], by_biases[::-1])


def cross_entropy(logits: Matrix, labels: npt.NDArray[np.int64], smoothing: float) -> tuple[float, Matrix]:
    """The mean loss of a batch and its gradient by the logits.

    Args:
        logits: (batch, classes).
        labels: (batch,) class indices.
        smoothing: how much of each target's probability is spread over all classes (Szegedy et al. 2016). It
            keeps logits small and so their int8 steps fine.

    Returns:
        The loss (for display: its logarithm is not the same in the last bit everywhere) and the gradient.
    """
    batch, classes = logits.shape
    probabilities = softmax(logits)
    target = np.full_like(logits, smoothing / classes)
    target[np.arange(batch), labels] += 1.0 - smoothing
    loss = -float((target * np.log(np.maximum(probabilities, 1e-300))).sum()) / batch
    return loss, (probabilities - target) / batch
