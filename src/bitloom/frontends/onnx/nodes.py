"""What each ONNX operator means: integers, reals with a scale, or a result that waits for its scale."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from bitloom.errors import ModelFormatError, UnsupportedError
from bitloom.frontends.onnx import functions as onnx_functions
from bitloom.frontends.onnx import index as onnx_index
from bitloom.frontends.onnx import layers as onnx_layers
from bitloom.frontends.onnx import pairs as onnx_pairs
from bitloom.frontends.onnx import pools as onnx_pools
from bitloom.frontends.onnx.averages import Binary32
from bitloom.frontends.onnx.context import Context, dequantized_constant
from bitloom.frontends.onnx.integers import INTEGER_OPERATORS
from bitloom.frontends.onnx.layers import Linear
from bitloom.frontends.onnx.moves import MOVES, folded, moving
from bitloom.frontends.onnx.quantized import QUANTIZED_OPERATORS
from bitloom.frontends.onnx.values import ELEMENTS, Computed, Constant, Dequantized, Meaning, Tensor, element_of

# TensorProto's number of float32.
_FLOAT = 1


def _quantize(context: Context) -> Meaning:
    _check_conversion(context)
    x = context.operand(0)
    if isinstance(x, Constant):
        return _quantized_constant(context, x)
    scale = context.scale(1)
    match x:
        case Computed() if not x.integral:
            return context.builder.made(x, scale, context.name)
        case Dequantized():
            return context.builder.table(x, scale, context.name)
        case _:
            raise ModelFormatError("quantizes integers", remedy="put Cast or DequantizeLinear in front")


def _check_conversion(context: Context) -> None:
    """Refuse attributes of QuantizeLinear and DequantizeLinear that mean another arithmetic."""
    attributes = context.attributes
    if attributes.get("block_size", 0):
        raise UnsupportedError(
            f"has scales per block of {attributes['block_size']} (block_size)", remedy="quantize per tensor or per axis"
        )
    if attributes.get("precision", 0) not in (0, _FLOAT):
        raise UnsupportedError("divides in another precision than float32", remedy="set precision to FLOAT")
    if context.node.kind.endswith("DequantizeLinear") and attributes.get("output_dtype", 0) not in (0, _FLOAT):
        raise UnsupportedError("makes another type than float32", remedy="set output_dtype to FLOAT")


def _quantized_constant(context: Context, x: Constant) -> Constant:
    scales, rank = context.array(1), max(1, x.array.ndim)
    lying = [1] * x.array.ndim
    if scales.size > 1:
        lying[int(context.attributes.get("axis", 1)) % rank] = scales.size
    points = context.array(2) if context.optional(2) else np.zeros(scales.shape, np.uint8)
    element = element_of(points)
    if element is None or points.size != scales.size:
        raise UnsupportedError(f"quantizes a constant to {points.dtype}; supported: {', '.join(ELEMENTS)}")
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        ratio = np.rint(x.array.astype(np.float32) / scales.astype(np.float32).reshape(lying))
    whole = ratio.astype(np.float64) + points.astype(np.float64).reshape(lying)
    return Constant(np.clip(whole, element.minimum, element.maximum).astype(points.dtype))


def _dequantize(context: Context) -> Meaning:
    _check_conversion(context)
    x = context.operand(0)
    if isinstance(x, Computed) and x.integral and x.scaled is not None:
        if context.optional(2) and context.array(2).any():
            raise UnsupportedError("has a zero point of sums that is not 0")
        found = x.scaled(Constant(context.array(1)))
        if found is None:
            raise UnsupportedError("has scales that are neither one nor one per output")
        return found
    if isinstance(x, Constant):
        axis = int(context.attributes.get("axis", 1))
        scales = context.array(1).reshape(-1)
        zero_points = context.array(2).reshape(-1) if context.optional(2) else np.zeros(len(scales), np.int64)
        return dequantized_constant(x.array, scales, zero_points, axis % max(1, x.array.ndim))
    tensor = context.integers(0)
    scale = context.scale(1, tensor.value.type.integer)
    if tensor.value.type.quantization is None:
        # Such as of an input of integers, whose scale nothing else says.
        tensor = replace(tensor, value=context.builder.quantized(tensor.value, scale.quantization))
    return Dequantized(tensor, scale)


def _max_pool(context: Context) -> Meaning:
    if len([name for name in context.node.outputs if name]) > 1:
        raise UnsupportedError("makes indices as well", remedy="remove the second output")
    attributes = {} if "Global" in context.node.kind else context.attributes

    def move(context: Context, tensor: Tensor, name: str) -> Tensor:
        return onnx_pools.max_pool(context.builder, tensor, attributes, name)

    return _of_largest(context, move)


def _of_largest(context: Context, move: Callable[[Context, Tensor, str], Tensor]) -> Meaning:
    """What takes the largest of some elements, of reals as of the integers that stand for them."""
    if isinstance(context.operand(0), Dequantized):
        context.reals()  # functions may fall
    if isinstance(context.operand(0), Constant):
        raise UnsupportedError("pools a constant", remedy="fold constants first (onnxsim)")
    return _single(moving(move)(context))


def _single(meaning: Meaning | tuple[Meaning, ...]) -> Meaning:
    assert not isinstance(meaning, tuple)
    return meaning


def _reduce_max(context: Context) -> Meaning:
    keep_dims = bool(context.attributes.get("keepdims", 1))

    def move(context: Context, tensor: Tensor, name: str) -> Tensor:
        axes = _reduced_axes(context, len(tensor.shape))
        return onnx_pools.reduced_maximum(context.builder, tensor, axes, keep_dims=keep_dims, name=name)

    return _of_largest(context, move)


def _reduced_axes(context: Context, rank: int) -> list[int]:
    axes = context.axes(rank)
    if not axes and context.attributes.get("noop_with_empty_axes", 0):
        raise UnsupportedError("reduces nothing (noop_with_empty_axes)", remedy="remove it")
    return axes


def _reduce_mean(context: Context) -> Meaning:
    x = context.reals()
    axes = _reduced_axes(context, len(x.tensor.shape))
    keep_dims, counted = bool(context.attributes.get("keepdims", 1)), context.node.kind == "ReduceMean"
    return onnx_pools.reduced_mean(context.builder, x, axes, keep_dims=keep_dims, counted=counted)


def _conv(context: Context) -> Meaning:
    weights = context.operand(1)
    if not isinstance(weights, Constant):
        raise UnsupportedError("has weights that are computed", remedy="make them constant")
    linear = Linear(context.builder, context.reals(), weights, 0)
    return onnx_layers.convolution(linear, _bias(context, 2), context.attributes)


def _bias(context: Context, index: int) -> Constant | None:
    found = context.optional(index)
    if found is not None and not isinstance(found, Constant):
        raise UnsupportedError("has a bias that is computed")
    return found


def _matmul(context: Context) -> Meaning:
    weights = context.operand(1)
    if not isinstance(weights, Constant):
        raise UnsupportedError("multiplies two computed tensors", remedy="make one of them constant")
    return onnx_layers.matrix_product(Linear(context.builder, context.reals(), weights, 1), None)


def _gemm(context: Context) -> Meaning:
    attributes = context.attributes
    if attributes.get("transA", 0) or any(attributes.get(name, 1.0) != 1.0 for name in ("alpha", "beta")):
        raise UnsupportedError("has transA, alpha or beta", remedy="fold them into the weights")
    weights = context.operand(1)
    if not isinstance(weights, Constant):
        raise UnsupportedError("multiplies two computed tensors", remedy="make one of them constant")
    linear = Linear(context.builder, context.reals(), weights, 0 if attributes.get("transB", 0) else 1)
    return onnx_layers.matrix_product(linear, _bias(context, 2))


def _average_pool(context: Context) -> Meaning:
    attributes = {} if "Global" in context.node.kind else context.attributes
    return onnx_pools.average_pool(context.builder, context.reals(), attributes, binary32=Binary32.AVERAGE_POOL)


def _function(context: Context) -> Meaning:
    x = context.operand(0)
    if isinstance(x, Constant):
        return folded(context)
    function = onnx_functions.FUNCTIONS[context.node.kind](context.attributes)
    if isinstance(x, Dequantized):
        return replace(x, functions=(*x.functions, function))
    return replace(context.reals(), functions=(function,))


def _clip(context: Context) -> Meaning:
    low, high = 0.0, math.inf
    if context.node.kind == "Clip":
        low, high = (
            context.scalar(index) if context.optional(index) else limit
            for index, limit in ((1, -math.inf), (2, math.inf))
        )
    x = context.operand(0)
    if isinstance(x, Constant):
        return folded(context)
    if isinstance(x, Computed):
        return x.clipped(low, high)
    if isinstance(x, Dequantized):
        return replace(x, functions=(*x.functions, lambda reals: np.clip(reals, np.float32(low), np.float32(high))))
    return context.reals()


def _prelu(context: Context) -> Meaning:
    slopes = context.operand(1)
    if not isinstance(slopes, Constant) or slopes.array.size != 1:
        raise UnsupportedError("has slopes that are computed, or more than one", remedy="use LeakyRelu")
    function = onnx_functions.FUNCTIONS["LeakyRelu"]({"alpha": float(slopes.array.reshape(-1)[0])})
    x = context.operand(0)
    if isinstance(x, Dequantized):
        return replace(x, functions=(*x.functions, function))
    return replace(context.reals(), functions=(function,))


def _pair(context: Context) -> Meaning:
    operands = [context.operand(index) for index in range(len(context.node.inputs))]
    if all(isinstance(operand, Constant) for operand in operands):
        return folded(context)
    if len(operands) != 2:
        raise UnsupportedError(f"has {len(operands)} operands; supported: 2")
    return onnx_pairs.pair(context.builder, context.node.kind, *operands)


def _concat(context: Context) -> Meaning:
    indices = range(len(context.node.inputs))
    if all(isinstance(context.operand(index), Constant) for index in indices):
        return folded(context)
    axis = int(context.attributes["axis"])
    if all(isinstance(context.operand(index), Tensor) for index in indices):
        return context.builder.concatenated([context.integers(index) for index in indices], axis, context.name)
    return onnx_pairs.concatenation(context.builder, [context.reals(index) for index in indices], axis)


def _shape(context: Context) -> Meaning:
    x = context.operand(0)
    match x:
        case Constant():
            shape = x.array.shape
        case Tensor():
            shape = x.shape
        case Dequantized():
            shape = x.tensor.shape
        case _:
            raise UnsupportedError(
                "asks for the shape of what no QuantizeLinear has rounded yet", remedy="fold shapes first (onnxsim)"
            )
    start, end = int(context.attributes.get("start", 0)), context.attributes.get("end")
    return Constant(np.array(shape[start:end], np.int64))


HANDLERS: Mapping[str, Callable[[Context], Meaning | tuple[Meaning, ...]]] = {
    "QuantizeLinear": _quantize,
    "DequantizeLinear": _dequantize,
    "MaxPool": _max_pool,
    "GlobalMaxPool": _max_pool,
    "ReduceMax": _reduce_max,
    "ReduceMean": _reduce_mean,
    "ReduceSum": _reduce_mean,
    "Conv": _conv,
    "MatMul": _matmul,
    "Gemm": _gemm,
    "AveragePool": _average_pool,
    "GlobalAveragePool": _average_pool,
    "Softmax": lambda context: onnx_layers.softmax(context.builder, context.reals(), context.attributes),
    "Relu": _clip,
    "Clip": _clip,
    "PRelu": _prelu,
    "ArgMax": onnx_index.arg_max,
    "Concat": _concat,
    "Shape": _shape,
    **MOVES,
    **INTEGER_OPERATORS,
    **QUANTIZED_OPERATORS,
    **dict.fromkeys(onnx_pairs.KINDS, _pair),
    **dict.fromkeys(onnx_functions.FUNCTIONS, _function),
    "com.microsoft.QuantizeLinear": _quantize,
    "com.microsoft.DequantizeLinear": _dequantize,
}
"""For each operator what makes its meaning, or the meanings of its results."""

_CONVERSIONS = ("QuantizeLinear", "DequantizeLinear", "com.microsoft.QuantizeLinear", "com.microsoft.DequantizeLinear")
QUANTIZED = frozenset({*_CONVERSIONS, *INTEGER_OPERATORS, *QUANTIZED_OPERATORS} - {"Cast"})
"""Operators of which a quantized model has at least one."""
