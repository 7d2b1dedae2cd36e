"""What the steps of the quantizer hand on to each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from bitloom.errors import QuantizeError
from bitloom.ir import Graph
from bitloom.ir.float_graph import FloatGraph
from bitloom.ir.operator import Array
from bitloom.quantize.activations import Activations
from bitloom.quantize.options import QuantizeOptions
from bitloom.quantize.statistics import TensorStatistics
from bitloom.quantize.weights import LayerWeights


@dataclass(frozen=True, eq=False)
class State:
    """A quantization on its way. Each step replaces what it makes.

    Attributes:
        graph: the float network.
        options: what is wanted.
        inputs: calibration samples, float32 (samples, *shape) by input.
        statistics: of the float tensors; empty before calibration.
        activations: types of activations; None before ranges are chosen.
        weights: of layers, by the name of the tensor a layer makes; empty before.
        integers: the integer graph; None before it is made.
    """

    graph: FloatGraph
    options: QuantizeOptions
    inputs: Mapping[str, Array]
    statistics: Mapping[str, TensorStatistics] = field(default_factory=lambda: MappingProxyType({}))
    activations: Activations | None = None
    weights: Mapping[str, LayerWeights] = field(default_factory=lambda: MappingProxyType({}))
    integers: Graph | None = None

    @property
    def chosen(self) -> Activations:
        """The types of activations.

        Raises:
            QuantizeError: no step has chosen them yet.
        """
        if self.activations is None:
            raise QuantizeError("the ranges of activations are not chosen yet")
        return self.activations
