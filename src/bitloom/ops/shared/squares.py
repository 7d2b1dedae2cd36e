"""What SPACE_TO_DEPTH and DEPTH_TO_SPACE share: squares of pixels whose sides change places with channels."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from bitloom.circuits.movement import Movement
from bitloom.ir import Lowered, SourceNode, Value
from bitloom.ir.operator import Array
from bitloom.ops.reshape import Reshape
from bitloom.ops.shared.moving import MovingOperator, require_moved

_ELEMENTS = ("int8", "uint8", "int32", "int64")
_PERMUTATION = (0, 1, 3, 2, 4, 5)


@dataclass(frozen=True)
class SquareOperator(MovingOperator):
    """Images split into six axes, of which the third and the fourth change places.

    Attributes:
        block: pixels along each side of a square.
    """

    block: int

    @abstractmethod
    def split(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The six axes: images, rows, two of columns and sides in some order, and what stays together."""

    def movement(self, shape: tuple[int, ...]) -> Movement:
        """Axes of squares and within squares, permuted."""
        split = self.split(shape)
        return Movement(split, tuple((axis, tuple(range(split[axis]))) for axis in _PERMUTATION))

    def evaluate(self, inputs: Sequence[Array]) -> tuple[Array, ...]:
        """x (inferences, images, height, width, channels)."""
        count, *shape = inputs[0].shape
        split = inputs[0].reshape(count, *self.split(tuple(shape)))
        moved = split.transpose(0, *(axis + 1 for axis in _PERMUTATION))
        return (moved.reshape(count, *self.moved_shape(tuple(shape))),)

    def to_tflite(self, inputs: Sequence[Value], outputs: Sequence[Value]) -> SourceNode:
        """With the block as an option."""
        return SourceNode(self.tflite[0], {"block_size": self.block}, tuple(inputs), tuple(outputs), self.name)

    @classmethod
    def lower(cls, source: SourceNode) -> Lowered:
        """From a file's node."""
        x = source.operand(0)
        require_moved(source, x, source.outputs[0], _ELEMENTS)
        operator = cls(int(source.attributes.get("block_size", 0)))
        made = operator.moved_shape(x.type.shape)
        moves = operator.movement(x.type.shape).reorders
        return Lowered(operator if moves else Reshape(made), (x.name,))
