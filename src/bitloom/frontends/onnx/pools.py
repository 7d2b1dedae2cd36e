"""Pools of ONNX and reductions along axes, which are pools over images that a tensor is seen as."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bitloom.arith import Interval, IntType, Rescale, Rounding
from bitloom.circuits.pool_windows import Padding
from bitloom.errors import UnsupportedError
from bitloom.frontends.onnx.averages import Binary32, binary32_average, binary32_global_average
from bitloom.frontends.onnx.builder import GraphBuilder
from bitloom.frontends.onnx.values import Bounds, Computed, Dequantized, Scale, Tensor
from bitloom.frontends.onnx.windows import Window, images_made, lifted, lowered, lowered_behind, window_of
from bitloom.ir import Value
from bitloom.ops.depthwise_conv_2d import DepthwiseConv2d
from bitloom.ops.max_pool_2d import MaxPool2d
from bitloom.ops.pad import Pad
from bitloom.ops.rescaled_average_pool import RescaledAveragePool


def average_pool(
    builder: GraphBuilder, x: Dequantized, attributes: Mapping[str, Any], *, binary32: Binary32 | None = None
) -> Computed:
    """AveragePool; GlobalAveragePool without attributes.

    Args:
        builder: of the graph.
        x: what is averaged.
        attributes: of the node.
        binary32: whose errors decide halves; None if none do.
    """
    rank, images = len(x.tensor.shape), lifted(builder, x.tensor)
    taps = [int(size) for size in attributes.get("kernel_shape", x.tensor.shape[2:])]
    window = window_of(builder, images.shape[2:], taps, attributes)
    counts_padding = bool(attributes.get("count_include_pad", 0)) and any(window.pads)
    if window.overhangs and counts_padding:
        raise UnsupportedError(
            "counts padding in windows that hang over it (ceil_mode)", where=builder.where, remedy="set ceil_mode to 0"
        )
    if window.dilations != (1, 1) and any(window.pads) and not counts_padding:
        raise UnsupportedError(
            "averages dilated windows without their padding",
            where=builder.where,
            remedy="set count_include_pad, or pad before",
        )

    def make(made: Scale, bounds: Bounds, name: str) -> Tensor:
        found, whole = None, window.taps == images.shape[2:] and not any(window.pads)
        if binary32 is Binary32.AVERAGE_POOL and whole:
            found = binary32_global_average(builder, images, x.scale, made, bounds, name)
        elif binary32 not in (None, Binary32.QLINEAR_GLOBAL_AVERAGE_POOL) and (counts_padding or not any(window.pads)):
            found = binary32_average(builder, images, x.scale, window, made, bounds, name, binary32=binary32)
        if found is not None:
            return found
        value = builder.images(images).value
        if window.dilations != (1, 1):
            return images_made(_dilated_average(builder, value, x.scale, window, made, bounds, name))
        multiplied = binary32 is Binary32.QLINEAR_GLOBAL_AVERAGE_POOL
        operator = RescaledAveragePool(
            window=window.taps,
            strides=window.strides,
            padding=window.pads,
            counts_padding=counts_padding,
            input_zero_point=x.scale.zero_point,
            output_zero_point=made.zero_point,
            ratio=_binary32_ratio(x.scale, made, window) if multiplied else x.scale.scale / made.scale,
            rounding=Rounding.FLOAT32 if multiplied else Rounding.HALF_EVEN,
            activation=made.clamp(bounds),
            output=made.element,
        )
        return images_made(builder.node(operator, [value], name, made))

    return lowered_behind(builder, Computed(make), rank)


def _binary32_ratio(given: Scale, made: Scale, window: Window) -> float:
    """Which, divided by the count, is the binary32 number that QLinearGlobalAveragePool multiplies by."""
    count = math.prod(window.taps)
    with np.errstate(over="ignore", under="ignore"):
        multiplier = np.float32(given.scale) / (np.float32(made.scale) * np.float32(count))
    return float(multiplier) * count


def _dilated_average(
    builder: GraphBuilder, value: Value, given: Scale, window: Window, made: Scale, bounds: Bounds, name: str
) -> Value:
    """A depthwise convolution by ones whose multiplier divides."""
    ones = np.ones((1, *window.taps, value.type.shape[3]), np.int8)
    operator = DepthwiseConv2d(
        input_zero_point=given.zero_point,
        weight_zero_point=0,
        output_zero_point=made.zero_point,
        rescale=Rescale((given.scale / (made.scale * math.prod(window.taps)),), Rounding.HALF_EVEN),
        activation=made.clamp(bounds),
        output=made.element,
        strides=window.strides,
        dilations=window.dilations,
        padding=window.pads,
    )
    return builder.node(operator, [value, builder.constant(f"{name}_ones", ones, IntType(8))], name, made)


def max_pool(builder: GraphBuilder, x: Tensor, attributes: Mapping[str, Any], name: str) -> Tensor:
    """MaxPool, of integers as of the reals they stand for; GlobalMaxPool without attributes."""
    images = lifted(builder, x)
    taps = [int(size) for size in attributes.get("kernel_shape", x.shape[2:])]
    window = window_of(builder, images.shape[2:], taps, attributes)
    if window.dilations != (1, 1):
        raise UnsupportedError("pools with dilations", where=builder.where, remedy="use dilations of 1")
    value = builder.images(images).value
    element = value.type.integer
    if any(window.pads):
        # The smallest integer never wins.
        top, bottom, left, right = window.pads
        operator = Pad((0, top, left, 0), (0, bottom, right, 0), element.minimum)
        value = builder.like(operator, value, f"{name}_padded")
    made = maxima(builder, value, window.taps, window.strides, name if len(x.shape) == 4 else f"{name}_images")
    return lowered(builder, images_made(made), len(x.shape), name)


def maxima(builder: GraphBuilder, value: Value, taps: tuple[int, int], strides: tuple[int, int], name: str) -> Value:
    """The largest integers of windows inside images with channels last."""
    element = value.type.integer
    return builder.like(
        MaxPool2d(taps, strides, Padding.VALID, Interval(element.minimum, element.maximum)), value, name
    )


def reduced_mean(
    builder: GraphBuilder, x: Dequantized, axes: Sequence[int], *, keep_dims: bool, counted: bool
) -> Computed:
    """ReduceMean, or ReduceSum where elements are not counted: averages over images of one column."""
    seen = _Seen(builder, x.tensor, axes)
    count = seen.count if counted else 1

    def make(made: Scale, bounds: Bounds, name: str) -> Tensor:
        operator = RescaledAveragePool(
            window=(seen.count, 1),
            strides=(1, 1),
            padding=(0, 0, 0, 0),
            counts_padding=False,
            input_zero_point=x.scale.zero_point,
            output_zero_point=made.zero_point,
            ratio=x.scale.scale / made.scale * (seen.count / count),
            activation=made.clamp(bounds),
            output=made.element,
        )
        value = builder.node(operator, [seen.images()], f"{name}_images", made)
        return seen.without(value, keep_dims=keep_dims, name=name)

    return Computed(make)


def reduced_maximum(builder: GraphBuilder, x: Tensor, axes: Sequence[int], *, keep_dims: bool, name: str) -> Tensor:
    """ReduceMax."""
    seen = _Seen(builder, x, axes)
    value = maxima(builder, seen.images(), (seen.count, 1), (1, 1), f"{name}_images")
    return seen.without(value, keep_dims=keep_dims, name=name)


class _Seen:
    """A tensor as images (outer, reduced, 1, inner)."""

    def __init__(self, builder: GraphBuilder, tensor: Tensor, axes: Sequence[int]) -> None:
        rank = len(tensor.shape)
        self.builder = builder
        self.axes = sorted({int(axis) % rank for axis in axes}) if axes else list(range(rank))
        self.count = math.prod(tensor.shape[axis] for axis in self.axes)
        self.tensor = tensor

    def images(self) -> Value:
        """The axes as rows."""
        order = self._order
        lying = self.builder.arranged(self.tensor, order).value
        first = order.index(next(axis for axis in order if axis in self.axes))
        shape = lying.type.shape
        outer, inner = math.prod(shape[:first]), math.prod(shape[first + len(self.axes) :])
        return self.builder.shaped(lying, (outer, self.count, 1, inner))

    @property
    def _order(self) -> tuple[int, ...]:
        """That of the value, if the axes are neighbours there, or with them behind."""
        rank = len(self.tensor.shape)
        order = self.tensor.order if self.tensor.permuted else tuple(range(rank))
        places = sorted(order.index(axis) for axis in self.axes)
        if places[-1] - places[0] + 1 == len(places):
            return order
        return (*(axis for axis in range(rank) if axis not in self.axes), *self.axes)

    def without(self, value: Value, *, keep_dims: bool, name: str) -> Tensor:
        """The result with its axes."""
        rest = [axis for axis in self._order if keep_dims or axis not in self.axes]
        names = sorted(rest)
        order = tuple(names.index(axis) for axis in rest)
        shape = tuple(1 if axis in self.axes else self.tensor.shape[axis] for axis in names)
        lying = self.builder.shaped(value, tuple(shape[axis] for axis in order), name)
        return Tensor(lying, shape, shape, order)
