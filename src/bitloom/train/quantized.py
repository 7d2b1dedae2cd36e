"""The quantized network: ranges, integer weights, and a forward pass that is the integer inference itself.

Source: the TFLite 8-bit quantization specification, and Jacob et al. 2018, sections 2 and 3:

- a real number is ``scale * (integer - zero_point)``;
- weights are int8 from -127 to 127 with zero point 0, one scale for the matrix or one per output channel;
- activations are int8 with one scale and any zero point, such that the real 0 is an integer exactly;
- biases are int32 with scale ``input_scale * weight_scale`` and zero point 0.

Quantization-aware training usually imitates this with rounded floats. Here the forward pass computes with the very
integers (held in float64, where sums of int8 products are exact), so what is trained is what is shipped, but for
accumulators exactly between two outputs, which LiteRT rounds away from zero and this rounds to even.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bitloom.arith import IntType, quantize_multiplier
from bitloom.train.exact import Matrix
from bitloom.train.network import LayerPass, Parameters

INT8 = IntType(8)
_WEIGHT_LIMIT = 127  # symmetric: -128 is not used
_BIAS_LIMIT = 2**30  # half of int32, the rest is for the rounding of the scale and for the sum of products
_SMALLEST_SCALE = 1e-9  # of weights or activations that are all zero, which leave the scale free


@dataclass(frozen=True)
class Quantization:
    """The real value of an activation's integers: ``scale * (integer - zero_point)``, scale a float32."""

    scale: float
    zero_point: int

    @classmethod
    def of_range(cls, low: float, high: float) -> Quantization:
        """The 255 steps that cover [low, high], stretched to contain 0, moved so that 0 is an integer."""
        low, high = min(low, 0.0), max(high, 0.0)
        scale = float(np.float32(max((high - low) / (INT8.maximum - INT8.minimum), _SMALLEST_SCALE)))
        zero_point = int(np.clip(np.rint(INT8.minimum - low / scale), INT8.minimum, INT8.maximum))
        return cls(scale, zero_point)


@dataclass(frozen=True, eq=False)
class QuantizedLayer:
    """One dense layer in integers.

    Attributes:
        weights: int8 (outputs, inputs), zero point 0.
        bias: int32 (outputs,), scale ``input.scale * weight_scales``, zero point 0.
        weight_scales: float32 (1,), or (outputs,) when quantized per channel.
        input: quantization of what goes in.
        output: quantization of what comes out.
        relu: whether outputs below the real 0 are cut off.
    """

    weights: npt.NDArray[np.int8]
    bias: npt.NDArray[np.int32]
    weight_scales: npt.NDArray[np.float32]
    input: Quantization
    output: Quantization
    relu: bool

    @property
    def bias_scales(self) -> Matrix:
        """The real value of one unit of an accumulator: float64 (1,) or (outputs,)."""
        return self.input.scale * self.weight_scales.astype(np.float64)

    @property
    def real_multipliers(self) -> Matrix:
        """What accumulators are multiplied by to become outputs: float64 (1,) or (outputs,)."""
        return np.asarray(self.bias_scales / self.output.scale)

    @property
    def multipliers(self) -> npt.NDArray[np.int32]:
        """TFLite's fixed-point form of `real_multipliers`: ``multiplier * 2**(shift - 31)``."""
        return np.array([quantize_multiplier(real)[0] for real in self.real_multipliers], np.int32)

    @property
    def shifts(self) -> npt.NDArray[np.int32]:
        """The power of two that belongs to `multipliers`; negative is a right shift."""
        return np.array([quantize_multiplier(real)[1] for real in self.real_multipliers], np.int32)


