"""SPACE_TO_DEPTH: squares of pixels as the channels of one pixel."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bitloom.errors import GraphError
from bitloom.ir import Example, Lowered, SourceNode, Value, register
from bitloom.ir.operator import Array
from bitloom.ops.movement import Movement
from bitloom.ops.moving import MovingOperator, moved_example, require_moved
from bitloom.ops.reshape import Reshape

_ELEMENTS = ("int8", "uint8", "int32", "int64")


@register
@dataclass(frozen=True)
class SpaceToDepth(MovingOperator):
    """``y[h, w, (i * block + j) * channels + c] = x[h * block + i, w * block + j, c]`` for each image.

    Attributes:
        block: pixels along each side of a square.
    """

    name = "space_to_depth"
    tflite = ("SPACE_TO_DEPTH",)
    summary = "squares of pixels as the channels of one pixel"

    block: int

    def moved_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Fewer rows and columns, more channels."""
        if len(shape) != 4 or self.block < 1 or shape[1] % self.block or shape[2] % self.block:
            raise GraphError(f"space_to_depth of shape {list(shape)} in squares of {self.block}")
        return (shape[0], shape[1] // self.block, shape[2] // self.block, shape[3] * self.block**2)

    def _split(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return (shape[0], shape[1] // self.block, self.block, shape[2] // self.block, self.block, shape[3])

    def movement(self, shape: tuple[int, ...]) -> Movement:
        """Axes of squares and within squares, permuted."""
        split = self._split(shape)
        return Movement(split, tuple((axis, tuple(range(split[axis]))) for axis in (0, 1, 3, 2, 4, 5)))

    def evaluate(self, inputs: Sequence[Array]) -> tuple[Array, ...]:
        """x (inferences, images, height, width, channels)."""
        count, *shape = inputs[0].shape
        split = inputs[0].reshape(count, *self._split(tuple(shape)))
        return (split.transpose(0, 1, 2, 4, 3, 5, 6).reshape(count, *self.moved_shape(tuple(shape))),)

    def to_tflite(self, inputs: Sequence[Value], outputs: Sequence[Value]) -> SourceNode:
        """With the block as an option."""
        return SourceNode("SPACE_TO_DEPTH", {"block_size": self.block}, tuple(inputs), tuple(outputs), self.name)

    @classmethod
    def lower(cls, source: SourceNode) -> Lowered:
        """From a file's node."""
        x = source.operand(0)
        require_moved(source, x, source.outputs[0], _ELEMENTS)
        operator = cls(int(source.attributes.get("block_size", 0)))
        made = operator.moved_shape(x.type.shape)
        moves = operator.movement(x.type.shape).reorders
        return Lowered(operator if moves else Reshape(made), (x.name,))

    @classmethod
    def examples(cls) -> Iterable[Example]:
        """Squares of two and of three."""
        for block, given, made in ((2, (1, 4, 6, 3), (1, 2, 3, 12)), (3, (1, 3, 6, 1), (1, 1, 2, 9))):
            name, attributes = f"space_to_depth_{block}", {"block_size": block}
            yield moved_example(cls, name, "SPACE_TO_DEPTH", given, made, attributes=attributes)
