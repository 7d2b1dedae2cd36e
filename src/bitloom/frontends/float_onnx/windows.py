"""Windows of convolutions and pools: ONNX's paddings as TFLite's, and what is put around images where those differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bitloom.circuits.convolution_geometry import Axis
from bitloom.errors import ModelFormatError, UnsupportedError
from bitloom.frontends.float_onnx.builder import Real
from bitloom.frontends.float_onnx.context import FloatContext
from bitloom.frontends.onnx.windows import AUTOMATIC_PADDINGS


@dataclass(frozen=True)
class Windows:
    """Of one node, rows first.

    Attributes:
        rows: down the image.
        columns: across.
    """

    rows: Axis
    columns: Axis

    @property
    def axes(self) -> tuple[Axis, Axis]:
        """Both."""
        return (self.rows, self.columns)

    @property
    def is_same(self) -> bool:
        """Whether TFLite's option SAME pads as much, on the same sides."""
        return all(axis == Axis.same(axis.size, axis.taps, axis.stride, axis.dilation) for axis in self.axes)

    @property
    def padded(self) -> bool:
        """Whether there is any padding."""
        return any(axis.before or axis.after for axis in self.axes)

    @property
    def padding(self) -> str:
        """TFLite's option, where all that it lacks is put around the images first."""
        return "SAME" if self.is_same and self.padded else "VALID"

    @property
    def outputs(self) -> tuple[int, int]:
        """Rows and columns of the result."""
        return (self.rows.outputs, self.columns.outputs)

    @property
    def widths(self) -> list[list[int]]:
        """The paddings as PAD's operand for images with channels last."""
        return [[0, 0], *([axis.before, axis.after] for axis in self.axes), [0, 0]]

    def counts(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """For each window how many of its elements are of the image, shape (rows, columns)."""
        found = []
        for axis in self.axes:
            starts = np.arange(axis.outputs)[:, None] * axis.stride - axis.before
            places = starts + np.arange(axis.taps) * axis.dilation
            found.append(((places >= 0) & (places < axis.size)).sum(axis=1))
        return np.multiply.outer(found[0], found[1])

    def strides(self) -> dict[str, Any]:
        """As options of TFLite."""
        return {"stride_h": self.rows.stride, "stride_w": self.columns.stride}


def windows(context: FloatContext, x: Real, taps: Sequence[int], *, overhang: bool = False) -> Windows:
    """Of a convolution or pool over images of one or two dimensions.

    Args:
        context: of the node.
        x: images, channels second.
        taps: of the kernel, one or two.
        overhang: whether a last window may hang over the padding (``ceil_mode``), as more padding.

    Raises:
        UnsupportedError: other dimensions, or a padding that no padding of the graph says.
    """
    dimensions = len(taps)
    if dimensions not in (1, 2) or len(x.shape) != dimensions + 2:
        raise UnsupportedError(
            f"has a window of {dimensions} dimensions over a tensor of shape {list(x.shape)}; supported: 1 and 2"
        )
    strides, dilations = (
        tuple(int(each) for each in context.attributes.get(name, (1,) * dimensions))
        for name in ("strides", "dilations")
    )
    pads = tuple(int(each) for each in context.attributes.get("pads", (0,) * (2 * dimensions)))
    if not len(strides) == len(dilations) == dimensions or len(pads) != 2 * dimensions:
        raise ModelFormatError(f"has strides, dilations or pads for other than {dimensions} dimensions")
    if min(pads) < 0 or min((*strides, *dilations, *taps)) < 1:
        raise UnsupportedError(f"has the padding {list(pads)}, strides {list(strides)}, dilations {list(dilations)}")
    automatic, ceil = context.text("auto_pad", "NOTSET"), bool(context.integer("ceil_mode", 0))
    if automatic not in AUTOMATIC_PADDINGS:
        raise UnsupportedError(f"has the auto_pad '{automatic}'; supported: {', '.join(AUTOMATIC_PADDINGS)}")
    axes = [
        _axis(automatic, Axis(size, tap, stride, dilation, before, after))
        for size, tap, stride, dilation, before, after in zip(
            x.shape[2:], taps, strides, dilations, pads[:dimensions], pads[dimensions:], strict=True
        )
    ]
    if ceil and automatic == "NOTSET":
        axes = [_overhanging(axis, allowed=overhang) for axis in axes]
    if any(axis.outputs < 1 for axis in axes):
        raise ModelFormatError(f"has a window of {list(taps)}, larger than its padded input {list(x.shape)}")
    return Windows(*([Axis(1, 1, 1, 1, 0, 0)] * (2 - dimensions)), *axes)


def _axis(automatic: str, axis: Axis) -> Axis:
    same = Axis.same(axis.size, axis.taps, axis.stride, axis.dilation)
    if automatic == "SAME_UPPER":
        return same
    if automatic == "SAME_LOWER":
        return Axis(axis.size, axis.taps, axis.stride, axis.dilation, same.after, same.before)
    if automatic == "VALID":
        return Axis(axis.size, axis.taps, axis.stride, axis.dilation, 0, 0)
    return axis


def _overhanging(axis: Axis, *, allowed: bool) -> Axis:
    """With a size of the result that is rounded up; a window that begins behind the image is none."""
    rest = (axis.size + axis.before + axis.after - axis.extent) % axis.stride
    more = axis.stride - rest if rest else 0
    starts = axis.outputs * axis.stride - axis.before
    if not more or starts >= axis.size:
        return axis
    if not allowed:
        raise UnsupportedError(
            "has ceil_mode, with a last window that hangs over", remedy="set ceil_mode=False, or pad the input"
        )
    return Axis(axis.size, axis.taps, axis.stride, axis.dilation, axis.before, axis.after + more)
