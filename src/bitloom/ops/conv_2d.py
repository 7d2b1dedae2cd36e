"""CONV_2D: a convolution of images, per-tensor or per-channel, with groups and a fused activation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bitloom.arith import IntType, Rounding
from bitloom.arith.linear import exact_matmul
from bitloom.errors import GraphError, UnsupportedError
from bitloom.ir import Example, SourceNode, Value, register
from bitloom.ir.operator import Array
from bitloom.ops.shared.convolution import ConvolutionOperator
from bitloom.ops.shared.convolution_examples import ExampleConvolution


@register
@dataclass(frozen=True)
class Conv2d(ConvolutionOperator):
    """A convolution; see `ConvolutionOperator`. Weights are (N, taps down, taps across, channels of a group).

    Images whose channels are a multiple of the weights' are cut into groups of channels; each makes as many of the
    N output channels, from its own channels.
    """

    name = "conv_2d"
    tflite = ("CONV_2D",)
    summary = "convolution, any kernel, stride, dilation, padding and groups, fused activation"
    kernel_types = (
        ("int8", "int8", "int8"),
        ("int8", "int4", "int8"),
        ("uint8", "uint8", "uint8"),
        ("int16", "int8", "int16"),
        ("int16", "int4", "int16"),
    )
    weight_axis = 0
    bias_required = True

    def weight_rows(self, weights: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Patches and weights have the same order."""
        return weights.reshape(weights.shape[0], -1)

    def check_channels(self, channels: int, weights: Sequence[int]) -> int:
        """The channels make whole groups, and the outputs as many for each."""
        outputs, depth = weights[0], weights[3]
        if channels % depth or outputs % (channels // depth):
            raise GraphError(f"images of {channels} channels do not fit weights of shape {list(weights)}")
        return outputs

    def groups(self, channels: int, weights: Sequence[int]) -> int:
        """As many as the weights' channels go into the images'."""
        return channels // weights[3]

    def accumulate(self, gathered: Array, weights: Array, magnitude: int) -> npt.NDArray[np.int64]:
        """One matrix product, or one for each group."""
        outputs, down, across, depth = weights.shape
        groups, pixels, terms = gathered.shape[-1] // depth, int(np.prod(gathered.shape[:3])), down * across * depth
        if groups == 1:
            return exact_matmul(gathered.reshape(pixels, terms), weights.reshape(outputs, terms).T, magnitude)
        columns = gathered.reshape(pixels, down * across, groups, depth).transpose(2, 0, 1, 3)
        rows = weights.reshape(groups, outputs // groups, terms).transpose(0, 2, 1)
        sums = exact_matmul(columns.reshape(groups, pixels, terms), rows, magnitude)
        return sums.transpose(1, 0, 2).reshape(pixels, outputs)

    def to_tflite(self, inputs: Sequence[Value], outputs: Sequence[Value]) -> SourceNode:
        """An int32 bias of int16 images is announced."""
        source = super().to_tflite(inputs, outputs)
        if self.output.bits == 16 and self.rescale.rounding is Rounding.DOUBLE:
            attributes = {**source.attributes, "quantized_bias_type": "INT32"}
            return SourceNode(source.kind, attributes, source.inputs, source.outputs, source.where)
        return source

    @classmethod
    def check_source(cls, source: SourceNode) -> None:
        """The kernel reads int64 biases of int16 images unless the file says otherwise."""
        bias = source.operand(2)
        declared = source.attributes.get("quantized_bias_type", "FLOAT32")
        expected = "int32" if declared == "INT32" else "int64"
        if source.operand(0).type.element == IntType(16) and str(bias.type.element) != expected:
            raise UnsupportedError(
                f"{source.kind} of int16 with a bias of {bias.type.element}, and bias type {declared}; the kernel "
                f"reads {expected}",
                where=source.where,
            )

    @classmethod
    def examples(cls) -> Iterable[Example]:
        """Kernels, strides, dilations and paddings, groups, activations, scales, element types."""
        make = ExampleConvolution(cls)
        yield make("three_by_three", (1, 5, 6, 3), (4, 3, 3, 3))
        yield make("valid", (1, 5, 5, 2), (3, 3, 3, 2), padding="VALID")
        yield make("pixels", (1, 3, 4, 5), (6, 1, 1, 5), per_channel=True, activation="RELU")
        yield make("strided_pixels", (1, 5, 4, 3), (4, 1, 1, 3), strides=(2, 2))
        yield make("strides", (1, 7, 6, 2), (3, 3, 3, 2), strides=(2, 1), per_channel=True)
        yield make("sparse_strides", (1, 7, 8, 2), (2, 2, 1, 2), strides=(3, 4), padding="VALID")
        yield make("even_kernel", (1, 4, 5, 2), (3, 2, 4, 2), activation="RELU6")
        yield make("even_strided", (1, 7, 7, 1), (4, 4, 4, 1), strides=(2, 2), per_channel=True)
        yield make("row_kernel", (1, 3, 9, 2), (3, 1, 5, 2))
        yield make("column_kernel", (1, 9, 2, 1), (8, 7, 1, 1), strides=(2, 2))
        yield make("dilations", (1, 7, 6, 2), (3, 3, 2, 2), dilations=(2, 3))
        yield make("dilations_valid", (1, 9, 8, 1), (2, 3, 3, 1), dilations=(3, 2), padding="VALID", per_channel=True)
        yield make("larger_than_image", (1, 2, 3, 2), (3, 5, 7, 2), per_channel=True)
        yield make("dilated_past_image", (1, 3, 3, 2), (2, 3, 3, 2), dilations=(5, 4))
        yield make("one_pixel", (1, 1, 1, 7), (5, 3, 3, 7))
        yield make("groups", (1, 4, 4, 6), (4, 3, 3, 3), per_channel=True)
        yield make("groups_of_one", (1, 4, 3, 3), (6, 2, 2, 1), activation="RELU")
        yield make("relu_n1_to_1", (1, 3, 3, 2), (3, 3, 3, 2), activation="RELU_N1_TO_1")
        yield make("batch", (3, 3, 4, 2), (2, 2, 2, 2))
        yield make("large_bias", (1, 3, 3, 2), (3, 3, 3, 2), per_channel=True, bias_bits=30)
        yield make("upscaled", (1, 3, 3, 1), (2, 1, 1, 1), output_scale=0.00011)
        yield make("uint8", (1, 5, 4, 3), (4, 3, 3, 3), elements=("uint8", "uint8", "int32"), activation="RELU6")
        yield make("int4", (1, 4, 4, 3), (5, 3, 3, 3), elements=("int8", "int4", "int32"), per_channel=True)
        yield make("int16", (1, 4, 4, 2), (3, 3, 3, 2), elements=("int16", "int8", "int64"), per_channel=True)
        yield make("int16_int32_bias", (1, 4, 4, 2), (3, 3, 3, 2), elements=("int16", "int8", "int32"))
        yield make("int16_int4", (1, 3, 4, 2), (2, 3, 3, 2), elements=("int16", "int4", "int64"))
