"""Sums and products: of two tensors, or of one and constants."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from bitloom.errors import UnsupportedError
from bitloom.frontends.float_onnx.builder import Array, Real
from bitloom.frontends.float_onnx.context import ErrorFunction, FloatContext, Form, Meaning
from bitloom.frontends.float_onnx.layout import Shape

_PLAIN = {"fused_activation_function": "NONE"}
_KINDS = {"Add": "ADD", "Sub": "SUB", "Mul": "MUL", "Div": "DIV", "Sum": "ADD"}


def pair(context: FloatContext) -> Meaning:
    """Add, Sub, Mul, Div."""
    left, right = context.operand(0), context.operand(1)
    kind = _KINDS[context.node.kind]
    for one, other, first in ((left, right, True), (right, left, False)):
        if isinstance(one, ErrorFunction):
            return _error_function(context, kind, one, other, first=first)
    if isinstance(left, Real) and isinstance(right, Real):
        return _gated(context, kind, left, right) or pair_of(context, kind, left, right, context.name)
    if isinstance(left, Real):
        assert isinstance(right, np.ndarray), "constants alone are folded"
        return _behind(context, kind, left, right)
    assert isinstance(left, np.ndarray), "constants alone are folded"
    assert isinstance(right, Real), "constants alone are folded"
    if kind == "DIV":
        raise UnsupportedError("divides a constant by a computed tensor", remedy="only constants can divide")
    if kind == "SUB":
        right = with_constant(context, "MUL", right, np.array(-1.0, np.float32), f"{context.name}_negated")
        kind = "ADD"
    return _behind(context, kind, right, left)


def _behind(context: FloatContext, kind: str, x: Real, constant: Array) -> Real:
    if kind == "DIV":
        if not constant.all():
            raise UnsupportedError("divides by zero")
        kind, constant = "MUL", 1.0 / constant.astype(np.float64)
    made = with_constant(context, kind, x, constant, context.name)
    if constant.size == 1 and made.shape == x.shape:
        return _formed(context, made, _changed(context.forms.get(x, Form(x)), kind, float(constant.reshape(-1)[0])))
    return made


def _changed(form: Form, kind: str, number: float) -> Form:
    if kind == "MUL":
        return replace(form, factor=form.factor * number, offset=form.offset * number)
    return replace(form, offset=form.offset + (number if kind == "ADD" else -number), times_x=False)


def _formed(context: FloatContext, made: Real, form: Form) -> Real:
    """A tensor whose form is known; HARD_SWISH where that is what it is."""
    if form.is_hard_swish:
        return context.builder.elementwise("HARD_SWISH", form.x, context.name)
    context.forms[made] = form
    return made


def total(context: FloatContext) -> Meaning:
    """Sum: of any number of tensors."""
    found = [context.operand(index) for index in range(len(context.node.inputs))]
    reals = [context.real(index) for index, each in enumerate(found) if not isinstance(each, np.ndarray)]
    whole = reals[0]
    for index, real in enumerate(reals[1:], start=1):
        whole = pair_of(context, "ADD", whole, real, f"{context.name}_{index}")
    for constant in (each for each in found if isinstance(each, np.ndarray)):
        whole = with_constant(context, "ADD", whole, constant, context.name)
    return whole


def pair_of(context: FloatContext, kind: str, left: Real, right: Real, name: str) -> Real:
    """An operator of two computed tensors, the second brought into the order of the first, or of the larger."""
    if kind not in ("ADD", "SUB", "MUL"):
        raise UnsupportedError("divides by a computed tensor", remedy="only constants can divide")
    builder = context.builder
    shape = _broadcast(left.shape, right.shape)
    # The operators repeat elements themselves, where the other operand has them all.
    narrow = context.expanded.get(left, left)
    left = narrow if np.broadcast_shapes(narrow.shape, right.shape) == shape else left
    narrow = context.expanded.get(right, right)
    right = narrow if np.broadcast_shapes(left.shape, narrow.shape) == shape else right
    both = [replace(each, layout=each.layout.reshaped(_ranked(each.shape, len(shape)))) for each in (left, right)]
    order = max(both, key=lambda real: math.prod(real.shape)).layout.axes
    operands = [builder.arranged(each, order) for each in both]
    made = builder.node(kind, operands, name, tuple(shape[axis] for axis in order), **_PLAIN)
    return builder.made(made, shape, order)


def with_constant(context: FloatContext, kind: str, x: Real, constant: Array, name: str) -> Real:
    """ADD, SUB or MUL with a constant; one per channel, or one for all, needs no other order or shape of the tensor."""
    builder = context.builder
    shape = _broadcast(x.shape, constant.shape)
    x = replace(x, layout=x.layout.reshaped(_ranked(x.shape, len(shape))))
    order, stored = x.layout.axes, builder.stored(x.name)
    axes = [axis for axis, size in enumerate(_ranked(constant.shape, len(shape))) if size != 1]
    channels = bool(stored) and axes == [order[-1]] and stored[-1] == shape[order[-1]] and x.layout.lies(order)
    if shape == x.shape and (not axes or channels):
        operand = builder.constant(f"{name}_constant", constant.reshape(-1 if stored else ()))
        return builder.elementwise(kind, x, name, operand, **_PLAIN)
    given = builder.arranged(x, order)
    operand = builder.constant(f"{name}_constant", arranged_constant(constant, order))
    made = builder.node(kind, (given, operand), name, tuple(shape[axis] for axis in order), **_PLAIN)
    return builder.made(made, shape, order)


def arranged_constant(constant: Array, order: Shape) -> Array:
    """A constant that is broadcast to a tensor, with its axes in the order of the tensor's; no axes of 1 in front."""
    array = constant.reshape(_ranked(constant.shape, len(order))).transpose(order)
    while array.ndim > 1 and array.shape[0] == 1:
        array = array[0]
    return array


