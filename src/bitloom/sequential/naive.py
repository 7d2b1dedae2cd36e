"""The naive integer network: what one writes down first, every step an explicit integer.

- The input, each layer's weights and its bias are rounded on their own, each as its own width says. Nobody asks what
  the product of two scales is, so a bias is added to sums of products whose unit is not its own.
- Sums are exact; `TruncateLSB` drops their low bits, rounding down.
- What remains is as wide as it can get, and goes into the next layer as it is.

What costs most is the bias (docs/stages/sequential.md). Biases in steps of the products (``aligned_biases``) mend that
alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

import bitloom.ops.arg_max as arg_max
import bitloom.ops.average_pool_2d as average_pool_2d
import bitloom.ops.conv_2d as conv_2d
import bitloom.ops.fully_connected as fully_connected
import bitloom.ops.max_pool_2d as max_pool_2d
from bitloom.arith import Interval, IntType, Rescale, Rounding
from bitloom.circuits.dense import DenseTerms
from bitloom.circuits.pool_windows import Padding
from bitloom.errors import UsageError
from bitloom.ir import Graph, Node, Operator, Quantization, TensorType, Value
from bitloom.ops.lookup import Lookup
from bitloom.ops.reshape import Reshape
from bitloom.ops.shared.convolution import ConvolutionTerms
from bitloom.sequential.integers import Integers, Scaled
from bitloom.sequential.layer_stack import LayerStack, Parameters
from bitloom.sequential.layers import (
    ArgMax,
    Conv2d,
    Flatten,
    Layer,
    MaxPool2d,
    Pool2d,
    ReLU,
    ReLU6,
    Sigmoid,
    TruncateLSB,
    Weighted,
    pair,
)

_INDEX = IntType(32)
_SUM = IntType(32)
_EXACT = IntType(53)  # whole numbers that binary64 holds
_TABLE_BITS = 8
_SIGMOID = (IntType(8), 1 / 256, -128)


@dataclass(frozen=True)
class _Step:
    """A layer and the truncations and rectifiers that its circuit does on the way out.

    Attributes:
        index: of the layer.
        layer: itself.
        dropped: bits.
        activation: ``NONE``, ``RELU`` or ``RELU6``.
    """

    index: int
    layer: Layer
    dropped: int = 0
    activation: str = "NONE"


def naive_graph(
    network: LayerStack, extremes: tuple[float, float], inputs: Integers, *, aligned_biases: bool = False
) -> Graph:
    """The network in explicit integers.

    Args:
        network: with weights.
        extremes: smallest and largest element of the input.
        inputs: how the input becomes integers.
        aligned_biases: whether biases are in the steps of the products they are added to, which is not naive any more.

    Raises:
        UsageError: no weights, senseless extremes, or a layer that has no integers of its own where it stands.
        UnsupportedError: sums that no operator holds.
    """
    low, high = extremes
    if not (np.isfinite([low, high]).all() and low <= high):
        raise UsageError(f"inputs from {low} to {high}", remedy="give the smallest and the largest element")
    scaled = inputs.of_range(low, high)
    builder = _Builder(network, aligned_biases=aligned_biases)
    builder.begin(scaled.element, scaled.scale, scaled.zero_point)
    for step in _steps(network):
        builder.add(step)
    return builder.graph()


def _steps(network: LayerStack) -> list[_Step]:
    """Layers, with truncations and rectifiers taken into the one whose circuit does them."""
    layers = list(enumerate(network.layers))
    moved = True
    while moved:  # what acts on each element alone may as well act before the elements are laid out anew
        moved = False
        for at in range(1, len(layers)):
            if isinstance(layers[at - 1][1], Flatten) and isinstance(layers[at][1], ReLU | ReLU6 | TruncateLSB):
                layers[at - 1 : at + 1] = [layers[at], layers[at - 1]]
                moved = True
    steps: list[_Step] = []
    for index, layer in layers:
        last = steps[-1] if steps else None
        if isinstance(layer, TruncateLSB):
            if last is None or not isinstance(last.layer, Weighted):
                raise UsageError("stands behind no sums of products", where=network.place(index))
            steps[-1] = replace(last, dropped=last.dropped + layer.bits)
        elif isinstance(layer, ReLU | ReLU6) and last and isinstance(last.layer, Weighted | Pool2d):
            both = "RELU6" if isinstance(layer, ReLU6) or last.activation == "RELU6" else "RELU"
            steps[-1] = replace(last, activation=both)
        else:
            steps.append(_Step(index, layer))
    return steps


class _Builder:
    """A graph as it grows, and the meaning of its last value's integers."""

    def __init__(self, network: LayerStack, *, aligned_biases: bool) -> None:
        self.network, self.aligned_biases = network, aligned_biases
        self.values: list[Value] = []
        self.nodes: list[Node] = []

    def begin(self, element: IntType, scale: float, zero_point: int) -> None:
        """The input; images have a batch of one."""
        quantization = Quantization((scale,), (zero_point,))
        self.last = Value("input", TensorType((1, *self.network.input_shape), element, quantization))
        self.values.append(self.last)

    @property
    def scale(self) -> float:
        """Real value of a step."""
        return self.last.type.required_quantization.scale

    @property
    def zero_point(self) -> int:
        """The integer that stands for 0."""
        return self.last.type.required_quantization.zero_point

    def graph(self) -> Graph:
        """All of it."""
        return Graph(self.network.name, ("input",), (self.last.name,), tuple(self.values), tuple(self.nodes))

    def add(self, step: _Step) -> None:
        """A layer."""
        match step.layer:
            case Weighted():
                self._weighted(step, step.layer)
            case Pool2d():
                self._pool(step, step.layer)
            case Flatten():
                size = self.last.type.size
                self._node(step, Reshape((1, size)), [], self.scale, self.zero_point)
            case ArgMax():
                self._node(step, arg_max.ArgMax(len(self.last.type.shape) - 1, _INDEX), [], None, 0)
            case Sigmoid():
                self._table(step, lambda real: 1 / (1 + np.exp(-real)), *_SIGMOID)
            case ReLU() | ReLU6():
                ceiling = 6.0 if isinstance(step.layer, ReLU6) else np.inf
                given = (self.last.type.integer, self.scale, self.zero_point)
                self._table(step, lambda real: np.clip(real, 0, ceiling), *given)
            case _:
                raise UsageError("has no integers", where=self.network.place(step.index))

    def _weighted(self, step: _Step, layer: Weighted) -> None:
        parameters = self.network.parameters_of(step.index)
        scaled = layer.integers.of(parameters.weights)
        weights = self._constant(f"weights_{step.index}", scaled.integers(parameters.weights), scaled.element)
        operands = [weights]
        bias = self._bias(layer, parameters, scaled)
        operands.append(self._constant(f"bias_{step.index}", bias, IntType.holding(int(bias.min()), int(bias.max()))))
        scale = self.scale * scaled.scale * 2.0**step.dropped
        wide = self._operator(step, layer, scaled.zero_point, Interval(_SUM.minimum, _SUM.maximum), _SUM)
        low, high = _sums(wide, [self.last, *operands]).accumulator_bounds
        bounds = Interval(int(low.min()) >> step.dropped, int(high.max()) >> step.dropped)
        clamp = _clamp(bounds, step.activation, scale)
        element = IntType.holding(clamp.low, clamp.high)
        self._node(step, self._operator(step, layer, scaled.zero_point, clamp, element), operands, scale, 0)

    def _bias(self, layer: Weighted, parameters: Parameters, weights: Scaled) -> np.ndarray:
        """In steps of its own, or of the products it is added to."""
        if not self.aligned_biases:
            return Integers(layer.bits).of(parameters.bias).integers(parameters.bias)
        return Scaled(_EXACT, self.scale * weights.scale, 0).integers(parameters.bias)

    def _operator(
        self, step: _Step, layer: Weighted, weight_zero_point: int, clamp: Interval, element: IntType
    ) -> conv_2d.Conv2d | fully_connected.FullyConnected:
        rescale = Rescale((2.0**-step.dropped,), Rounding.TRUNCATE)
        shared = (self.zero_point, weight_zero_point, 0, rescale, clamp, element)
        if not isinstance(layer, Conv2d):
            return fully_connected.FullyConnected(*shared)
        down, across = pair(layer.padding)
        return conv_2d.Conv2d(*shared, strides=pair(layer.stride), padding=(down, down, across, across))

    def _pool(self, step: _Step, layer: Pool2d) -> None:
        kind = max_pool_2d.MaxPool2d if isinstance(layer, MaxPool2d) else average_pool_2d.AveragePool2d
        element = self.last.type.integer
        clamp = _clamp(Interval(element.minimum, element.maximum), step.activation, self.scale, self.zero_point)
        operator = kind(pair(layer.kernel), layer.step, Padding.VALID, clamp)
        self._node(step, operator, [], self.scale, self.zero_point)

    def _table(self, step: _Step, function: object, element: IntType, scale: float, zero_point: int) -> None:
        given = self.last.type.integer
        if given.bits > _TABLE_BITS:
            raise UsageError(
                f"is a table of 2**{given.bits} entries here; {_TABLE_BITS} bits are the limit",
                where=self.network.place(step.index),
                remedy=f"put TruncateLSB({given.bits - _TABLE_BITS}) or more in front",
            )
        reals = self.scale * (np.arange(given.minimum, given.maximum + 1) - self.zero_point)
        assert callable(function)
        steps = np.rint(function(reals) / scale) + zero_point
        entries = tuple(int(entry) for entry in np.clip(steps, element.minimum, element.maximum))
        self._node(step, Lookup(given, element, entries), [], scale, zero_point)

    def _constant(self, name: str, data: np.ndarray, element: IntType) -> Value:
        value = Value(name, TensorType(data.shape, element), data)
        self.values.append(value)
        return value

    def _node(
        self, step: _Step, operator: Operator, constants: Sequence[Value], scale: float | None, zero_point: int
    ) -> None:
        operands = [self.last, *constants]
        ((shape, element),) = operator.infer(operands)
        quantization = None if scale is None else Quantization((scale,), (zero_point,))
        name = self.network.tensor(step.index)
        self.last = Value(name, TensorType(shape, element, quantization))
        self.values.append(self.last)
        source = self.network.place(step.index)
        self.nodes.append(Node(name, operator, tuple(value.name for value in operands), (name,), source=source))


def _sums(operator: conv_2d.Conv2d | fully_connected.FullyConnected, operands: Sequence[Value]) -> DenseTerms:
    if isinstance(operator, conv_2d.Conv2d):
        return ConvolutionTerms(operator, operands)
    return DenseTerms(operator, operands)


def _clamp(bounds: Interval, activation: str, scale: float, zero_point: int = 0) -> Interval:
    """The part of `bounds` that an activation lets through."""
    if activation == "NONE":
        return bounds
    high = bounds.high if activation == "RELU" else min(bounds.high, zero_point + int(np.rint(6 / scale)))
    low = max(bounds.low, zero_point)
    return Interval(low, max(high, low))
