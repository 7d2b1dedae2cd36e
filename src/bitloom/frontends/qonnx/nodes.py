"""What each operator of a QONNX file means: steps in binary32, moves, layers, quantizers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from bitloom.errors import UnsupportedError
from bitloom.frontends.onnx import functions as onnx_functions
from bitloom.frontends.onnx import pools as onnx_pools
from bitloom.frontends.onnx.file import QONNX_OPERATORS, fold_node
from bitloom.frontends.onnx.values import Float32Array, Tensor
from bitloom.frontends.qonnx.context import QonnxContext
from bitloom.frontends.qonnx.ends import arg_max
from bitloom.frontends.qonnx.joins import concatenation, pair
from bitloom.frontends.qonnx.layers import as_integers, average_pool, convolution, matrix_product, reduce_mean
from bitloom.frontends.qonnx.quantizers import bipolar_quant, judged, quant, trunc
from bitloom.frontends.qonnx.values import Known, Meaning, Move, Reals, Step
from bitloom.ops.dequantize_steps import SOFTMAX
from bitloom.ops.pad import Pad

_MOVES = ("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Identity", "Dropout")
# With a constant on the left and what is computed on the right.
_REVERSED = {"add": "add", "multiply": "multiply", "subtract": "subtract_from"}
_FLOAT = 1  # TensorProto.FLOAT
_KINDS = {"Add": "add", "Sub": "subtract", "Mul": "multiply", "Div": "divide"}


def meaning(context: QonnxContext) -> Meaning:
    """What a node's first result means.

    Raises:
        UnsupportedError: the node is not supported, or not with these operands.
        ModelFormatError: it makes no sense.
    """
    kind = context.node.kind
    operands = [context.optional(index) for index in range(len(context.node.inputs))]
    if kind == "Shape":
        return _shape(context)
    if operands and kind not in QONNX_OPERATORS and all(each is None or isinstance(each, Known) for each in operands):
        return _folded(context)
    if kind not in HANDLERS:
        spelled = sorted({each.rpartition(".")[2] for each in HANDLERS})
        raise UnsupportedError(f"{kind} is not supported in QONNX models; supported: {', '.join(spelled)}")
    return HANDLERS[kind](context)


def _shape(context: QonnxContext) -> Known:
    x = context.operand(0)
    shape = x.array.shape if isinstance(x, Known) else x.shape
    return Known(np.array(shape, np.int64)[context.integer("start", 0) : context.node.attributes.get("end")])


def _folded(context: QonnxContext) -> Known:
    """Computed while reading, as ONNX's reference evaluator does; moved integers keep their scales."""
    known = [context.optional(index) for index in range(len(context.node.inputs))]
    first, *rest = (each.array if isinstance(each, Known) else None for each in known)
    array = fold_node(context.node, [first, *rest], context.opset)
    given = known[0]
    if not isinstance(given, Known) or given.integers is None or context.node.kind not in _MOVES:
        return Known(array)
    integers = fold_node(context.node, [given.integers, *rest], context.opset)
    scales = None if given.scales is None else fold_node(context.node, [given.scales, *rest], context.opset)
    return Known(array, integers, scales)


def _binary(context: QonnxContext) -> Meaning:
    """Add, Sub, Mul, Div: a step where one operand is constant."""
    kind = _KINDS[context.node.kind]
    left, right = context.operand(0), context.operand(1)
    if isinstance(left, Reals) and isinstance(right, Known):
        if kind == "divide" and not right.array.all():
            raise UnsupportedError("divides by zero", remedy="check the constants of the model")
        return context.step(left, kind, right.array)
    if isinstance(left, Known) and isinstance(right, Reals):
        if kind not in _REVERSED:
            raise UnsupportedError("divides a constant by what is computed", remedy="supported: constant divisors")
        return context.step(right, _REVERSED[kind], left.array)
    return pair(context, kind)


def _batch_normalization(context: QonnxContext) -> Meaning:
    """In the order of operations of ONNX's reference: ``s * (x - mean) / sqrt(var + epsilon) + bias``."""
    if context.integer("training_mode", 0):
        raise UnsupportedError("is in training mode", remedy="export the model for inference")
    x = context.reals()
    rank = len(x.shape)
    if rank < 2:
        raise UnsupportedError(f"normalizes a tensor of shape {list(x.shape)}")
    scale, bias, mean, variance = (
        context.array(index).astype(np.float32).reshape(-1, *(1,) * (rank - 2)) for index in range(1, 5)
    )
    varied = variance + np.float32(context.node.attributes.get("epsilon", 1e-5))
    if not (varied > 0).all():
        raise UnsupportedError("divides by a variance that is not positive", remedy="check the trained statistics")
    for kind, constant in (("subtract", mean), ("multiply", scale), ("divide", np.sqrt(varied)), ("add", bias)):
        x = context.step(x, kind, constant)
    return x