def per_channel(context: FloatContext, x: Real, axis: int, scale: Array, shift: Array) -> Real:
    """``x * scale + shift`` along an axis."""
    along = tuple(-1 if each == axis else 1 for each in range(len(x.shape)))
    product = with_constant(context, "MUL", x, scale.reshape(along), f"{context.name}_scaled")
    return with_constant(context, "ADD", product, shift.reshape(along), context.name)


def _ranked(shape: Sequence[int], rank: int) -> Shape:
    return (*(1,) * (rank - len(shape)), *shape)


def _broadcast(left: Shape, right: Shape) -> Shape:
    try:
        return np.broadcast_shapes(left, right)
    except ValueError as error:
        raise UnsupportedError(f"has operands of shapes {list(left)} and {list(right)}") from error


def _gated(context: FloatContext, kind: str, left: Real, right: Real) -> Real | None:
    """x times its hard sigmoid, or a multiple of that; None for anything else."""
    for x, other in ((left, right), (right, left)):
        form = context.forms.get(other)
        if kind == "MUL" and form is not None and form.gate and not form.times_x and form.x == x:
            form = replace(form, times_x=True)
            made = x if form.is_hard_swish else pair_of(context, kind, left, right, context.name)
            return _formed(context, made, form)
    return None


def _error_function(context: FloatContext, kind: str, erf: ErrorFunction, other: Meaning, *, first: bool) -> Meaning:
    """What is left of GELU written with an error function."""
    if isinstance(other, np.ndarray) and other.size == 1:
        number = float(other.reshape(-1)[0])
        if kind == "ADD" and not erf.times_x:
            erf = replace(erf, offset=erf.offset + number / erf.factor)
        elif kind == "MUL" and number:
            erf = replace(erf, factor=erf.factor * number)
        elif kind == "DIV" and first and number:
            erf = replace(erf, factor=erf.factor / number)
        else:
            return context.real(0 if first else 1)  # which says what is wrong
    elif kind == "MUL" and isinstance(other, Real) and not erf.times_x:
        form = Form(other) if other == erf.x else context.forms.get(other, Form(other))
        if form.gate or form.offset or form.x != erf.x:
            return context.real(0 if first else 1)
        erf = replace(erf, times_x=True, factor=erf.factor * form.factor)
    else:
        return context.real(0 if first else 1)
    return context.builder.elementwise("GELU", erf.x, context.name, approximate=False) if erf.is_gelu else erf
