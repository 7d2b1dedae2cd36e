"""How much each layer's width costs, measured one layer at a time, and widths chosen by it.

Everything is real numbers but one layer's weights (or its result), which are rounded to what integers of a width stand
for; the noise this makes at the network's outputs is the layer's. Noises of small errors add up, so that widths can be
chosen layer by layer (Wu et al. 2018, arXiv 1812.00090, take the same sum as the loss of their search).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bitloom.errors import UsageError
from bitloom.ir.float_graph import FloatGraph, FloatNode, FloatTensor
from bitloom.ir.operator import Array
from bitloom.quantize.activations import Activations
from bitloom.quantize.options import QuantizeOptions, Widths
from bitloom.quantize.prepare.rewrite import fresh_name
from bitloom.quantize.weights import quantize_weights, weights_rule
from bitloom.run.float_litert import FloatEvaluator

CANDIDATES = (2, 3, 4, 5, 6, 8)
"""Widths that are tried where nothing else is said."""

_SAMPLES = 64


@dataclass(frozen=True)
class Sensitivity:
    """What one layer's width does to the network's outputs.

    Attributes:
        layer: the tensor it makes.
        operator: its kind.
        weights: their number.
        noise: by the width of its weights: mean squared error of the outputs, as a part of their mean square.
        result_noise: the same by the width of its result.
    """

    layer: str
    operator: str
    weights: int
    noise: Mapping[int, float]
    result_noise: Mapping[int, float]


def measure_sensitivity(
    graph: FloatGraph,
    activations: Mapping[int, Activations],
    inputs: Mapping[str, Array],
    options: QuantizeOptions,
    *,
    candidates: Sequence[int] = CANDIDATES,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Sensitivity, ...]:
    """Of every layer with weights, in order.

    Args:
        graph: prepared.
        activations: types of its tensors by their width; those of widths that are not there are not tried.
        inputs: calibration samples; the first of them are used.
        options: how weights are quantized.
        candidates: widths.
        progress: told of the trials done.
    """
    used = {name: array[:_SAMPLES] for name, array in inputs.items()}
    wanted = _outputs(graph, used)
    layers = [node for node in graph.nodes if weights_rule(node) is not None]
    total, done = len(layers) * len(candidates), 0
    found: dict[str, tuple[dict[int, float], dict[int, float]]] = {node.outputs[0]: ({}, {}) for node in layers}
    some = next(iter(activations.values()))
    for bits in candidates:
        rounded = quantize_weights(graph, some, replace(options, widths=Widths(bits, 8), layers={}))
        for node in layers:
            name = node.outputs[0]
            weights, results = found[name]
            trial = _with_weights(graph, node, rounded[name].real)
            weights[bits] = _noise(wanted, _outputs(trial, used))
            if bits in activations:
                results[bits] = _noise(wanted, _outputs(_with_result(graph, name, activations[bits]), used))
            done += 1
            if progress is not None:
                progress(done, total)
    return tuple(
        Sensitivity(node.outputs[0], node.kind, graph.tensor(node.read[1]).constant.size, *found[node.outputs[0]])
        for node in layers
    )


def choose_widths(sensitivities: Sequence[Sensitivity], average: float) -> dict[str, int]:
    """Bits of each layer's weights, on average so many, with the least sum of noises that steps upwards find.

    All begin with the narrowest; again and again the layer is widened that loses most noise for a bit of memory.

    Args:
        sensitivities: of the layers.
        average: bits of a weight, over all weights of the network.

    Raises:
        UsageError: fewer bits than the narrowest candidate has.

    >>> small = Sensitivity("small", "CONV_2D", 10, {2: 0.5, 4: 0.1, 8: 0.0}, {})
    >>> large = Sensitivity("large", "CONV_2D", 1000, {2: 0.4, 4: 0.1, 8: 0.0}, {})
    >>> choose_widths([small, large], 4.1)
    {'small': 8, 'large': 4}
    """
    chosen = {each.layer: min(each.noise) for each in sensitivities}
    room = average * sum(each.weights for each in sensitivities)
    used = sum(each.weights * chosen[each.layer] for each in sensitivities)
    if used > room:
        narrowest = max(chosen.values())
        raise UsageError(
            f"an average of {average:g} bits a weight is less than the narrowest width, {narrowest}",
            remedy=f"ask for {narrowest} or more",
        )
    while steps := [step for each in sensitivities for step in _steps(each, chosen[each.layer], room - used)]:
        _, layer, bits, cost = max(steps)
        chosen[layer] = bits
        used += cost
    return chosen


def _steps(each: Sensitivity, now: int, room: float) -> Iterator[tuple[float, str, int, int]]:
    """Wider widths with room for them and no more noise: noise lost for each bit, layer, width, bits of memory."""
    for bits in each.noise:
        cost = (bits - now) * each.weights
        if bits > now and cost <= room and each.noise[bits] <= each.noise[now]:
            yield (each.noise[now] - each.noise[bits]) / cost, each.layer, bits, cost


def _outputs(graph: FloatGraph, inputs: Mapping[str, Array]) -> list[Array]:
    parts = list(FloatEvaluator(graph).chunks(inputs))
    return [np.concatenate([part[name] for part in parts]).astype(np.float64) for name in graph.outputs]


def _noise(wanted: Sequence[Array], found: Sequence[Array]) -> float:
    """The largest over the outputs of error by signal."""
    return max(
        float(np.square(one - other).mean() / max(np.square(one).mean(), np.finfo(np.float64).tiny))
        for one, other in zip(wanted, found, strict=True)
    )


def _with_weights(graph: FloatGraph, node: FloatNode, weights: Array) -> FloatGraph:
    """The graph with a layer's weights replaced, for this layer only."""
    name = fresh_name(graph, f"{node.outputs[0]}/trial")
    changed = replace(node, inputs=(node.inputs[0], name, *node.inputs[2:]))
    nodes = tuple(changed if each is node else each for each in graph.nodes)
    return replace(graph, tensors=(*graph.tensors, FloatTensor(name, weights.shape, weights)), nodes=nodes)


def _with_result(graph: FloatGraph, name: str, activations: Activations) -> FloatGraph:
    """The graph with a tensor rounded to what its integers stand for, behind the node that makes it."""
    made = activations.types[name]
    quantization, element = made.required_quantization, made.integer
    low, high = ((end - quantization.zero_point) * quantization.scale for end in (element.minimum, element.maximum))
    inner = fresh_name(graph, f"{name}/real")
    nodes: list[FloatNode] = []
    for node in graph.nodes:
        if name not in node.outputs:
            nodes.append(node)
            continue
        outputs = tuple(inner if each == name else each for each in node.outputs)
        attributes = {"min": low, "max": high, "num_bits": element.bits, "narrow_range": False}
        nodes += [replace(node, outputs=outputs), FloatNode("FAKE_QUANT", (inner,), (name,), attributes)]
    tensors = (*graph.tensors, FloatTensor(inner, graph.tensor(name).shape))
    return replace(graph, tensors=tensors, nodes=tuple(nodes))
