"""RESIZE_NEAREST_NEIGHBOR: an image of another height and width, each pixel the nearest of the given ones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from bitloom.circuits.movement import Movement
from bitloom.errors import GraphError
from bitloom.ir import Example, Lowered, SourceNode, Value, register
from bitloom.ir.operator import Array
from bitloom.ops.shared.moving import MovingOperator, constant_integers, index_value, moved_example, require_moved

_ELEMENTS = ("int8", "uint8", "int16", "uint16", "int32", "uint32")


@register
@dataclass(frozen=True)
class ResizeNearestNeighbor(MovingOperator):
    """Row ``r(y)`` and column ``c(x)`` of the operand for row y and column x of the result.

    With ``scale = given / made`` in binary32, or ``(given - 1) / (made - 1)`` where corners are aligned and there is
    more than one: ``r(y) = min(floor((y + offset) * scale), given - 1)``, rounded to the nearest instead of down where
    corners are aligned (halves away from zero); the offset is a half where pixels have centers, else 0.

    Source: GetNearestNeighbor in LiteRT's reference kernel (kernels/internal/reference/resize_nearest_neighbor.h).

    Attributes:
        height: of the result.
        width: of the result.
        align_corners: whether the first and last rows and columns are those of the operand.
        half_pixel_centers: whether a pixel's position is its center.
    """

    name = "resize_nearest_neighbor"
    tflite = ("RESIZE_NEAREST_NEIGHBOR",)
    summary = "images of another height and width, nearest pixels"

    height: int
    width: int
    align_corners: bool = False
    half_pixel_centers: bool = False

    def sources(self, given: int, made: int) -> tuple[int, ...]:
        """For each row or column of the result, that of the operand, by the kernel's binary32 operations."""
        aligned = self.align_corners and made > 1
        scale = np.float32(given - 1) / np.float32(made - 1) if aligned else np.float32(given) / np.float32(made)
        positions = np.arange(made, dtype=np.float32) + np.float32(0.5 if self.half_pixel_centers else 0)
        scaled = positions * scale
        # Positions are never negative, so that halves away from zero are halves up; adding a half in binary32 could
        # itself round, which a comparison of the fraction does not.
        whole = np.floor(scaled)
        nearest = whole + (scaled - whole >= np.float32(0.5)) if self.align_corners else whole
        return tuple(np.minimum(nearest.astype(np.int64), given - 1).tolist())

    def moved_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Images, height, width, channels."""
        if len(shape) != 4 or min(self.height, self.width) < 1:
            raise GraphError(f"resize of shape {list(shape)} to {self.height} x {self.width}: four axes are needed")
        return (shape[0], self.height, self.width, shape[3])

    def movement(self, shape: tuple[int, ...]) -> Movement:
        """Rows and columns left out or repeated."""
        images, height, width, channels = shape
        rows, columns = self.sources(height, self.height), self.sources(width, self.width)
        return Movement(shape, ((0, tuple(range(images))), (1, rows), (2, columns), (3, tuple(range(channels)))))

    def evaluate(self, inputs: Sequence[Array]) -> tuple[Array, ...]:
        """x (inferences, images, height, width, channels)."""
        rows, columns = self.sources(inputs[0].shape[2], self.height), self.sources(inputs[0].shape[3], self.width)
        return (inputs[0][:, :, rows][:, :, :, columns],)

    def to_tflite(self, inputs: Sequence[Value], outputs: Sequence[Value]) -> SourceNode:
        """With height and width as a constant operand."""
        operands = (*inputs, index_value("size", (self.height, self.width)))
        attributes = {"align_corners": self.align_corners, "half_pixel_centers": self.half_pixel_centers}
        return SourceNode("RESIZE_NEAREST_NEIGHBOR", attributes, operands, tuple(outputs), self.name)

    @classmethod
    def lower(cls, source: SourceNode) -> Lowered:
        """From a file's node."""
        x = source.operand(0)
        require_moved(source, x, source.outputs[0], _ELEMENTS)
        height, width = constant_integers(source, 1, "size", length=2, elements=("int32",))
        align = bool(source.attributes.get("align_corners", False))
        return Lowered(cls(height, width, align, bool(source.attributes.get("half_pixel_centers", False))), (x.name,))

    @classmethod
    def examples(cls) -> Iterable[Example]:
        """Doubled, to odd sizes, smaller, each convention."""
        yield _example("doubled", (1, 3, 4, 2), (6, 8))
        yield _example("odd", (1, 3, 4, 1), (5, 7))
        yield _example("smaller", (1, 5, 6, 2), (2, 4))
        yield _example("taller_and_narrower", (1, 3, 7, 2), (7, 3))
        yield _example("aligned", (1, 3, 4, 2), (7, 5), align_corners=True)
        yield _example("half_pixels", (1, 4, 3, 2), (6, 5), half_pixel_centers=True)
        yield _example("one_pixel", (1, 1, 1, 3), (2, 3))


def _example(name: str, given: tuple[int, int, int, int], size: tuple[int, int], **options: bool) -> Example:
    made = (given[0], *size, given[3])
    constants = [index_value("size", size)]
    kind = "RESIZE_NEAREST_NEIGHBOR"
    return moved_example(
        ResizeNearestNeighbor, f"resize_nearest_neighbor_{name}", kind, given, made, constants, options
    )
