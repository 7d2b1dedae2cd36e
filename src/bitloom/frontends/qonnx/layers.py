"""Layers of QONNX: exact sums of products of integers, whose reals are those of the scales.

The format multiplies and adds reals in binary32. Where scales are powers of two and sums stay below 2**24, that is
exact, and so is what is computed here. Otherwise its result depends on the order of additions; here the integer sum is
exact, times the scales' exact product, rounded once to binary32.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from bitloom.arith import Interval, IntType, Rescale, Rounding, dot_product_range
from bitloom.errors import UnsupportedError
from bitloom.frontends.onnx.values import Tensor
from bitloom.frontends.onnx.windows import images_made, lifted, lowered, window_of
from bitloom.frontends.qonnx.context import QonnxContext
from bitloom.frontends.qonnx.quantizers import applied, judged, pieces_of
from bitloom.frontends.qonnx.values import Float64Array, Int64Array, Known, Meaning, Reals, Step
from bitloom.ir import Value
from bitloom.ops.conv_2d import Conv2d
from bitloom.ops.depthwise_conv_2d import DepthwiseConv2d
from bitloom.ops.fully_connected import FullyConnected

_WIDEST_SUM = 61
EXACT_REACH = 2**24
"""Below this binary32 holds every integer."""
_EXACT = Rescale((1.0,), Rounding.TRUNCATE)


def linear(context: QonnxContext, index: int = 0) -> Reals:
    """An operand as integers with scales: rectified in integers, its factors moved into the scales.

    Raises:
        UnsupportedError: it is computed in floating point and not quantized.
    """
    return as_integers(context, context.reals(index), f"{context.name}_operand{index}")


def as_integers(context: QonnxContext, x: Reals, name: str) -> Reals:
    """Reals as integers with scales; `name` is for the values made on the way.

    Raises:
        UnsupportedError: they are no integers with scales.
    """
    if x.is_input or x.moves or not all(_keeps_integers(step) for step in x.steps):
        raise UnsupportedError(
            f"reads '{context.node.inputs[0]}' in floating point, and integers are needed",
            remedy="put a Quant behind what computes it",
        )
    made = replace(x, steps=())
    for step in x.steps:
        if step.kind == "maximum":
            made = _rectified(context, made, name)
        else:
            assert step.constant is not None
            factor = step.constant.astype(np.float64)
            scales = made.scales * factor if step.kind == "multiply" else made.scales / factor
            made = replace(made, scales=scales, exact=made.exact and bool((np.frexp(factor)[0] == 0.5).all()))
    return made


def _rectified(context: QonnxContext, x: Reals, name: str) -> Reals:
    """The integers, none of them below its zero point."""
    points = np.broadcast_to(x.zero_points, (x.channels,))
    bare = replace(x, scales=np.ones(1), zero_points=np.zeros(1, np.int64))
    pieces = pieces_of(bare, lambda reals, channels: np.maximum(reals.astype(np.int64), points[channels]))
    tensor = applied(context.builder, bare, pieces, x.tensor.value.type.integer, f"{name}_rectified")
    return replace(x, tensor=tensor, low=np.array([pieces.low]), high=np.array([pieces.high]))


def _keeps_integers(step: Step) -> bool:
    """Whether integers with scales stay such: rectified, or times positive numbers."""
    if step.constant is None:
        return False
    if step.kind == "maximum":
        return not step.constant.any()
    return step.kind in ("multiply", "divide") and bool((step.constant > 0).all())


def one_scale(x: Reals) -> float:
    """The scale of all elements.

    Raises:
        UnsupportedError: there are several.
    """
    if len(np.unique(x.scales)) > 1 or len(np.unique(x.zero_points)) > 1:
        raise UnsupportedError(
            "sums over channels whose scales or zero points differ", remedy="quantize its operand with one scale"
        )
    return float(x.scales[0])


def weights(context: QonnxContext, index: int, outputs: int) -> tuple[Int64Array, Float64Array]:
    """Constant weights as integers, and a scale per output.

    Args:
        context: of the node.
        index: of the operand.
        outputs: the axis of outputs.

    Raises:
        UnsupportedError: no quantized constants, or scales that vary along another axis.
    """
    found = context.operand(index)
    if not isinstance(found, Known):
        raise UnsupportedError("multiplies two computed tensors", remedy="supported: constant weights")
    integers, scales = found.integers, found.scales
    if integers is None or scales is None:
        integers, scales = _integral(found.array)
    rows = np.moveaxis(scales, outputs, 0).reshape(scales.shape[outputs], -1)
    used = np.moveaxis(integers, outputs, 0).reshape(rows.shape) != 0
    first = np.array([row[mask][0] if mask.any() else row[0] for row, mask in zip(rows, used, strict=True)])
    if ((rows != first[:, None]) & used).any():
        raise UnsupportedError(
            "has weights whose scales vary along their inputs", remedy="quantize them with one scale per output"
        )
    return integers, first


def _integral(array: npt.NDArray[Any]) -> tuple[Int64Array, Float64Array]:
    """Constants that are integers already, or all of one magnitude."""
    reals = array.astype(np.float64)
    magnitude = float(np.abs(reals).max())
    if magnitude < 2.0**31 and (reals == np.rint(reals)).all():
        return reals.astype(np.int64), np.ones(reals.shape)
    if (np.isin(np.abs(reals), (0.0, magnitude))).all():
        return np.sign(reals).astype(np.int64), np.full(reals.shape, magnitude)
    raise UnsupportedError("has weights that are not quantized", remedy="put a Quant behind them")


def sums(
    context: QonnxContext,
    x: Reals,
    rows: Int64Array,
    made: Tensor,
    scales: Float64Array,
    axis: int,
    bias: npt.NDArray[Any] | None,
) -> Reals:
    """The reals of sums of products.

    Args:
        context: of the node.
        x: the layer's input.
        rows: integer weights of each output, shape (outputs, terms).
        made: the sums.
        scales: one per output.
        axis: of the outputs.
        bias: added in binary32; the value is then known as the file's tensor less the bias.
    """
    zero = int(x.zero_points[0])
    inputs = Interval(min(int(x.low.min()), zero), max(int(x.high.max()), zero))
    low, high = dot_product_range(rows, -zero * rows.sum(axis=1), inputs)
    scales = scales[:1] if (scales == scales[0]).all() else scales
    exact = bool((np.frexp(scales)[0] == 0.5).all() and max(-low.min(), high.max()) < EXACT_REACH)
    reals = Reals(made, made.shape, low, high, scales, np.zeros(1, np.int64), axis, exact=exact)
    if bias is None:
        return reals
    numbers = np.asarray(bias, np.float32).reshape(-1)
    if numbers.size not in (1, len(rows)):
        raise UnsupportedError(f"has a bias of shape {list(np.shape(bias))} for {len(rows)} outputs")
    return judged(context.builder, reals, context.name, numbers).then(Step("add", numbers))


def convolution(context: QonnxContext) -> Meaning:
    """Conv, of lines and images, grouped, depthwise or neither."""
    x, builder = linear(context), context.builder
    integers, scales = weights(context, 1, 0)
    groups = context.integer("group", 1)
    channels = x.tensor.shape[1]
    if integers.ndim != len(x.tensor.shape) or groups * integers.shape[1] != channels or len(integers) % groups:
        raise UnsupportedError(
            f"has weights of shape {list(integers.shape)} in {groups} groups for a tensor {list(x.tensor.shape)}"
        )
    depthwise = integers.shape[1] == 1 and groups > 1
    if depthwise and x.axis == 1:
        if len(np.unique(x.zero_points)) > 1:
            one_scale(x)
        scales = scales * np.repeat(np.broadcast_to(x.scales, (channels,)), len(integers) // groups)
    else:
        scales = scales * one_scale(x)
    images = lifted(builder, x.tensor)
    kernel = integers if integers.ndim == 4 else integers[:, :, None]
    window = window_of(builder, images.shape[2:], integers.shape[2:], context.node.attributes)
    if window.overhangs:
        raise UnsupportedError("has windows that hang over the padding (ceil_mode)")
    zero = _padding_zero(x, window.pads)
    order = (1, 2, 3, 0) if depthwise else (0, 2, 3, 1)
    element = x.tensor.value.type.integer
    rows = integers.reshape(len(integers), -1)
    operator = (DepthwiseConv2d if depthwise else Conv2d)(
        **_exact_sums(element, rows, zero),
        strides=window.strides,
        dilations=window.dilations,
        padding=window.pads,
    )
    rank = len(x.tensor.shape)
    bias = None if context.optional(2) is None else context.array(2)
    name = _name(context, bias is None and rank == 4)
    operands = [builder.images(images).value, _constant(context, kernel.transpose(order))]
    made = lowered(builder, images_made(builder.node(operator, operands, name)), rank, _name(context, bias is None))
    found = sums(context, x, rows, made, scales, 1, bias)
    return judged(builder, found, context.name) if bias is None else found


def average_pool(context: QonnxContext) -> Meaning:
    """AveragePool, GlobalAveragePool: the sum of each window, divided in binary32."""
    x, builder = linear(context), context.builder
    images = lifted(builder, x.tensor)
    attributes = {} if context.node.kind == "GlobalAveragePool" else context.node.attributes
    rank = len(x.tensor.shape)
    taps = [int(size) for size in attributes.get("kernel_shape", x.tensor.shape[2:])]
    window = window_of(builder, images.shape[2:], taps, attributes)
    if window.overhangs or (any(window.pads) and not attributes.get("count_include_pad", 0)):
        raise UnsupportedError(
            "averages windows whose padding does not count", remedy="set count_include_pad, or pad before"
        )
    return _averaged(context, x, images, window.taps, window.strides, window.dilations, window.pads, rank)


def reduce_mean(context: QonnxContext) -> Meaning:
    """ReduceMean over all of an image."""
    x = linear(context)
    axes = context.attribute_or_array("axes", 1)
    rank = len(x.tensor.shape)
    found = sorted(int(axis) % rank for axis in np.reshape(axes, -1)) if axes is not None else list(range(rank))
    if rank not in (3, 4) or found != list(range(2, rank)):
        raise UnsupportedError(f"averages the axes {found} of {list(x.tensor.shape)}; supported: those behind channels")
    images = lifted(context.builder, x.tensor)
    taps = (images.shape[2], images.shape[3])
    made = _averaged(context, x, images, taps, (1, 1), (1, 1), (0, 0, 0, 0), rank)
    if context.integer("keepdims", 1):
        return made
    shape = made.shape[:2]
    return replace(made, tensor=context.builder.reshaped(made.tensor, shape, context.label), shape=shape)


def _averaged(
    context: QonnxContext,
    x: Reals,
    images: Tensor,
    taps: tuple[int, int],
    strides: tuple[int, int],
    dilations: tuple[int, int],
    pads: tuple[int, int, int, int],
    rank: int,
) -> Reals:
    builder, element = context.builder, x.tensor.value.type.integer
    channels = images.shape[1]
    if len(np.unique(x.zero_points)) > 1:
        one_scale(x)
    zero = _padding_zero(x, pads)
    rows = np.ones((channels, math.prod(taps)), np.int64)
    operator = DepthwiseConv2d(**_exact_sums(element, rows, zero), strides=strides, dilations=dilations, padding=pads)
    operands = [builder.images(images).value, _constant(context, np.ones((1, *taps, channels), np.int64))]
    name = _name(context, named=False)
    made = lowered(builder, images_made(builder.node(operator, operands, name)), rank, f"{name}_lines")
    scales = np.broadcast_to(x.scales, (channels,)) if x.axis == 1 else np.full(channels, one_scale(x))
    divided = Step("divide", np.array([math.prod(taps)], np.float32))
    return sums(context, replace(x, zero_points=np.array([zero])), rows, made, scales, 1, None).then(divided)


def matrix_product(context: QonnxContext) -> Meaning:
    """MatMul, Gemm: rows times a constant matrix."""
    is_gemm = context.node.kind == "Gemm"
    if is_gemm and context.integer("transA", 0):
        raise UnsupportedError("has transA", remedy="transpose the operand in front")
    x, builder = linear(context), context.builder
    outputs = 0 if is_gemm and context.integer("transB", 0) else 1
    found = context.operand(1)
    if isinstance(found, Known) and found.array.ndim != 2:
        raise UnsupportedError(f"multiplies by a constant of shape {list(found.array.shape)}; supported: a matrix")
    integers, scales = weights(context, 1, outputs)
    rows = integers if outputs == 0 else integers.T
    tensor = x.tensor
    if not tensor.shape or tensor.shape[-1] != rows.shape[1]:
        raise UnsupportedError(f"multiplies a tensor of shape {list(tensor.shape)} by {list(integers.shape)}")
    scale, matrix = one_scale(x), rows
    if not tensor.is_plain and len(tensor.shape) == 2 and tensor.order[0] == 0 and tensor.factors[0] == tensor.shape[0]:
        # Images flattened as they lie: the weights are brought into their order, once.
        matrix = rows.reshape(len(rows), *tensor.factors[1:]).transpose(tensor.order).reshape(rows.shape)
    else:
        tensor = builder.plain(tensor)
    alpha, beta = (float(context.node.attributes.get(name, 1.0)) for name in ("alpha", "beta"))
    bias = context.array(2) if is_gemm and beta and context.optional(2) is not None else None
    operator = FullyConnected(
        **_exact_sums(tensor.value.type.integer, rows, int(x.zero_points[0])), keep_dims=len(tensor.shape) != 2
    )
    value = builder.node(
        operator, [tensor.value, _constant(context, matrix)], _name(context, bias is None and alpha == 1)
    )
    axis = len(tensor.shape) - 1
    made = sums(context, x, rows, Tensor.plain(value), scales * scale, axis, None)
    if bias is None and alpha == 1:
        return judged(builder, made, context.name)
    if alpha != 1:
        made = context.step(made, "multiply", np.array([alpha], np.float32))
    if bias is None:
        return made
    added = context.step(made, "add", bias.astype(np.float32) * np.float32(beta))
    if not made.steps:
        judged(builder, replace(added, steps=()), context.name, added.steps[0].constant)
    return added


def _exact_sums(element: IntType, rows: Int64Array, zero: int) -> dict[str, Any]:
    """The integer parameters of a layer whose results are its sums."""
    extremes = Interval(element.minimum, element.maximum)
    reach = max(element.maximum - min(zero, 0), max(zero, 0) - element.minimum) * int(np.abs(rows).sum(axis=1).max())
    if reach.bit_length() > _WIDEST_SUM:
        raise UnsupportedError(
            f"has sums of {reach.bit_length() + 1} bits; up to {_WIDEST_SUM + 1} are supported",
            remedy="quantize its operands to fewer bits",
        )
    low, high = dot_product_range(rows, -zero * rows.sum(axis=1), extremes)
    output = IntType(Interval(min(int(low.min()), 0), max(int(high.max()), 0)).signed_bits)
    return {
        "input_zero_point": zero,
        "weight_zero_point": 0,
        "output_zero_point": 0,
        "rescale": _EXACT,
        "activation": Interval(output.minimum, output.maximum),
        "output": output,
    }


def _padding_zero(x: Reals, pads: Sequence[int]) -> int:
    """The zero point, which padding has."""
    zero = int(x.zero_points[0])
    element = x.tensor.value.type.integer
    if any(pads) and not element.contains(zero, zero):
        raise UnsupportedError(
            f"pads with zeros, which {element} with the zero point {zero} cannot say",
            remedy="quantize its operand so that zero is one of its numbers",
        )
    return zero


def _constant(context: QonnxContext, integers: Int64Array) -> Value:
    element = IntType.holding(int(integers.min()), int(integers.max()))
    return context.builder.constant(f"{context.name}_weights", integers, element)


def _name(context: QonnxContext, named: bool) -> str:
    """The file's, where the value is the file's tensor."""
    return context.label if named else f"{context.name}_sums"
