"""Functions of one real number, in binary32, as ONNX defines them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from bitloom.frontends.onnx_values import Float32Array, Function

Attributes = Mapping[str, Any]


def _sigmoid(_: Attributes) -> Function:
    def function(reals: Float32Array) -> Float32Array:
        return (1 / (1 + np.exp(-reals.astype(np.float64)))).astype(np.float32)

    return function


def _tanh(_: Attributes) -> Function:
    return lambda reals: np.tanh(reals.astype(np.float64)).astype(np.float32)


def _leaky_relu(attributes: Attributes) -> Function:
    slope = np.float32(attributes.get("alpha", 0.01))
    return lambda reals: np.where(reals < 0, reals * slope, reals)


def _elu(attributes: Attributes) -> Function:
    alpha = np.float32(attributes.get("alpha", 1.0))
    return lambda reals: np.where(reals < 0, alpha * np.expm1(reals.astype(np.float64)), reals).astype(np.float32)


def _hard_sigmoid(attributes: Attributes) -> Function:
    slope, offset = np.float32(attributes.get("alpha", 0.2)), np.float32(attributes.get("beta", 0.5))
    return lambda reals: np.clip(reals * slope + offset, np.float32(0), np.float32(1))


def _hard_swish(_: Attributes) -> Function:
    gate = _hard_sigmoid({"alpha": 1 / 6, "beta": 0.5})
    return lambda reals: reals * gate(reals)


FUNCTIONS: Mapping[str, Callable[[Attributes], Function]] = {
    "Sigmoid": _sigmoid,
    "Tanh": _tanh,
    "LeakyRelu": _leaky_relu,
    "Elu": _elu,
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _hard_swish,
    "Abs": lambda _: np.abs,
    "Neg": lambda _: np.negative,
}
"""By ONNX's name, from a node's attributes."""