def _clip(context: QonnxContext) -> Meaning:
    x = context.reals()
    for kind, name, index in (("maximum", "min", 1), ("minimum", "max", 2)):
        limit = context.attribute_or_array(name, index)
        if limit is not None and abs(float(limit)) < float(np.finfo(np.float32).max):
            x = context.step(x, kind, np.asarray(limit, np.float32).reshape(1))
    return x


def _relu(context: QonnxContext) -> Meaning:
    return context.step(context.reals(), "maximum", np.zeros(1, np.float32))


def _prelu(context: QonnxContext) -> Meaning:
    """With one slope."""
    slopes = np.unique(context.array(1))
    if len(slopes) != 1:
        raise UnsupportedError("has several slopes", remedy="supported: one slope for all channels")
    slope = np.float32(slopes[0])
    return _with_function(context, lambda reals: np.where(reals < 0, reals * slope, reals), bool(slope >= 0))


def _function(context: QonnxContext) -> Meaning:
    return _with_function(context, onnx_functions.FUNCTIONS[context.node.kind](context.node.attributes), False)


def _with_function(context: QonnxContext, function: Callable[[Float32Array], Float32Array], rising: bool) -> Meaning:
    return context.then(context.reals(), Step("increasing" if rising else context.node.kind, None, function))


def _softmax(context: QonnxContext) -> Meaning:
    x = context.reals()
    # Before operator set 13 all axes from this one on are one.
    default = -1 if context.opset >= 13 else 1
    if context.integer("axis", default) % len(x.shape) != len(x.shape) - 1:
        raise UnsupportedError("is over another axis than the last")
    return x.then(Step(SOFTMAX))


def _move(context: QonnxContext) -> Meaning:
    """Reshape, Transpose and their kin: how elements and channels move is what ONNX's reference says of numbers."""
    x = context.operand(0)
    if not isinstance(x, (Reals, Tensor)):
        raise UnsupportedError("moves a constant by what is computed")
    numbers = np.zeros(x.shape, np.int64)
    if isinstance(x, Reals) and x.axis is not None:
        lying = [-1 if axis == x.axis else 1 for axis in range(len(x.shape))]
        numbers = np.broadcast_to(np.arange(x.channels).reshape(lying), x.shape).copy()
    rest = [context.array(index) for index in range(1, len(context.node.inputs))]
    numbers = fold_node(context.node, [numbers, *rest], context.opset)
    move = _mover(context, tuple(numbers.shape))
    if isinstance(x, Tensor):
        return move(x, context.name)
    if x.is_input or x.moves:
        if x.axis is not None:
            raise UnsupportedError(
                "moves channels that are not quantized yet", remedy="quantize in front of it, with one scale"
            )
        return replace(x, shape=numbers.shape, moves=(*x.moves, move), has_moved=True)
    tensor = move(x.tensor, context.label if x.linear else f"{context.name}_moved")
    made = replace(x, tensor=tensor, shape=tensor.shape)
    if x.axis is not None:
        made = _renumbered(made, numbers)
    return judged(context.builder, made, context.name) if made.linear and tensor is not x.tensor else made


def _mover(context: QonnxContext, shape: tuple[int, ...]) -> Move:
    """How the builder does what a node does, whose result has a shape."""
    kind, attributes = context.node.kind, context.node.attributes
    if kind == "Transpose":
        permutation = tuple(int(axis) for axis in attributes.get("perm", range(len(shape))[::-1]))
        return lambda tensor, name: context.builder.transposed(tensor, permutation)  # noqa: ARG005 - nothing is made
    if kind in ("Identity", "Dropout", "Cast"):
        return lambda tensor, name: tensor  # noqa: ARG005 - nothing is made
    return lambda tensor, name: context.builder.reshaped(tensor, shape, name)


