"""Data sets by name."""

from __future__ import annotations

from pathlib import Path

from bitloom.data.dataset import Dataset
from bitloom.data.embedded import load_digits, load_iris
from bitloom.data.mnist import FetchProgress, load_mnist
from bitloom.errors import DataError

DATASETS = ("digits", "iris", "mnist")
"""The names `load_dataset` knows; the first two need no network and no files."""


def load_dataset(name: str, *, folder: str | Path | None = None, progress: FetchProgress | None = None) -> Dataset:
    """Load a data set: split into training and test samples, features scaled to [0, 1].

    | name | samples (train + test) | features | classes |
    |---|---|---|---|
    | digits | 1438 + 359 | 64, an 8x8 image | 10 |
    | iris | 120 + 30 | 4 measurements | 3 |
    | mnist | 60000 + 10000 | 144, a 12x12 image | 10 |

    Args:
        name: one of `DATASETS`.
        folder: where the four MNIST files are; see `bitloom.data.load_mnist` for what happens without it. The
            other data sets come with the package and ignore it.
        progress: called as ``progress(file_name, bytes_received, bytes_in_all)`` while fetching.

    Raises:
        DataError: an unknown name, or MNIST that can neither be found nor fetched.

    >>> digits = load_dataset("digits")
    >>> digits.test_x.shape, digits.image_shape, digits.classes
    ((359, 64), (8, 8), 10)
    """
    if name == "digits":
        return load_digits()
    if name == "iris":
        return load_iris()
    if name == "mnist":
        return load_mnist(folder, progress=progress)
    raise DataError(f"there is no data set called '{name}'", remedy=f"use one of {', '.join(DATASETS)}")
