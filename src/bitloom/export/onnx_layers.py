"""Layers, pools and means as ONNX says them: in real numbers, between DequantizeLinear and QuantizeLinear.

Scales of weights are found from the multipliers of the rescale, so that the file says what the operator computes even
where weights carry no scale, or another one: ``sw = M * sy / sx``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from bitloom.arith import Interval, IntType, Rescale
from bitloom.circuits.pool_windows import Windows
from bitloom.errors import UnsupportedError
from bitloom.export.onnx_writer import TO_FIRST, Writer, container
from bitloom.ir import Node, Value
from bitloom.ops.average_pool_2d import AveragePool2d
from bitloom.ops.depthwise_conv_2d import DepthwiseConv2d
from bitloom.ops.fully_connected import FullyConnected
from bitloom.ops.max_pool_2d import MaxPool2d
from bitloom.ops.mean import Mean
from bitloom.ops.rescaled_average_pool import RescaledAveragePool
from bitloom.ops.shared.convolution import ConvolutionOperator
from bitloom.ops.shared.pooling import PoolOperator

Int64Array = npt.NDArray[np.int64]

# Of the scales that a graph's types state and those that its integers mean.
_TOLERANCE = 1e-5


def require_scales(node: Node, meant: float, stated: float) -> None:
    """Refuse operators whose integers mean other scales than their tensors state.

    Raises:
        UnsupportedError: they do.
    """
    if not np.isclose(meant, stated, rtol=_TOLERANCE, atol=0):
        raise UnsupportedError(
            f"multiplies by {meant:g}, and the scales of its tensors say {stated:g}: ONNX would compute something else",
            where=node.where,
            remedy="write a .bitloom file",
        )


def require_zero_points(writer: Writer, node: Node, pairs: Sequence[tuple[Value, int]]) -> None:
    """Refuse operators that take a tensor for another zero point than it states.

    Raises:
        UnsupportedError: one does.
    """
    for value, zero_point in pairs:
        if writer.quantization(value).zero_point != zero_point:
            raise UnsupportedError(
                f"takes '{value.name}' for one with the zero point {zero_point}, and it states another",
                where=node.where,
                remedy="write a .bitloom file",
            )


def convolution(writer: Writer, node: Node, operands: Sequence[Value], result: Value) -> None:
    """Conv: grouped, depthwise or neither."""
    operator = node.operator
    assert isinstance(operator, ConvolutionOperator)
    x, weights = operands[:2]
    require_zero_points(writer, node, [(x, operator.input_zero_point), (result, operator.output_zero_point)])
    scales = _weight_scales(writer, node, x, weights, result, operator.rescale)
    depthwise = isinstance(operator, DepthwiseConv2d)
    kernel = weights.constant.transpose((3, 0, 1, 2) if depthwise else TO_FIRST)
    taps = weights.type.shape[1:3]
    held = _weights(writer, node, kernel, weights, scales, operator.weight_zero_point)
    inputs = [writer.reals(x, first=True), held, *_bias(writer, operands, x, scales, len(kernel))]
    top, bottom, left, right = operator.padding
    made = writer.node(
        "Conv",
        inputs,
        f"{result.name}/sum",
        kernel_shape=taps,
        strides=operator.strides,
        dilations=operator.dilations,
        group=operator.groups(x.type.shape[3], weights.type.shape),
        pads=[top, left, bottom, right],
    )
    writer.give(result, made, first=True, clamp=operator.activation)


def dense(writer: Writer, node: Node, operands: Sequence[Value], result: Value) -> None:
    """Gemm; weights behind flattened images are put in the order in which the images lie."""
    operator = node.operator
    assert isinstance(operator, FullyConnected)
    x, weights = operands[:2]
    require_zero_points(writer, node, [(x, operator.input_zero_point), (result, operator.output_zero_point)])
    scales = _weight_scales(writer, node, x, weights, result, operator.rescale)
    matrix = weights.constant
    outputs, depth = matrix.shape
    rows = x.type.size // depth
    flattened = writer.flattened(x)
    first = flattened is not None and x.type.shape == (rows, depth)
    if first and flattened is not None:
        matrix = matrix.reshape(outputs, *flattened[1:]).transpose(TO_FIRST).reshape(outputs, depth)
    given = writer.reals(x, first=first)
    if x.type.shape != (rows, depth):
        given = writer.reshaped(given, (rows, depth), f"{result.name}/rows")
    held = _weights(writer, node, matrix, weights, scales, operator.weight_zero_point)
    made = writer.node(
        "Gemm", [given, held, *_bias(writer, operands, x, scales, outputs)], f"{result.name}/sum", transB=1
    )
    if result.type.shape == (rows, outputs):
        writer.give(result, made, clamp=operator.activation)
        return
    # Clamped and rounded as rows, and put in shape behind: integers move without rounding.
    made = writer.clamped(made, operator.activation, result)
    writer.give(result, writer.reshaped(made, result.type.shape, f"{result.name}/shaped"))


def _weight_scales(
    writer: Writer, node: Node, x: Value, weights: Value, result: Value, rescale: Rescale
) -> list[float]:
    """One scale, or one for each output."""
    ratio = writer.quantization(result).scale / writer.quantization(x).scale
    stated = weights.type.quantization
    scales = [multiplier * ratio for multiplier in rescale.multipliers]
    for index, scale in enumerate(scales):
        if np.float32(scale) > 0 and np.isfinite(np.float32(scale)):
            continue
        if stated is None or len(stated.scales) not in (1, len(scales)):
            raise UnsupportedError(f"a scale of weights of {scale:g}, which is no binary32 number", where=node.where)
        scales[index] = stated.scales[index % len(stated.scales)]
    return scales


def _weights(
    writer: Writer, node: Node, kernel: Int64Array, weights: Value, scales: Sequence[float], zero_point: int
) -> str:
    """Constant integers, outputs first, as real numbers."""
    element = container(weights.type.integer, constant=True)
    if element.bits > 16:
        raise UnsupportedError(f"ONNX has no quantized weights of {weights.type.element}", where=node.where)
    integers = writer.typed(kernel, element, weights)
    axis = 0 if len(scales) > 1 else None
    return writer.dequantized(integers, scales, [zero_point] * len(scales), element, axis)


def _bias(writer: Writer, operands: Sequence[Value], x: Value, scales: Sequence[float], outputs: int) -> list[str]:
    """The bias, in steps of the products: int32, or real numbers where it is wider."""
    if len(operands) < 3:
        return []
    bias = operands[2]
    steps = bias.constant.reshape(-1)
    products = [writer.quantization(x).scale * scale for scale in scales]
    if IntType(32).contains(int(steps.min()), int(steps.max())) and np.array(products, np.float32).min() > 0:
        integers = writer.typed(steps, IntType(32), bias)
        axis = 0 if len(products) > 1 else None
        return [writer.dequantized(integers, products, [0] * len(products), IntType(32), axis)]
    return [writer.constant((steps * np.resize(products, outputs)).astype(np.float32), bias)]


def pool(writer: Writer, node: Node, operands: Sequence[Value], result: Value) -> None:
    """MaxPool or AveragePool; TFLite's average integers as they are, at the input's scale."""
    operator = node.operator
    assert isinstance(operator, (PoolOperator, RescaledAveragePool))
    (x,) = operands
    given, made = writer.quantization(x), writer.quantization(result)
    attributes: dict[str, object] = {}
    if isinstance(operator, RescaledAveragePool):
        require_scales(node, operator.ratio, given.scale / made.scale)
        require_zero_points(writer, node, [(x, operator.input_zero_point), (result, operator.output_zero_point)])
        attributes["count_include_pad"] = int(operator.counts_padding)
    elif given != made:
        require_zero_points(writer, node, [(result, given.zero_point)])
        require_scales(node, 1.0, given.scale / made.scale)
    windows = operator.windows(x.type.shape)
    before, after = [window.before for window in windows], [_behind(window) for window in windows]
    if isinstance(operator, AveragePool2d):
        attributes["count_include_pad"] = 0
    real = writer.node(
        "MaxPool" if isinstance(operator, MaxPool2d) else "AveragePool",
        [writer.reals(x, first=True)],
        f"{result.name}/pooled",
        kernel_shape=operator.window,
        strides=operator.strides,
        pads=[*before, *after],
        **attributes,
    )
    writer.give(result, real, first=True, clamp=operator.activation)


def _behind(window: Windows) -> int:
    """Padding behind the elements of an axis, as much as the last window reaches."""
    return max(0, (window.outputs - 1) * window.stride + window.taps - window.size - window.before)


def mean(writer: Writer, node: Node, operands: Sequence[Value], result: Value) -> None:
    """ReduceMean."""
    operator = node.operator
    assert isinstance(operator, Mean)
    (x,) = operands
    require_zero_points(writer, node, [(x, operator.input_zero_point), (result, operator.output_zero_point)])
    stated = writer.quantization(x).scale / writer.quantization(result).scale
    require_scales(node, operator.ratio, stated)
    # With channels first the other axes keep their order where none is left between them.
    spatial = writer.is_first(x) and len(x.type.shape) == 4 and set(operator.axes) >= {1, 2}
    axes = [TO_FIRST.index(axis) if spatial else axis for axis in operator.axes]
    held = writer.constant(np.array(sorted(axes), np.int64), f"{result.name}/axes")
    given = writer.reals(x, first=spatial)
    made = writer.node("ReduceMean", [given, held], f"{result.name}/mean", keepdims=int(operator.keep_dims))
    element = result.type.integer
    writer.give(result, made, first=spatial and operator.keep_dims, clamp=Interval(element.minimum, element.maximum))
