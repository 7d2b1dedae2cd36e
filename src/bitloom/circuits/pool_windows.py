"""Windows along one axis of an image: how many, where, and their elements reduced."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from bitloom.circuits.convolution_geometry import Axis


class Padding(enum.Enum):
    """How an image is extended: with what makes an output for every stride begun, or not at all."""

    SAME = "same"
    VALID = "valid"


@dataclass(frozen=True)
class Windows:
    """Windows along one axis of an image.

    Where they lie is `bitloom.circuits.convolution_geometry.Axis`'s rule. VALID windows lie inside.

    Attributes:
        size: elements of the axis.
        taps: elements of a window.
        stride: between the starts of windows.
        padding: the rule.

    >>> windows = Windows(size=5, taps=3, stride=2, padding=Padding.SAME)
    >>> windows.outputs, windows.before, windows.counts.tolist()
    (3, 1, [2, 3, 2])
    """

    size: int
    taps: int
    stride: int
    padding: Padding

    @cached_property
    def _axis(self) -> Axis:
        if self.padding is Padding.SAME:
            return Axis.same(self.size, self.taps, self.stride, dilation=1)
        return Axis(self.size, self.taps, self.stride, dilation=1, before=0, after=0)

    @property
    def outputs(self) -> int:
        """How many windows there are; less than 1 where a window is larger than the axis."""
        return self._axis.outputs

    @property
    def before(self) -> int:
        """Padding in front."""
        return self._axis.before

    @property
    def live(self) -> range:
        """The taps that meet an element in some window; where windows are larger than the axis, others never do."""
        furthest = (self.outputs - 1) * self.stride
        return range(max(0, self.before - furthest), min(self.taps, self.size + self.before))

    @property
    def margins(self) -> tuple[int, int]:
        """Padding in front of and behind the live taps of all windows; negative where elements are left out."""
        before = self.before - self.live.start
        return before, (self.outputs - 1) * self.stride + len(self.live) - self.size - before

    @property
    def tile(self) -> bool:
        """Whether the windows' live taps meet every element once, so that no element is padding."""
        return self.margins == (0, 0) and (self.outputs == 1 or self.stride == len(self.live))

    @property
    def starts(self) -> npt.NDArray[np.int64]:
        """Where each window starts, negative in the padding; shape (outputs,)."""
        return np.arange(self.outputs, dtype=np.int64) * self.stride - self.before

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        """Elements of each window that are not padding, at least 1; shape (outputs,)."""
        return np.minimum(self.starts + self.taps, self.size) - np.maximum(self.starts, 0)

    def reduce(
        self, values: npt.NDArray[Any], axis: int, function: np.ufunc, initial: int | np.generic
    ) -> npt.NDArray[Any]:
        """Reduce each window along an axis by a function of two, padding left out.

        Args:
            values: of any shape, `size` along the axis.
            axis: which.
            function: such as ``np.add``.
            initial: what changes no result.
        """
        moved = np.moveaxis(values, axis, 0)
        result = np.full((self.outputs, *moved.shape[1:]), initial, values.dtype)
        for windows, elements in self._slices():
            function(result[windows], moved[elements], out=result[windows])
        return np.moveaxis(result, 0, axis)

    def _slices(self) -> Iterator[tuple[slice, slice]]:
        """For each tap that meets elements: the windows in which it does, and the elements."""
        for tap in self.live:
            first = max(0, -((tap - self.before) // self.stride))
            last = min(self.outputs - 1, (self.size - 1 + self.before - tap) // self.stride)
            if first <= last:
                start, end = (window * self.stride - self.before + tap for window in (first, last))
                yield slice(first, last + 1), slice(start, end + 1, self.stride)
