"""The one form in which every data set reaches training, inference and display."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bitloom.errors import DataError


@dataclass(frozen=True, eq=False)
class Dataset:
    """A classification data set, split, scaled and read-only.

    Attributes:
        name: the name `load_dataset` knows it by.
        train_x: float32 (samples, features); in [0, 1] where `load_dataset` made it.
        train_y: int64 (samples,), class indices.
        test_x: float32 (samples, features), scaled likewise.
        test_y: int64 (samples,), class indices.
        class_names: one per class index.
        image_shape: (rows, columns) to reshape a row of features to for display; None if it is no image.
        preprocessing: how the features came from the published data, in words.
    """

    name: str
    train_x: npt.NDArray[np.float32]
    train_y: npt.NDArray[np.int64]
    test_x: npt.NDArray[np.float32]
    test_y: npt.NDArray[np.int64]
    class_names: tuple[str, ...]
    image_shape: tuple[int, int] | None
    preprocessing: str

    def __post_init__(self) -> None:
        for part, x, y in (("train", self.train_x, self.train_y), ("test", self.test_x, self.test_y)):
            where = f"data set '{self.name}', {part} split"
            if x.ndim != 2 or y.shape != x.shape[:1] or x.shape[1] != self.features or not len(y):
                raise DataError(f"features {x.shape} and labels {y.shape} do not belong together", where=where)
            if y.min() < 0 or y.max() >= self.classes:
                raise DataError(f"there are labels outside 0 to {self.classes - 1}", where=where)
            x.setflags(write=False)
            y.setflags(write=False)

    @property
    def features(self) -> int:
        """How many numbers one sample has."""
        return int(self.train_x.shape[1])

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return len(self.class_names)
