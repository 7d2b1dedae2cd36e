"""Pools and means."""

from __future__ import annotations

import math

import numpy as np

from bitloom.errors import UnsupportedError
from bitloom.frontends.float_onnx.builder import Real
from bitloom.frontends.float_onnx.context import FloatContext, Meaning
from bitloom.frontends.float_onnx.layers import images_made, pad
from bitloom.frontends.float_onnx.pairs import with_constant
from bitloom.frontends.float_onnx.windows import Windows, windows


def max_pool(context: FloatContext) -> Meaning:
    """MaxPool: its padding never wins."""
    if len(context.node.outputs) > 1:
        raise UnsupportedError("makes indices as well")
    x = context.real()
    window = windows(context, x, context.attributes["kernel_shape"], overhang=True)
    if any(axis.dilation != 1 and axis.taps > 1 for axis in window.axes):
        raise UnsupportedError("pools with dilations")
    image = context.builder.images(x)
    if window.padding == "VALID" and window.padded:
        image = _around(context, image, window)
    return _pooled(context, "MAX_POOL_2D", image, window, len(x.shape))


def _around(context: FloatContext, image: str, window: Windows) -> str:
    """Images with something around them that is never larger than the rest of its window."""
    if context.builder.is_never_negative(image):
        return pad(context, image, window.widths)
    for axis in window.axes:
        # A mirror image of an element lies in every window that the element's place in the padding lies in.
        if 2 * max(axis.before, axis.after) > axis.taps or max(axis.before, axis.after) > axis.size:
            raise UnsupportedError(
                f"pads by {axis.before} and {axis.after} around windows of {axis.taps}, with numbers below 0",
                remedy="put a Relu in front, or pad by at most half a window",
            )
    builder, name = context.builder, f"{context.name}_padded"
    shape = tuple(size + sum(width) for size, width in zip(builder.stored(image), window.widths, strict=True))
    widths = builder.integers(f"{name}_widths", window.widths)
    return builder.node("MIRROR_PAD", (image, widths), name, shape, mode="SYMMETRIC")


def average_pool(context: FloatContext) -> Meaning:
    """AveragePool; where padding does not count, TFLite's SAME, or a correction of each mean."""
    x = context.real()
    window = windows(context, x, context.attributes["kernel_shape"])
    if any(axis.dilation != 1 and axis.taps > 1 for axis in window.axes):
        raise UnsupportedError("pools with dilations")
    image, rank = context.builder.images(x), len(x.shape)
    if not window.padded:
        return _pooled(context, "AVERAGE_POOL_2D", image, window, rank)
    counted = bool(context.integer("count_include_pad", 0))
    if window.is_same and not counted:
        return _pooled(context, "AVERAGE_POOL_2D", image, window, rank)
    image = pad(context, image, window.widths)
    taps = window.rows.taps * window.columns.taps
    counts = window.counts()
    if counted or (counts == taps).all():
        return _pooled(context, "AVERAGE_POOL_2D", image, window, rank, "VALID")
    if not counts.all():
        raise UnsupportedError("has windows that hold nothing but padding")
    whole = _pooled(context, "AVERAGE_POOL_2D", image, window, rank, "VALID", f"{context.name}_of_all")
    correction = taps / counts
    return with_constant(context, "MUL", whole, correction if rank == 4 else correction[0], context.name)


def _pooled(
    context: FloatContext, kind: str, image: str, window: Windows, rank: int, padding: str = "", name: str = ""
) -> Real:
    batch, _, _, channels = context.builder.stored(image)
    made = context.builder.node(
        kind,
        (image,),
        name or context.name,
        (batch, *window.outputs, channels),
        padding=padding or window.padding,
        **window.strides(),
        filter_height=window.rows.taps,
        filter_width=window.columns.taps,
        fused_activation_function="NONE",
    )
    return images_made(context, made, rank)


