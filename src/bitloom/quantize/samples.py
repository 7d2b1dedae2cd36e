"""Calibration data from what people have: files, folders, data sets, random numbers."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np

from bitloom.data import DATASETS, Dataset
from bitloom.data.random_bits import RandomBits
from bitloom.errors import InputError
from bitloom.ir import FLOAT32, TensorType
from bitloom.ir.float_graph import FloatGraph
from bitloom.ir.operator import Array
from bitloom.quantize.calibration import calibration_inputs
from bitloom.run.inputs import fitting_dataset

RANDOM = "random"
LABELS = "labels"
"""The array of an .npz file that holds the right classes; it calibrates nothing."""

_SUFFIXES = (".npy", ".npz", ".csv")


def read_samples(
    graph: FloatGraph, source: str, count: int | None = None, *, seed: int = 0, folder: str | Path | None = None
) -> dict[str, Array]:
    """Calibration samples for each input of a network.

    Args:
        graph: whose inputs they are for.
        source: ``digits``, ``iris`` or ``mnist`` (its training split), ``random`` (uniform in [-1, 1)), or the path of
            an .npy file (samples first), an .npz file (an array for each input), a .csv file (a sample a line), or a
            folder of such files, read in the order of their names.
        count: how many samples at most; of a data set spread evenly over it. All, or 100 random ones, if None.
        seed: of random ones.
        folder: of the MNIST files.

    Raises:
        InputError: the file is missing, empty, damaged, or does not fit.
        DataError: the data set cannot be found.
    """
    if source == RANDOM:
        random = RandomBits(seed)
        return {
            name: random.uniform((count or 100, *graph.tensor(name).shape)).astype(np.float32) for name in graph.inputs
        }
    if source in DATASETS:
        arrays = {_only_input(graph, source): _training_split(graph, source, folder)}
    elif Path(source).is_dir():
        arrays = _from_folder(graph, Path(source))
    else:
        arrays = _from_file(graph, Path(source))
    return {name: _spread(array, count) for name, array in arrays.items()}


def _training_split(graph: FloatGraph, name: str, folder: str | Path | None) -> Array:
    shape = graph.tensor(_only_input(graph, name)).shape
    return _dataset(graph, name, folder).train_x.reshape(-1, *shape)


def _dataset(graph: FloatGraph, name: str, folder: str | Path | None) -> Dataset:
    wanted = _only_input(graph, name)
    return _fitting(name, wanted, graph.tensor(wanted).shape, None if folder is None else str(folder))


@lru_cache(maxsize=1)  # both splits of one data set are asked for, one after the other
def _fitting(name: str, wanted: str, shape: tuple[int, ...], folder: str | None) -> Dataset:
    return fitting_dataset(name, TensorType(shape, FLOAT32), f"input '{wanted}'", folder)


def _only_input(graph: FloatGraph, source: str) -> str:
    if len(graph.inputs) != 1:
        raise InputError(
            f"holds samples of one input, and '{graph.name}' has {len(graph.inputs)}",
            where=source,
            remedy=f"give an .npz file with an array for each of {', '.join(graph.inputs)}",
        )
    return graph.inputs[0]


def _spread(array: Array, count: int | None) -> Array:
    """So many samples at most, evenly over all."""
    if count is None or not array.ndim or len(array) <= count:
        return array
    return array[np.arange(count) * len(array) // count]


def _from_folder(graph: FloatGraph, folder: Path) -> dict[str, Array]:
    files = sorted(path for path in folder.iterdir() if path.suffix in _SUFFIXES)
    if not files:
        raise InputError(f"holds no file that ends with {', '.join(_SUFFIXES)}", where=str(folder))
    parts = [_of_shape(graph, path, _from_file(graph, path)) for path in files]
    return {name: np.concatenate([part[name] for part in parts]) for name in graph.inputs}


def _of_shape(graph: FloatGraph, path: Path, arrays: dict[str, Array]) -> dict[str, Array]:
    """What a file of a folder holds, as samples; it may be one sample without an axis of samples."""
    shapes = {name: graph.tensor(name).shape for name in arrays if name in graph.inputs}
    single = {
        name: array[None] if array.shape in (shapes.get(name), shapes.get(name, ())[1:]) else array
        for name, array in arrays.items()
    }
    try:
        return calibration_inputs(graph, single)
    except InputError as error:
        raise InputError(error.what, where=f"{path}: {error.where}", remedy=error.remedy) from error


def _from_file(graph: FloatGraph, path: Path) -> dict[str, Array]:
    where = str(path) or "''"
    try:
        if path.suffix == ".csv":
            return {_only_input(graph, where): _csv(path, where)}
        content = np.load(path, allow_pickle=False)
        if isinstance(content, np.ndarray):
            return {_only_input(graph, where): content}
        arrays = {name: content[name] for name in content}
    except FileNotFoundError as error:
        known = ", ".join((*DATASETS, RANDOM))
        raise InputError("no such file", where=where, remedy=f"give an array file, a folder, or {known}") from error
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", where=where) from error
    except MemoryError as error:
        raise InputError("does not fit in memory, or is damaged", where=where) from error
    except InputError:
        raise
    except Exception as error:  # what the readers of arrays and archives raise for damaged files is not documented
        raise InputError(f"is no array file: {error}", where=where, remedy="write it with numpy.save") from error
    if LABELS not in graph.inputs:
        arrays.pop(LABELS, None)
    if len(graph.inputs) == 1 and len(arrays) == 1:
        return {graph.inputs[0]: next(iter(arrays.values()))}
    return arrays


def _csv(path: Path, where: str) -> Array:
    """Numbers separated by commas, a sample a line; a first line without numbers names the columns."""
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    rows = [(number, line.split(",")) for number, line in enumerate(lines, start=1) if line.strip()]
    if rows and not any(_is_number(cell) for cell in rows[0][1]):
        del rows[0]
    if not rows:
        raise InputError("there are no samples", where=where)
    for number, cells in rows:
        wrong = next((cell for cell in cells if not _is_number(cell)), None)
        if wrong is not None:
            raise InputError(f"line {number} holds '{wrong.strip()}', which is no number", where=where)
        if len(cells) != len(rows[0][1]):
            raise InputError(f"line {number} has {len(cells)} columns, the first {len(rows[0][1])}", where=where)
    return np.array([[float(cell) for cell in cells] for _, cells in rows], np.float32)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def labelled_test_split(
    graph: FloatGraph, source: str, *, folder: str | Path | None = None
) -> tuple[Mapping[str, Array], Array] | None:
    """Inputs and right classes of a data set's test split; None where the source is no data set."""
    if source not in DATASETS or len(graph.inputs) != 1:
        return None
    name = graph.inputs[0]
    dataset = _dataset(graph, source, folder)
    return {name: dataset.test_x.reshape(-1, *graph.tensor(name).shape)}, dataset.test_y
