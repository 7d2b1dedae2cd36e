"""Functions of one real number, in binary32, as ONNX defines them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from bitloom.frontends.onnx.values import Float32Array, Function

Attributes = Mapping[str, Any]
Float64Array = npt.NDArray[np.float64]


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


def _gelu(attributes: Attributes) -> Function:
    if attributes.get("approximate", b"none") == b"tanh":
        factor = math.sqrt(2 / math.pi)
        return _exactly(lambda x: 0.5 * x * (1 + np.tanh(factor * (x + 0.044715 * x**3))))
    return _exactly(lambda x: 0.5 * x * (1 + _erf(x / math.sqrt(2))))


def _erf(reals: Float64Array) -> Float64Array:
    return np.array([math.erf(real) for real in reals.reshape(-1)]).reshape(reals.shape)


def _exactly(function: Callable[[Float64Array], Float64Array]) -> Function:
    """A function computed in binary64 and rounded once."""
    return lambda reals: function(reals.astype(np.float64)).astype(np.float32)


def _selu(attributes: Attributes) -> Function:
    # The defaults are the operator's, binary32 numbers.
    alpha, gamma = float(attributes.get("alpha", 1.67326319)), float(attributes.get("gamma", 1.05070102))
    return _exactly(lambda x: gamma * np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0))))


def _celu(attributes: Attributes) -> Function:
    alpha = float(attributes.get("alpha", 1.0))
    return _exactly(lambda x: np.maximum(x, 0) + np.minimum(0, alpha * np.expm1(x / alpha)))


def _thresholded_relu(attributes: Attributes) -> Function:
    threshold = np.float32(attributes.get("alpha", 1.0))
    return lambda reals: np.where(reals > threshold, reals, np.float32(0))


def _swish(attributes: Attributes) -> Function:
    alpha = float(attributes.get("alpha", 1.0))
    return _exactly(lambda x: x / (1 + np.exp(-alpha * x)))


FUNCTIONS: Mapping[str, Callable[[Attributes], Function]] = {
    "Sigmoid": _sigmoid,
    "Tanh": _tanh,
    "LeakyRelu": _leaky_relu,
    "Elu": _elu,
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _hard_swish,
    "Selu": _selu,
    "Celu": _celu,
    "ThresholdedRelu": _thresholded_relu,
    "Gelu": _gelu,
    "Swish": _swish,
    "Softplus": lambda _: _exactly(lambda x: np.logaddexp(x, 0)),
    "Softsign": lambda _: lambda reals: reals / (1 + np.abs(reals)),
    "Mish": lambda _: _exactly(lambda x: x * np.tanh(np.logaddexp(x, 0))),
    "Erf": lambda _: _exactly(_erf),
    "Exp": lambda _: _exactly(np.exp),
    "Log": lambda _: _exactly(np.log),
    "Sqrt": lambda _: np.sqrt,
    "Reciprocal": lambda _: np.reciprocal,
    "Abs": lambda _: np.abs,
    "Neg": lambda _: np.negative,
    "Sign": lambda _: np.sign,
    "Floor": lambda _: np.floor,
    "Ceil": lambda _: np.ceil,
    "Round": lambda _: np.rint,
}
"""By ONNX's name, from a node's attributes."""
