"""What was trained in PyTorch, in integers: its graph, and PyTorch's own computation of the same integers.

The second is there to compare with: sums of products are PyTorch's, in binary64, where they are exact; each is then
rescaled by the rule (`bitloom.arith.Rescale`) that the operator of the graph has. All other operators are computed from
the real numbers their operands stand for and rounded once, halves away from zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from bitloom.ir import FloatGraph, Graph, Node, TensorType
from bitloom.quantize.activations import Activations
from bitloom.quantize.lower import lower
from bitloom.quantize.weights import LayerWeights
from bitloom.train.torch_nodes import KEEPING, WEIGHTED, Call, away, require_torch


@dataclass(frozen=True, eq=False)
class TrainedNetwork:
    """What training gives, as the quantizer's last step takes it.

    Attributes:
        graph: in real numbers, with the trained biases.
        types: of every tensor that is given or computed.
        weights: by the tensor that a layer makes.
    """

    graph: FloatGraph
    types: Mapping[str, TensorType]
    weights: Mapping[str, LayerWeights]

    @cached_property
    def integers(self) -> Graph:
        """The network in integers.

        Raises:
            UnsupportedError: a combination of widths that no operator takes.
            QuantizeError: a bias that does not fit its type.
        """
        return lower(self.graph, Activations(self.types, {}), self.weights)

    def scale(self, name: str) -> float:
        """Real value of a step of a tensor."""
        return self.types[name].required_quantization.scale

    def zero_point(self, name: str) -> int:
        """The integer that stands for 0 in a tensor."""
        return self.types[name].required_quantization.zero_point


def exact_results(trained: TrainedNetwork, calls: Sequence[Call], given: str, steps: Any) -> dict[str, Any]:
    """Every tensor, binary64 multiples of its scale.

    Args:
        trained: the network.
        calls: its nodes.
        given: name of the input.
        steps: the input's integers less their zero point.
    """
    torch = require_torch()
    with torch.no_grad():
        found = {given: steps.to(torch.float64)}
        for call in calls:
            made = call.node.outputs[0]
            producer = trained.integers.producer(made)
            if call.node.kind in WEIGHTED and producer is not None:
                found[made] = _layer(torch, trained.integers, producer, call, found)
            elif call.node.kind in KEEPING:
                found[made] = _kept(torch, trained, call, found)
            else:
                real = call([found[name] * trained.scale(name) for name in call.node.read if name in found])
                element, zero_point = trained.types[made].integer, trained.zero_point(made)
                rounded = away(torch, real / trained.scale(made))
                found[made] = torch.clamp(rounded, element.minimum - zero_point, element.maximum - zero_point)
        return {name: values * trained.scale(name) for name, values in found.items()}


def _layer(torch: Any, graph: Graph, node: Node, call: Call, found: Mapping[str, Any]) -> Any:
    """Sums of products by PyTorch, rescaled and clamped by the operator's own rule."""
    operator: Any = node.operator
    constants = [torch.tensor(value.constant.astype(np.float64)) for value in graph.operands(node)[1:]]
    sums = call.without_activation([found[call.node.read[0]], *constants])
    rescaled = operator.rescale.apply(sums.contiguous().numpy().astype(np.int64)) + operator.output_zero_point
    clamped = np.clip(rescaled, operator.activation.low, operator.activation.high)
    return torch.tensor((clamped - operator.output_zero_point).astype(np.float64))


def _kept(torch: Any, trained: TrainedNetwork, call: Call, found: Mapping[str, Any]) -> Any:
    """Integers that move or are compared; averages are of integers with their zero point in them."""
    source = call.node.read[0]
    if call.node.kind != "AVERAGE_POOL_2D":
        return call([found[source]])
    zero_point = trained.zero_point(source)
    return away(torch, call([found[source]]) + zero_point) - zero_point
