"""Layers with weights, and normalizations by constants."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from bitloom.errors import ModelFormatError, UnsupportedError
from bitloom.frontends.float_onnx.builder import Array, Real
from bitloom.frontends.float_onnx.context import FloatContext, Meaning
from bitloom.frontends.float_onnx.layout import channels_last
from bitloom.frontends.float_onnx.pairs import per_channel, with_constant
from bitloom.frontends.float_onnx.windows import windows

_PLAIN = {"fused_activation_function": "NONE"}


def convolution(context: FloatContext) -> Meaning:
    """Conv: of one or two dimensions, grouped, depthwise or neither."""
    x, weights, builder = context.real(), context.array(1), context.builder
    if weights.ndim not in (3, 4) or len(x.shape) != weights.ndim:
        raise UnsupportedError(
            f"convolves {max(len(x.shape) - 2, 0)} dimensions with weights of shape {list(weights.shape)}; supported: "
            "1 and 2 dimensions"
        )
    groups, (outputs, depth) = context.integer("group", 1), weights.shape[:2]
    if groups < 1 or groups * depth != x.shape[1] or outputs % groups:
        raise ModelFormatError(
            f"has weights of shape {list(weights.shape)} in {groups} groups for {x.shape[1]} channels"
        )
    window = windows(context, x, weights.shape[2:])
    kernel = weights.reshape(outputs, depth, window.rows.taps, window.columns.taps)
    image = builder.images(x)
    if window.padding == "VALID" and window.padded:
        image = pad(context, image, window.widths)
    depthwise = depth == 1 and groups > 1
    order = (1, 2, 3, 0) if depthwise else (0, 2, 3, 1)
    operands = (
        image,
        builder.constant(f"{context.name}_weights", kernel.transpose(order)),
        builder.constant(f"{context.name}_bias", _bias(context, 2, outputs)),
    )
    attributes = {
        "padding": window.padding,
        **window.strides(),
        "dilation_h_factor": window.rows.dilation,
        "dilation_w_factor": window.columns.dilation,
        **_PLAIN,
        **({"depth_multiplier": outputs // groups} if depthwise else {}),
    }
    made = builder.node(
        "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D",
        operands,
        context.name,
        (x.shape[0], *window.outputs, outputs),
        **attributes,
    )
    return images_made(context, made, len(x.shape))


def images_made(context: FloatContext, name: str, rank: int) -> Real:
    """The meaning of images with channels last; of those of one dimension, whose rows are one, without these."""
    batch, height, width, channels = context.builder.stored(name)
    real = context.builder.made(name, (batch, channels, height, width), channels_last(4))
    return real if rank == 4 else replace(real, layout=real.layout.reshaped((batch, channels, width)))


def pad(context: FloatContext, image: str, widths: list[list[int]]) -> str:
    """Zeros around."""
    builder = context.builder
    shape = tuple(size + sum(width) for size, width in zip(builder.stored(image), widths, strict=True))
    name = f"{context.name}_padded"
    return builder.node("PAD", (image, builder.integers(f"{name}_widths", widths)), name, shape)


def _bias(context: FloatContext, index: int, outputs: int, factor: float = 1.0) -> Array:
    """A constant of one element per output; zeros where there is none."""
    if not context.has(index):
        return np.zeros(outputs)
    bias = context.array(index).astype(np.float64).reshape(-1) * factor
    if bias.size not in (1, outputs):
        raise ModelFormatError(f"has a bias of {bias.size} elements for {outputs} outputs")
    return np.broadcast_to(bias, (outputs,))


def matrix_product(context: FloatContext) -> Meaning:
    """MatMul by a constant matrix."""
    if not isinstance(context.operand(1), np.ndarray):
        raise UnsupportedError(
            "multiplies two computed tensors", remedy="attention is not supported; constant matrices are"
        )
    if isinstance(context.operand(0), np.ndarray):
        raise UnsupportedError("multiplies a constant by a computed tensor", remedy="transpose both")
    weights = context.array(1)
    while weights.ndim > 2 and weights.shape[0] == 1:
        weights = weights[0]
    return dense(context, context.real(), weights.T, None)


def gemm(context: FloatContext) -> Meaning:
    """``alpha * A @ B + beta * C``; the numbers go into weights and bias."""
    if not isinstance(context.operand(1), np.ndarray):
        raise UnsupportedError(
            "multiplies two computed tensors", remedy="attention is not supported; constant matrices are"
        )
    x, weights = context.real(), context.array(1).astype(np.float64) * context.number("alpha", 1.0)
    if len(x.shape) != 2 or weights.ndim != 2:
        raise ModelFormatError(
            f"multiplies shapes {list(x.shape)} and {list(weights.shape)}, and both must have 2 axes"
        )
    if context.integer("transA", 0):
        turned = x.layout.transposed((1, 0))
        x = replace(x, layout=turned) if turned else context.builder.plain(x)
        if not turned:
            raise UnsupportedError("has transA of a tensor that has been reshaped", remedy="transpose it first")
    rows = weights if context.integer("transB", 0) else weights.T
    beta = context.number("beta", 1.0)
    if not context.has(2):
        return dense(context, x, rows, None)
    given = context.operand(2)
    if isinstance(given, np.ndarray):
        if given.size in (1, len(rows)):
            return dense(context, x, rows, np.broadcast_to(given.astype(np.float64).reshape(-1) * beta, (len(rows),)))
        product = dense(context, x, rows, None)
        return with_constant(context, "ADD", product, given * np.float32(beta), context.name)
    raise UnsupportedError("adds a computed tensor C", remedy="use MatMul and Add")


def dense(context: FloatContext, x: Real, rows: Array, bias: Array | None) -> Real:
    """FULLY_CONNECTED with weights (outputs, inputs) over the last axis."""
    builder = context.builder
    if rows.ndim != 2 or not x.shape or x.shape[-1] != rows.shape[1]:
        raise UnsupportedError(
            f"multiplies a tensor of shape {list(x.shape)} by a constant of {list(rows.shape[::-1])}; supported: "
            "constant matrices of as many rows as the tensor's last axis"
        )
    rank, order = len(x.shape), tuple(range(len(x.shape)))
    layout = x.layout
    if rank == 2 and layout.order[:1] == (0,) and layout.factors[0] == x.shape[0] and not layout.lies(order):
        # Images flattened as they lie: the weights are brought into their order, once.
        rows = rows.reshape(len(rows), *layout.factors[1:]).transpose(layout.order).reshape(rows.shape)
        operand = builder.reshape(x.name, x.shape, _flattened(context))
    else:
        if layout.axes[-1] == rank - 1:
            order = layout.axes
        operand = builder.arranged(x, order)
    operands = (
        operand,
        builder.constant(f"{context.name}_weights", rows),
        builder.constant(f"{context.name}_bias", np.zeros(len(rows)) if bias is None else bias),
    )
    shape = (*x.shape[:-1], len(rows))
    made = builder.node(
        "FULLY_CONNECTED",
        operands,
        context.name,
        tuple(shape[axis] for axis in order),
        keep_num_dims=rank != 2,
        weights_format="DEFAULT",
        **_PLAIN,
    )
    return builder.made(made, shape, order)


def _flattened(context: FloatContext) -> str | None:
    """The file's name of what a dense layer reads, where nothing else has it."""
    name = context.node.inputs[0]
    return None if name in context.builder.tensors else name