def global_average_pool(context: FloatContext) -> Meaning:
    """A mean of all pixels."""
    x = context.real()
    return mean(context, x, tuple(range(2, len(x.shape))), context.name, keep=True)


def global_max_pool(context: FloatContext) -> Meaning:
    """A pool whose window is the image."""
    x = context.real()
    image = context.builder.images(x)
    _, height, width, channels = context.builder.stored(image)
    made = context.builder.node(
        "MAX_POOL_2D",
        (image,),
        context.name,
        (x.shape[0], 1, 1, channels),
        padding="VALID",
        stride_h=1,
        stride_w=1,
        filter_height=height,
        filter_width=width,
        fused_activation_function="NONE",
    )
    return images_made(context, made, len(x.shape))


def reduced_mean(context: FloatContext) -> Meaning:
    """ReduceMean, and ReduceSum, which is so many times the mean."""
    x = context.real()
    found = context.integers(1, "axes")
    if not found and context.integer("noop_with_empty_axes", 0):
        return x
    axes = context.axes(found or range(len(x.shape)), len(x.shape))
    keep = bool(context.integer("keepdims", 1))
    if context.node.kind == "ReduceMean":
        return mean(context, x, axes, context.name, keep=keep)
    count = math.prod(x.shape[axis] for axis in axes)
    whole = mean(context, x, axes, f"{context.name}_mean", keep=keep)
    return with_constant(context, "MUL", whole, np.array(count, np.float32), context.name)


def reduced_maximum(context: FloatContext) -> Meaning:
    """ReduceMax over the pixels of images."""
    x = context.real()
    axes = context.axes(context.integers(1, "axes") or range(len(x.shape)), len(x.shape))
    if len(x.shape) not in (3, 4) or sorted(axes) != list(range(2, len(x.shape))) or not context.integer("keepdims", 1):
        raise UnsupportedError(f"is the maximum over axes {list(axes)}; supported: all pixels of images, keepdims=1")
    return global_max_pool(context)


def mean(context: FloatContext, x: Real, axes: tuple[int, ...], name: str, *, keep: bool) -> Real:
    """MEAN over some of ONNX's axes."""
    builder = context.builder
    given, order = builder.axiswise(x)
    stored = [order.index(axis) for axis in sorted(axes)]
    kept = [axis for axis in range(len(order)) if keep or order[axis] not in axes]
    shape = tuple(1 if axis in axes else size for axis, size in enumerate(x.shape))
    rest = [axis for axis in range(len(shape)) if keep or axis not in axes]
    operand = builder.integers(f"{name}_axes", sorted(stored))
    made = builder.node("MEAN", (given, operand), name, tuple(shape[order[axis]] for axis in kept), keep_dims=keep)
    return builder.made(made, tuple(shape[axis] for axis in rest), tuple(rest.index(order[axis]) for axis in kept))


def arg_max(context: FloatContext) -> Meaning:
    """ArgMax, of equal ones the first."""
    x, builder = context.real(), context.builder
    if context.integer("select_last_index", 0):
        raise UnsupportedError("takes the last of equal maxima; supported: the first")
    (axis,) = context.axes([context.integer("axis", 0)], len(x.shape))
    lying = x.layout.axes
    order = (*(each for each in lying if each != axis), axis)
    given = builder.arranged(x, order)
    operand = builder.constant(f"{context.name}_axis", np.array(len(order) - 1), "int32")
    made = builder.node(
        "ARG_MAX", (given, operand), context.name, builder.stored(given)[:-1], "int32", output_type="INT32"
    )
    rest = [each for each in range(len(order)) if each != axis]
    real = builder.made(made, tuple(x.shape[each] for each in rest), tuple(rest.index(each) for each in order[:-1]))
    if not context.integer("keepdims", 1):
        return real
    kept = tuple(1 if each == axis else size for each, size in enumerate(x.shape))
    return Real(made, real.layout.reshaped(kept))
