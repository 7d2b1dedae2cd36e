"""Layers of ONNX as integer operators: convolutions, matrix products, pools, sums; their scales, and how they round.

Between DequantizeLinear and QuantizeLinear ONNX defines a layer in real numbers; here it is computed exactly in
integers and rounded once, halves to even, by the real multiplier ``sx * sw / sy``. ONNX Runtime computes it in binary32
and so may differ by one where the real result is within its error of a half. The quantized operators (QLinearConv and
others) are defined by ONNX Runtime as an integer sum times a binary32 multiplier, which `Rounding.FLOAT32` is exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bitloom.arith import Interval, IntType, Rescale, Rounding
from bitloom.circuits.convolution_geometry import Axis
from bitloom.circuits.pool_windows import Padding
from bitloom.errors import UnsupportedError
from bitloom.frontends.onnx_builder import GraphBuilder
from bitloom.frontends.onnx_values import CHANNELS_LAST, Bounds, Computed, Constant, Dequantized, Scale, Tensor
from bitloom.ir import Operator, Value
from bitloom.ops.conv_2d import Conv2d
from bitloom.ops.depthwise_conv_2d import DepthwiseConv2d
from bitloom.ops.fully_connected import FullyConnected
from bitloom.ops.max_pool_2d import MaxPool2d
from bitloom.ops.pad import Pad
from bitloom.ops.rounded_softmax import RoundedSoftmax

Pads = tuple[int, int, int, int]


@dataclass(frozen=True)
class Linear:
    """What layers with weights share.

    Attributes:
        builder: of the graph.
        x: the layer's input.
        weights: of the file, integers.
        in_binary32: whether the format multiplies the sum by a binary32 number, else by a real one.
        output_axis: of the weights.
    """

    builder: GraphBuilder
    x: Dequantized
    weights: Constant
    output_axis: int
    in_binary32: bool = False

    @property
    def integers(self) -> npt.NDArray[Any]:
        """The weights.

        Raises:
            UnsupportedError: real numbers.
        """
        if self.weights.integers is None or str(self.weights.integers.dtype) not in ("int8", "uint8"):
            raise UnsupportedError(
                "has weights that are not quantized to 8 bits", where=self.builder.where, remedy="quantize them, too"
            )
        axis, rank = self.weights.axis, self.weights.integers.ndim
        if axis is not None and axis % rank != self.output_axis:
            raise UnsupportedError(
                f"has weights quantized along axis {axis}; only along that of its outputs, {self.output_axis}, are "
                "sums of products possible",
                where=self.builder.where,
            )
        return self.weights.integers

    @property
    def element(self) -> IntType:
        """Of the weights."""
        return IntType.parse(str(self.integers.dtype))

    @property
    def zero_point(self) -> int:
        """Of all weights."""
        found = set(self.weights.zero_points)
        if len(found) != 1:
            raise UnsupportedError("has weights with zero points that differ", where=self.builder.where)
        return found.pop()

    def rescale(self, made: Scale) -> Rescale:
        """From sums to results."""
        if self.in_binary32:
            with np.errstate(over="ignore", under="ignore"):
                product = np.float32(self.x.scale.scale) * np.array(self.weights.scales, np.float32)
                multipliers = (product / np.float32(made.scale)).astype(np.float64).tolist()
            return Rescale(tuple(multipliers), Rounding.FLOAT32)
        scales = (self.x.scale.scale * scale / made.scale for scale in self.weights.scales)
        return Rescale(tuple(scales), Rounding.HALF_EVEN)

    def bias(self, given: Constant | None, outputs: int, name: str) -> list[Value]:
        """The bias as sums of products count: integers of the product of the scales."""
        if given is None:
            return []
        if given.array.size != outputs:
            if given.array.size != 1:
                raise UnsupportedError(
                    f"has a bias of shape {list(given.array.shape)} for {outputs} outputs", where=self.builder.where
                )
            given = Constant(np.full(outputs, given.array.reshape(-1)[0]))
        products = np.array([self.x.scale.scale * scale for scale in self.weights.scales])
        if given.integers is not None and given.integers.dtype == np.int32 and not any(given.zero_points):
            scales = np.array(given.scales)
            if np.allclose(scales, products, rtol=1e-4, atol=0):
                return [self.builder.constant(f"{name}_bias", given.integers.reshape(-1), IntType(32))]
        steps = np.rint(given.array.astype(np.float64).reshape(-1) / products)
        if np.abs(steps).max() >= 2**31:
            raise UnsupportedError("has a bias beyond int32 in steps of its products", where=self.builder.where)
        return [self.builder.constant(f"{name}_bias", steps.astype(np.int64), IntType(32))]


def convolution(linear: Linear, bias: Constant | None, attributes: Mapping[str, Any]) -> Computed:
    """Conv: grouped, depthwise or neither."""
    builder = linear.builder
    weights, groups = linear.integers, int(attributes.get("group", 1))
    if weights.ndim != 4 or len(linear.x.tensor.shape) != 4:
        raise UnsupportedError(f"convolves {weights.ndim - 2} dimensions; supported: 2", where=builder.where)
    outputs, depth = weights.shape[:2]
    if groups * depth != linear.x.tensor.shape[1]:
        raise UnsupportedError(
            f"has weights of shape {list(weights.shape)} in {groups} groups for {linear.x.tensor.shape[1]} channels",
            where=builder.where,
        )
    depthwise = depth == 1 and groups > 1
    strides, dilations, pads = window(builder, linear.x.tensor, weights.shape[2:], attributes)
    kind = DepthwiseConv2d if depthwise else Conv2d

    def make(made: Scale, bounds: Bounds, name: str) -> Tensor:
        tensor = builder.images(linear.x.tensor)
        order = (1, 2, 3, 0) if depthwise else (0, 2, 3, 1)
        kernel = builder.constant(f"{name}_weights", weights.transpose(order), linear.element)
        operator: Operator = kind(
            input_zero_point=linear.x.scale.zero_point,
            weight_zero_point=linear.zero_point,
            output_zero_point=made.zero_point,
            rescale=linear.rescale(made),
            activation=made.clamp(bounds),
            output=made.element,
            strides=strides,
            dilations=dilations,
            padding=pads,
        )
        operands = [tensor.value, kernel, *linear.bias(bias, outputs, name)]
        return images_made(builder.node(operator, operands, name, made))

    return Computed(make, with_bias=None if bias else lambda given: convolution(linear, given, attributes))


def images_made(value: Value) -> Tensor:
    """A value with channels last."""
    batch, height, width, channels = value.type.shape
    shape = (batch, channels, height, width)
    return Tensor(value, shape, shape, CHANNELS_LAST)


def matrix_product(linear: Linear, bias: Constant | None) -> Computed:
    """Rows times a constant matrix (K, N), or (N, K) where its outputs lie along axis 0."""
    builder, x = linear.builder, linear.x.tensor
    weights = linear.integers
    if weights.ndim != 2:
        raise UnsupportedError(f"multiplies by a constant of shape {list(weights.shape)}", where=builder.where)
    rows = weights if linear.output_axis == 0 else weights.T
    if not x.shape or x.shape[-1] != rows.shape[1]:
        raise UnsupportedError(
            f"multiplies a tensor of shape {list(x.shape)} by {list(weights.shape)}", where=builder.where
        )

    def make(made: Scale, bounds: Bounds, name: str) -> Tensor:
        tensor, matrix = x, rows
        if not x.is_plain and len(x.shape) == 2 and x.order[0] == 0 and x.factors[0] == x.shape[0]:
            # Images flattened as they lie: the weights are brought into their order, once.
            matrix = rows.reshape(len(rows), *x.factors[1:]).transpose(x.order).reshape(rows.shape)
        else:
            tensor = builder.plain(x)
        constant = builder.constant(f"{name}_weights", matrix, linear.element)
        operator = FullyConnected(
            input_zero_point=linear.x.scale.zero_point,
            weight_zero_point=linear.zero_point,
            output_zero_point=made.zero_point,
            rescale=linear.rescale(made),
            activation=made.clamp(bounds),
            output=made.element,
            keep_dims=len(x.shape) != 2,
        )
        operands = [tensor.value, constant, *linear.bias(bias, len(rows), name)]
        return Tensor.plain(builder.node(operator, operands, name, made))

    return Computed(make, with_bias=None if bias else lambda given: matrix_product(linear, given))


def average_pool(builder: GraphBuilder, x: Dequantized, attributes: Mapping[str, Any]) -> Computed:
    """AveragePool: a depthwise convolution by ones whose multiplier divides; padding must count, or be none."""
    shape = x.tensor.shape
    if len(shape) != 4:
        raise UnsupportedError(f"pools a tensor of shape {list(shape)}; supported: images", where=builder.where)
    taps = tuple(int(size) for size in attributes.get("kernel_shape", shape[2:]))
    strides, dilations, pads = window(builder, x.tensor, taps, attributes)
    if any(pads) and not attributes.get("count_include_pad", 0):
        raise UnsupportedError(
            "averages windows without their padding", where=builder.where, remedy="set count_include_pad, or pad before"
        )

    def make(made: Scale, bounds: Bounds, name: str) -> Tensor:
        ones = np.ones((1, *taps, shape[1]), np.int8)
        operator = DepthwiseConv2d(
            input_zero_point=x.scale.zero_point,
            weight_zero_point=0,
            output_zero_point=made.zero_point,
            rescale=Rescale((x.scale.scale / (made.scale * taps[0] * taps[1]),), Rounding.HALF_EVEN),
            activation=made.clamp(bounds),
            output=made.element,
            strides=strides,
            dilations=dilations,
            padding=pads,
        )
        operands = [builder.images(x.tensor).value, builder.constant(f"{name}_ones", ones, IntType(8))]
        return images_made(builder.node(operator, operands, name, made))

    return Computed(make)


def softmax(builder: GraphBuilder, x: Dequantized, attributes: Mapping[str, Any]) -> Computed:
    """Over the last axis."""
    rank = len(x.tensor.shape)
    if int(attributes.get("axis", -1)) % rank != rank - 1:
        raise UnsupportedError(f"is over axis {attributes['axis']} of {rank}; supported: the last", where=builder.where)

    def make(made: Scale, bounds: Bounds, name: str) -> Tensor:
        tensor = builder.plain(x.tensor)
        operator = RoundedSoftmax(tensor.value.type.integer, made.element, x.scale.scale, made.scale, made.zero_point)
        value = builder.node(operator, [tensor.value], name, made)
        return builder.clamped(Tensor.plain(value), made, bounds, name)

    return Computed(make)


def max_pool(builder: GraphBuilder, x: Tensor, attributes: Mapping[str, Any], name: str) -> Tensor:
    """MaxPool, of integers as of the reals they stand for."""
    tensor = builder.images(x)
    taps = tuple(int(size) for size in attributes["kernel_shape"])
    strides, dilations, pads = window(builder, x, taps, attributes)
    if dilations != (1, 1):
        raise UnsupportedError("pools with dilations", where=builder.where)
    value, element = tensor.value, tensor.value.type.integer
    if any(pads):
        # The smallest integer never wins.
        top, bottom, left, right = pads
        operator = Pad((0, top, left, 0), (0, bottom, right, 0), element.minimum)
        value = builder.node(operator, [value], f"{name}_padded")
    pool = MaxPool2d((taps[0], taps[1]), strides, Padding.VALID, Interval(element.minimum, element.maximum))
    made = builder.node(pool, [value], name)
    quantization = tensor.value.type.quantization
    if quantization:
        made = builder.quantized(made, quantization)
    return images_made(made)


def window(
    builder: GraphBuilder, x: Tensor, taps: tuple[int, ...], attributes: Mapping[str, Any]
) -> tuple[tuple[int, int], tuple[int, int], Pads]:
    """Strides, dilations, and padding above, below, left and right, of a layer of ONNX.

    Raises:
        UnsupportedError: other than two dimensions, or an output size rounded up.
    """
    if len(taps) != 2 or len(x.shape) != 4:
        raise UnsupportedError(f"has a window of {len(taps)} dimensions; supported: 2", where=builder.where)
    strides, dilations = (
        tuple(int(step) for step in attributes.get(name, (1, 1))) for name in ("strides", "dilations")
    )
    pads = tuple(int(size) for size in attributes.get("pads", (0, 0, 0, 0)))
    automatic = attributes.get("auto_pad", b"NOTSET").decode()
    axes = [
        Axis.same(size, tap, stride, dilation)
        for size, tap, stride, dilation in zip(x.shape[2:], taps, strides, dilations, strict=True)
    ]
    if automatic in ("SAME_UPPER", "SAME_LOWER"):
        pads = (axes[0].before, axes[1].before, axes[0].after, axes[1].after)
        pads = pads if automatic == "SAME_UPPER" else (*pads[2:], *pads[:2])
    elif automatic == "VALID":
        pads = (0, 0, 0, 0)
    if min(pads) < 0 or len(pads) != 4:
        raise UnsupportedError(f"has the padding {list(pads)}", where=builder.where)
    top, left, bottom, right = pads
    if attributes.get("ceil_mode", 0):
        for size, tap, stride, before, after in zip(
            x.shape[2:], taps, strides, (top, left), (bottom, right), strict=True
        ):
            if (size + before + after - tap) % stride:
                raise UnsupportedError("has ceil_mode, with a last window that hangs over", where=builder.where)
    return (strides[0], strides[1]), (dilations[0], dilations[1]), (top, bottom, left, right)
