"""Activations fused into other operators: a clamp of the result, under a name in files."""

from __future__ import annotations

from bitloom.arith import Interval
from bitloom.arith.activation import FUSED_ACTIVATIONS, activation_range
from bitloom.errors import UnsupportedError
from bitloom.ir import SourceNode, TensorType


def fused_clamp(source: SourceNode) -> Interval:
    """The clamp of a node's fused activation, in output integers.

    Raises:
        UnsupportedError: an activation that the reference kernels do not fuse.
    """
    activation = source.attributes.get("fused_activation_function", "NONE")
    if activation not in FUSED_ACTIVATIONS:
        raise UnsupportedError(
            f"fused activation {activation} in {source.kind}; supported: {', '.join(FUSED_ACTIVATIONS)}",
            where=source.where,
        )
    return _clamp(activation, source.outputs[0].type)


def activation_named(clamp: Interval, made: TensorType) -> str:
    """The first fused activation whose clamp this is.

    Raises:
        UnsupportedError: none is.
    """
    for activation in FUSED_ACTIVATIONS:
        if clamp == _clamp(activation, made):
            return activation
    raise UnsupportedError(f"a clamp to {clamp} is none of {', '.join(FUSED_ACTIVATIONS)}")


def _clamp(activation: str, made: TensorType) -> Interval:
    """Without an activation, tensors need no quantization."""
    if activation == "NONE":
        return Interval(made.integer.minimum, made.integer.maximum)
    quantization = made.required_quantization
    return activation_range(activation, quantization.scale, quantization.zero_point, made.integer)
