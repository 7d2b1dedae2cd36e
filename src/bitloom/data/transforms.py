"""From a file of comma-separated values to a network's integers, in small steps that compose.

A transform is a frozen callable from features to features, (samples, features) each; `compose` makes one of several.
What a transform has to know of the data is found by its ``fit``, on training samples only.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bitloom.arith import IntType
from bitloom.data.dataset import Dataset
from bitloom.data.quantized import quantize_inputs
from bitloom.data.random_bits import RandomBits
from bitloom.errors import ArithmeticDomainError, DataError, UsageError

Features = npt.NDArray[Any]
Transform = Callable[[Features], Features]


@dataclass(frozen=True, eq=False)
class Table:
    """Labelled samples, not split yet.

    Attributes:
        x: float64 (samples, features), finite.
        y: int64 (samples,), class indices.
        class_names: one per class index.
        feature_names: one per feature; empty if they have none.
        name: of the data.

    Raises:
        DataError: numbers that are not finite, or features and labels that do not belong together.
    """

    x: npt.NDArray[np.float64]
    y: npt.NDArray[np.int64]
    class_names: tuple[str, ...]
    feature_names: tuple[str, ...] = ()
    name: str = "table"

    def __post_init__(self) -> None:
        if self.x.ndim != 2 or self.y.shape != self.x.shape[:1] or not len(self.y):
            raise DataError(
                f"features {self.x.shape} and labels {self.y.shape} do not belong together", where=self.name
            )
        if not np.isfinite(self.x).all():
            sample, feature = (int(index) for index in np.argwhere(~np.isfinite(self.x))[0])
            raise DataError(
                f"sample {sample} has {self.x[sample, feature]} as feature {feature}",
                where=self.name,
                remedy="leave such samples out, or replace the number",
            )

    def samples(self, which: npt.NDArray[np.int64]) -> Table:
        """Some of the samples, by their numbers."""
        return Table(self.x[which], self.y[which], self.class_names, self.feature_names, self.name)

    def dataset(
        self, test_share: float = 0.2, seed: int = 0, fit: Callable[[Features], Transform] | None = None
    ) -> Dataset:
        """Split and transformed, as training and the command line take it.

        Args:
            test_share: see `split`.
            seed: see `split`.
            fit: makes a transform of the training features, such as ``ZScore.fit``.
        """
        train, test = split(self, test_share, seed)
        transform = fit(train.x) if fit else compose()
        return Dataset(
            name=self.name,
            train_x=transform(train.x).astype(np.float32),
            train_y=train.y,
            test_x=transform(test.x).astype(np.float32),
            test_y=test.y,
            class_names=self.class_names,
            image_shape=None,
            preprocessing=str(transform) if fit else "none",
        )


def load_csv(path: str | Path, label: str | int = -1, *, delimiter: str = ",") -> Table:
    """Read numbers and labels from a file of comma-separated values, UTF-8.

    The first line is taken for names where any of its features is no number. Classes are numbered in the order of
    their names; whole numbers from 0 on keep theirs.

    Args:
        path: of the file.
        label: the column of labels, by name or by position (negative from the end).
        delimiter: between values.

    Raises:
        DataError: no such file, no such column, lines of different lengths, a label that is missing, or a feature that
            is no finite number; the message names the line.
    """
    where = str(path)
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            lines = [(number, row) for number, row in enumerate(csv.reader(file, delimiter=delimiter), 1) if any(row)]
    except (OSError, UnicodeDecodeError, csv.Error, TypeError) as error:  # TypeError: no delimiter
        reason = getattr(error, "strerror", None) or str(error)
        raise DataError(f"cannot be read: {reason}", where=where, remedy="check the path and the format") from error
    if not lines:
        raise DataError("is empty", where=where)
    names = _names(lines[0][1], label)
    if names is not None:
        lines = lines[1:]
    column = _column(label, names, len(names or lines[0][1]), where)
    features, labels = [], []
    for number, row in lines:
        if len(row) != len(names or lines[0][1]):
            raise DataError(
                f"has {len(row)} values and the first line {len(names or lines[0][1])}", where=f"{where}, line {number}"
            )
        found = row[column].strip()
        if not found:
            raise DataError("has no label", where=f"{where}, line {number}", remedy="leave the line out, or label it")
        labels.append(found)
        features.append([_number(text, f"{where}, line {number}") for text in (*row[:column], *row[column + 1 :])])
    if not lines:
        raise DataError("has no line of numbers", where=where)
    if not features[0]:
        raise DataError("has labels and no features", where=where)
    class_names = _class_names(labels)
    feature_names = () if names is None else tuple(name for at, name in enumerate(names) if at != column)
    positions = {name: index for index, name in enumerate(class_names)}
    classes = np.array([positions[name] for name in labels], np.int64)
    return Table(np.array(features, np.float64), classes, class_names, feature_names, Path(path).stem)


def _names(first: Sequence[str], label: str | int) -> list[str] | None:
    """The first line, if it holds names."""
    names = [text.strip() for text in first]
    if isinstance(label, str):
        return names
    column = label % len(names) if -len(names) <= label < len(names) else -1
    features = [text for at, text in enumerate(names) if at != column]
    return names if any(not _is_number(text) for text in features) else None


def _column(label: str | int, names: list[str] | None, count: int, where: str) -> int:
    if isinstance(label, int):
        if -count <= label < count:
            return label % count
        raise DataError(f"has {count} columns and no column {label} of labels", where=where)
    if names and label in names:
        return names.index(label)
    raise DataError(
        f"has no column '{label}' of labels", where=where, remedy=f"its columns: {', '.join(names or []) or 'none'}"
    )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _number(text: str, where: str) -> float:
    if not _is_number(text) or not math.isfinite(float(text)):
        raise DataError(f"'{text.strip()}' is no finite number", where=where, remedy="leave the line out, or mend it")
    return float(text)


def _class_names(labels: Sequence[str]) -> tuple[str, ...]:
    """In order; all numbers up to the largest where labels are whole numbers, so that these stay as they are."""
    found = set(labels)
    if all(text.isdecimal() and str(int(text)) == text for text in found):
        largest = max(map(int, found))
        if largest < 2 * len(found):
            return tuple(map(str, range(largest + 1)))
    return tuple(sorted(found))


def split(table: Table, test_share: float = 0.2, seed: int = 0) -> tuple[Table, Table]:
    """Training and test samples: each class has the same share in both, as nearly as whole numbers allow.

    The same seed gives the same split on every machine.

    Args:
        table: to split.
        test_share: of each class, between 0 and 1.
        seed: of the order in which samples are taken.

    Returns:
        Training samples and test samples, each in the order drawn.

    Raises:
        UsageError: a share outside 0 to 1.
        DataError: a part would have no sample.
    """
    if not 0 < test_share < 1:
        raise UsageError(f"a test share of {test_share:g}", remedy="choose one between 0 and 1")
    order = RandomBits(seed).permutation(len(table.y))
    testing = np.zeros(len(order), bool)
    for label in range(len(table.class_names)):
        members = np.flatnonzero(table.y[order] == label)
        testing[members[: round(len(members) * test_share)]] = True
    if testing.all() or not testing.any():
        raise DataError(
            f"{len(order)} samples in {len(table.class_names)} classes, of which {test_share:g} would leave one part "
            "empty",
            where=table.name,
        )
    return table.samples(order[~testing]), table.samples(order[testing])


@dataclass(frozen=True)
class Composed:
    """Transforms, one after the other.

    Attributes:
        transforms: in order.
    """

    transforms: tuple[Transform, ...] = ()

    def __call__(self, x: Features) -> Features:
        """All of them."""
        for transform in self.transforms:
            x = transform(x)
        return x


def compose(*transforms: Transform) -> Composed:
    """One transform of several.

    >>> halved = compose(Scale((2.0,)), Quantize(0.25, 0))
    >>> halved(np.array([[1.0], [2.0]])).tolist()
    [[2], [4]]
    """
    return Composed(tuple(transforms))


@dataclass(frozen=True)
class ZScore:
    """``(x - mean) / deviation``, feature by feature.

    Attributes:
        means: of each feature.
        deviations: of each feature; 1 for a feature that does not vary.

    >>> ZScore.fit(np.array([[1.0, 5.0], [3.0, 5.0]]))(np.array([[3.0, 5.0]])).tolist()
    [[1.0, 0.0]]
    """

    means: tuple[float, ...]
    deviations: tuple[float, ...]

    @classmethod
    def fit(cls, x: Features) -> ZScore:
        """Mean and standard deviation of samples.

        Raises:
            DataError: no samples, NaN or infinity.
        """
        x = _checked(x)
        deviations = x.std(axis=0)
        return cls(tuple(x.mean(axis=0).tolist()), tuple(np.where(deviations > 0, deviations, 1.0).tolist()))

    def __call__(self, x: Features) -> Features:
        """Normalised."""
        return np.asarray((_checked(x, len(self.means)) - np.array(self.means)) / np.array(self.deviations))


@dataclass(frozen=True)
class Scale:
    """``x / full``, feature by feature.

    Attributes:
        full: what becomes 1; one number for each feature, or one for all.
    """

    full: tuple[float, ...]

    @classmethod
    def fit(cls, x: Features) -> Scale:
        """The largest magnitude of each feature becomes 1."""
        largest = np.abs(_checked(x)).max(axis=0)
        return cls(tuple(np.where(largest > 0, largest, 1.0).tolist()))

    def __call__(self, x: Features) -> Features:
        """Scaled."""
        return np.asarray(_checked(x) / np.array(self.full))


@dataclass(frozen=True)
class Quantize:
    """Real numbers to a network's integers, as LiteRT's QUANTIZE does it; see `bitloom.data.quantize_inputs`.

    Attributes:
        scale: real value of a step.
        zero_point: the integer that stands for 0.
        bits: of the integers, 1 to 32.
        signed: whether they are.
    """

    scale: float
    zero_point: int = 0
    bits: int = 8
    signed: bool = True

    def __post_init__(self) -> None:
        if not 1 <= self.bits <= 32:
            raise ArithmeticDomainError(f"integers of {self.bits} bits", remedy="choose 1 to 32")

    @classmethod
    def fit(cls, x: Features, bits: int = 8, *, signed: bool = True, symmetric: bool = True) -> Quantize:
        """The range of samples becomes that of the integers.

        Args:
            x: samples.
            bits: 1 to 32.
            signed: whether the integers are.
            symmetric: whether 0 is in their middle (unsigned: mid-range); else they all lie over the range.
        """
        values, kind = _checked(x), IntType(bits, signed)
        low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
        if symmetric:
            middle = 0 if signed else 1 << (bits - 1)
            return cls(max(-low, high, 1e-9) / max(kind.maximum - middle, 1), middle, bits, signed)
        scale = max(high - low, 1e-9) / (kind.maximum - kind.minimum)
        zero_point = int(np.clip(np.rint(kind.minimum - low / scale), kind.minimum, kind.maximum))
        return cls(scale, zero_point, bits, signed)

    def __call__(self, x: Features) -> Features:
        """Integers."""
        return quantize_inputs(x, self.scale, self.zero_point, IntType(self.bits, self.signed))


def _checked(x: Features, features: int | None = None) -> npt.NDArray[np.float64]:
    values = np.asarray(x, np.float64)
    if values.ndim != 2 or not len(values) or (features is not None and values.shape[1] != features):
        wanted = "features" if features is None else f"{features} features"
        raise DataError(f"an array of shape {list(values.shape)} where (samples, {wanted}) are needed")
    if not np.isfinite(values).all():
        raise DataError("the data contain NaN or infinity", remedy="replace them, or leave the samples out")
    return values
