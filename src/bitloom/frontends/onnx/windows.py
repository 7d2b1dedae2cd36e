"""Windows of ONNX's convolutions and pools over images: strides, dilations, padding; lines as images of one row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bitloom.circuits.convolution_geometry import Axis
from bitloom.errors import UnsupportedError
from bitloom.frontends.onnx.builder import GraphBuilder
from bitloom.frontends.onnx.values import CHANNELS_LAST, Computed, Tensor
from bitloom.ir import Value

Pads = tuple[int, int, int, int]
AUTOMATIC_PADDINGS = ("NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID")
"""What ONNX's attribute `auto_pad` may say."""


@dataclass(frozen=True)
class Window:
    """Where windows lie.

    Attributes:
        taps: down and across.
        strides: down and across.
        dilations: down and across.
        pads: above, below, left and right.
        overhangs: whether the last windows reach beyond the padding that the file names.
    """

    taps: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    pads: Pads
    overhangs: bool = False


def lifted(builder: GraphBuilder, tensor: Tensor) -> Tensor:
    """Lines (batch, channels, length) as images of one row; images as they are.

    Raises:
        UnsupportedError: other than one or two dimensions.
    """
    if len(tensor.shape) == 4:
        return tensor
    if len(tensor.shape) != 3:
        raise UnsupportedError(
            f"has windows over {max(0, len(tensor.shape) - 2)} dimensions (a tensor of shape {list(tensor.shape)}); "
            "supported: 1 and 2",
            where=builder.where,
        )
    batch, channels, length = tensor.shape
    lines = builder.arranged(tensor, (0, 2, 1))
    shape = (batch, channels, 1, length)
    value = builder.shaped(lines.value, (batch, 1, length, channels))
    return Tensor(value, shape, shape, CHANNELS_LAST)


def lowered(builder: GraphBuilder, tensor: Tensor, rank: int, name: str) -> Tensor:
    """Images of one row as lines again, where lines came; with a name."""
    if rank == 4:
        return tensor
    batch, channels, _, length = tensor.shape
    value = builder.shaped(tensor.value, (batch, length, channels), name)
    shape = (batch, channels, length)
    return Tensor(value, shape, shape, (0, 2, 1))


def lowered_behind(builder: GraphBuilder, computed: Computed, rank: int) -> Computed:
    """The same for what is not made yet."""
    if rank == 4:
        return computed
    return computed.moved(lambda tensor, name: lowered(builder, tensor, rank, name))


def images_made(value: Value) -> Tensor:
    """A value with channels last."""
    batch, height, width, channels = value.type.shape
    shape = (batch, channels, height, width)
    return Tensor(value, shape, shape, CHANNELS_LAST)


def window_of(
    builder: GraphBuilder, image: Sequence[int], taps: Sequence[int], attributes: Mapping[str, Any]
) -> Window:
    """The windows of a layer over images of a height and width; of lines these are 1 and the length.

    Raises:
        UnsupportedError: more than two dimensions, or negative padding.
    """
    rank = len(taps)
    if rank not in (1, 2):
        raise UnsupportedError(f"has a window of {rank} dimensions; supported: 1 and 2", where=builder.where)

    def along(name: str, count: int, default: int) -> list[int]:
        given = [int(number) for number in attributes.get(name, [default] * count)]
        if len(given) != count:
            raise UnsupportedError(f"has the {name} {given} for {rank} dimensions", where=builder.where)
        return given

    strides, dilations, pads = along("strides", rank, 1), along("dilations", rank, 1), along("pads", 2 * rank, 0)
    automatic = attributes.get("auto_pad", b"NOTSET").decode()
    if automatic not in AUTOMATIC_PADDINGS:
        raise UnsupportedError(
            f"has the auto_pad '{automatic}'; supported: {', '.join(AUTOMATIC_PADDINGS)}", where=builder.where
        )
    before, after, overhangs = [], [], False
    for axis, size in enumerate(image[2 - rank :]):
        front, behind = pads[axis], pads[rank + axis]
        if automatic in ("SAME_UPPER", "SAME_LOWER"):
            same = Axis.same(size, taps[axis], strides[axis], dilations[axis])
            front, behind = (same.before, same.after) if automatic == "SAME_UPPER" else (same.after, same.before)
        elif automatic == "VALID":
            front, behind = 0, 0
        if min(front, behind) < 0:
            raise UnsupportedError(f"has the padding {pads}", where=builder.where)
        if attributes.get("ceil_mode", 0):
            extent = (taps[axis] - 1) * dilations[axis] + 1
            rest = (size + front + behind - extent) % strides[axis]
            starts = size + front + behind - extent - rest + strides[axis]
            # A window that would start behind the image is left out.
            if rest and starts < size + front:
                behind, overhangs = behind + strides[axis] - rest, True
        before.append(front)
        after.append(behind)
    one, zero = [1] * (2 - rank), [0] * (2 - rank)
    (top, left), (bottom, right) = (*zero, *before), (*zero, *after)
    return Window(
        taps=_pair([*one, *taps]),
        strides=_pair([*one, *strides]),
        dilations=_pair([*one, *dilations]),
        pads=(top, bottom, left, right),
        overhangs=overhangs,
    )


def _pair(numbers: Sequence[int]) -> tuple[int, int]:
    down, across = numbers
    return int(down), int(across)
