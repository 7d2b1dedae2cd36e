"""The data sets that live inside the package: digits and iris.

The two .npz files were made from scikit-learn's copies by ``python -m bitloom.data.embedded`` (only that needs
scikit-learn) and hold the published numbers unchanged.

Sources: digits is the test part of "Optical Recognition of Handwritten Digits" (Alpaydin and Kaynak, 1998, UCI
Machine Learning Repository, CC BY 4.0); iris is Fisher (1936), same repository, CC BY 4.0.
"""

from __future__ import annotations

import io
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bitloom.data.dataset import Dataset
from bitloom.data.random_bits import RandomBits

_SPLIT_SEED = 2024
_TEST_SHARE = 5  # one sample in five
_DIGITS_WHITE = 16  # each pixel counts the inked pixels of a 4x4 block of the original bitmap
# A little more than the largest flower: sepal length and width, petal length and width.
_IRIS_FULL_SCALE_CM = (8.0, 4.5, 7.0, 2.6)


def load_digits() -> Dataset:
    """1797 handwritten digits of 8x8 pixels, a fifth of each class for testing."""
    arrays = _read("digits.npz")
    pixels = arrays["images"].reshape(len(arrays["labels"]), -1)
    return _split(
        name="digits",
        x=(pixels / np.float32(_DIGITS_WHITE)).astype(np.float32),
        y=arrays["labels"].astype(np.int64),
        class_names=tuple("0123456789"),
        image_shape=(8, 8),
        preprocessing="pixels 0 to 16 divided by 16",
    )


def load_iris() -> Dataset:
    """150 iris flowers, four measurements each, a fifth of each species for testing."""
    arrays = _read("iris.npz")
    return _split(
        name="iris",
        x=(arrays["measurements"] / np.array(_IRIS_FULL_SCALE_CM)).astype(np.float32),
        y=arrays["labels"].astype(np.int64),
        class_names=("setosa", "versicolor", "virginica"),
        image_shape=None,
        preprocessing=f"centimetres divided by {_IRIS_FULL_SCALE_CM}",
    )


def _read(file_name: str) -> dict[str, npt.NDArray[Any]]:
    data = resources.files("bitloom.data").joinpath(file_name).read_bytes()
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        return dict(arrays)


def _split(x: npt.NDArray[np.float32], y: npt.NDArray[np.int64], class_names: tuple[str, ...], **rest: Any) -> Dataset:
    """Shuffle, then take every fifth sample of each class for testing: fixed, and equally hard in every class."""
    order = RandomBits(_SPLIT_SEED).permutation(len(y))
    rank = np.empty(len(y), np.int64)  # how many samples of its class come before each, in shuffled order
    for label in range(len(class_names)):
        members = order[y[order] == label]
        rank[members] = np.arange(len(members))
    testing = rank[order] % _TEST_SHARE == _TEST_SHARE // 2  # the middle one: round(n / 5) of n samples
    train, test = order[~testing], order[testing]
    return Dataset(train_x=x[train], train_y=y[train], test_x=x[test], test_y=y[test], class_names=class_names, **rest)


def embed_from_scikit_learn(folder: Path) -> None:
    """Write digits.npz and iris.npz into `folder` from scikit-learn's copies; a maintainer's tool."""
    from sklearn import datasets

    digits, iris = datasets.load_digits(), datasets.load_iris()
    np.savez_compressed(
        folder / "digits.npz", images=digits.images.astype(np.uint8), labels=digits.target.astype(np.uint8)
    )
    np.savez_compressed(folder / "iris.npz", measurements=iris.data, labels=iris.target.astype(np.uint8))


if __name__ == "__main__":
    embed_from_scikit_learn(Path(__file__).parent)
