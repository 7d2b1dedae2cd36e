"""ONNX's operators that make sums of products themselves: ConvInteger, MatMulInteger, and Cast behind them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from bitloom.errors import UnsupportedError
from bitloom.frontends.onnx import layers as onnx_layers
from bitloom.frontends.onnx.context import Context
from bitloom.frontends.onnx.index import cast_index
from bitloom.frontends.onnx.layers import Linear
from bitloom.frontends.onnx.moves import folded
from bitloom.frontends.onnx.values import Computed, Constant, Dequantized, Meaning, Scale, Tensor

# TensorProto's numbers of float32 and int32.
_FLOAT, _INT32 = 1, 6

DYNAMIC = frozenset(
    {
        "DynamicQuantizeLinear",
        "DynamicQuantizeLSTM",
        "com.microsoft.DynamicQuantizeMatMul",
        "com.microsoft.DynamicQuantizeLSTM",
    }
)
"""Operators that are known only to be refused with a reason."""


def _linear(context: Context, output_axis: int) -> Linear:
    """Operands x, w, zero point of x, zero point of w or one for each output; the scales are 1."""
    x = context.integers(0)
    zero_point = int(context.scalar(2)) if context.optional(2) else 0
    integers = context.array(1)
    points = context.array(3).reshape(-1) if context.optional(3) else np.zeros(1, np.int64)
    if len(set(points.tolist())) > 1:
        raise UnsupportedError("has weights with zero points that differ", remedy="quantize weights symmetrically")
    weights = Constant(integers, integers, (1.0,), (int(points[0]),))
    scale = Scale(1.0, zero_point, x.value.type.integer)
    return Linear(context.builder, Dequantized(x, scale), weights, output_axis, integral=True)


def _conv_integer(context: Context) -> Meaning:
    return onnx_layers.convolution(_linear(context, 0), None, context.attributes)


def _matmul_integer(context: Context) -> Meaning:
    return onnx_layers.matrix_product(_linear(context, 1), None)


def _dynamic(context: Context) -> Meaning:
    raise UnsupportedError(
        f"{context.node.kind} finds scales in the data while the network runs, and hardware needs constants",
        remedy="quantize statically, with calibration data (onnxruntime.quantization.quantize_static)",
    )


def _cast(context: Context) -> Meaning:
    x, to = context.operand(0), int(context.attributes["to"])
    match x:
        case Constant():
            return folded(context)
        case Computed() if x.integral and to in (_FLOAT, _INT32):
            return replace(x, integral=to == _INT32)
        case Tensor() if to == _FLOAT:
            return Dequantized(x, Scale(1.0, 0, x.value.type.integer))
        case Tensor():
            return cast_index(context, x)
        case Computed() | Dequantized() if to == _FLOAT:
            return x
    raise UnsupportedError("casts computed numbers to another type than float32", remedy="use QuantizeLinear")


INTEGER_OPERATORS: Mapping[str, Callable[[Context], Meaning]] = {
    "ConvInteger": _conv_integer,
    "MatMulInteger": _matmul_integer,
    "Cast": _cast,
    **dict.fromkeys(DYNAMIC, _dynamic),
}
"""For each operator what makes its meaning."""
