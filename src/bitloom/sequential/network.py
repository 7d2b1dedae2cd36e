"""A network as a list of layers, with weights from PyTorch or trained here; its ways to integers."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from bitloom.arith import IntType
from bitloom.data import Dataset
from bitloom.errors import UsageError
from bitloom.ir import FloatGraph, Graph, Node, TensorType, Value
from bitloom.ops.arg_max import ArgMax as ArgMaxOperator
from bitloom.sequential.integers import Integers
from bitloom.sequential.layer_stack import Floats, LayerStack, Parameters
from bitloom.sequential.layers import ArgMax, Conv2d, Flatten, Linear, ReLU, TruncateLSB, Weighted
from bitloom.sequential.naive import naive_graph
from bitloom.sequential.real import float_graph

if TYPE_CHECKING:
    from bitloom.quantize import QuantizeOptions
    from bitloom.train.recipe import Recipe
    from bitloom.train.torch_quantized import FakeQuantized


@dataclass(frozen=True, eq=False, init=False)
class Sequential(LayerStack):
    """Layers, one behind the other: a `LayerStack` with ways to weights and to integers.

    Attributes:
        layers: in order.
        input_shape: (features,) or (rows, columns, channels); may be left out where the first layer is `Linear`.
        name: of the network.
        parameters: by layer, None for those without; empty before there are weights.

    Raises:
        UsageError: no layers.
        GraphError: layers that do not fit each other; the message names the layer by its index.

    >>> from bitloom.sequential import Linear, ReLU, Sequential, SoftMax, TruncateLSB
    >>> network = Sequential([Linear(4, 30, bits=8), TruncateLSB(8), ReLU(), Linear(30, 3, bits=8), SoftMax()])
    >>> network.shapes
    ((4,), (30,), (30,), (30,), (3,), ())
    """

    def load_state_dict(self, state: Mapping[str, Any]) -> Sequential:
        """The same network with the weights of a trained one.

        Args:
            state: arrays (or tensors that NumPy converts) by name, such as ``model.state_dict()`` of PyTorch:
                ``0.weight``, ``0.bias``, ``2.weight``, ... in PyTorch's layouts. What stands before the last point
                tells layers apart; they are taken in the order of the mapping, whatever the numbers, because layers
                without weights here need not have a counterpart there.

        Returns:
            A network with weights.

        Raises:
            UsageError: too few or too many weights, of another shape, not finite, or an unknown name.
        """
        groups = _grouped(state)
        if len(groups) != len(self.weighted):
            raise UsageError(
                f"the state has weights for {len(groups)} layers ({', '.join(groups) or 'none'}) and the network "
                f"'{self.name}' has {len(self.weighted)} with weights"
            )
        parameters: list[Parameters | None] = [None] * len(self.layers)
        for (index, layer), (prefix, arrays) in zip(self.weighted, groups.items(), strict=True):
            parameters[index] = self._parameters(index, layer, prefix, arrays)
        return Sequential(self.layers, self.input_shape, self.name, parameters)

    def _parameters(self, index: int, layer: Weighted, prefix: str, arrays: Mapping[str, Floats]) -> Parameters:
        name = f"{prefix}.weight" if prefix else "weight"
        if "weight" not in arrays:
            raise UsageError(f"the state lacks '{name}'", where=self.place(index))
        if "bias" in arrays and not layer.bias:
            raise UsageError(f"the state has a bias for it ('{prefix}.bias')", where=self.place(index))
        if "bias" not in arrays and layer.bias:
            raise UsageError(f"the state lacks '{prefix}.bias'", where=self.place(index), remedy="or say bias=False")
        bias = arrays.get("bias", np.zeros(layer.outputs))
        for what, array, wanted in (
            ("weights", arrays["weight"], layer.weight_shape),
            ("bias", bias, (layer.outputs,)),
        ):
            if array.shape != wanted:
                raise UsageError(
                    f"takes {what} of shape {list(wanted or ())} and '{name}' has {list(array.shape)}",
                    where=self.place(index),
                )
        weights = arrays["weight"]
        if isinstance(layer, Conv2d):
            return Parameters(weights.transpose(0, 2, 3, 1), bias)
        return Parameters(weights[:, self._feature_order(index)], bias)

    def _feature_order(self, index: int) -> npt.NDArray[np.int64]:
        """Where PyTorch has the features of a dense layer: behind flattened images it has channels first."""
        for position in range(index - 1, -1, -1):
            if isinstance(self.layers[position], Weighted):
                break
            shape = self.shapes[position]
            if isinstance(self.layers[position], Flatten) and len(shape) == 3:
                rows, columns, channels = shape
                order = np.arange(rows * columns * channels).reshape(channels, rows, columns)
                return order.transpose(1, 2, 0).reshape(-1)
        return np.arange(self.shapes[index][0])

    def train(
        self, dataset: Dataset, *, seed: int = 0, epochs: int | None = None, recipe: Recipe | None = None
    ) -> Sequential:
        """The same network with weights trained in float, by NumPy, the same on every machine.

        Args:
            dataset: with as many features and classes as the network has inputs and scores.
            seed: of the initial weights and the order of samples.
            epochs: over the training samples; None takes the recipe's.
            recipe: everything else; None takes the data set's own.

        Raises:
            UsageError: layers other than dense ones with rectifiers between them; another number of features.
            TrainError: training diverges.
        """
        from bitloom.train.recipe import train_float

        sizes = self._trained_sizes()
        if (sizes[0], sizes[-1]) != (dataset.features, dataset.classes):
            raise UsageError(
                f"network '{self.name}' goes from {sizes[0]} features to {sizes[-1]} scores, and data set "
                f"'{dataset.name}' has {dataset.features} features and {dataset.classes} classes"
            )
        trained = train_float(dataset, sizes[1:-1], seed, epochs, recipe=recipe)
        parameters: list[Parameters | None] = [None] * len(self.layers)
        for (index, _), weights, bias in zip(self.weighted, trained.weights, trained.biases, strict=True):
            parameters[index] = Parameters(weights, bias)
        return Sequential(self.layers, self.input_shape, self.name, parameters)

    def _trained_sizes(self) -> tuple[int, ...]:
        """Of the layers of a network that the NumPy trainer knows."""
        kinds = [type(layer) for layer in self.layers if not isinstance(layer, TruncateLSB | ArgMax)]
        dense = kinds[::2]
        if set(dense) != {Linear} or set(kinds[1::2]) - {ReLU} or len(kinds) % 2 == 0:
            raise UsageError(
                f"network '{self.name}' has other layers than Linear with ReLU between them",
                remedy="train it in PyTorch and use load_state_dict",
            )
        if not all(layer.bias for _, layer in self.weighted):
            raise UsageError(f"network '{self.name}' has a layer without bias, which training here gives every layer")
        return (self.input_shape[0], *(layer.outputs for _, layer in self.weighted))

    def naive(self, low: float, high: float, *, inputs: Integers | None = None, aligned_biases: bool = False) -> Graph:
        """The naive integer network, for teaching: every tensor of weights rounded on its own, products truncated.

        See `bitloom.sequential.naive.naive_graph`.

        Args:
            low: the smallest element of the input.
            high: the largest.
            inputs: how the input becomes integers; signed, symmetric 8 bits if None.
            aligned_biases: whether biases are in the steps of the products they are added to, the least that has to be
                put right.
        """
        return naive_graph(self, (low, high), inputs or Integers(), aligned_biases=aligned_biases)

    def float_graph(self) -> FloatGraph:
        """The network in real numbers, as the quantizer takes it; see `bitloom.sequential.real.float_graph`."""
        return float_graph(self)

    def quantize(self, calibration: npt.NDArray[Any], options: QuantizeOptions | None = None) -> Graph:
        """The network in integers, by the quantizer: every layer's scale and zero point are accounted for.

        Weights have the widths that layers say, `TruncateLSB` is left out, and an `ArgMax` or `SoftMax` at the end
        becomes the operator.

        Args:
            calibration: (samples, *input_shape), real inputs like those in use.
            options: everything else; for layers that they name, also their widths.

        Raises:
            InputError: the calibration data do not fit, or are not finite.
            QuantizeError: a dead channel.
            UsageError: no weights yet, or a width that the quantizer does not make.
        """
        from bitloom.quantize import QuantizeOptions, Widths, quantize

        given = options or QuantizeOptions()
        bits = given.widths.activations
        layers = {self.tensor(index): Widths(layer.bits, bits) for index, layer in self.weighted}
        options = dataclasses.replace(given, layers={**layers, **given.layers})
        return self._answered(quantize(self.float_graph(), calibration, options).graph)

    def fake_quantized(
        self, calibration: npt.NDArray[Any], *, activations: int = 8, inputs: int = 8, outputs: int = 8
    ) -> FakeQuantized:
        """The network in PyTorch for quantization-aware training, its weights of the widths that layers say.

        Args:
            calibration: (samples, *input_shape), real inputs from which scales begin.
            activations: bits of what layers make.
            inputs: bits of the input.
            outputs: bits of the scores.

        Raises:
            MissingExtraError: PyTorch is not installed.
        """
        from bitloom.train.torch_quantized import FakeQuantized
        from bitloom.train.torch_ranges import NetworkWidths

        last = self.weighted[-1][0] if self.weighted else -1
        layers = {
            self.tensor(index): (layer.bits, outputs if index == last else activations)
            for index, layer in self.weighted
        }
        widths = NetworkWidths(activations=activations, inputs=inputs, outputs=outputs, layers=layers)
        return FakeQuantized(self.float_graph(), calibration, widths)

    def _answered(self, graph: Graph) -> Graph:
        """With the index of the largest score behind the scores, where the network ends so."""
        index = len(self.layers) - 1
        if not isinstance(self.layers[index], ArgMax):
            return graph
        scores, name = graph.type(graph.outputs[0]), self.tensor(index)
        operator = ArgMaxOperator(len(scores.shape) - 1, IntType(32))
        value = Value(name, TensorType(scores.shape[:-1], IntType(32)))
        node = Node(name, operator, (graph.outputs[0],), (name,), source=self.place(index))
        return Graph(graph.name, graph.inputs, (name,), (*graph.values, value), (*graph.nodes, node))

    def renamed(self, name: str) -> Sequential:
        """The same under another name."""
        return Sequential(self.layers, self.input_shape, name, self.parameters)


def _grouped(state: Mapping[str, Any]) -> dict[str, dict[str, Floats]]:
    """Arrays by what their names begin with, and by how they end."""
    groups: dict[str, dict[str, Floats]] = {}
    for name, given in state.items():
        prefix, _, kind = name.rpartition(".")
        if kind not in ("weight", "bias"):
            raise UsageError(
                f"the state's '{name}' is neither a weight nor a bias",
                remedy="fold batch normalisation into the layer in front of it first (bl.from_torch does)",
            )
        try:
            array = np.asarray(given, np.float64)
        except (
            TypeError,
            ValueError,
            RuntimeError,
        ) as error:  # PyTorch's tensors that need a gradient, or another device
            reason = str(error).splitlines()[0]
            remedy = "give arrays, such as tensor.detach().cpu()"
            raise UsageError(f"the state's '{name}' is no array of numbers: {reason}", remedy=remedy) from error
        if not np.isfinite(array).all():
            raise UsageError(f"the state's '{name}' holds NaN or infinity", remedy="train again")
        groups.setdefault(prefix, {})[kind] = array
    return groups
