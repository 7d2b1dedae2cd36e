"""Sums and products of two tensors, rescaling, and functions of one integer."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from bitloom.arith import IntType, Rescale
from bitloom.errors import UnsupportedError, UsageError
from bitloom.frontends.define.checks import ElementLike, element
from bitloom.frontends.define.operators import Made, product, summed, wider
from bitloom.frontends.define.rescaling import ROUNDINGS, Rectifier, ScaleLike, scaling
from bitloom.frontends.define.tensor import Applied, Tensor, apply
from bitloom.ir import Value
from bitloom.ops.add import Add
from bitloom.ops.leaky_relu import LeakyRelu
from bitloom.ops.lookup import Lookup
from bitloom.ops.relu import Relu
from bitloom.ops.rounded_softmax import RoundedSoftmax
from bitloom.ops.shared.sums import SumOperator
from bitloom.ops.sub import Sub

Float64Array = npt.NDArray[np.float64]

_WIDEST_TABLE = 16


def add(
    x: Tensor,
    y: Tensor,
    *,
    x_scale: int = 1,
    y_scale: int = 1,
    shift: int = 0,
    rounding: str = "half_away",
    activation: Rectifier | None = None,
    dtype: ElementLike | None = None,
    name: str | None = None,
) -> Applied:
    """``saturate(round((x * x_scale + y * y_scale) / 2**shift))``; shapes broadcast as NumPy's.

    Args:
        x: a tensor.
        y: a tensor, or a variable.
        x_scale: a positive integer.
        y_scale: a positive integer.
        shift: to the right.
        rounding: see `conv2d`.
        activation: see `conv2d`.
        dtype: of the result; the wider type of both if None.
        name: of the result.

    Raises:
        GraphError: shapes that do not broadcast.
        UsageError: an option that does not exist.
    """
    return _sum("add", Add, x, y, (x_scale, y_scale), shift, rounding, activation, dtype, name)


def sub(
    x: Tensor,
    y: Tensor,
    *,
    x_scale: int = 1,
    y_scale: int = 1,
    shift: int = 0,
    rounding: str = "half_away",
    activation: Rectifier | None = None,
    dtype: ElementLike | None = None,
    name: str | None = None,
) -> Applied:
    """``saturate(round((x * x_scale - y * y_scale) / 2**shift))``; see `add`."""
    return _sum("sub", Sub, x, y, (x_scale, y_scale), shift, rounding, activation, dtype, name)


def mul(
    x: Tensor,
    y: Tensor,
    *,
    scale: ScaleLike = 1,
    shift: int = 0,
    rounding: str = "half_away",
    activation: Rectifier | None = None,
    dtype: ElementLike | None = None,
    name: str | None = None,
) -> Applied:
    """``saturate(round(x * y * scale / 2**shift))``; shapes broadcast as NumPy's.

    Args:
        x: a tensor.
        y: a tensor, or a variable.
        scale: one positive integer.
        shift: to the right.
        rounding: see `conv2d`.
        activation: see `conv2d`.
        dtype: of the result; the wider type of both if None.
        name: of the result.

    Raises:
        GraphError: shapes that do not broadcast.
        UsageError: an option that does not exist.
    """
    scaled = scaling(scale, shift, rounding, activation, wider(x.element, y.element) if dtype is None else dtype)

    def make(values: Sequence[Value]) -> Made:
        return product(values, scaled.output, rescale=scaled.rescale(values[2:], 1), clamp=scaled.clamp)

    return apply("mul", [x, y, *scaled.tensors], make, name)


def rescale(
    x: Tensor,
    *,
    scale: ScaleLike = 1,
    shift: int = 0,
    rounding: str = "half_away",
    activation: Rectifier | None = None,
    dtype: ElementLike | None = None,
    name: str | None = None,
) -> Applied:
    """``saturate(round(x * scale / 2**shift))``, of another type if wanted.

    Args:
        x: a tensor.
        scale: one positive integer.
        shift: to the right.
        rounding: see `conv2d`.
        activation: see `conv2d`.
        dtype: of the result, to which it is saturated; that of `x` if None.
        name: of the result.

    Raises:
        UsageError: an option that does not exist.
    """
    scaled = scaling(scale, shift, rounding, activation, x.element if dtype is None else dtype)

    def make(values: Sequence[Value]) -> Made:
        given = values[0].type.integer
        return Relu(given, scaled.output, 0, 0, scaled.rescale(values[1:], 1), scaled.clamp), (values[0],)

    return apply("rescale", [x, *scaled.tensors], make, name)


def leaky_relu(
    x: Tensor, *, slope: int = 1, shift: int = 3, rounding: str = "half_away", name: str | None = None
) -> Applied:
    """Negative integers become ``round(x * slope / 2**shift)``.

    Args:
        x: a tensor.
        slope: a positive integer.
        shift: to the right.
        rounding: see `conv2d`.
        name: of the result.

    Raises:
        UsageError: an option that does not exist.
    """
    scaled = scaling(slope, shift, rounding, None, x.element)

    def make(values: Sequence[Value]) -> Made:
        given, straight = values[0].type.integer, Rescale((1.0,), scaled.rounding)
        sloped = scaled.rescale((), 1)
        return LeakyRelu(given, given, 0, 0, sloped.multipliers[0], straight, sloped), (values[0],)

    return apply("leaky_relu", [x], make, name)


def function(
    kind: str,
    x: Tensor,
    real: Callable[[Float64Array], Float64Array],
    *,
    input_scale: float,
    output_scale: float,
    dtype: ElementLike | None = None,
    name: str | None = None,
) -> Applied:
    """``saturate(rint(f(x * input_scale) / output_scale))``, f in binary64: a table of every input.

    Args:
        kind: what f is called in messages and names.
        x: a tensor of at most 16 bits (12 have hardware).
        real: f, of a float64 array.
        input_scale: the real number that 1 stands for.
        output_scale: likewise, of the result.
        dtype: of the result; that of `x` if None.
        name: of the result.

    Raises:
        UnsupportedError: a wider type.
        UsageError: scales that are not positive and finite, or a function that is NaN somewhere.
    """
    output = element(x.element if dtype is None else dtype)
    if x.element.bits > _WIDEST_TABLE:
        raise UnsupportedError(
            f"{kind} of {x}: tables have inputs of up to {_WIDEST_TABLE} bits",
            remedy="rescale to a narrower type first",
        )
    for scale in (input_scale, output_scale):
        if not (math.isfinite(scale) and scale > 0):
            raise UsageError(f"{kind} with the scale {scale}", remedy="give positive numbers")
    integers = np.arange(x.element.minimum, x.element.maximum + 1, dtype=np.float64)
    with np.errstate(all="ignore"):
        results = np.rint(real(integers * np.float64(input_scale)) / output_scale)
    if np.isnan(results).any():
        raise UsageError(f"{kind} is NaN for some of {x.element}")
    entries = [int(each) for each in np.clip(results, float(output.minimum), float(output.maximum))]
    table = tuple(min(max(each, output.minimum), output.maximum) for each in entries)

    def make(values: Sequence[Value]) -> Made:
        return Lookup(values[0].type.integer, output, table), (values[0],)

    return apply(kind, [x], make, name)


def sigmoid(
    x: Tensor,
    *,
    input_scale: float,
    output_scale: float,
    dtype: ElementLike | None = None,
    name: str | None = None,
) -> Applied:
    """``1 / (1 + exp(-x))`` as a table; see `function`."""
    return function(
        "sigmoid",
        x,
        lambda reals: 1 / (1 + np.exp(-reals)),
        input_scale=input_scale,
        output_scale=output_scale,
        dtype=dtype,
        name=name,
    )


def tanh(
    x: Tensor,
    *,
    input_scale: float,
    output_scale: float,
    dtype: ElementLike | None = None,
    name: str | None = None,
) -> Applied:
    """The hyperbolic tangent as a table; see `function`."""
    return function("tanh", x, np.tanh, input_scale=input_scale, output_scale=output_scale, dtype=dtype, name=name)


def exp(
    x: Tensor,
    *,
    input_scale: float,
    output_scale: float,
    dtype: ElementLike | None = None,
    name: str | None = None,
) -> Applied:
    """``exp(x)`` as a table, saturated; see `function`."""
    return function("exp", x, np.exp, input_scale=input_scale, output_scale=output_scale, dtype=dtype, name=name)


def softmax(
    x: Tensor,
    *,
    input_scale: float,
    output_scale: float | None = None,
    dtype: ElementLike | None = None,
    name: str | None = None,
) -> Applied:
    """Softmax over the last axis, rounded once.

    Args:
        x: a tensor of at most 8 bits.
        input_scale: the real number that 1 stands for.
        output_scale: likewise, of the result; ``2**-bits`` if None.
        dtype: of the result; unsigned of as many bits as `x` if None. Of a signed type the smallest value is 0.
        name: of the result.

    Raises:
        UnsupportedError: a wider type, or scales that are no positive numbers.
    """
    output = IntType(x.element.bits, signed=False) if dtype is None else element(dtype)
    made = 2.0**-output.bits if output_scale is None else float(output_scale)

    def make(values: Sequence[Value]) -> Made:
        given = values[0].type.integer
        return RoundedSoftmax(given, output, float(input_scale), made, output.minimum), (values[0],)

    return apply("softmax", [x], make, name)


def _sum(
    kind: str,
    operator: type[SumOperator],
    x: Tensor,
    y: Tensor,
    scales: tuple[int, int],
    shift: int,
    rounding: str,
    activation: Rectifier | None,
    dtype: ElementLike | None,
    name: str | None,
) -> Applied:
    scaled = scaling(1, shift, rounding, activation, wider(x.element, y.element) if dtype is None else dtype)
    for scale in scales:
        scaling(scale, 0, rounding, None, scaled.output).rescale((), 1)

    def make(values: Sequence[Value]) -> Made:
        rescale = scaled.rescale((), 1)
        return summed(operator, values, scaled.output, scales=scales, rescale=rescale, clamp=scaled.clamp)

    return apply(kind, [x, y], make, name)


__all__ = [
    "ROUNDINGS",
    "add",
    "exp",
    "function",
    "leaky_relu",
    "mul",
    "rescale",
    "sigmoid",
    "softmax",
    "sub",
    "tanh",
]
