"""How far integers are from the real numbers they stand for, tensor by tensor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bitloom.arith import IntType
from bitloom.data import quantize_inputs
from bitloom.ir import FLOAT32, Graph, TensorType
from bitloom.ir.float_graph import FloatGraph
from bitloom.ir.operator import Array
from bitloom.run.float_litert import FloatEvaluator

_CHUNK = 32


@dataclass(frozen=True)
class TensorError:
    """The error of one tensor over some samples.

    Attributes:
        name: of the tensor.
        signal: sum of the squares of the real numbers.
        noise: sum of the squares of the differences.
        largest: difference.
    """

    name: str
    signal: float
    noise: float
    largest: float

    @property
    def decibels(self) -> float:
        """Signal to quantization noise; infinite where there is no difference."""
        if not self.noise:
            return float("inf")
        return float(10 * np.log10(max(self.signal, 1e-300) / self.noise))


def integer_inputs(graph: Graph, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Real inputs as the integers a graph takes (as they are where it takes real numbers).

    Args:
        graph: whose inputs are quantized, or float32.
        inputs: float32 (samples, *shape) by name.
    """
    made: dict[str, Array] = {}
    for name in graph.inputs:
        tensor = graph.type(name)
        if isinstance(tensor.element, IntType):
            quantization = tensor.required_quantization
            made[name] = quantize_inputs(inputs[name], quantization.scale, quantization.zero_point, tensor.element)
        else:
            made[name] = np.asarray(inputs[name], np.float32)
    return made


def real_values(graph: Graph, tensors: Mapping[str, Array]) -> dict[str, Array]:
    """What the integers of tensors stand for, float64; tensors without a scale as they are."""
    return {name: _real(graph, name, values) for name, values in tensors.items()}


def _real(graph: Graph, name: str, values: Array) -> Array:
    quantization = graph.type(name).quantization
    if quantization is None:
        return values
    return (values.astype(np.float64) - quantization.zero_point) * quantization.scale


def _is_real(tensor: TensorType) -> bool:
    return tensor.quantization is not None or tensor.element == FLOAT32


def compare(reference: FloatGraph, graph: Graph, inputs: Mapping[str, Array]) -> tuple[TensorError, ...]:
    """The error of every tensor that both networks have, in the order it is computed.

    Args:
        reference: the float network, prepared, so that its tensors are the integer one's.
        graph: the integer network.
        inputs: float32 (samples, *shape) by name.
    """
    shared = [name for name in graph.computed if reference.producer(name) and _is_real(graph.type(name))]
    signal, noise, largest = (dict.fromkeys(shared, 0.0) for _ in range(3))
    evaluator = FloatEvaluator(reference)
    samples = len(next(iter(inputs.values())))
    for start in range(0, samples, _CHUNK):
        part = {name: array[start : start + _CHUNK] for name, array in inputs.items()}
        wanted = evaluator.run(part)
        found = graph.evaluate(integer_inputs(graph, part))
        for name in shared:
            real = wanted[name].astype(np.float64)
            difference = _real(graph, name, found[name]) - real
            signal[name] += float(np.square(real).sum())
            noise[name] += float(np.square(difference).sum())
            largest[name] = max(largest[name], float(np.abs(difference).max()))
    return tuple(TensorError(name, signal[name], noise[name], largest[name]) for name in shared)
