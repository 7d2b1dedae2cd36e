"""Layers one behind the other, with their shapes and weights: what every way to integers reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from bitloom.errors import BitloomError, GraphError, UsageError
from bitloom.sequential.layers import ArgMax, Layer, Linear, Shape, Weighted

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Parameters:
    """Of one layer.

    Attributes:
        weights: (outputs, inputs), or (outputs, rows, columns, inputs) of a convolution.
        bias: (outputs,); zeros where the layer has none.
    """

    weights: Floats
    bias: Floats


@dataclass(frozen=True, eq=False)
class LayerStack:
    """Layers, one behind the other, with their shapes and weights.

    Attributes:
        layers: in order.
        input_shape: (features,) or (rows, columns, channels); may be left out where the first layer is `Linear`.
        name: of the network.
        parameters: by layer, None for those without; empty before there are weights.

    Raises:
        UsageError: no layers.
        GraphError: layers that do not fit each other; the message names the layer by its index.
    """

    layers: tuple[Layer, ...]
    input_shape: Shape
    name: str
    parameters: tuple[Parameters | None, ...]

    def __init__(
        self,
        layers: Sequence[Layer],
        input_shape: Shape | None = None,
        name: str = "sequential",
        parameters: Sequence[Parameters | None] = (),
    ) -> None:
        if not layers:
            raise UsageError("a network without layers", remedy="give at least one")
        for index, layer in enumerate(layers):
            if not isinstance(layer, Layer):
                raise UsageError(f"layer {index} is {type(layer).__name__}, no layer", remedy="see bitloom.sequential")
        if input_shape is None:
            first = layers[0]
            if not isinstance(first, Linear):
                raise UsageError(
                    f"layer 0 ({type(first).__name__}) does not say what shape it takes",
                    remedy="give input_shape=(rows, columns, channels)",
                )
            input_shape = (first.inputs,)
        object.__setattr__(self, "layers", tuple(layers))
        object.__setattr__(self, "input_shape", tuple(input_shape))
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "parameters", tuple(parameters))
        _ = self.shapes

    @cached_property
    def shapes(self) -> tuple[Shape, ...]:
        """Of the input, then of every layer's result."""
        if not self.input_shape or min(self.input_shape) < 1:
            raise GraphError(f"an input of shape {list(self.input_shape)}", where=f"network '{self.name}'")
        shapes = [self.input_shape]
        for index, layer in enumerate(self.layers):
            if isinstance(layer, ArgMax) and index < len(self.layers) - 1:
                raise GraphError("has layers behind it", where=self.place(index), remedy="make it the last layer")
            try:
                shapes.append(layer.made(shapes[-1]))
            except BitloomError as error:
                raise GraphError(error.what, where=self.place(index), remedy=error.remedy) from error
        return tuple(shapes)

    def place(self, index: int) -> str:
        """A layer, for messages."""
        return f"network '{self.name}', layer {index} ({type(self.layers[index]).__name__})"

    @property
    def weighted(self) -> tuple[tuple[int, Weighted], ...]:
        """Layers with weights, and their indices."""
        return tuple((index, layer) for index, layer in enumerate(self.layers) if isinstance(layer, Weighted))

    def parameters_of(self, index: int) -> Parameters:
        """The weights of a layer.

        Raises:
            UsageError: there are none yet.
        """
        found = self.parameters[index] if self.parameters else None
        if found is None:
            raise UsageError(
                "has no weights yet",
                where=self.place(index),
                remedy="call load_state_dict or train, which return a network with weights",
            )
        return found

    def tensor(self, index: int) -> str:
        """The name of what a layer makes, in every graph of the network."""
        return f"{type(self.layers[index]).__name__.lower()}_{index}"
