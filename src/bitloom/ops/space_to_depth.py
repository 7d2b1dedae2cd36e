"""SPACE_TO_DEPTH: squares of pixels as the channels of one pixel."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bitloom.errors import GraphError
from bitloom.ir import Example, register
from bitloom.ops.shared.moving import moved_example
from bitloom.ops.shared.squares import SquareOperator


@register
@dataclass(frozen=True)
class SpaceToDepth(SquareOperator):
    """``y[h, w, (i * block + j) * channels + c] = x[h * block + i, w * block + j, c]`` for each image.

    Attributes:
        block: pixels along each side of a square.
    """

    name = "space_to_depth"
    tflite = ("SPACE_TO_DEPTH",)
    summary = "squares of pixels as the channels of one pixel"

    def moved_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Fewer rows and columns, more channels."""
        if len(shape) != 4 or self.block < 1 or shape[1] % self.block or shape[2] % self.block:
            raise GraphError(f"space_to_depth of shape {list(shape)} in squares of {self.block}")
        return (shape[0], shape[1] // self.block, shape[2] // self.block, shape[3] * self.block**2)

    def split(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Sides out of rows and columns."""
        return (shape[0], shape[1] // self.block, self.block, shape[2] // self.block, self.block, shape[3])

    @classmethod
    def examples(cls) -> Iterable[Example]:
        """Squares of two and of three."""
        for block, given, made in ((2, (1, 4, 6, 3), (1, 2, 3, 12)), (3, (1, 3, 6, 1), (1, 1, 2, 9))):
            name, attributes = f"space_to_depth_{block}", {"block_size": block}
            yield moved_example(cls, name, "SPACE_TO_DEPTH", given, made, attributes=attributes)