def _renumbered(made: Reals, numbers: npt.NDArray[np.int64]) -> Reals:
    """Reals whose channels are elsewhere: of each element of ONNX's tensor, the number of its channel."""
    for axis in range(numbers.ndim):
        first = numbers[tuple(slice(None) if other == axis else 0 for other in range(numbers.ndim))]
        lying = first.reshape([-1 if other == axis else 1 for other in range(numbers.ndim)])
        if (numbers == lying).all():
            break
    else:
        raise UnsupportedError("spreads channels over several axes", remedy="quantize in front of it, with one scale")

    def of(constants: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return constants if len(constants) == 1 else constants[first]

    steps = tuple(step if step.constant is None else replace(step, constant=of(step.constant)) for step in made.steps)
    return replace(
        made,
        axis=axis,
        low=of(made.low),
        high=of(made.high),
        scales=of(made.scales),
        zero_points=of(made.zero_points),
        steps=steps,
    )


def _max_pool(context: QonnxContext) -> Meaning:
    """Of what grows with the integers, of these; else of what the next quantizer makes."""
    if len(context.node.outputs) > 1 and context.node.outputs[1]:
        raise UnsupportedError("makes indices as well")
    x, attributes = context.reals(), context.node.attributes
    if len(x.shape) not in (3, 4) or x.has_moved:
        raise UnsupportedError(f"pools a tensor of shape {list(x.shape)}; supported: lines and images")
    zeros = np.zeros(x.shape, np.float32)
    shape = fold_node(context.node, [zeros], context.opset).shape

    def pool(tensor: Tensor, name: str) -> Tensor:
        return onnx_pools.max_pool(context.builder, tensor, attributes, name)

    direction = x.direction
    if not x.is_input and not x.moves and direction is not None and (direction > 0).all() and x.axis in (None, 1):
        tensor = pool(x.tensor, context.label if x.linear else f"{context.name}_pooled")
        made = replace(x, tensor=tensor, shape=tensor.shape)
        return judged(context.builder, made, context.name) if made.linear else made
    return replace(x, shape=shape, moves=(*x.moves, pool), increasing=True)


def _pad(context: QonnxContext) -> Meaning:
    """By a number that the operand's integers can say."""
    if context.text("mode", "constant") != "constant":
        raise UnsupportedError(f"pads by {context.text('mode', '')}; supported: constant")
    widths = context.attribute_or_array("pads", 1)
    number = context.attribute_or_array("value", 2)
    x = as_integers(context, context.reals(), f"{context.name}_operand0")
    tensor = context.builder.permuted(x.tensor)
    rank = len(tensor.shape)
    if widths is None or np.size(widths) != 2 * rank or np.min(widths) < 0:
        raise UnsupportedError(f"pads {rank} axes by {np.ravel(widths).tolist() if widths is not None else 'nothing'}")
    before, after = (np.reshape(widths, (2, rank)).astype(int)[index].tolist() for index in range(2))
    real = 0.0 if number is None else float(np.reshape(number, -1)[0])
    found = np.rint(real / x.scales + x.zero_points)
    element = tensor.value.type.integer
    said = ((found - x.zero_points) * x.scales).astype(np.float32)
    if np.ptp(found) or not element.contains(int(found[0]), int(found[0])) or (said != np.float32(real)).any():
        raise UnsupportedError(f"pads by {real:g}, which {element} with the operand's scale cannot say")
    if x.axis is not None and before[x.axis] + after[x.axis]:
        raise UnsupportedError("pads channels that have scales of their own")
    value = int(found[0])
    operator = Pad(tuple(before[axis] for axis in tensor.order), tuple(after[axis] for axis in tensor.order), value)
    shape = tuple(before[axis] + size + after[axis] for axis, size in enumerate(tensor.shape))
    made = Tensor(context.builder.node(operator, [tensor.value], context.label), shape, shape, tensor.order)
    reals = replace(x, tensor=made, shape=shape, low=np.minimum(x.low, value), high=np.maximum(x.high, value))
    return judged(context.builder, reals, context.name)


def _cast(context: QonnxContext) -> Meaning:
    """Of integers from outside to binary32."""
    x = context.operand(0)
    if context.integer("to", 0) != _FLOAT:
        raise UnsupportedError("casts to something else than float32")
    if isinstance(x, Tensor):
        element = x.value.type.integer
        ends = np.array([element.minimum]), np.array([element.maximum])
        return Reals(x, x.shape, *ends, np.ones(1), np.zeros(1, np.int64))
    return context.reals()


HANDLERS: Mapping[str, Callable[[QonnxContext], Meaning]] = {
    **dict.fromkeys(_KINDS, _binary),
    **dict.fromkeys(_MOVES, _move),
    **dict.fromkeys(onnx_functions.FUNCTIONS, _function),
    **{
        spelling: {"Quant": quant, "IntQuant": quant, "BipolarQuant": bipolar_quant, "Trunc": trunc}[
            spelling.rpartition(".")[2]
        ]
        for spelling in QONNX_OPERATORS
    },
    "Shape": _shape,
    "Cast": _cast,
    "BatchNormalization": _batch_normalization,
    "Relu": _relu,
    "Clip": _clip,
    "PRelu": _prelu,
    "Softmax": _softmax,
    "Conv": convolution,
    "MatMul": matrix_product,
    "Gemm": matrix_product,
    "MaxPool": _max_pool,
    "AveragePool": average_pool,
    "GlobalAveragePool": average_pool,
    "ReduceMean": reduce_mean,
    "Pad": _pad,
    "Concat": concatenation,
    "TopK": arg_max,
    "ArgMax": arg_max,
}
"""For each operator what makes its meaning."""
