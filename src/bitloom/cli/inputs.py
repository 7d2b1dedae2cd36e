"""Where a command's inferences come from: a data set, a file of arrays, or random numbers."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bitloom.cli.options import not_negative, positive
from bitloom.errors import InputError, UsageError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from bitloom.ir import Graph
    from bitloom.ir.operator import Array

ALL = "all"
LABELS = "labels"
"""The array of an .npz file that holds the right classes, unless the model has an input of that name."""

_NPY, _NPZ = b"\x93NUMPY", b"PK"


@dataclass(frozen=True, eq=False)
class Inferences:
    """What a command is to compute.

    Attributes:
        inputs: one array of shape (inferences, *shape) by input name.
        description: in words.
        first: number of the first inference where they come from.
        labels: int64 (inferences,), the right classes, where they are known.
        class_names: where the classes have names.
    """

    inputs: Mapping[str, Array]
    description: str
    first: int = 0
    labels: npt.NDArray[np.int64] | None = None
    class_names: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """How many there are."""
        return len(next(iter(self.inputs.values())))


def model_path(text: str) -> str:
    """A model file, or the one that comes with bitloom under that name, where no such file is."""
    from bitloom.data.shipped import SHIPPED

    return str(SHIPPED[text]) if text in SHIPPED and not Path(text).exists() else text


def add_input_arguments(parser: argparse.ArgumentParser, default_count: int) -> None:
    """Declare everything in `read_inferences`.

    Args:
        parser: of the command.
        default_count: inferences computed where no number is given.
    """
    group = parser.add_argument_group(
        "inputs",
        "Without --dataset, --input and --random: the test split of digits or iris\n"
        "where the model's input has that size, else random numbers.",
    )
    source = group.add_mutually_exclusive_group()
    source.add_argument(
        "--dataset",
        choices=("digits", "mnist", "iris"),
        help="its test split, in [0, 1], images shrunk to the model's input, quantized by the input's scale",
    )
    source.add_argument(
        "--input",
        metavar="FILE",
        help="an .npy array, or an .npz of one array per input (and 'labels'), inferences first; integers of the "
        "input's type, floats only for float32 inputs",
    )
    source.add_argument("--random", type=positive, metavar="N", help="N random inputs over the whole range")
    group.add_argument("--seed", type=not_negative, default=0, metavar="S", help="of everything random (default: 0)")
    group.add_argument(
        "--start-image", type=not_negative, default=0, metavar="N", help="first inference, counted from 0 (default: 0)"
    )
    group.add_argument(
        "--num-images",
        type=_count,
        metavar="N",
        help=f"how many, or 'all' (default: {default_count} of a data set, all of a file); fewer if there are fewer",
    )
    group.add_argument("--mnist-folder", "--folder", metavar="DIR", help="where the four MNIST files are")
    parser.set_defaults(default_count=default_count)


def _count(text: str) -> int | str:
    return ALL if text == ALL else positive(text)


def read_inferences(graph: Graph, arguments: argparse.Namespace) -> Inferences:
    """The inferences the arguments ask for.

    Raises:
        UsageError: a start beyond the end.
        InputError: a file that is no array file, or inputs that do not fit the model.
        DataError: a data set that cannot be found.
    """
    if arguments.input is not None:
        return _selected(_from_file(graph, arguments.input), arguments)
    name = arguments.dataset or (None if arguments.random else _fitting_dataset(graph))
    if name is not None:
        return _from_dataset(graph, name, arguments)
    return _selected(_random(graph, arguments), arguments)


def _fitting_dataset(graph: Graph) -> str | None:
    """The data set inside the package that has as many features as the only input has elements."""
    sizes = {64: "digits", 4: "iris"}
    return sizes.get(graph.type(graph.inputs[0]).size) if len(graph.inputs) == 1 else None


def _from_dataset(graph: Graph, name: str, arguments: argparse.Namespace) -> Inferences:
    from bitloom.run.inputs import dataset_samples

    wanted = arguments.num_images or arguments.default_count
    count = None if wanted == ALL else wanted
    samples = dataset_samples(graph, name, arguments.start_image, count, folder=arguments.mnist_folder)
    things = "images" if samples.images is not None else "samples"
    return Inferences(
        inputs=samples.inputs,
        description=_part(len(samples.labels), samples.start, samples.available, f"test {things} of {name}"),
        first=samples.start,
        labels=samples.labels,
        class_names=samples.class_names,
    )


def _random(graph: Graph, arguments: argparse.Namespace) -> Inferences:
    from bitloom.run.inputs import random_inputs

    count = arguments.random or arguments.default_count
    return Inferences(random_inputs(graph, count, arguments.seed), f"random inputs (seed {arguments.seed})")


def _from_file(graph: Graph, path: str) -> Inferences:
    from bitloom.run.inputs import arrange_inputs

    arrays = read_arrays(path)
    labels = None if LABELS in graph.inputs else arrays.pop(LABELS, None)
    try:
        inputs = arrange_inputs(graph, arrays.get("", arrays))
    except InputError as error:
        where = f"{path}: {error.where}" if error.where else path
        raise InputError(error.what, where=where, remedy=error.remedy) from error
    count = len(next(iter(inputs.values())))
    if labels is not None and (labels.shape != (count,) or labels.dtype.kind not in "iu"):
        raise InputError(
            f"'{LABELS}' is {labels.dtype}{list(labels.shape)}", where=path, remedy=f"give {count} integers"
        )
    return Inferences(inputs, f"inferences in {path}", labels=labels)


def read_arrays(path: str) -> dict[str, Array]:
    """The arrays of an .npy or .npz file, told apart by content.

    Returns:
        By name; the one array of an .npy file has the name "".

    Raises:
        InputError: it cannot be read, is neither, is damaged, or holds Python objects, which are never loaded.
    """
    import numpy as np

    try:
        with open(path, "rb") as file:  # noqa: PTH123 - pathlib makes '' the current folder
            start = file.read(len(_NPY))
            file.seek(0)
            if start != _NPY and not start.startswith(_NPZ):
                raise InputError("is neither an .npy nor an .npz file", where=path, remedy="write it with numpy.save")
            content = np.load(file, allow_pickle=False)
            return {"": content} if isinstance(content, np.ndarray) else {name: content[name] for name in content}
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", where=path or "''") from error
    except MemoryError as error:
        raise InputError("does not fit in memory, or is damaged", where=path) from error
    except InputError:
        raise
    except Exception as error:  # what the readers of arrays and archives raise for damaged files is not documented
        if "allow_pickle" in str(error):
            remedy = "save arrays of numbers"
            raise InputError("holds Python objects, which are never loaded", where=path, remedy=remedy) from error
        raise InputError(f"is damaged: {error}", where=path, remedy="write it again") from error


def _selected(inferences: Inferences, arguments: argparse.Namespace) -> Inferences:
    """The part that --start-image and --num-images choose."""
    available, start = inferences.count, arguments.start_image
    if start >= available:
        raise UsageError(
            f"--start-image {start} is beyond the end of the {available} {inferences.description}",
            remedy=f"start at 0 to {available - 1}",
        )
    wanted = arguments.num_images or ALL
    part = slice(start, None if wanted == ALL else start + wanted)
    inputs = {name: array[part] for name, array in inferences.inputs.items()}
    count = len(next(iter(inputs.values())))
    labels = inferences.labels[part] if inferences.labels is not None else None
    return Inferences(inputs, _part(count, start, available, inferences.description), start, labels)


def _part(count: int, start: int, available: int, what: str) -> str:
    """How many of how many.

    >>> _part(10, 20, 359, "test images"), _part(5, 0, 5, "random inputs")
    ('10 of 359 test images, from number 20', 'all 5 random inputs')
    """
    if count == available:
        return f"all {available:,} {what}" if available > 1 else f"1 {what}"
    origin = f", from number {start}" if start else ""
    return f"{count:,} of {available:,} {what}{origin}"
