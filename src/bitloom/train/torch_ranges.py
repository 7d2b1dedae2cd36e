"""Where quantization-aware training begins: widths of tensors, and scales and zero points that fit float values.

Source: the scale that loses least is searched as in Choukroun et al. 2019 ("Low-bit quantization of neural networks for
efficient inference"), section 3.1, by mean squared error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from bitloom.arith import IntType
from bitloom.errors import UsageError

Floats = npt.NDArray[np.floating[Any]]

MOST_BITS = 32
"""Of any integer of a network."""

_MOST_WEIGHT_BITS, _MOST_ACTIVATION_BITS, _NARROW_BITS = 8, 16, 8
# Shares of the largest magnitude that are tried as the end of a range.
_SHARES = np.linspace(0.2, 1.0, 41)
# Of tensors that are all zero, whose scale is free.
_SMALLEST_SCALE = 2.0**-60
# A channel whose weights are smaller parts of the layer's largest is below every resolution.
_SMALLEST_PART = 2.0**-24
# Elements enough to choose a scale by.
_MOST_ELEMENTS = 50_000


@dataclass(frozen=True)
class NetworkWidths:
    """Bits of a network's tensors.

    Attributes:
        weights: of every layer's weights, 1 to 8; 1 for -1 and 1 alone.
        activations: of what nodes make, 1 to 16.
        inputs: of the network's inputs.
        outputs: of its outputs.
        layers: bits of weights and activations by the name of the tensor a layer makes, where they differ from these.

    Raises:
        UsageError: a width outside 1 to 32, or one that no operator takes: activations are all of up to 8 bits or all
            of 9 to 16, because operators do not mix them.
    """

    weights: int = 8
    activations: int = 8
    inputs: int = 8
    outputs: int = 8
    layers: Mapping[str, tuple[int, int]] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        named = {"weights": self.weights} | {f"weights of '{name}'": pair[0] for name, pair in self.layers.items()}
        for what, bits in named.items():
            _check(what, bits, _MOST_WEIGHT_BITS)
        named = {"activations": self.activations, "inputs": self.inputs, "outputs": self.outputs}
        named |= {f"activations '{name}'": pair[1] for name, pair in self.layers.items()}
        for what, bits in named.items():
            _check(what, bits, _MOST_ACTIVATION_BITS)
        if len({bits > _NARROW_BITS for bits in named.values()}) > 1:
            said = ", ".join(f"{what} of {bits}" for what, bits in named.items())
            raise UsageError(
                f"{said} bits: operators take activations of up to {_NARROW_BITS} bits or of more, not both",
                remedy=f"choose all up to {_NARROW_BITS}, or all of {_NARROW_BITS + 1} to {_MOST_ACTIVATION_BITS}",
            )

    def of_weights(self, layer: str) -> int:
        """Bits of the weights of the layer that makes a tensor."""
        return self.layers[layer][0] if layer in self.layers else self.weights

    def of_activation(self, name: str, otherwise: int | None = None) -> int:
        """Bits of a tensor."""
        if name in self.layers:
            return self.layers[name][1]
        return self.activations if otherwise is None else otherwise


def _check(what: str, bits: int, most: int) -> None:
    whole = isinstance(bits, int) and not isinstance(bits, bool)
    if not whole or not 1 <= bits <= MOST_BITS:
        raise UsageError(f"a width of {bits} bits", where=what, remedy=f"choose 1 to {most}")
    if bits > most:
        raise UsageError(f"a width of {bits} bits, and training makes 1 to {most}", where=what)


@dataclass(frozen=True)
class Range:
    """Integers of an activation: from `low` to `high`, the real 0 at `zero_point`.

    Attributes:
        element: their type.
        scale: real value of a step, where training begins.
        zero_point: fixed.
    """

    element: IntType
    scale: float
    zero_point: int


def activation_range(values: Floats, bits: int) -> Range:
    """The range of an activation that loses least; integers all above 0 where no value is negative.

    Args:
        values: seen in calibration, any shape.
        bits: of the integers, which are signed.
    """
    element, sample = IntType(bits), _some(values)
    low, high = min(float(sample.min()), 0.0), max(float(sample.max()), 0.0)
    if bits > _NARROW_BITS:  # the kernels demand the zero point 0
        return Range(element, max(max(-low, high) / element.maximum, _SMALLEST_SCALE), 0)
    steps = element.maximum - element.minimum
    best, best_loss = (max((high - low) / steps, _SMALLEST_SCALE), 0), np.inf
    for share in _SHARES:
        scale = max((high - low) * share / steps, _SMALLEST_SCALE)
        zero_point = int(np.clip(np.rint(element.minimum - low * share / scale), element.minimum, element.maximum))
        integers = np.clip(np.rint(sample / scale) + zero_point, element.minimum, element.maximum)
        loss = float(np.square((integers - zero_point) * scale - sample).mean())
        if loss < best_loss:
            best, best_loss = (scale, zero_point), loss
    return Range(element, *best)


def weight_limit(bits: int) -> int:
    """The largest integer of symmetric weights; the smallest is its negative.

    >>> [weight_limit(bits) for bits in (1, 2, 4, 8)]
    [1, 1, 7, 127]
    """
    return max((1 << (bits - 1)) - 1, 1)


def weight_element(bits: int) -> IntType:
    """The type of weights: two bits hold -1 and 1."""
    return IntType(max(bits, 2))


def weight_scales(weights: Floats, bits: int, *, per_channel: bool) -> Floats:
    """The scales that lose least.

    Args:
        weights: outputs along the first axis.
        bits: of the integers.
        per_channel: whether every output has its own.

    Returns:
        float64 (outputs,) or (1,).
    """
    rows = weights.reshape(len(weights) if per_channel else 1, -1).astype(np.float64)
    limit, largest = weight_limit(bits), np.abs(rows).max(axis=1)
    floor = max(float(largest.max()) * _SMALLEST_PART, _SMALLEST_SCALE)
    if bits == 1:  # the mean magnitude is the best scale of signs (Rastegari et al. 2016, equation 6)
        return np.maximum(np.abs(rows).mean(axis=1), floor)
    best, best_loss = np.maximum(largest / limit, floor), np.full(len(rows), np.inf)
    for share in _SHARES:
        scales = np.maximum(largest * share / limit, floor)
        integers = np.clip(np.rint(rows / scales[:, None]), -limit, limit)
        losses = np.square(integers * scales[:, None] - rows).mean(axis=1)
        best, best_loss = np.where(losses < best_loss, scales, best), np.minimum(losses, best_loss)
    return best


def _some(values: Floats) -> Floats:
    """Elements spread over an array, its extremes among them."""
    flat = values.reshape(-1).astype(np.float64)
    if len(flat) <= _MOST_ELEMENTS:
        return flat
    return np.concatenate([flat[:: -(-len(flat) // _MOST_ELEMENTS)], [flat.min(), flat.max()]])
