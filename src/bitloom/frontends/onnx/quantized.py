"""ONNX's and ONNX Runtime's quantized operators, whose scales are operands: QLinearConv and its kin."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from bitloom.errors import UnsupportedError
from bitloom.frontends.onnx import functions as onnx_functions
from bitloom.frontends.onnx import layers as onnx_layers
from bitloom.frontends.onnx import pairs as onnx_pairs
from bitloom.frontends.onnx import pools as onnx_pools
from bitloom.frontends.onnx.averages import Binary32
from bitloom.frontends.onnx.context import Context
from bitloom.frontends.onnx.layers import Linear
from bitloom.frontends.onnx.values import Bounds, Computed, Constant, Meaning


def _quantized_conv(context: Context) -> Meaning:
    linear = Linear(context.builder, context.quantized(0), context.constant(3), 0, in_binary32=True)
    computed = onnx_layers.convolution(linear, _sums(context, 8, linear), context.attributes)
    return computed.make(context.scale(6), Bounds(), context.name)


def _quantized_matmul(context: Context) -> Meaning:
    linear = Linear(context.builder, context.quantized(0), context.constant(3, axis=1), 1, in_binary32=True)
    return onnx_layers.matrix_product(linear, None).make(context.scale(6), Bounds(), context.name)


def _quantized_gemm(context: Context) -> Meaning:
    attributes = context.attributes
    if attributes.get("transA", 0) or attributes.get("alpha", 1.0) != 1.0 or not context.optional(7):
        raise UnsupportedError("has transA, alpha, or a result of floats")
    axis = 0 if attributes.get("transB", 0) else 1
    linear = Linear(context.builder, context.quantized(0), context.constant(3, axis), axis, in_binary32=True)
    return onnx_layers.matrix_product(linear, _sums(context, 6, linear)).make(context.scale(7), Bounds(), context.name)


def _sums(context: Context, index: int, linear: Linear) -> Constant | None:
    """A bias of int32 in steps of the products."""
    if context.optional(index) is None:
        return None
    array = context.array(index)
    scales = tuple(linear.x.scale.scale * scale for scale in linear.weights.scales)
    return Constant(array, array.astype(np.int32), scales, (0,) * len(scales))


def _quantized_pair(context: Context) -> Meaning:
    kind = context.node.kind.removeprefix("com.microsoft.QLinear")
    operands = [
        context.constant(index) if isinstance(context.operand(index), Constant) else context.quantized(index)
        for index in (0, 3)
    ]
    computed = onnx_pairs.pair(context.builder, kind, *operands)
    assert isinstance(computed, Computed), "both operands have scales"
    return computed.make(context.scale(6), Bounds(), context.name)


def _quantized_pool(context: Context) -> Meaning:
    builder, x, made = context.builder, context.quantized(0), context.scale(3)
    whole = "Global" in context.node.kind
    binary32 = Binary32.QLINEAR_GLOBAL_AVERAGE_POOL if whole else Binary32.QLINEAR_AVERAGE_POOL
    attributes = {} if whole else context.attributes
    if not context.attributes.get("channels_last", 0):
        return onnx_pools.average_pool(builder, x, attributes, binary32=binary32).make(made, Bounds(), context.name)
    rank = len(x.tensor.shape)
    first = replace(x, tensor=builder.transposed(x.tensor, (0, rank - 1, *range(1, rank - 1))))
    pooled = onnx_pools.average_pool(builder, first, attributes, binary32=binary32).make(made, Bounds(), context.name)
    return builder.transposed(pooled, (0, *range(2, rank), 1))


def _quantized_softmax(context: Context) -> Meaning:
    x, attributes = context.quantized(0), context.attributes
    rank = len(x.tensor.shape)
    if attributes.get("opset", 13) < 13 and int(attributes.get("axis", 1)) % rank != rank - 1:
        raise UnsupportedError(
            f"is over axis {attributes.get('axis', 1)} and all behind it (opset {attributes['opset']})",
            remedy="use opset 13",
        )
    return onnx_layers.softmax(context.builder, x, attributes).make(context.scale(3), Bounds(), context.name)


def _quantized_function(context: Context) -> Meaning:
    kind = context.node.kind.removeprefix("com.microsoft.QLinear")
    given = replace(context.quantized(0), functions=(onnx_functions.FUNCTIONS[kind](context.attributes),))
    return context.builder.table(given, context.scale(3), context.name)


def _quantized_concat(context: Context) -> Meaning:
    parts = [context.quantized(index) for index in range(2, len(context.node.inputs), 3)]
    computed = onnx_pairs.concatenation(context.builder, parts, int(context.attributes["axis"]))
    return computed.make(context.scale(0), Bounds(), context.name)


QUANTIZED_OPERATORS: Mapping[str, Callable[[Context], Meaning]] = {
    "QLinearConv": _quantized_conv,
    "QLinearMatMul": _quantized_matmul,
    "com.microsoft.QGemm": _quantized_gemm,
    "com.microsoft.QLinearSoftmax": _quantized_softmax,
    "com.microsoft.QLinearConcat": _quantized_concat,
    **dict.fromkeys(("com.microsoft.QLinearAdd", "com.microsoft.QLinearMul"), _quantized_pair),
    **dict.fromkeys(("com.microsoft.QLinearAveragePool", "com.microsoft.QLinearGlobalAveragePool"), _quantized_pool),
    **dict.fromkeys(("com.microsoft.QLinearSigmoid", "com.microsoft.QLinearLeakyRelu"), _quantized_function),
}
"""For each operator what makes its meaning."""
