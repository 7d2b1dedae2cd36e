"""DEPTH_TO_SPACE: the channels of a pixel as a square of pixels."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bitloom.errors import GraphError
from bitloom.ir import Example, register
from bitloom.ops.shared.moving import moved_example
from bitloom.ops.shared.squares import SquareOperator


@register
@dataclass(frozen=True)
class DepthToSpace(SquareOperator):
    """``y[h * block + i, w * block + j, c] = x[h, w, (i * block + j) * channels + c]`` for each image.

    Attributes:
        block: pixels along each side of a square.
    """

    name = "depth_to_space"
    tflite = ("DEPTH_TO_SPACE",)
    summary = "the channels of a pixel as a square of pixels"

    def moved_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """More rows and columns, fewer channels."""
        if len(shape) != 4 or self.block < 1 or shape[3] % self.block**2:
            raise GraphError(f"depth_to_space of shape {list(shape)} in squares of {self.block}")
        return (shape[0], shape[1] * self.block, shape[2] * self.block, shape[3] // self.block**2)

    def split(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Sides out of channels."""
        return (*shape[:3], self.block, self.block, shape[3] // self.block**2)

    @classmethod
    def examples(cls) -> Iterable[Example]:
        """Squares of two and of three."""
        for block, given, made in ((2, (1, 2, 3, 12), (1, 4, 6, 3)), (3, (1, 1, 2, 9), (1, 3, 6, 1))):
            name, attributes = f"depth_to_space_{block}", {"block_size": block}
            yield moved_example(cls, name, "DEPTH_TO_SPACE", given, made, attributes=attributes)
