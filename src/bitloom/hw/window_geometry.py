"""What a sliding window is: its sizes, the order of its elements, and the same with NumPy."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import cached_property

import numpy as np
import numpy.typing as npt

from bitloom.arith import IntType
from bitloom.errors import HardwareError
from bitloom.hw.stream import StreamType

Int64Array = npt.NDArray[np.int64]


class Taps(Enum):
    """How many taps of the kernel a beat carries, `lanes` channels of each."""

    ONE = "one"
    COLUMN = "column"
    ALL = "all"


@dataclass(frozen=True)
class WindowGeometry:
    """A kernel sliding over an image, channels last.

    For each output pixel, row by row, for each block of channels, `repeats` times: the window's elements. With one tap
    a beat they come by kernel row, kernel column, channel. With a column of taps a beat they come by kernel column and
    word of channels, and a beat has the taps of all kernel rows side by side. With all taps a beat they come by word.

    Attributes:
        height: rows of the image.
        width: pixels per row.
        channels: per pixel.
        kernel: taps (down, across).
        stride: pixels (down, across) from one output pixel's window to the next one's.
        dilation: pixels (down, across) from one tap to the next.
        padding: pixels added (top, bottom, left, right); negative ones are left out.
        block: channels that come together; divides `channels`. All of them if 0.
        lanes: channels per beat and tap; divides `block`.
        repeats: how often each block of each window comes.
        taps: how many taps a beat carries.
    """

    height: int
    width: int
    channels: int
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    block: int = 0
    lanes: int = 1
    repeats: int = 1
    taps: Taps = Taps.ONE

    def __post_init__(self) -> None:
        object.__setattr__(self, "block", self.block or self.channels)
        sizes = (self.height, self.width, self.channels, *self.kernel, *self.stride, *self.dilation, self.repeats)
        if min(*sizes, self.block, self.lanes) < 1:
            raise HardwareError(f"a window with a size below 1: {self}")
        if self.channels % self.block or self.block % self.lanes:
            raise HardwareError(
                f"{self.lanes} lanes, blocks of {self.block} and {self.channels} channels do not divide each other"
            )
        if min(self.out_height, self.out_width) < 1:
            raise HardwareError(f"a {self.kernel} kernel does not fit into the padded image", remedy="pad it more")
        if not self.reads.any():
            raise HardwareError("no window touches the image: every tap is padding")

    @property
    def span(self) -> tuple[int, int]:
        """Pixels (down, across) from the first to the last tap, both counted."""
        down, across = ((taps - 1) * step + 1 for taps, step in zip(self.kernel, self.dilation, strict=True))
        return down, across

    @property
    def out_height(self) -> int:
        """Rows of output pixels; 0 or less where the kernel does not fit."""
        return (self.height + self.padding[0] + self.padding[1] - self.span[0]) // self.stride[0] + 1

    @property
    def out_width(self) -> int:
        """Output pixels per row; 0 or less where the kernel does not fit."""
        return (self.width + self.padding[2] + self.padding[3] - self.span[1]) // self.stride[1] + 1

    @property
    def blocks(self) -> int:
        """Blocks per pixel."""
        return self.channels // self.block

    @property
    def pixel_words(self) -> int:
        """Input beats per pixel."""
        return self.channels // self.lanes

    @property
    def block_words(self) -> int:
        """Input beats per pixel and block."""
        return self.block // self.lanes

    @property
    def row_words(self) -> int:
        """Input beats per row."""
        return self.width * self.pixel_words

    @property
    def image_words(self) -> int:
        """Input beats per image."""
        return self.height * self.row_words

    @property
    def beat_taps(self) -> int:
        """Taps per output beat."""
        return {Taps.ONE: 1, Taps.COLUMN: self.kernel[0], Taps.ALL: self.kernel[0] * self.kernel[1]}[self.taps]

    @property
    def beats(self) -> int:
        """Output beats per image."""
        return self.output_type(IntType(1)).beats

    def input_type(self, element: IntType) -> StreamType:
        """The image's stream."""
        return StreamType(element, self.channels, self.height * self.width, self.lanes)

    def output_type(self, element: IntType) -> StreamType:
        """The windows' stream: a row is one block of one window."""
        row = self.kernel[0] * self.kernel[1] * self.block
        rows = self.out_height * self.out_width * self.blocks * self.repeats
        return StreamType(element, row, rows, self.lanes * self.beat_taps)

    def order(self) -> Int64Array:
        """For each element of an output row, its place ``(ky * kernel width + kx) * block + channel``; int64."""
        down, across = self.kernel
        places = np.arange(down * across * self.block).reshape(down, across, self.block_words, self.lanes)
        axes = {Taps.ONE: (0, 1, 2, 3), Taps.COLUMN: (1, 2, 0, 3), Taps.ALL: (2, 0, 1, 3)}[self.taps]
        return places.transpose(axes).reshape(-1)

    @cached_property
    def first_rows(self) -> Int64Array:
        """The image row of each output row's first tap; outside of the image where it is padding."""
        return np.arange(self.out_height) * self.stride[0] - self.padding[0]

    @cached_property
    def first_columns(self) -> Int64Array:
        """The image column of each output column's first tap."""
        return np.arange(self.out_width) * self.stride[1] - self.padding[2]

    @cached_property
    def tap_rows(self) -> Int64Array:
        """Image row of each tap, shape (output rows, kernel rows)."""
        return self.first_rows[:, None] + np.arange(self.kernel[0]) * self.dilation[0]

    @cached_property
    def tap_columns(self) -> Int64Array:
        """Image column of each tap, shape (output columns, kernel columns)."""
        return self.first_columns[:, None] + np.arange(self.kernel[1]) * self.dilation[1]

    @cached_property
    def reads(self) -> npt.NDArray[np.bool_]:
        """Which taps are inside the image, shape (output rows, output columns, kernel rows, kernel columns)."""
        rows = (self.tap_rows >= 0) & (self.tap_rows < self.height)
        columns = (self.tap_columns >= 0) & (self.tap_columns < self.width)
        return rows[:, None, :, None] & columns[None, :, None, :]

    def windows(self, images: npt.ArrayLike, padding_value: int) -> Int64Array:
        """What the circuit sends, computed with NumPy.

        Args:
            images: integers, shape (images, ...), each with ``height * width * channels`` elements.
            padding_value: the value of taps outside of the image.

        Returns:
            int64, shape (images, elements of the output stream).
        """
        given = np.asarray(images, np.int64).reshape(-1, self.height, self.width, self.blocks, self.block)
        rows = self.tap_rows.clip(0, self.height - 1)[:, None, :, None]
        columns = self.tap_columns.clip(0, self.width - 1)[None, :, None, :]
        taps = np.where(self.reads[..., None, None], given[:, rows, columns], padding_value)
        # (image, row, column, ky, kx, block, channel) to (image, row, column, block, repeat, place)
        blocks = np.moveaxis(taps, 5, 3).reshape(len(given), self.out_height, self.out_width, self.blocks, 1, -1)
        return np.repeat(blocks[..., self.order()], self.repeats, axis=4).reshape(len(given), -1)