def batch_normalization(context: FloatContext) -> Meaning:
    """``(x - mean) / sqrt(variance + epsilon) * scale + bias``, channel by channel."""
    if context.integer("training_mode", 0) or len(context.node.outputs) > 1:
        raise UnsupportedError("is in training mode", remedy="export the model in evaluation mode")
    x = context.real()
    scale, bias, mean, variance = (context.array(index).astype(np.float64).reshape(-1) for index in range(1, 5))
    if len({scale.size, bias.size, mean.size, variance.size, x.shape[1] if len(x.shape) > 1 else 0}) != 1:
        raise ModelFormatError(f"normalizes {scale.size} channels of a tensor of shape {list(x.shape)}")
    if (variance + context.number("epsilon", 1e-5) <= 0).any():
        raise ModelFormatError("has a variance that is not positive")
    factor = scale / np.sqrt(variance + context.number("epsilon", 1e-5))
    return per_channel(context, x, 1, factor, bias - mean * factor)


def softmax(context: FloatContext) -> Meaning:
    """Over one axis; before operator set 13, over it and all behind it."""
    x, builder = context.real(), context.builder
    rank = len(x.shape)
    (axis,) = context.axes([context.integer("axis", -1 if context.opset >= 13 else 1)], rank)
    shape = x.shape
    if context.opset < 13 and math.prod(shape[axis + 1 :]) != 1:
        together = (*shape[:axis], math.prod(shape[axis:]))
        x = replace(x, layout=x.layout.reshaped(together))
    lying = x.layout.axes
    order = (*(each for each in lying if each != axis), axis)
    operand = builder.arranged(x, order)
    made = builder.node("SOFTMAX", (operand,), context.name, builder.stored(operand), beta=1.0)
    real = builder.made(made, x.shape, order)
    return replace(real, layout=real.layout.reshaped(shape))
