"""Adam with decoupled weight decay."""

from __future__ import annotations

import numpy as np

from bitloom.train.exact import Matrix
from bitloom.train.network import Parameters

_MEAN_DECAY = 0.9
_SQUARE_DECAY = 0.999
_EPSILON = 1e-8


class Adam:
    """Adam (Kingma and Ba 2015, algorithm 1) with weight decay apart from the gradient (Loshchilov and Hutter 2019).

    Only IEEE operations on each element, so the same on every machine.

    Args:
        parameters: what `step` updates in place.
        weight_decay: the share of each weight, per unit of learning rate, taken away in a step; biases are spared.
    """

    def __init__(self, parameters: Parameters, weight_decay: float) -> None:
        self._weight_decay = weight_decay
        self._parameters = parameters
        self._means = [np.zeros_like(array) for array in _arrays(parameters)]
        self._squares = [np.zeros_like(array) for array in _arrays(parameters)]
        # beta ** t, by repeated multiplication because pow() is not the same everywhere
        self._mean_power = self._square_power = 1.0

    def step(self, gradients: Parameters, learning_rate: float) -> None:
        """Move the parameters against the gradients."""
        self._mean_power *= _MEAN_DECAY
        self._square_power *= _SQUARE_DECAY
        for array, gradient, mean, square in zip(
            _arrays(self._parameters), _arrays(gradients), self._means, self._squares, strict=True
        ):
            mean *= _MEAN_DECAY
            mean += (1.0 - _MEAN_DECAY) * gradient
            square *= _SQUARE_DECAY
            square += (1.0 - _SQUARE_DECAY) * (gradient * gradient)
            corrected_mean = mean / (1.0 - self._mean_power)
            corrected_square = square / (1.0 - self._square_power)
            change = corrected_mean / (np.sqrt(corrected_square) + _EPSILON)
            if array.ndim == 2:
                change += self._weight_decay * array
            array -= learning_rate * change


def _arrays(parameters: Parameters) -> list[Matrix]:
    return [*parameters.weights, *parameters.biases]
