"""Calibration: samples as a float network takes them, and what they make of every tensor."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from bitloom.errors import InputError, QuantizeError
from bitloom.ir.float_graph import FloatGraph
from bitloom.ir.operator import Array
from bitloom.quantize.statistics import TensorStatistics
from bitloom.run.float_litert import FloatEvaluator

_LARGEST = np.finfo(np.float32).max


def calibration_inputs(graph: FloatGraph, data: Array | Mapping[str, Array]) -> dict[str, Array]:
    """Samples as the network takes them: float32, one array of shape (samples, *shape) for each input.

    Args:
        graph: whose inputs they are.
        data: an array for each input name, or the array itself where there is one input. Axes of length 1 may be
            missing, there may be more of them, and each sample may be flat.

    Raises:
        InputError: no samples, a missing or unknown input, a wrong shape or kind, numbers that are not finite.
    """
    if not isinstance(data, Mapping):
        if len(graph.inputs) != 1:
            raise InputError(
                f"'{graph.name}' has {len(graph.inputs)} inputs and one array was given",
                remedy=f"give an array for each of {', '.join(graph.inputs)}",
            )
        data = {graph.inputs[0]: data}
    for name in (*graph.inputs, *data):
        if name not in data:
            raise InputError(f"calibration data for the input '{name}' is missing")
        if name not in graph.inputs:
            raise InputError(f"'{name}' is no input of '{graph.name}'", remedy=f"needed: {', '.join(graph.inputs)}")
    arrays = {name: _arranged(graph, name, data[name]) for name in graph.inputs}
    counts = {name: len(array) for name, array in arrays.items()}
    if len(set(counts.values())) > 1:
        said = ", ".join(f"'{name}' has {count}" for name, count in counts.items())
        raise InputError(f"the calibration data have different numbers of samples: {said}")
    return arrays


def _arranged(graph: FloatGraph, name: str, given: Array) -> Array:
    where, shape = f"calibration data of input '{name}'", graph.tensor(name).shape
    if given is None:
        raise InputError("is missing", where=where, remedy="give samples that are like those in use")
    try:
        array = np.asarray(given)
    except ValueError as error:  # nested lists of uneven lengths
        raise InputError(f"is no array: {error}", where=where) from error
    if array.dtype.kind not in "fiub":
        raise InputError(f"holds {array.dtype}, and real numbers are needed", where=where)
    if not array.ndim or not len(array):
        raise InputError("there are no samples", where=where, remedy="give some that are like those in use")
    if _long_axes(array.shape[1:]) != _long_axes(shape) and array.shape[1:] != (int(np.prod(shape)),):
        needed = ", ".join(["n", *map(str, shape)])
        raise InputError(
            f"has shape {list(array.shape)}", where=where, remedy=f"give shape [{needed}], n being the samples"
        )
    with np.errstate(over="ignore"):
        real = array.astype(np.float32).reshape(len(array), *shape)
    if not np.isfinite(real).all():
        at = np.argwhere(~np.isfinite(real))[0].tolist()
        raise InputError(f"sample {at[0]} holds {real[tuple(at)]} at {at[1:]}", where=where, remedy="leave it out")
    return real


def _long_axes(shape: tuple[int, ...]) -> list[int]:
    return [length for length in shape if length != 1]


def collect_statistics(
    graph: FloatGraph,
    inputs: Mapping[str, Array],
    *,
    histograms: bool,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, TensorStatistics]:
    """Of every float tensor that samples make, the inputs among them.

    Args:
        graph: computed by LiteRT, some samples at a time.
        inputs: see `calibration_inputs`.
        histograms: whether more than extremes is needed.
        progress: told of the samples done.

    Raises:
        QuantizeError: a tensor holds numbers that are not finite.
    """
    names = [name for name in graph.computed if graph.tensor(name).dtype == "float32"]
    found: dict[str, TensorStatistics] = {}
    for chunk in FloatEvaluator(graph).chunks(inputs, progress):
        for name in names:
            values = chunk[name]
            part = TensorStatistics.of(values, histogram=histograms) if _finite(values) else None
            if part is None:
                node = graph.producer(name)
                raise QuantizeError(
                    f"the float network makes numbers that are not finite in '{name}'",
                    where=node.where if node else None,
                    remedy="check the weights, and that the calibration data are scaled as the network expects",
                )
            found[name] = found[name].plus(part) if name in found else part
    return found


def _finite(values: Array) -> bool:
    # Extremes are not finite if anything is not; that needs no array of flags. Kernels with a fused activation clamp
    # infinities to the largest number.
    return bool(values.min() > -_LARGEST and values.max() < _LARGEST)
