"""What CONV_2D and DEPTHWISE_CONV_2D share: parameters, checks, reading and writing, and the loop over patches."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from bitloom.arith import Interval, IntType, Rescale, Rounding
from bitloom.arith.linear import exact_type
from bitloom.arith.narrow import check_domain
from bitloom.arith.rescale import EXACT
from bitloom.circuits.convolution import ConvolutionCircuit
from bitloom.circuits.convolution_geometry import Geometry, Pair, patches
from bitloom.circuits.dense import DenseTerms
from bitloom.circuits.streaming import StreamingCircuit, StreamingOperator
from bitloom.errors import GraphError, UnsupportedError
from bitloom.ir import Cost, Lowered, SourceNode, Value
from bitloom.ir.operator import Array
from bitloom.ir.types import ElementType
from bitloom.ops.shared.fused import activation_named, fused_clamp
from bitloom.ops.shared.support import require_bias_scale, require_weights

# Elements of the patches that are gathered at a time: some hundred kilobytes.
_PART = 1 << 17
# Beyond this the reference kernels' 64-bit product of a wide accumulator is not defined.
_WIDE_ACCUMULATOR = 2**47
_MAXIMUM_WIDE_SHIFT = 7
# The kernels refuse strides and dilations beyond int16.
_LARGEST_STEP = 2**15 - 1


@dataclass(frozen=True)
class ConvolutionTerms(DenseTerms):
    """The terms of a convolution's patches as those of a dense layer's rows.

    An element of the padding is the input's zero point, one of the values that elements have, so that the bounds of
    the accumulators hold at the borders as well.

    Attributes:
        operator: the convolution.
    """

    operator: ConvolutionOperator

    @cached_property
    def weights(self) -> npt.NDArray[np.int64]:
        """Weights less their zero point, shape (N, K), K in the order taps down, taps across, channels."""
        return self.operator.weight_rows(self.operands[1].constant - self.operator.weight_zero_point)


@dataclass(frozen=True)
class ConvolutionOperator(StreamingOperator):
    """``clamp(rescale(sum((x - zx) * (w - zw)) + b) + zy)`` over each window; padding contributes 0.

    Operands: images (batch, height, width, channels), constant weights, constant bias (N,) where it may be absent.

    Source: LiteRT's reference kernels. Elements of 8 bits are accumulated in int32 and rescaled with double rounding by
    ``double(sx) * double(sw[n]) / double(sy)``; with uint8 the product of the scales is a float32. int16 with int64
    biases is accumulated in int64 and rescaled by multipliers reduced to 15 bits.

    Attributes:
        input_zero_point: zx.
        weight_zero_point: zw.
        output_zero_point: zy.
        rescale: from accumulator to output, one multiplier or N.
        activation: the clamp, in output integers.
        output: the output's type.
        strides: down and across.
        dilations: down and across.
        padding: above, below, left and right.
    """

    kernel_types: ClassVar[tuple[tuple[str, str, str], ...]]
    weight_axis: ClassVar[int]
    bias_required: ClassVar[bool]

    input_zero_point: int
    weight_zero_point: int
    output_zero_point: int
    rescale: Rescale
    activation: Interval
    output: IntType
    strides: Pair = (1, 1)
    dilations: Pair = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)

    @abstractmethod
    def weight_rows(self, weights: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The weights of each output channel in the order of its patch, shape (N, K)."""

    @abstractmethod
    def check_channels(self, channels: int, weights: Sequence[int]) -> int:
        """N, if weights of this shape fit images of so many channels.

        Raises:
            GraphError: they do not.
        """

    @abstractmethod
    def groups(self, channels: int, weights: Sequence[int]) -> int:
        """Groups of channels that share no input, of images of so many channels and weights of this shape."""

    @abstractmethod
    def accumulate(self, gathered: Array, weights: Array, magnitude: int) -> npt.NDArray[np.int64]:
        """Sums of products, shape (pixels, N).

        Args:
            gathered: patches less the zero point, shape (batch, height, width, taps down, taps across, channels).
            weights: less their zero point, those of the same taps, both of a type in which the sums are exact.
            magnitude: bound on the absolute sums.
        """

    @classmethod
    def check_source(cls, source: SourceNode) -> None:
        """Refuse what is particular to the operator."""

    def geometry(self, weights: Sequence[int]) -> Geometry:
        """Of the operator with weights of this shape."""
        return Geometry((weights[1], weights[2]), self.strides, self.dilations, self.padding)

    def infer(self, inputs: Sequence[Value]) -> tuple[tuple[tuple[int, ...], ElementType], ...]:
        """Images (batch, height, width, N)."""
        x, weights = inputs[0].type, inputs[1].type
        for what, operand in (("images", x), ("weights", weights)):
            if len(operand.shape) != 4:
                raise GraphError(f"{what} have shape {list(operand.shape)}, and four dimensions are needed")
        outputs = self.check_channels(x.shape[3], weights.shape)
        if self.rescale.channels not in (1, outputs):
            raise GraphError(f"{self.rescale.channels} multipliers for {outputs} output channels")
        if len(inputs) > 2 and inputs[2].type.size != outputs:
            raise GraphError(f"{inputs[2].type.size} biases for {outputs} output channels")
        height, width = self.geometry(weights.shape).output(x.shape[1:3])
        self._check_range(*ConvolutionTerms(self, inputs).accumulator_bounds)
        return (((x.shape[0], height, width, outputs), self.output),)

    def _check_range(self, low: npt.NDArray[np.int64], high: npt.NDArray[np.int64]) -> None:
        """Refuse accumulators for which the reference kernels overflow."""
        if self.rescale.rounding in EXACT:
            check_domain(self.rescale, low, high, self.output_zero_point)
            return
        shift = self.rescale.fixed_point()[1]
        if self.rescale.rounding is Rounding.REDUCED:
            name, limit = "48 bits", np.full(1, _WIDE_ACCUMULATOR)
            if shift.max() > _MAXIMUM_WIDE_SHIFT:
                raise UnsupportedError(f"a multiplier of {max(self.rescale.multipliers):g}, too large for the kernel")
        else:
            name, limit = "int32", np.int64(2**31) >> np.maximum(shift, 0)
        if (low < -limit).any() or (high >= limit).any():
            raise UnsupportedError(
                f"the accumulator reaches {Interval(int(low.min()), int(high.max()))}, beyond {name} (after the left "
                "shift of its multiplier), where the reference kernel overflows"
            )
        if np.abs(self.rescale.apply(np.stack([low, high])) + self.output_zero_point).max() >= 2**31:
            raise UnsupportedError(
                "a rescaled accumulator leaves int32, where the reference kernel's answer is undefined",
                remedy="check the output scale of this layer",
            )

    def evaluate(self, inputs: Sequence[Array]) -> tuple[Array, ...]:
        """Images (inferences, batch, height, width, channels); the sums exact in floating point where they fit."""
        x = inputs[0].reshape(-1, *inputs[0].shape[-3:])
        weights = inputs[1].astype(np.int64) - self.weight_zero_point
        rows = self.weight_rows(weights)
        limits = np.iinfo(x.dtype)
        farthest = max(limits.max - self.input_zero_point, self.input_zero_point - limits.min)
        magnitude = farthest * int(np.abs(rows).sum(axis=1).max())
        kind = exact_type(magnitude)
        found = patches(x, self.geometry(weights.shape), self.input_zero_point, kind)
        live = weights[:, found.taps[0], found.taps[1]].astype(kind)
        bias = inputs[2].astype(np.int64).reshape(-1) if len(inputs) > 2 else np.int64(0)
        result = np.empty((*found.view.shape[:3], len(rows)), self.output.dtype)
        for part in _parts(found.view.shape):
            made = result[part]
            sums = self.accumulate(found.view[part], live, magnitude)
            sums += bias
            rescaled = self.rescale.apply(sums)
            rescaled += self.output_zero_point
            np.clip(rescaled, self.activation.low, self.activation.high, out=rescaled)
            made[...] = rescaled.reshape(made.shape)
        return (result.reshape(*inputs[0].shape[:-3], *result.shape[1:]),)

    def cost(self, inputs: Sequence[Value]) -> Cost:
        """One multiply-accumulate per weight of a channel and pixel, taps on the padding included."""
        x, weights = inputs[0].type, inputs[1].type
        height, width = self.geometry(weights.shape).output(x.shape[1:3])
        return Cost(
            macs=x.shape[0] * height * width * weights.size, parameters=sum(value.type.size for value in inputs[1:])
        )

    def notes(self, inputs: Sequence[Value]) -> tuple[str, ...]:
        """The accumulator's range and, for outputs of 8 bits, the narrowed rescale."""
        terms = ConvolutionTerms(self, inputs)
        low, high = terms.accumulator_bounds
        bounds = Interval(int(low.min()), int(high.max()))
        said = f"accumulator {bounds} {bounds.type}"
        if self.output.bits > 8:
            return (said,)
        return (said, f"rescale by a multiplier of {terms.narrowed.multiplier_bits} bits")

    def circuit(self, operands: Sequence[Value], results: Sequence[Value]) -> StreamingCircuit:  # noqa: ARG002
        """A sliding window and the folded multiply-accumulate unit."""
        x, weights = operands[0].type, operands[1].type
        groups = self.groups(x.shape[3], weights.shape)
        return ConvolutionCircuit(ConvolutionTerms(self, operands), self.geometry(weights.shape), groups)

    def to_tflite(self, inputs: Sequence[Value], outputs: Sequence[Value]) -> SourceNode:
        """With the padding option and the fused activation that give the same."""
        attributes = {
            "padding": self.geometry(inputs[1].type.shape).option(inputs[0].type.shape[1:3]),
            "stride_h": self.strides[0],
            "stride_w": self.strides[1],
            "dilation_h_factor": self.dilations[0],
            "dilation_w_factor": self.dilations[1],
            "fused_activation_function": activation_named(self.activation, outputs[0].type),
        }
        return SourceNode(self.tflite[0], attributes, tuple(inputs), tuple(outputs), self.name)

    @classmethod
    def lower(cls, source: SourceNode) -> Lowered:
        """From a file's node, with scales taken from the tensors."""
        x, weights, bias = source.operand(0), source.operand(1), source.optional(2)
        output = source.outputs[0].type
        cls._check_kinds(source, x, weights, bias)
        cls.check_source(source)
        clamp = fused_clamp(source)
        made = output.required_quantization
        geometry = _geometry(source, x, weights)
        operator = cls(
            input_zero_point=x.type.required_quantization.zero_point,
            weight_zero_point=weights.type.required_quantization.zero_points[0],
            output_zero_point=made.zero_point,
            rescale=cls._rescale(source, x, weights, bias),
            activation=clamp,
            output=output.integer,
            strides=geometry.strides,
            dilations=geometry.dilations,
            padding=geometry.padding,
        )
        return Lowered(operator, tuple(value.name for value in (x, weights, bias) if value is not None))

    @classmethod
    def _check_kinds(cls, source: SourceNode, x: Value, weights: Value, bias: Value | None) -> None:
        """Refuse operands that the reference kernel refuses, or reads as something else than they are."""
        rejects = f"{source.kind} {{}}, which LiteRT's reference kernel rejects"
        if len(source.inputs) > 3:
            raise UnsupportedError(rejects.format(f"with {len(source.inputs)} operands"), where=source.where)
        found = require_weights(source, x, weights, bias, cls.kernel_types)
        if bias is None and (cls.bias_required or len(source.inputs) > 2):
            raise UnsupportedError(rejects.format("without bias"), where=source.where, remedy="add a bias of zeros")
        if bias is not None and any(bias.type.quantization.zero_points if bias.type.quantization else ()):
            raise UnsupportedError(rejects.format("with a bias whose zero point is not 0"), where=source.where)
        quantization = weights.type.required_quantization
        if quantization.axis not in (None, cls.weight_axis):
            raise UnsupportedError(
                f"{source.kind} with weights quantized along axis {quantization.axis}, not {cls.weight_axis}",
                where=source.where,
            )
        if found[0] != "uint8" and any(quantization.zero_points):
            raise UnsupportedError(f"{found[0]} weights with a zero point that is not 0", where=source.where)
        if found[0] == "uint8" and quantization.axis is not None:
            raise UnsupportedError(rejects.format("of uint8 with scales per channel"), where=source.where)
        if found[0] == "int16" and (
            x.type.required_quantization.zero_point or source.outputs[0].type.required_quantization.zero_point
        ):
            raise UnsupportedError(rejects.format("of int16 with a zero point that is not 0"), where=source.where)

    @classmethod
    def _rescale(cls, source: SourceNode, x: Value, weights: Value, bias: Value | None) -> Rescale:
        """The multipliers and rounding of the kernel for these types."""
        scale = source.outputs[0].type.required_quantization.scale
        x_scale, weight_scales = x.type.required_quantization.scale, weights.type.required_quantization.scales
        if str(x.type.element) == "uint8":
            require_bias_scale(source, x, weights, bias)
            product = float(np.float32(x_scale) * np.float32(weight_scales[0]))
            return Rescale((product / scale,), Rounding.DOUBLE)
        wide = str(x.type.element) == "int16" and (bias is None or str(bias.type.element) == "int64")
        expected = ("int32", "int64") if str(x.type.element) == "int16" else ("int32",)
        if bias is not None and str(bias.type.element) not in expected:
            raise UnsupportedError(
                f"{source.kind} of {x.type.element} with a bias of {bias.type.element}; the kernel reads "
                f"{' or '.join(expected)}",
                where=source.where,
            )
        rounding = Rounding.REDUCED if wide else Rounding.DOUBLE
        return Rescale(tuple(x_scale * weight_scale / scale for weight_scale in weight_scales), rounding)


