"""The geometry of convolutions: windows of taps over images, with strides, dilations and padding, and their patches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bitloom.errors import GraphError, UnsupportedError

Pair = tuple[int, int]


@dataclass(frozen=True)
class Axis:
    """Windows of taps along one axis of an image.

    ```
    size 5, taps 3, stride 2, dilation 1, padding 1 before and 1 after:
      . 0 1 2 3 4 .
      o o o            window 0: its first tap lies in the padding
          o o o        window 1
              o o o    window 2: its last tap lies in the padding
    ```

    Attributes:
        size: elements of the axis.
        taps: of the kernel.
        stride: between the starts of windows.
        dilation: between the taps of a window.
        before: padding in front.
        after: padding behind.

    >>> axis = Axis.same(size=5, taps=3, stride=2, dilation=1)
    >>> axis.before, axis.after, axis.outputs
    (1, 1, 3)
    """

    size: int
    taps: int
    stride: int
    dilation: int
    before: int
    after: int

    @classmethod
    def same(cls, size: int, taps: int, stride: int, dilation: int) -> Axis:
        """As many windows as strides begin in the image; the odd element of padding goes behind.

        Source: LiteRT's padding rules: ``outputs = ceil(size / stride)``, the padding is what they lack.
        """
        lacking = max(0, (-(-size // stride) - 1) * stride + (taps - 1) * dilation + 1 - size)
        return cls(size, taps, stride, dilation, lacking // 2, lacking - lacking // 2)

    @property
    def extent(self) -> int:
        """Elements from a window's first tap to its last."""
        return (self.taps - 1) * self.dilation + 1

    @property
    def outputs(self) -> int:
        """Number of windows; less than 1 if not even one fits."""
        return (self.size + self.before + self.after - self.extent) // self.stride + 1

    @property
    def live(self) -> range:
        """The taps between (and with) the first and the last that lie on the image in some window.

        With large dilations, or kernels larger than the image, others never do, and contribute nothing.
        """
        offsets = np.arange(self.taps, dtype=np.int64) * self.dilation - self.before
        first_window = np.maximum(0, -(offsets // self.stride))
        meets = (first_window < self.outputs) & (first_window * self.stride + offsets < self.size)
        found = np.flatnonzero(meets)
        return range(int(found[0]), int(found[-1]) + 1) if found.size else range(0)


@dataclass(frozen=True)
class Geometry:
    """Kernel, strides, dilations and padding of a convolution over images (batch, height, width, channels).

    Attributes:
        kernel: taps along height and width.
        strides: along height and width.
        dilations: along height and width.
        padding: above, below, left and right of the image.

    >>> Geometry.of("SAME", (32, 32), (3, 3), (2, 2), (1, 1))
    Geometry(kernel=(3, 3), strides=(2, 2), dilations=(1, 1), padding=(0, 1, 0, 1))
    """

    kernel: Pair
    strides: Pair
    dilations: Pair
    padding: tuple[int, int, int, int]

    def __post_init__(self) -> None:
        if min(*self.kernel, *self.strides, *self.dilations) < 1 or min(self.padding) < 0:
            raise GraphError(
                f"a kernel of {list(self.kernel)} with strides {list(self.strides)}, dilations "
                f"{list(self.dilations)} and padding {list(self.padding)}"
            )

    @classmethod
    def of(cls, option: str, image: Sequence[int], kernel: Pair, strides: Pair, dilations: Pair) -> Geometry:
        """The geometry of TFLite's padding options, ``SAME`` or ``VALID``, on an image of a height and width.

        Raises:
            UnsupportedError: another option.
            GraphError: taps, strides or dilations that are not positive.
        """
        plain = cls(kernel, strides, dilations, (0, 0, 0, 0))
        if option == "VALID":
            return plain
        if option != "SAME":
            raise UnsupportedError(f"padding {option}; supported: SAME, VALID")
        rows, columns = (
            Axis.same(size, taps, stride, dilation)
            for size, taps, stride, dilation in zip(image, kernel, strides, dilations, strict=True)
        )
        return cls(kernel, strides, dilations, (rows.before, rows.after, columns.before, columns.after))

    def option(self, image: Sequence[int]) -> str:
        """TFLite's padding option that gives this geometry on an image of a height and width.

        Raises:
            UnsupportedError: there is none.
        """
        for option in ("VALID", "SAME"):
            if self == Geometry.of(option, image, self.kernel, self.strides, self.dilations):
                return option
        raise UnsupportedError(f"TFLite's convolutions have no padding of {list(self.padding)} rows and columns")

    def axes(self, image: Sequence[int]) -> tuple[Axis, Axis]:
        """Rows and columns of an image of a height and width."""
        height, width = image
        (down, across), (dilation_down, dilation_across) = self.strides, self.dilations
        top, bottom, left, right = self.padding
        return (
            Axis(height, self.kernel[0], down, dilation_down, top, bottom),
            Axis(width, self.kernel[1], across, dilation_across, left, right),
        )

    def output(self, image: Sequence[int]) -> Pair:
        """Height and width of the result.

        Raises:
            GraphError: the kernel does not fit even once.
        """
        rows, columns = self.axes(image)
        if min(rows.outputs, columns.outputs) < 1:
            raise GraphError(
                f"a kernel that extends over {rows.extent} x {columns.extent} pixels does not fit an image of "
                f"{image[0]} x {image[1]}"
            )
        return rows.outputs, columns.outputs


@dataclass(frozen=True)
class Patches:
    """The windows of a batch of images.

    Attributes:
        view: elements less their zero point, so that padding is 0, shape (batch, height, width of the result, taps
            down, taps across, channels); overlapping, not to be written.
        taps: of the kernel, those that the view has, down and across.
    """

    view: npt.NDArray[Any]
    taps: tuple[slice, slice]


def patches(images: npt.NDArray[Any], geometry: Geometry, zero_point: int, kind: np.dtype[Any]) -> Patches:
    """Every window of a batch of images.

    Args:
        images: integers, shape (batch, height, width, channels).
        geometry: of the windows.
        zero_point: to subtract.
        kind: the type of the result, which must hold the differences.
    """
    axes = geometry.axes(images.shape[1:3])
    live = [axis.live for axis in axes]
    # Where, on the axis, the first live tap of the first window lies, and how far the last of the last one reaches.
    starts = [taps.start * axis.dilation - axis.before for axis, taps in zip(axes, live, strict=True)]
    reach = [max(0, len(taps) - 1) * axis.dilation + 1 for axis, taps in zip(axes, live, strict=True)]
    spans = [(axis.outputs - 1) * axis.stride + extent for axis, extent in zip(axes, reach, strict=True)]
    extended = np.zeros((images.shape[0], *spans, images.shape[3]), kind)
    (rows, image_rows), (columns, image_columns) = (
        _overlap(axis.size, start, span) for axis, start, span in zip(axes, starts, spans, strict=True)
    )
    np.subtract(
        images[:, image_rows, image_columns], kind.type(zero_point), out=extended[:, rows, columns], casting="unsafe"
    )
    windows = np.lib.stride_tricks.sliding_window_view(extended, reach, axis=(1, 2))
    (down, across), (dilation_down, dilation_across) = geometry.strides, geometry.dilations
    view = windows[:, ::down, ::across, :, ::dilation_down, ::dilation_across].transpose(0, 1, 2, 4, 5, 3)
    return Patches(
        view[:, :, :, : len(live[0]), : len(live[1])],
        (slice(live[0].start, live[0].stop), slice(live[1].start, live[1].stop)),
    )


def _overlap(size: int, start: int, span: int) -> tuple[slice, slice]:
    """Where an axis and a span that begins at `start` of it overlap: in the span, and on the axis."""
    end = max(start, 0, min(size, start + span))
    return slice(max(0, -start), max(0, -start, end - start)), slice(max(0, start), end)
