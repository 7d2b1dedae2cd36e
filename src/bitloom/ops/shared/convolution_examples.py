"""Examples of convolutions: a graph from shapes, with random constants whose outputs use most of their range."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bitloom.arith import IntType
from bitloom.circuits.convolution_geometry import Geometry, Pair
from bitloom.ir import Example, Operator, Quantization, TensorType, Value
from bitloom.ops.shared.support import example_graph, random_integers, single_precision

_X_SCALE = 0.05


@dataclass(frozen=True)
class ExampleConvolution:
    """Makes examples of CONV_2D or DEPTHWISE_CONV_2D.

    Attributes:
        operator: which.
    """

    operator: type[Operator]

    def __call__(
        self,
        name: str,
        images: tuple[int, int, int, int],
        weights: tuple[int, int, int, int],
        *,
        padding: str = "SAME",
        strides: Pair = (1, 1),
        dilations: Pair = (1, 1),
        activation: str = "NONE",
        per_channel: bool = False,
        elements: tuple[str, str, str] = ("int8", "int8", "int32"),
        bias_bits: int = 10,
        output_scale: float | None = None,
    ) -> Example:
        """An example.

        Args:
            name: of the example, after the operator's.
            images: shape of the images.
            weights: shape of the weights, as the operator has them.
            padding: TFLite's option.
            strides: down and across.
            dilations: down and across.
            activation: the fused one.
            per_channel: whether each output has a scale of its own.
            elements: types of images, weights and bias; "" for no bias.
            bias_bits: magnitude of the biases. Of large ones, only the second channel's is, whose weights are zero.
            output_scale: of the result; by default one that makes results use most of their range.
        """
        axis = 3 if self.operator.tflite == ("DEPTHWISE_CONV_2D",) else 0
        outputs, seed = weights[axis], math.prod(images) * 31 + math.prod(weights)
        element, weight_element = IntType.parse(elements[0]), IntType.parse(elements[1])
        scales = tuple(0.01 * (1 + index / 7) for index in range(outputs)) if per_channel else (0.012,)
        zero_point = {"int8": -3, "uint8": 121}.get(elements[0], 0)
        operands = [
            Value("x", TensorType(images, element, Quantization((_X_SCALE,), (zero_point,)))),
            self._weights(weights, weight_element, scales, axis if per_channel else None, seed, bias_bits),
        ]
        if elements[2]:
            operands.append(_bias(outputs, IntType.parse(elements[2]), scales, seed, bias_bits))
        spread = _X_SCALE * max(scales) * 0.25 * weight_element.maximum * element.maximum
        made_scale = output_scale or spread * math.sqrt(math.prod(weights) / outputs) / element.maximum
        geometry = Geometry.of(padding, images[1:3], weights[1:3], strides, dilations)
        y_zero_point = {"int8": 5, "uint8": 130}.get(elements[0], 0)
        y = Value(
            "y",
            TensorType(
                (images[0], *geometry.output(images[1:3]), outputs),
                element,
                Quantization((made_scale,), (y_zero_point,)),
            ),
        )
        kind = self.operator.tflite[0]
        attributes = {
            "padding": padding,
            "stride_h": strides[0],
            "stride_w": strides[1],
            "dilation_h_factor": dilations[0],
            "dilation_w_factor": dilations[1],
            "fused_activation_function": activation,
            **({"depth_multiplier": outputs // images[3]} if axis else {}),
            **({"quantized_bias_type": "INT32"} if elements[0] == "int16" and elements[2] == "int32" else {}),
        }
        return example_graph(self.operator, f"{self.operator.name}_{name}", kind, operands, y, attributes)

    def _weights(
        self,
        shape: tuple[int, ...],
        element: IntType,
        scales: Sequence[float],
        axis: int | None,
        seed: int,
        bias_bits: int,
    ) -> Value:
        signed = element.signed
        zero_point = 0 if signed else 117
        low, high = (-element.maximum, element.maximum) if signed else (0, element.maximum)
        values = random_integers(shape, low, high, seed)
        if bias_bits > 16:
            second = (slice(None), slice(None), slice(None), 1) if axis == 3 else (1,)
            values[second] = 0
        quantization = Quantization(tuple(scales), (zero_point,) * len(scales), axis)
        return Value("weights", TensorType(shape, element, quantization), values)


def _bias(outputs: int, element: IntType, scales: Sequence[float], seed: int, bias_bits: int) -> Value:
    values = random_integers((outputs,), -(2 ** min(bias_bits, 10)), 2 ** min(bias_bits, 10), seed + 1)
    if bias_bits > 16:
        values[1] = 2**bias_bits
    bias_scales = tuple(single_precision(_X_SCALE) * single_precision(scale) for scale in scales)
    quantization = Quantization(bias_scales, (0,) * len(scales), 0 if len(scales) > 1 else None)
    return Value("bias", TensorType((outputs,), element, quantization), values)
