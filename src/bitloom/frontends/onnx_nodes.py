"""What each ONNX operator means: integers, reals with a scale, or a result that waits for its scale."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from bitloom.errors import ModelFormatError, UnsupportedError
from bitloom.frontends import onnx_functions, onnx_layers, onnx_pairs
from bitloom.frontends.onnx_context import Context, dequantized_constant
from bitloom.frontends.onnx_layers import Linear
from bitloom.frontends.onnx_quantized import QUANTIZED_OPERATORS
from bitloom.frontends.onnx_values import Computed, Constant, Dequantized, Meaning, Tensor
from bitloom.ops.pad import Pad

_ELEMENTS = ("int8", "uint8")


def _quantize(context: Context) -> Meaning:
    if context.attributes.get("block_size", 0):
        raise UnsupportedError("quantizes in blocks")
    x = context.operand(0)
    scale = context.scale(1)
    match x:
        case Computed():
            return x.make(scale, x.bounds, context.name)
        case Dequantized():
            return context.builder.table(x, scale, context.name)
        case Constant():
            return Constant(scale.integers(x.array.astype(np.float32)).astype(scale.element.dtype))
        case _:
            raise ModelFormatError("quantizes integers")


def _dequantize(context: Context) -> Meaning:
    if context.attributes.get("block_size", 0):
        raise UnsupportedError("has scales per block")
    x = context.operand(0)
    if isinstance(x, Constant):
        axis = int(context.attributes.get("axis", 1))
        scales = context.array(1).reshape(-1)
        zero_points = context.array(2).reshape(-1) if context.optional(2) else np.zeros(len(scales), np.int64)
        return dequantized_constant(x.array, scales, zero_points, axis % max(1, x.array.ndim))
    tensor = context.integers(0)
    return Dequantized(tensor, context.scale(1, tensor.value.type.integer))


def _moving(move: Callable[[Context, Tensor, str], Tensor]) -> Callable[[Context], Meaning]:
    """An operator that moves elements, of whatever they are."""

    def handle(context: Context) -> Meaning:
        x = context.operand(0)
        match x:
            case Tensor():
                return move(context, x, context.name)
            case Dequantized():
                return replace(x, tensor=move(context, x.tensor, context.name))
            case Computed():
                return x.moved(lambda tensor, name: move(context, tensor, name))
            case _:
                raise UnsupportedError("moves a constant", remedy="fold constants first (onnxruntime or onnxsim)")

    return handle


def _reshape(context: Context, tensor: Tensor, name: str) -> Tensor:
    wanted = [int(size) for size in context.array(1).reshape(-1)]
    if not context.attributes.get("allowzero", 0):
        wanted = [tensor.shape[axis] if size == 0 else size for axis, size in enumerate(wanted)]
    if wanted.count(-1) == 1:
        rest = math.prod(size for size in wanted if size != -1)
        wanted[wanted.index(-1)] = tensor.value.type.size // rest if rest else 0
    return context.builder.reshaped(tensor, tuple(wanted), name)


def _flatten(context: Context, tensor: Tensor, name: str) -> Tensor:
    axis = int(context.attributes.get("axis", 1))
    axis += len(tensor.shape) if axis < 0 else 0
    shape = (math.prod(tensor.shape[:axis]), math.prod(tensor.shape[axis:]))
    return context.builder.reshaped(tensor, shape, name)


def _squeeze(context: Context, tensor: Tensor, name: str) -> Tensor:
    rank = len(tensor.shape)
    if context.optional(1):
        gone = {int(axis) % rank for axis in context.array(1).reshape(-1)}
    else:
        gone = {axis for axis, size in enumerate(tensor.shape) if size == 1}
    shape = tuple(size for axis, size in enumerate(tensor.shape) if axis not in gone)
    return context.builder.reshaped(tensor, shape, name)


def _unsqueeze(context: Context, tensor: Tensor, name: str) -> Tensor:
    axes = context.array(1).reshape(-1)
    rank = len(tensor.shape) + len(axes)
    made, rest = {int(axis) % rank for axis in axes}, iter(tensor.shape)
    shape = tuple(1 if axis in made else next(rest) for axis in range(rank))
    return context.builder.reshaped(tensor, shape, name)


def _transpose(context: Context, tensor: Tensor, name: str) -> Tensor:  # noqa: ARG001 - nothing is made
    rank = len(tensor.shape)
    permutation = tuple(int(axis) for axis in context.attributes.get("perm", range(rank)[::-1]))
    if sorted(permutation) != list(range(rank)):
        raise ModelFormatError(f"permutes {rank} axes as {list(permutation)}")
    return context.builder.transposed(tensor, permutation)


def _identity(context: Context, tensor: Tensor, name: str) -> Tensor:  # noqa: ARG001 - nothing is made
    return tensor


def _max_pool(context: Context, tensor: Tensor, name: str) -> Tensor:
    return onnx_layers.max_pool(context.builder, tensor, context.attributes, name)


def _max_pool_node(context: Context) -> Meaning:
    if len(context.node.outputs) > 1:
        raise UnsupportedError("makes indices as well")
    found = context.operand(0)
    if isinstance(found, Dequantized):
        found = context.reals()
    return _moving(_max_pool)(context)


def _pad(context: Context) -> Meaning:
    mode = context.attributes.get("mode", b"constant").decode()
    if mode != "constant":
        raise UnsupportedError(f"pads by {mode}; supported: constant")
    x = context.reals()
    tensor = context.builder.plain(x.tensor) if not x.tensor.permuted else x.tensor
    rank = len(tensor.shape)
    widths = [int(size) for size in context.array(1).reshape(-1)]
    axes = [int(axis) % rank for axis in context.array(3).reshape(-1)] if context.optional(3) else list(range(rank))
    if len(widths) != 2 * len(axes) or min(widths) < 0:
        raise UnsupportedError(f"pads {len(axes)} axes by {widths}")
    before, after = dict(zip(axes, widths, strict=False)), dict(zip(axes, widths[len(axes) :], strict=True))
    real = context.scalar(2) if context.optional(2) else 0.0
    value = int(x.scale.integers(np.array(real, np.float32)))
    operator = Pad(
        tuple(before.get(axis, 0) for axis in tensor.order), tuple(after.get(axis, 0) for axis in tensor.order), value
    )
    made = context.builder.node(operator, [tensor.value], context.name, x.scale)
    shape = tuple(before.get(axis, 0) + size + after.get(axis, 0) for axis, size in enumerate(tensor.shape))
    return Dequantized(Tensor(made, shape, shape, tensor.order), x.scale)


def _conv(context: Context) -> Meaning:
    weights = context.operand(1)
    if not isinstance(weights, Constant):
        raise UnsupportedError("has weights that are computed")
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
        raise UnsupportedError("multiplies two computed tensors")
    return onnx_layers.matrix_product(Linear(context.builder, context.reals(), weights, 1), None)


def _gemm(context: Context) -> Meaning:
    attributes = context.attributes
    if attributes.get("transA", 0) or any(attributes.get(name, 1.0) != 1.0 for name in ("alpha", "beta")):
        raise UnsupportedError("has transA, alpha or beta", remedy="fold them into the weights")
    weights = context.operand(1)
    if not isinstance(weights, Constant):
        raise UnsupportedError("multiplies two computed tensors")
    linear = Linear(context.builder, context.reals(), weights, 0 if attributes.get("transB", 0) else 1)
    return onnx_layers.matrix_product(linear, _bias(context, 2))


def _average_pool(context: Context) -> Meaning:
    return onnx_layers.average_pool(context.builder, context.reals(), context.attributes)


def _global_average_pool(context: Context) -> Meaning:
    return onnx_layers.average_pool(context.builder, context.reals(), {})


def _function(context: Context) -> Meaning:
    function = onnx_functions.FUNCTIONS[context.node.kind](context.attributes)
    x = context.operand(0)
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
    if isinstance(x, Computed):
        return x.clipped(low, high)
    if isinstance(x, Dequantized):
        return replace(x, functions=(*x.functions, lambda reals: np.clip(reals, np.float32(low), np.float32(high))))
    return context.reals()


def _pair(context: Context) -> Meaning:
    return onnx_pairs.pair(context.builder, context.node.kind, context.operand(0), context.operand(1))


def _concat(context: Context) -> Meaning:
    parts = [context.reals(index) for index in range(len(context.node.inputs))]
    return onnx_pairs.concatenation(context.builder, parts, int(context.attributes["axis"]))


HANDLERS: Mapping[str, Callable[[Context], Meaning]] = {
    "QuantizeLinear": _quantize,
    "DequantizeLinear": _dequantize,
    "Reshape": _moving(_reshape),
    "Flatten": _moving(_flatten),
    "Squeeze": _moving(_squeeze),
    "Unsqueeze": _moving(_unsqueeze),
    "Transpose": _moving(_transpose),
    "Identity": _moving(_identity),
    "Dropout": _moving(_identity),
    "MaxPool": _max_pool_node,
    "Pad": _pad,
    "Conv": _conv,
    "MatMul": _matmul,
    "Gemm": _gemm,
    "AveragePool": _average_pool,
    "GlobalAveragePool": _global_average_pool,
    "Softmax": lambda context: onnx_layers.softmax(context.builder, context.reals(), context.attributes),
    "Relu": _clip,
    "Clip": _clip,
    "Add": _pair,
    "Mul": _pair,
    "Concat": _concat,
    **QUANTIZED_OPERATORS,
    **dict.fromkeys(onnx_functions.FUNCTIONS, _function),
    "com.microsoft.QuantizeLinear": _quantize,
    "com.microsoft.DequantizeLinear": _dequantize,
}
"""For each operator what makes its meaning."""

_CONVERSIONS = ("QuantizeLinear", "DequantizeLinear", "com.microsoft.QuantizeLinear", "com.microsoft.DequantizeLinear")
QUANTIZED = frozenset({*_CONVERSIONS, *QUANTIZED_OPERATORS})
"""Operators of which a quantized model has at least one."""