def quantize_layer(
    weights: Matrix, bias: Matrix, source: Quantization, output: Quantization, *, relu: bool, per_channel: bool
) -> QuantizedLayer:
    """The integers of one layer.

    The weights decide the scale: the largest becomes 127. Only where they are so small that the bias would not fit
    int32 (a channel that learned nothing) the bias decides it.
    """
    groups = len(bias) if per_channel else 1  # a group shares a scale
    largest_weight = np.abs(weights).reshape(groups, -1).max(axis=1)
    largest_bias = np.abs(bias).reshape(groups, -1).max(axis=1)
    smallest_scale = np.maximum(largest_bias / (source.scale * _BIAS_LIMIT), _SMALLEST_SCALE)
    weight_scales = np.maximum(largest_weight / _WEIGHT_LIMIT, smallest_scale).astype(np.float32)
    whole_weights = np.rint(weights / weight_scales[:, None].astype(np.float64))
    whole_bias = np.rint(bias / (source.scale * weight_scales.astype(np.float64)))
    return QuantizedLayer(
        weights=np.clip(whole_weights, -_WEIGHT_LIMIT, _WEIGHT_LIMIT).astype(np.int8),
        bias=whole_bias.astype(np.int32),
        weight_scales=weight_scales,
        input=source,
        output=output,
        relu=relu,
    )


def quantize_network(
    parameters: Parameters, quantizations: list[Quantization], *, per_channel: bool
) -> list[QuantizedLayer]:
    """The integers of all layers; `quantizations` are those of the input and of each layer's output."""
    last = len(parameters.weights) - 1
    return [
        quantize_layer(weights, bias, quantizations[i], quantizations[i + 1], relu=i < last, per_channel=per_channel)
        for i, (weights, bias) in enumerate(zip(parameters.weights, parameters.biases, strict=True))
    ]


def quantized_forward(layers: list[QuantizedLayer], x: Matrix) -> tuple[Matrix, list[LayerPass]]:
    """The real values of the quantized logits, and the record for `bitloom.train.network.gradients`.

    Args:
        layers: the network.
        x: (batch, features), the integers of the input minus their zero point.
    """
    record = []
    for layer in layers:
        accumulators = accumulate(layer, x)
        rounded = np.rint(accumulators * layer.real_multipliers)
        low = 0 if layer.relu else INT8.minimum - layer.output.zero_point
        y = np.clip(rounded, low, INT8.maximum - layer.output.zero_point)
        record.append(
            LayerPass(
                inputs=x * layer.input.scale,
                weights=layer.weights * layer.weight_scales.astype(np.float64)[:, None],
                passes_gradient=y == rounded,
            )
        )
        x = y
    return x * layers[-1].output.scale, record


def accumulate(layer: QuantizedLayer, x: Matrix) -> Matrix:
    """The layer's int32 accumulators, bias included: exact, because int8 products sum far below 2**53."""
    accumulators: Matrix = x @ layer.weights.astype(np.float64).T + layer.bias
    return accumulators


def observe_ranges(
    parameters: Parameters, source: Quantization, x: Matrix, percentile: float, *, per_channel: bool
) -> list[tuple[float, float]]:
    """The range of each layer's real outputs, layer after layer, each fed by the quantized one before.

    Args:
        parameters: the weights and biases.
        source: quantization of the input.
        x: (samples, features), integers of the input minus their zero point.
        percentile: the share of the largest (and of the smallest) outputs, in percent, that may saturate is
            100 minus this.
        per_channel: whether weights have a scale per output channel.
    """
    ranges = []
    last = len(parameters.weights) - 1
    for index, (weights, bias) in enumerate(zip(parameters.weights, parameters.biases, strict=True)):
        unknown = Quantization(1.0, 0)  # the output's quantization does not matter for accumulators
        layer = quantize_layer(weights, bias, source, unknown, relu=index < last, per_channel=per_channel)
        y = accumulate(layer, x) * layer.bias_scales
        if layer.relu:
            y = np.maximum(y, 0.0)
        low, high = _percentiles(y, percentile)
        ranges.append((low, high))
        source = Quantization.of_range(low, high)
        x = np.clip(np.rint(y / source.scale), INT8.minimum - source.zero_point, INT8.maximum - source.zero_point)
    return ranges


def _percentiles(values: Matrix, percentile: float) -> tuple[float, float]:
    """The values a share from either end, picked and not interpolated."""
    ordered = np.sort(values, axis=None)
    high = int((len(ordered) - 1) * percentile / 100.0)
    return float(ordered[len(ordered) - 1 - high]), float(ordered[high])
