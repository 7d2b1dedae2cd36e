"""What calibration samples bring to each layer with weights: means and second moments of its inputs, tap by tap.

Bias correction needs the means, adaptive rounding the second moments.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bitloom.circuits.convolution_geometry import Geometry, patches
from bitloom.ir.float_graph import FloatGraph, FloatNode
from bitloom.ir.operator import Array
from bitloom.ir.types import TensorType
from bitloom.quantize.activations import Activations
from bitloom.quantize.statistics import Float64Array
from bitloom.quantize.weights import operand_type, weights_rule
from bitloom.run.float_litert import FloatEvaluator

LARGEST_SQUARE = 1 << 24
"""Second moments of a layer have at most so many elements; those of a layer that needs more are left out."""

# Of the windows of an image so many are looked at; neighbours overlap, so that all of them say little more.
_WINDOWS = 64


@dataclass(frozen=True, eq=False)
class LayerMoments:
    """Inputs of a layer, in groups of channels that share them, each tap a dimension.

    Attributes:
        mean: (groups, taps), of the real inputs.
        quantized_mean: (groups, taps), of what their integers stand for.
        second: (groups, taps, taps), the mean of the products of what integers of two taps stand for; None where it
            would have more than `LARGEST_SQUARE` elements, or was not asked for.
    """

    mean: Float64Array
    quantized_mean: Float64Array
    second: Float64Array | None


def collect_moments(
    graph: FloatGraph,
    activations: Activations,
    inputs: Mapping[str, Array],
    *,
    second: bool,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, LayerMoments]:
    """Moments of the inputs of every layer with weights, by the name of the tensor that the layer makes.

    Args:
        graph: prepared.
        activations: types of its tensors.
        inputs: calibration samples, float32 (samples, *shape) by name.
        second: whether second moments are wanted.
        progress: told of the samples done.
    """
    layers = [node for node in graph.nodes if weights_rule(node) is not None]
    sums: dict[str, _Sums] = {}
    for chunk in FloatEvaluator(graph).chunks(inputs, progress):
        for node in layers:
            real = chunk[node.read[0]].astype(np.float64)
            name = node.outputs[0]
            if name not in sums:
                sums[name] = _Sums.like(windows(graph, node, real[:1]), second=second)
            sums[name].add(graph, node, real, operand_type(node, activations))
    return {name: each.moments for name, each in sums.items()}


@dataclass
class _Sums:
    """Sums over the windows so far."""

    count: int
    real: Float64Array
    quantized: Float64Array
    squares: Float64Array | None

    @classmethod
    def like(cls, taken: Float64Array, *, second: bool) -> _Sums:
        _, groups, taps = taken.shape
        square = np.zeros((groups, taps, taps)) if second and groups * taps * taps <= LARGEST_SQUARE else None
        return cls(0, np.zeros((groups, taps)), np.zeros((groups, taps)), square)

    def add(self, graph: FloatGraph, node: FloatNode, real: Float64Array, made: TensorType) -> None:
        taken = windows(graph, node, real)
        quantized = windows(graph, node, represented(real, made))
        self.count += len(taken)
        self.real += taken.sum(axis=0)
        self.quantized += quantized.sum(axis=0)
        if self.squares is not None:
            columns = quantized.transpose(1, 0, 2)
            self.squares += columns.transpose(0, 2, 1) @ columns

    @property
    def moments(self) -> LayerMoments:
        square = None if self.squares is None else self.squares / self.count
        return LayerMoments(self.real / self.count, self.quantized / self.count, square)


def represented(real: Float64Array, made: TensorType) -> Float64Array:
    """What the integers of a type stand for where they stand for these numbers.

    >>> from bitloom.arith import IntType
    >>> from bitloom.ir import Quantization
    >>> represented(np.array([0.3, 9.0]), TensorType((2,), IntType(4), Quantization((0.25,), (0,)))).tolist()
    [0.25, 1.75]
    """
    quantization, element = made.required_quantization, made.integer
    scale, zero_point = quantization.scale, quantization.zero_point
    steps = np.clip(np.rint(real / scale), element.minimum - zero_point, element.maximum - zero_point)
    return steps * scale


def rows_of_weights(node: FloatNode, weights: npt.NDArray[Any], channels: int) -> npt.NDArray[Any]:
    """Weights as (groups, outputs of a group, taps); `weights_of_rows` is the way back.

    Args:
        node: the layer.
        weights: as the layer has them.
        channels: of its input.
    """
    if node.kind == "FULLY_CONNECTED":
        return weights[None]
    if node.kind == "DEPTHWISE_CONV_2D":
        _, height, width, outputs = weights.shape
        return weights.reshape(height * width, channels, outputs // channels).transpose(1, 2, 0)
    outputs, height, width, depth = weights.shape
    groups = channels // depth
    return weights.reshape(groups, outputs // groups, height * width * depth)


def weights_of_rows(node: FloatNode, rows: npt.NDArray[Any], shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """The inverse of `rows_of_weights`; `shape` is that of the layer's weights."""
    return rows.transpose(2, 0, 1).reshape(shape) if node.kind == "DEPTHWISE_CONV_2D" else rows.reshape(shape)


def windows(graph: FloatGraph, node: FloatNode, real: Float64Array) -> Float64Array:
    """Inputs that meet weights, as (windows, groups, taps): at most some of each image, always the same.

    Args:
        graph: of the node.
        node: with weights.
        real: its first operand, (samples, *shape).
    """
    weights = graph.tensor(node.read[1]).shape
    if node.kind == "FULLY_CONNECTED":
        return real.reshape(-1, 1, weights[1])
    images = real.reshape(-1, *real.shape[2:])
    attributes = node.attributes
    geometry = Geometry.of(
        str(attributes.get("padding", "SAME")),
        images.shape[1:3],
        (weights[1], weights[2]),
        (int(attributes.get("stride_h", 1)), int(attributes.get("stride_w", 1))),
        (int(attributes.get("dilation_h_factor", 1)), int(attributes.get("dilation_w_factor", 1))),
    )
    taken = patches(images, geometry, 0, np.dtype(np.float64))
    down, across = geometry.output(images.shape[1:3])
    chosen = np.linspace(0, down * across - 1, min(_WINDOWS, down * across)).astype(np.int64)
    view = taken.view[:, chosen // across, chosen % across]
    channels = images.shape[3]
    full = np.zeros((*view.shape[:2], weights[1], weights[2], channels))
    full[:, :, taken.taps[0], taken.taps[1]] = view
    depth = 1 if node.kind == "DEPTHWISE_CONV_2D" else weights[3]
    split = full.reshape(-1, weights[1] * weights[2], channels // depth, depth)
    return split.transpose(0, 2, 1, 3).reshape(len(split), channels // depth, -1)
