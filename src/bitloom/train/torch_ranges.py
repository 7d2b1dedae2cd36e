"""Where quantization-aware training begins: widths of tensors, and scales and zero points that fit float values.

Source: the scale that loses least is searched as in Choukroun et al. 2019 ("Low-bit quantization of neural networks for
efficient inference"), section 3.1, by mean squared error.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from bitloom.arith import IntType
from bitloom.errors import UsageError

Floats = npt.NDArray[np.floating[Any]]

MOST_BITS = 32
# Shares of the largest magnitude that are tried as the end of a range.
_SHARES = np.linspace(0.2, 1.0, 41)
_SMALLEST_SCALE = 1e-8
# Elements enough to choose a scale by.
_MOST_ELEMENTS = 50_000


@dataclass(frozen=True)
class NetworkWidths:
    """Bits of a network's tensors.

    Attributes:
        weights: of every layer's weights; 1 for -1 and 1 alone.
        activations: of what nodes make.
        inputs: of the network's inputs.
        outputs: of its outputs.
        of: bits of tensors by name, weights or activations, that differ from these.

    Raises:
        UsageError: a width outside 1 to 32.
    """

    weights: int = 8
    activations: int = 8
    inputs: int = 8
    outputs: int = 8
    of: MappingProxyType[str, int] | dict[str, int] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        named = {"weights": self.weights, "activations": self.activations, "inputs": self.inputs}
        for name, bits in (*named.items(), ("outputs", self.outputs), *self.of.items()):
            if not isinstance(bits, int) or isinstance(bits, bool) or not 1 <= bits <= MOST_BITS:
                raise UsageError(f"a width of {bits} bits", where=name, remedy=f"choose 1 to {MOST_BITS}")


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
    element = IntType(bits)
    sample = _some(values)
    low, high = min(float(sample.min()), 0.0), max(float(sample.max()), 0.0)
    steps = element.maximum - element.minimum
    best, best_loss = (max((high - low) / steps, _SMALLEST_SCALE), 0), np.inf
    for share in _SHARES if bits <= 8 else _SHARES[-1:]:
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
    if bits == 1:  # the mean magnitude is the best scale of signs (Rastegari et al. 2016, equation 6)
        return np.maximum(np.abs(rows).mean(axis=1), _SMALLEST_SCALE)
    limit, largest = weight_limit(bits), np.abs(rows).max(axis=1)
    best, best_loss = np.maximum(largest / limit, _SMALLEST_SCALE), np.full(len(rows), np.inf)
    for share in _SHARES if bits <= 8 else _SHARES[-1:]:
        scales = np.maximum(largest * share / limit, _SMALLEST_SCALE)
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