def _geometry(source: SourceNode, x: Value, weights: Value) -> Geometry:
    for what, operand in (("images", x), ("weights", weights)):
        if len(operand.type.shape) != 4:
            raise GraphError(
                f"{what} have shape {list(operand.type.shape)}, and four dimensions are needed", where=source.where
            )
    # A file without options says nothing of them; the kernel finds zeros then.
    strides, dilations = (
        (int(source.attributes.get(f"{step}_h{suffix}", 0)), int(source.attributes.get(f"{step}_w{suffix}", 0)))
        for step, suffix in (("stride", ""), ("dilation", "_factor"))
    )
    if not 1 <= min(*strides, *dilations) <= max(*strides, *dilations) <= _LARGEST_STEP:
        raise UnsupportedError(
            f"{source.kind} with strides {list(strides)} and dilations {list(dilations)}, which LiteRT's reference "
            f"kernel rejects: it takes 1 to {_LARGEST_STEP}",
            where=source.where,
        )
    kernel = (weights.type.shape[1], weights.type.shape[2])
    return Geometry.of(str(source.attributes.get("padding", "SAME")), x.type.shape[1:3], kernel, strides, dilations)


def _parts(shape: Sequence[int]) -> list[tuple[slice, slice]]:
    """Images and rows of patches, of shape (batch, height, width, ...), that are gathered together."""
    batch, height, *rest = shape
    row = max(1, int(np.prod(rest)))
    rows = min(height, max(1, _PART // row))
    images = max(1, _PART // (row * height))
    return [
        (slice(image, image + images), slice(start, start + rows))
        for image in range(0, batch, images)
        for start in range(0, height, rows)
    ]
