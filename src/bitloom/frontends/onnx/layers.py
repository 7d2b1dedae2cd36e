"""Layers of ONNX as integer operators: convolutions, matrix products, pools, sums; their scales, and how they round.

Between DequantizeLinear and QuantizeLinear ONNX defines a layer in real numbers; here it is computed exactly in
integers and rounded once, halves to even, by the real multiplier ``sx * sw / sy``. ONNX Runtime computes it in binary32
and so may differ by one where the real result is within its error of a half. The quantized operators (QLinearConv and
others) are defined by ONNX Runtime as an integer sum times a binary32 multiplier, which `Rounding.FLOAT32` is exactly.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from bitloom.arith import IntType, Rescale, Rounding
from bitloom.errors import UnsupportedError
from bitloom.frontends.onnx.builder import GraphBuilder
from bitloom.frontends.onnx.values import Bounds, Computed, Constant, Dequantized, Scale, Tensor, element_of
from bitloom.frontends.onnx.windows import images_made, lifted, lowered_behind, window_of
from bitloom.ir import Operator, Quantization, Value
from bitloom.ops.conv_2d import Conv2d
from bitloom.ops.depthwise_conv_2d import DepthwiseConv2d
from bitloom.ops.fully_connected import FullyConnected
from bitloom.ops.rounded_softmax import RoundedSoftmax


@dataclass(frozen=True)
class Linear:
    """What layers with weights share.

    Attributes:
        builder: of the graph.
        x: the layer's input.
        weights: of the file, integers.
        output_axis: of the weights.
        in_binary32: whether the format multiplies the sum by a binary32 number, else by a real one.
        integral: whether the format makes the sums themselves, which constants may scale later.
    """

    builder: GraphBuilder
    x: Dequantized
    weights: Constant
    output_axis: int
    in_binary32: bool = False
    integral: bool = False

    @property
    def integers(self) -> npt.NDArray[Any]:
        """The weights.

        Raises:
            UnsupportedError: real numbers.
        """
        if self.weights.integers is None or element_of(self.weights.integers) is None:
            raise UnsupportedError(
                "has weights that are not quantized", where=self.builder.where, remedy="quantize them, too"
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

    def quantization(self, axis: int) -> Quantization:
        """Of the weights, with their outputs along an axis."""
        scales = self.weights.scales
        return Quantization(scales, self.weights.zero_points, axis if len(scales) > 1 else None)

    def rescale(self, made: Scale) -> Rescale:
        """From sums to results."""
        if self.in_binary32:
            with np.errstate(over="ignore", under="ignore"):
                product = np.float32(self.x.scale.scale) * np.array(self.weights.scales, np.float32)
                multipliers = (product / np.float32(made.scale)).astype(np.float64).tolist()
            return Rescale(tuple(multipliers), Rounding.FLOAT32)
        scales = (self.x.scale.scale * scale / made.scale for scale in self.weights.scales)
        return Rescale(tuple(scales), Rounding.HALF_EVEN)

    def scaled(self, given: Constant, behind: int) -> Linear | None:
        """With sums that a constant multiplies, one number or one per output; None where it is neither.

        Args:
            given: the constant.
            behind: axes behind that of the outputs.
        """
        array, outputs = given.array.astype(np.float32), self.integers.shape[self.output_axis]
        shape = (1,) * (behind + 1 - array.ndim) + array.shape
        along = shape[len(shape) - behind - 1]
        if (
            not (np.isfinite(array).all() and (array > 0).all())
            or array.size not in (1, outputs)
            or array.size != along
        ):
            return None
        factors = array.reshape(-1).astype(np.float64)
        scales = tuple((np.array(self.weights.scales) * factors).tolist())
        points = self.weights.zero_points * (len(scales) // len(self.weights.zero_points))
        axis = self.output_axis if len(scales) > 1 else None
        return replace(self, weights=replace(self.weights, scales=scales, zero_points=points, axis=axis))

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
                integers = given.integers.reshape(-1)
                return [self.builder.constant(f"{name}_bias", integers, IntType(32), self._bias_quantization(scales))]
        steps = np.rint(given.array.astype(np.float64).reshape(-1) / products)
        if np.abs(steps).max() >= 2**31:
            raise UnsupportedError("has a bias beyond int32 in steps of its products", where=self.builder.where)
        quantization = self._bias_quantization(products)
        return [self.builder.constant(f"{name}_bias", steps.astype(np.int64), IntType(32), quantization)]

    @staticmethod
    def _bias_quantization(scales: npt.NDArray[np.float64]) -> Quantization:
        """Of a bias; the products of scales are kept as binary32, as files keep scales."""
        rounded = np.maximum(scales.astype(np.float32), np.finfo(np.float32).tiny)
        kept = tuple(float(scale) for scale in rounded)
        return Quantization(kept, (0,) * len(kept), 0 if len(kept) > 1 else None)


def convolution(linear: Linear, bias: Constant | None, attributes: Mapping[str, Any]) -> Computed:
    """Conv: grouped, depthwise or neither, of images or of lines."""
    builder = linear.builder
    weights, groups, rank = linear.integers, int(attributes.get("group", 1)), len(linear.x.tensor.shape)
    if weights.ndim != rank:
        raise UnsupportedError(
            f"convolves a tensor of shape {list(linear.x.tensor.shape)} with weights of shape {list(weights.shape)}",
            where=builder.where,
        )
    images = lifted(builder, linear.x.tensor)
    outputs, depth = weights.shape[:2]
    if groups * depth != images.shape[1]:
        raise UnsupportedError(
            f"has weights of shape {list(weights.shape)} in {groups} groups for {images.shape[1]} channels",
            where=builder.where,
        )
    depthwise = depth == 1 and groups > 1
    window = window_of(builder, images.shape[2:], weights.shape[2:], attributes)
    order = (1, 2, 3, 0) if depthwise else (0, 2, 3, 1)
    kernel = weights.reshape(outputs, depth, *window.taps).transpose(order)
    kind = DepthwiseConv2d if depthwise else Conv2d

    def make(made: Scale, bounds: Bounds, name: str) -> Tensor:
        operator: Operator = kind(
            input_zero_point=linear.x.scale.zero_point,
            weight_zero_point=linear.zero_point,
            output_zero_point=made.zero_point,
            rescale=linear.rescale(made),
            activation=made.clamp(bounds),
            output=made.element,
            strides=window.strides,
            dilations=window.dilations,
            padding=window.pads,
        )
        constant = builder.constant(
            f"{name}_weights", kernel, linear.element, linear.quantization(3 if depthwise else 0)
        )
        operands = [builder.images(images).value, constant, *linear.bias(bias, outputs, name)]
        return images_made(builder.node(operator, operands, name, made))

    def with_bias(given: Constant) -> Computed | None:
        return convolution(linear, given, attributes) if _one_per_output(given, outputs, rank - 2) else None

    def scaled(given: Constant) -> Computed | None:
        found = linear.scaled(given, rank - 2)
        return convolution(found, _scaled_bias(bias, given), attributes) if found else None

    computed = lowered_behind(builder, Computed(make), rank)
    return _room(computed, linear, bias, with_bias, scaled)


def _one_per_output(given: Constant, outputs: int, behind: int) -> bool:
    """Whether a constant broadcasts to a number for each output, with so many axes behind that of the outputs."""
    shape = (1,) * (behind + 1 - given.array.ndim) + given.array.shape
    return given.array.size == 1 or (given.array.size == outputs and shape[len(shape) - behind - 1] == outputs)


def _room(
    computed: Computed,
    linear: Linear,
    bias: Constant | None,
    with_bias: Callable[[Constant], Computed | None],
    scaled: Callable[[Constant], Computed | None],
) -> Computed:
    """What may still become part of the layer: a bias, and scales of sums that nothing has scaled to integers."""
    scales, whole = linear.weights.scales, bias is None or bias.array.dtype.kind in "iu"
    return replace(
        computed,
        with_bias=None if bias else with_bias,
        scaled=scaled,
        integral=linear.integral and whole and scales == (1.0,),
        scale=scales[0] if linear.integral and bias is None and len(scales) == 1 else None,
    )


def _scaled_bias(bias: Constant | None, given: Constant) -> Constant | None:
    """A bias of sums that a constant multiplies."""
    if bias is None:
        return None
    return Constant(bias.array.reshape(-1).astype(np.float64) * given.array.reshape(-1).astype(np.float64))


def matrix_product(linear: Linear, bias: Constant | None) -> Computed:
    """Rows times a constant matrix (K, N), or (N, K) where its outputs lie along axis 0."""
    builder, x = linear.builder, linear.x.tensor
    weights = linear.integers
    if weights.ndim > 2:
        return _products(linear)
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
        constant = builder.constant(f"{name}_weights", matrix, linear.element, linear.quantization(0))
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

    def with_bias(given: Constant) -> Computed | None:
        return matrix_product(linear, given) if _one_per_output(given, len(rows), 0) else None

    def scaled(given: Constant) -> Computed | None:
        found = linear.scaled(given, 0)
        return matrix_product(found, _scaled_bias(bias, given)) if found else None

    return _room(Computed(make), linear, bias, with_bias, scaled)


def _products(linear: Linear) -> Computed:
    """Products with as many constant matrices (K, N) as the tensor has matrices (M, K), one after the other."""
    builder, x, weights = linear.builder, linear.x.tensor, linear.integers
    leading = x.shape[:-2]
    if weights.shape[:-2] != leading or linear.weights.axis is not None or linear.output_axis != 1:
        raise UnsupportedError(
            f"multiplies a tensor of shape {list(x.shape)} by constants of shape {list(weights.shape)}",
            where=builder.where,
            remedy="use one matrix, or one of one scale for each matrix of the tensor",
        )
    count, matrices = math.prod(leading), weights.reshape(-1, *weights.shape[-2:])

    def make(made: Scale, bounds: Bounds, name: str) -> Tensor:
        flat = builder.reshaped(x, (count, *x.shape[-2:]), f"{name}_flat")
        parts = []
        for index, matrix in enumerate(matrices):
            part = builder.sliced(flat, {0: range(index, index + 1)}, f"{name}_{index}_operand")
            part = builder.reshaped(part, x.shape[-2:], f"{name}_{index}_matrix")
            given = replace(linear, x=replace(linear.x, tensor=part), weights=replace(linear.weights, integers=matrix))
            product = matrix_product(given, None).make(made, bounds, f"{name}_{index}")
            parts.append(builder.reshaped(product, (1, *product.shape), f"{name}_{index}_part"))
        joined = builder.concatenated(parts, 0, f"{name}_parts", made)
        return builder.reshaped(joined, (*leading, *joined.shape[1:]), name)

    return Computed(make)


def softmax(builder: GraphBuilder, x: Dequantized, attributes: Mapping[str, Any]) -> Computed:
    """Over any axis."""
    rank = len(x.tensor.shape)
    axis = int(attributes.get("axis", -1)) % rank

    def make(made: Scale, bounds: Bounds, name: str) -> Tensor:
        # Where axes lie in another order, the axis may be the last already.
        order = x.tensor.order if x.tensor.permuted and x.tensor.order[-1] == axis else tuple(range(rank))
        if order[-1] != axis:
            order = (*(other for other in range(rank) if other != axis), axis)
        tensor = builder.arranged(x.tensor, order)
        operator = RoundedSoftmax(tensor.value.type.integer, made.element, x.scale.scale, made.scale, made.zero_point)
        value = builder.node(operator, [tensor.value], name, made)
        return builder.clamped(replace(tensor, value=value), made, bounds, name)

    return Computed(make)
