"""Inference inputs from what people have: plain arrays, samples of a data set, random numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bitloom.arith import IntType
from bitloom.data import Dataset, downscale, load_dataset, load_mnist, quantize_inputs
from bitloom.data.random_bits import RandomBits
from bitloom.errors import InputError, UsageError
from bitloom.ir import Graph, TensorType
from bitloom.ir.operator import Array
from bitloom.run.executor import check_inputs

# The digits data set counts the inked ones of 16 pixels.
_DIGITS_WHITE = 16
# Random inputs end with these two extremes, where there are enough of them.
_EXTREMES = 2


def arrange_inputs(graph: Graph, inputs: Array | Mapping[str, Array]) -> dict[str, Array]:
    """Inputs as executors take them: one array of shape (inferences, *shape) and of the right type per graph input.

    Args:
        graph: whose inputs they are.
        inputs: an array for each input name, or the array itself where the graph has one input. An input of shape
            ``shape`` takes (inferences, *shape); where ``shape[0]`` is 1, also (inferences, *shape[1:]); and
            (inferences, size), each inference flat. Integers must lie within the input's type; floats are taken
            for float32 inputs only and never quantized silently.

    Raises:
        InputError: a missing or unknown input, a wrong shape, kind of number, range or number of inferences.
    """
    if not isinstance(inputs, Mapping):
        if len(graph.inputs) != 1:
            raise InputError(
                f"'{graph.name}' has {len(graph.inputs)} inputs and one array was given",
                remedy=f"give an array for each of {', '.join(graph.inputs)}",
            )
        inputs = {graph.inputs[0]: inputs}
    arranged = {
        name: _arranged(name, array, graph.type(name)) if name in graph.inputs else array
        for name, array in inputs.items()
    }
    return check_inputs(graph, arranged)


def accepted_shapes(shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """The shapes of one inference that `arrange_inputs` takes for an input of that shape, the plainest first.

    >>> accepted_shapes((1, 8, 8))
    [(8, 8), (1, 8, 8), (64,)]
    """
    squeezed = [shape[1:]] if shape[:1] == (1,) else []
    return list(dict.fromkeys([*squeezed, shape, (math.prod(shape),)]))


def _arranged(name: str, given: Array, wanted: TensorType) -> Array:
    where = f"input '{name}'"
    try:
        array = np.asarray(given)
    except ValueError as error:  # nested lists of uneven lengths
        raise InputError(f"is no array: {error}", where=where) from error
    shapes = accepted_shapes(wanted.shape)
    if not array.ndim or array.shape[1:] not in shapes:
        needed = " or ".join(f"[{', '.join(['n', *map(str, shape)])}]" for shape in shapes)
        raise InputError(
            f"has shape {list(array.shape)}", where=where, remedy=f"give shape {needed}, n being the inferences"
        )
    if array.dtype.kind == "f" and isinstance(wanted.element, IntType):
        quantization = wanted.quantization
        how = f" (real = {quantization.scale!r} * (integer - {quantization.zero_point}))" if quantization else ""
        raise InputError(
            f"holds {array.dtype} numbers and the model takes {wanted.element}; they are not quantized silently",
            where=where,
            remedy=f"quantize them first{how}",
        )
    return array.reshape(len(array), *wanted.shape)


@dataclass(frozen=True, eq=False)
class Samples:
    """Samples of a data set as a network takes them.

    Attributes:
        dataset: its name.
        inputs: one array of shape (samples, *shape) by input name.
        labels: int64 (samples,), the right classes.
        class_names: of the classes.
        images: float32 (samples, rows, columns) in [0, 1], as the network sees them; None if they are no images.
        start: number of the first sample in the split.
        available: samples in the whole split.
    """

    dataset: str
    inputs: Mapping[str, Array]
    labels: npt.NDArray[np.int64]
    class_names: tuple[str, ...]
    images: npt.NDArray[np.float32] | None
    start: int
    available: int


def dataset_samples(
    graph: Graph, name: str, start: int = 0, count: int | None = None, *, folder: str | Path | None = None
) -> Samples:
    """Test samples of a data set, made to fit a network.

    Features are real numbers in [0, 1] (see `bitloom.data.load_dataset`). Images are shrunk by averaging areas
    where the input has fewer pixels: its last dimensions say how many rows and columns, or a flat input is square.
    An integer input gets ``clamp(round(real / scale) + zero_point)`` by its own scale and zero point; a float32
    input gets the real numbers.

    Args:
        graph: of one input.
        name: one of `bitloom.data.DATASETS`.
        start: number of the first sample of the test split.
        count: how many at most; all that follow if None.
        folder: of the MNIST files, see `bitloom.data.load_mnist`.

    Raises:
        UsageError: a start outside the split, or no samples.
        InputError: the data set cannot be made to fit.
        DataError: there is no such data set, or it cannot be found or fetched.
    """
    if len(graph.inputs) != 1:
        raise InputError(f"data set '{name}' fits networks of one input, and '{graph.name}' has {len(graph.inputs)}")
    if count is not None and count < 1:
        raise UsageError(f"{count} samples of {name} were asked for", remedy="ask for at least 1")
    tensor = graph.type(graph.inputs[0])
    dataset = fitting_dataset(name, tensor, f"input '{graph.inputs[0]}'", folder)
    available = len(dataset.test_y)
    if not 0 <= start < available:
        raise UsageError(
            f"there is no sample {start}", where=f"test split of {name}", remedy=f"start at 0 to {available - 1}"
        )
    end = available if count is None else min(start + count, available)
    real = dataset.test_x[start:end]
    return Samples(
        dataset=name,
        inputs={graph.inputs[0]: _to_element(real, tensor).reshape(-1, *tensor.shape)},
        labels=dataset.test_y[start:end],
        class_names=dataset.class_names,
        images=real.reshape(-1, *dataset.image_shape) if dataset.image_shape else None,
        start=start,
        available=available,
    )


def _to_element(real: npt.NDArray[np.float32], tensor: TensorType) -> Array:
    if not isinstance(tensor.element, IntType):
        return real
    quantization = tensor.required_quantization
    return quantize_inputs(real, quantization.scale, quantization.zero_point, tensor.element)


def fitting_dataset(name: str, tensor: TensorType, where: str, folder: str | Path | None) -> Dataset:
    """The data set with as many features as an input has elements, images shrunk to fit.

    Args:
        name: one of `bitloom.data.DATASETS`.
        tensor: the input's type.
        where: the input, for messages.
        folder: of the MNIST files.

    Raises:
        InputError: it cannot be made to fit.
        DataError: there is no such data set, or it cannot be found or fetched.
    """
    if name != "mnist":
        dataset = load_dataset(name)
        if dataset.features == tensor.size:
            return dataset
        if dataset.image_shape is None:
            raise InputError(f"has {tensor.size} elements and {name} {dataset.features} features", where=where)
        return _shrunk(dataset, _image_size(name, tensor, dataset.image_shape, where))
    return load_mnist(folder, size=_image_size(name, tensor, (28, 28), where))


def _image_size(name: str, tensor: TensorType, largest: tuple[int, int], where: str) -> tuple[int, int]:
    """Rows and columns of the image the input takes."""
    dimensions = [dimension for dimension in tensor.shape if dimension > 1]
    side = math.isqrt(tensor.size)
    if len(dimensions) == 2:
        rows, columns = dimensions
    elif len(dimensions) == 1 and side * side == tensor.size:
        rows = columns = side
    else:
        raise InputError(f"of shape {list(tensor.shape)} is no grey image, and {name} is images", where=where)
    if rows > largest[0] or columns > largest[1]:
        raise InputError(
            f"takes {rows}x{columns} pixels and images of {name} have {largest[0]}x{largest[1]}; they are shrunk to "
            "fit, never enlarged",
            where=where,
        )
    return rows, columns


def _shrunk(dataset: Dataset, size: tuple[int, int]) -> Dataset:
    """The digits with fewer pixels."""
    rows, columns = dataset.image_shape or (1, dataset.features)

    def shrunk(features: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        pixels = np.rint(features * _DIGITS_WHITE).astype(np.uint8).reshape(-1, rows, columns)
        # `downscale` divides by 255, its white.
        scaled = downscale(pixels, size).reshape(len(features), -1).astype(np.float64) * (255 / _DIGITS_WHITE)
        return np.minimum(scaled, 1.0).astype(np.float32)

    return Dataset(
        name=dataset.name,
        train_x=shrunk(dataset.train_x),
        train_y=dataset.train_y,
        test_x=shrunk(dataset.test_x),
        test_y=dataset.test_y,
        class_names=dataset.class_names,
        image_shape=size,
        preprocessing=f"{dataset.preprocessing}, shrunk to {size[0]}x{size[1]}",
    )


def random_inputs(graph: Graph, count: int, seed: int = 0) -> dict[str, Array]:
    """Inputs spread evenly over each input's whole range, the same for the same seed on every machine.

    Where there are more than two inferences, the last two are the extremes: everything lowest, everything highest.

    Args:
        graph: whose inputs they are. A float32 input gets numbers over the range that its quantization covers.
        count: of inferences.
        seed: at least 0.

    Returns:
        For each input name an array of shape (count, *shape) and of the input's dtype.

    Raises:
        UsageError: a count below 1 or a negative seed.
    """
    if count < 1:
        raise UsageError(f"{count} random inputs were asked for", remedy="ask for at least 1")
    if seed < 0:
        raise UsageError(f"the seed is {seed}", remedy="give one that is not negative")
    random = RandomBits(seed)
    return {name: _random_input(graph, name, count, random) for name in graph.inputs}


def _random_input(graph: Graph, name: str, count: int, random: RandomBits) -> Array:
    tensor = graph.type(name)
    low, high = _range(graph, name)
    part = (random.uniform((count, *tensor.shape)) + 1.0) / 2  # in [0, 1)
    if count > _EXTREMES:
        part[-2], part[-1] = 0.0, np.nextafter(1.0, 0.0)
    if isinstance(tensor.element, IntType):
        return (low + np.floor(part * (high - low + 1))).astype(tensor.element.dtype)
    return (low + part * (high - low)).astype(np.float32)


def _range(graph: Graph, name: str) -> tuple[float, float]:
    """Lowest and highest value: of an integer input its type's, of a float input what quantizing it can represent."""
    element = graph.type(name).element
    if isinstance(element, IntType):
        return element.minimum, element.maximum
    for node in graph.consumers(name):
        made = graph.type(node.outputs[0])
        if isinstance(made.element, IntType) and made.quantization:
            pairs = list(zip(made.quantization.scales, made.quantization.zero_points, strict=True))
            lows, highs = (
                [scale * (end - zero_point) for scale, zero_point in pairs]
                for end in (made.element.minimum, made.element.maximum)
            )
            return min(lows), max(highs)
    return -1.0, 1.0
