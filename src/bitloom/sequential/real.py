"""A sequential network in real numbers, in the form the quantizer and the trainers take."""

from __future__ import annotations

from typing import Any

import numpy as np

from bitloom.circuits.convolution_geometry import Geometry
from bitloom.errors import UnsupportedError
from bitloom.ir import FloatGraph, FloatNode, FloatTensor
from bitloom.sequential.layer_stack import LayerStack
from bitloom.sequential.layers import (
    ArgMax,
    Conv2d,
    Flatten,
    MaxPool2d,
    Pool2d,
    ReLU,
    ReLU6,
    Sigmoid,
    TruncateLSB,
    Weighted,
    pair,
)


def float_graph(network: LayerStack) -> FloatGraph:
    """The network in real numbers, images with channels last and a batch of one.

    Rectifiers behind layers with weights are fused into them. `TruncateLSB` is left out, because real numbers have no
    lowest bits, and so is the `ArgMax` or `SoftMax` at the end: the result is the scores.

    Args:
        network: with weights.

    Raises:
        UsageError: a layer has no weights yet.
    """
    builder = _Builder(network)
    for index in range(len(network.layers)):
        builder.add(index)
    return builder.graph()


class _Builder:
    def __init__(self, network: LayerStack) -> None:
        self.network = network
        self.tensors = [FloatTensor("input", (1, *network.input_shape))]
        self.nodes: list[FloatNode] = []
        self.last = self.tensors[0]

    def graph(self) -> FloatGraph:
        return FloatGraph(self.network.name, ("input",), (self.last.name,), tuple(self.tensors), tuple(self.nodes))

    def add(self, index: int) -> None:
        match layer := self.network.layers[index]:
            case Weighted():
                self._weighted(index, layer)
            case Pool2d():
                kind = "MAX_POOL_2D" if isinstance(layer, MaxPool2d) else "AVERAGE_POOL_2D"
                (down, across), (rows, columns) = layer.step, pair(layer.kernel)
                sizes = {"filter_height": rows, "filter_width": columns, "stride_h": down, "stride_w": across}
                self._node(index, kind, [], {"padding": "VALID", **sizes, "fused_activation_function": "NONE"})
            case Flatten():
                shape = np.array([1, *self.network.shapes[index + 1]], np.int32)
                operand = self._constant(f"shape_{index}", shape, "int32")
                self._node(index, "RESHAPE", [operand], {"new_shape": tuple(shape.tolist())})
            case ReLU() | ReLU6():
                kind = "RELU6" if isinstance(layer, ReLU6) else "RELU"
                if not self._fused(kind):
                    self._node(index, kind, [], {})
            case Sigmoid():
                self._node(index, "LOGISTIC", [], {})
            case TruncateLSB() | ArgMax():
                pass

    def _weighted(self, index: int, layer: Weighted) -> None:
        parameters = self.network.parameters_of(index)
        attributes: dict[str, Any] = {"fused_activation_function": "NONE"}
        kind = "FULLY_CONNECTED"
        if isinstance(layer, Conv2d):
            kind = "CONV_2D"
            stride, padding = pair(layer.stride), pair(layer.padding)
            steps = {"stride_h": stride[0], "stride_w": stride[1], "dilation_h_factor": 1, "dilation_w_factor": 1}
            attributes |= {"padding": self._padding(index, layer, stride, padding), **steps}
        weights = self._constant(f"weights_{index}", parameters.weights.astype(np.float32))
        bias = self._constant(f"bias_{index}", parameters.bias.astype(np.float32))
        self._node(index, kind, [weights, bias], attributes)

    def _padding(self, index: int, layer: Conv2d, stride: tuple[int, int], padding: tuple[int, int]) -> str:
        """The padding option; where none gives the same windows, zeros are put around the image before."""
        _, rows, columns, channels = self.last.shape
        down, across = padding
        geometry = Geometry(pair(layer.kernel), stride, (1, 1), (down, down, across, across))
        try:
            return geometry.option((rows, columns))
        except UnsupportedError:
            ends = np.array([[0, 0], [down, down], [across, across], [0, 0]], np.int32)
            operand = self._constant(f"padding_{index}", ends, "int32")
            shape = (1, rows + 2 * down, columns + 2 * across, channels)
            self._append(f"padded_{index}", index, "PAD", [operand], {}, shape)
            return "VALID"

    def _fused(self, activation: str) -> bool:
        """Whether the last node takes the activation over."""
        if not self.nodes or self.nodes[-1].attributes.get("fused_activation_function") != "NONE":
            return False
        node = self.nodes.pop()
        attributes = {**node.attributes, "fused_activation_function": activation}
        self.nodes.append(FloatNode(node.kind, node.inputs, node.outputs, attributes, node.source))
        return True

    def _node(self, index: int, kind: str, constants: list[str], attributes: dict[str, Any]) -> None:
        name = self.network.tensor(index)
        self._append(name, index, kind, constants, attributes, (1, *self.network.shapes[index + 1]))

    def _append(
        self,
        name: str,
        index: int,
        kind: str,
        constants: list[str],
        attributes: dict[str, Any],
        shape: tuple[int, ...],
    ) -> None:
        source = self.network.place(index)
        self.nodes.append(FloatNode(kind, (self.last.name, *constants), (name,), attributes, source))
        self.last = FloatTensor(name, shape)
        self.tensors.append(self.last)

    def _constant(self, name: str, data: np.ndarray, dtype: str = "float32") -> str:
        self.tensors.append(FloatTensor(name, data.shape, data, dtype))
        return name
