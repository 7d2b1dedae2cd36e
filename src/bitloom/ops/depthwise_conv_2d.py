"""DEPTHWISE_CONV_2D: each channel of images convolved with kernels of its own, with a fused activation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bitloom.arith import IntType
from bitloom.errors import GraphError, UnsupportedError
from bitloom.ir import Example, SourceNode, Value, register
from bitloom.ir.operator import Array
from bitloom.ops.shared.convolution import ConvolutionOperator
from bitloom.ops.shared.convolution_examples import ExampleConvolution


@register
@dataclass(frozen=True)
class DepthwiseConv2d(ConvolutionOperator):
    """A depthwise convolution; see `ConvolutionOperator`. Weights are (1, taps down, taps across, N).

    N is a multiple of the images' channels: output ``c * multiplier + m`` reads channel c alone.
    """

    name = "depthwise_conv_2d"
    tflite = ("DEPTHWISE_CONV_2D",)
    summary = "depthwise convolution, any kernel, stride, dilation, padding and channel multiplier, fused activation"
    kernel_types = (
        ("int8", "int8", "int8"),
        ("int8", "int4", "int8"),
        ("uint8", "uint8", "uint8"),
        ("int16", "int8", "int16"),
    )
    weight_axis = 3
    bias_required = False

    def weight_rows(self, weights: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The taps of each output."""
        return weights.reshape(-1, weights.shape[3]).T

    def check_channels(self, channels: int, weights: Sequence[int]) -> int:
        """As many kernels for each channel."""
        if weights[0] != 1 or weights[3] % channels:
            raise GraphError(f"images of {channels} channels do not fit depthwise weights of shape {list(weights)}")
        return weights[3]

    def groups(self, channels: int, weights: Sequence[int]) -> int:  # noqa: ARG002 - of all weights
        """Each channel is one."""
        return channels

    def accumulate(self, gathered: Array, weights: Array, magnitude: int) -> npt.NDArray[np.int64]:  # noqa: ARG002
        """Tap by tap, on all pixels and channels at once."""
        channels, outputs = gathered.shape[-1], weights.shape[3]
        kernels = weights.reshape(*weights.shape[1:3], channels, outputs // channels)
        sums = np.zeros((*gathered.shape[:3], channels, outputs // channels), gathered.dtype)
        products = np.empty_like(sums)
        for down in range(kernels.shape[0]):
            for across in range(kernels.shape[1]):
                np.multiply(gathered[:, :, :, down, across, :, None], kernels[down, across], out=products)
                sums += products
        return sums.reshape(-1, outputs).astype(np.int64)

    def to_tflite(self, inputs: Sequence[Value], outputs: Sequence[Value]) -> SourceNode:
        """With the channel multiplier, which is the weights' and the images' channels, as an option."""
        source = super().to_tflite(inputs, outputs)
        multiplier = inputs[1].type.shape[3] // inputs[0].type.shape[3]
        attributes = {**source.attributes, "depth_multiplier": multiplier}
        return SourceNode(source.kind, attributes, source.inputs, source.outputs, source.where)

    @classmethod
    def check_source(cls, source: SourceNode) -> None:
        """What the kernel of int16 takes from the options and from its operands must agree."""
        x, weights, bias = source.operand(0).type, source.operand(1).type, source.optional(2)
        if bias is not None and len(bias.type.shape) != 1:
            raise UnsupportedError(
                f"{source.kind} with a bias of shape {list(bias.type.shape)}, which LiteRT's reference kernel rejects",
                where=source.where,
            )
        if x.element != IntType(16):
            return
        if bias is not None and bias.type.element != IntType(64):
            raise UnsupportedError(
                f"{source.kind} of int16 with a bias of {bias.type.element}, which LiteRT's reference kernel rejects: "
                "it reads int64",
                where=source.where,
            )
        multiplier = int(source.attributes.get("depth_multiplier", 0))
        if x.shape[-1] * multiplier != weights.shape[-1]:
            raise UnsupportedError(
                f"{source.kind} of int16 with channel multiplier {multiplier}, and weights for "
                f"{weights.shape[-1]} of {x.shape[-1]} channels",
                where=source.where,
            )

    @classmethod
    def examples(cls) -> Iterable[Example]:
        """Kernels, strides, dilations and paddings, channel multipliers, activations, scales, element types."""
        make = ExampleConvolution(cls)
        yield make("three_by_three", (1, 5, 6, 3), (1, 3, 3, 3))
        yield make("valid", (1, 5, 5, 4), (1, 3, 3, 4), padding="VALID", per_channel=True)
        yield make("no_bias", (1, 4, 4, 3), (1, 3, 3, 3), elements=("int8", "int8", ""))
        yield make("pixels", (1, 3, 4, 5), (1, 1, 1, 5), per_channel=True, activation="RELU")
        yield make("strides", (1, 6, 6, 4), (1, 3, 3, 4), strides=(2, 2), per_channel=True, activation="RELU6")
        yield make("multiplier_2", (1, 5, 4, 3), (1, 3, 3, 6), per_channel=True)
        yield make("multiplier_3", (1, 4, 4, 2), (1, 2, 2, 6), strides=(2, 1))
        yield make("multiplier_4", (1, 5, 5, 1), (1, 4, 3, 4), padding="VALID", per_channel=True)
        yield make("dilations", (1, 7, 6, 2), (1, 3, 2, 2), dilations=(2, 3))
        yield make("larger_than_image", (1, 2, 3, 2), (1, 5, 7, 2), per_channel=True)
        yield make("dilated_past_image", (1, 3, 3, 2), (1, 3, 3, 4), dilations=(5, 4))
        yield make("global", (1, 4, 5, 3), (1, 4, 5, 3), padding="VALID")
        yield make("relu_n1_to_1", (1, 3, 3, 2), (1, 3, 3, 2), activation="RELU_N1_TO_1")
        yield make("batch", (3, 3, 4, 2), (1, 2, 2, 4))
        yield make("large_bias", (1, 3, 3, 2), (1, 3, 3, 2), per_channel=True, bias_bits=30)
        yield make("upscaled", (1, 3, 3, 2), (1, 1, 1, 2), output_scale=0.00011)
        yield make("uint8", (1, 5, 4, 3), (1, 3, 3, 6), elements=("uint8", "uint8", "int32"), activation="RELU6")
        yield make("uint8_no_bias", (1, 4, 4, 2), (1, 3, 3, 2), elements=("uint8", "uint8", ""))
        yield make("int4", (1, 4, 4, 3), (1, 3, 3, 3), elements=("int8", "int4", "int32"), per_channel=True)
        yield make("int16", (1, 4, 4, 2), (1, 3, 3, 4), elements=("int16", "int8", "int64"), per_channel=True)
        yield make("int16_no_bias", (1, 4, 4, 2), (1, 3, 3, 2), elements=("int16", "int8", ""))
