"""Functions of each element: TFLite's, or made of those."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from bitloom.errors import UnsupportedError
from bitloom.frontends.float_onnx.builder import Real
from bitloom.frontends.float_onnx.context import ErrorFunction, FloatContext, Form, Handler, Meaning
from bitloom.frontends.float_onnx.pairs import arranged_constant, pair_of, with_constant

_RECTIFIED = {(0.0, math.inf): "RELU", (0.0, 6.0): "RELU6", (-1.0, 1.0): "RELU_N1_TO_1"}


def clip(context: FloatContext) -> Meaning:
    """Clip: a rectifier where there is one, else two bounds."""
    low, high = (
        context.scalar(index) if context.has(index) else context.number(name, limit)
        for index, name, limit in ((1, "min", -math.inf), (2, "max", math.inf))
    )
    if low > high:
        raise UnsupportedError(f"clips to {low:g}..{high:g}")
    # Older files say "no bound" with the ends of binary32.
    low, high = (math.copysign(math.inf, bound) if abs(bound) > 3.4e38 else bound for bound in (low, high))
    x = context.real()
    made = bounded(context, x, low, high)
    form = context.forms.get(x)
    if form and not form.gate and low == 0 and math.isclose(form.factor * 6, high) and form.offset * 2 == high:
        context.forms[made] = Form(form.x, factor=high, gate=True)
    return made


def bounded(context: FloatContext, x: Real, low: float, high: float) -> Real:
    """``min(max(x, low), high)``."""
    builder, name = context.builder, context.name
    if (low, high) in _RECTIFIED:
        return builder.elementwise(_RECTIFIED[(low, high)], x, name)
    if low == 0:
        x = builder.elementwise("RELU", x, f"{name}_lower")
    elif math.isfinite(low):
        bound = builder.constant(f"{name}_low", np.array([low], np.float32))
        x = builder.elementwise("MAXIMUM", x, f"{name}_lower" if math.isfinite(high) else name, bound)
    if math.isfinite(high):
        bound = builder.constant(f"{name}_high", np.array([high], np.float32))
        x = builder.elementwise("MINIMUM", x, name, bound)
    return x


def _extreme(context: FloatContext) -> Meaning:
    """Max or Min of a tensor and numbers."""
    found = [context.operand(index) for index in range(len(context.node.inputs))]
    numbers = [each for each in found if isinstance(each, np.ndarray)]
    if len(found) == 1:
        return found[0]
    if len(numbers) != len(found) - 1 or any(each.size != 1 for each in numbers):
        raise UnsupportedError("takes more than one computed tensor, or tensors of constants; supported: one number")
    x = context.real(next(index for index, each in enumerate(found) if not isinstance(each, np.ndarray)))
    values = [float(each.reshape(-1)[0]) for each in numbers]
    low, high = (max(values), math.inf) if context.node.kind == "Max" else (-math.inf, min(values))
    return bounded(context, x, low, high)


def hard_sigmoid(context: FloatContext) -> Meaning:
    """``min(max(alpha * x + beta, 0), 1)``, as ``RELU6(6 * alpha * x + 6 * beta) / 6``."""
    x, builder, name = context.real(), context.builder, context.name
    alpha, beta = context.number("alpha", 0.2), context.number("beta", 0.5)
    line = x
    if not math.isclose(alpha, 1 / 6, rel_tol=1e-6):
        line = with_constant(context, "MUL", line, np.array(6 * alpha, np.float32), f"{name}_sloped")
    if beta:
        line = with_constant(context, "ADD", line, np.array(6 * beta, np.float32), f"{name}_moved")
    made = with_constant(
        context, "MUL", builder.elementwise("RELU6", line, f"{name}_clamped"), np.array(1 / 6, np.float32), name
    )
    if math.isclose(alpha, 1 / 6, rel_tol=1e-6) and beta == 0.5:
        context.forms[made] = Form(x, gate=True)
    return made


def _leaky_relu(context: FloatContext) -> Meaning:
    return context.builder.elementwise("LEAKY_RELU", context.real(), context.name, alpha=context.number("alpha", 0.01))


def prelu(context: FloatContext) -> Meaning:
    """With one slope for all, or slopes for channels or elements."""
    x, slopes, builder = context.real(), context.array(1), context.builder
    if slopes.size == 1:
        return builder.elementwise("LEAKY_RELU", x, context.name, alpha=float(slopes.reshape(-1)[0]))
    aligned = zip(reversed(slopes.shape), reversed(x.shape), strict=False)
    if slopes.ndim > len(x.shape) or any(slope not in (1, size) for slope, size in aligned):
        raise UnsupportedError(f"has slopes of shape {list(slopes.shape)} for a tensor of {list(x.shape)}")
    given, order = builder.axiswise(x)
    operand = builder.constant(f"{context.name}_slopes", arranged_constant(slopes, order))
    made = builder.node("PRELU", (given, operand), context.name, builder.stored(given))
    return builder.made(made, x.shape, order)


def _gelu(context: FloatContext) -> Meaning:
    approximate = context.text("approximate", "none") == "tanh"
    return context.builder.elementwise("GELU", context.real(), context.name, approximate=approximate)


def _erf(context: FloatContext) -> Meaning:
    x = context.real()
    form = context.forms.get(x)
    if form is None or form.gate or form.offset or abs(form.factor - math.sqrt(0.5)) > 1e-6:
        raise UnsupportedError("is an error function that is no part of GELU", remedy="replace it by Tanh or Sigmoid")
    return ErrorFunction(form.x)


def _negation(context: FloatContext) -> Meaning:
    return with_constant(context, "MUL", context.real(), np.array(-1.0, np.float32), context.name)


def _power(context: FloatContext) -> Meaning:
    exponent = context.scalar(1)
    x = context.real()
    if exponent == 1:
        return x
    if exponent != 2:
        raise UnsupportedError(f"is the power {exponent:g}; supported: 1 and 2")
    return pair_of(context, "MUL", x, x, context.name)


def _named(kind: str) -> Handler:
    """An operator that TFLite has as well."""
    return lambda context: context.builder.elementwise(kind, context.real(), context.name)


FUNCTIONS: Mapping[str, Handler] = {
    "Relu": _named("RELU"),
    "Clip": clip,
    "Max": _extreme,
    "Min": _extreme,
    "LeakyRelu": _leaky_relu,
    "PRelu": prelu,
    "Sigmoid": _named("LOGISTIC"),
    "Tanh": _named("TANH"),
    "HardSwish": _named("HARD_SWISH"),
    "HardSigmoid": hard_sigmoid,
    "Gelu": _gelu,
    "Erf": _erf,
    "Abs": _named("ABS"),
    "Neg": _negation,
    "Pow": _power,
}
