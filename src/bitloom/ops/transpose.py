"""TRANSPOSE: the axes of a tensor in another order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bitloom.arith import IntType
from bitloom.circuits.movement import Movement
from bitloom.errors import GraphError
from bitloom.ir import Example, Lowered, SourceNode, Value, register
from bitloom.ir.operator import Array
from bitloom.ops.reshape import Reshape
from bitloom.ops.shared.moving import (
    INT8,
    MovingOperator,
    constant_integers,
    index_value,
    moved_example,
    positive_axis,
    require_moved,
    require_rank,
)

_ELEMENTS = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")
_MOST_AXES = 8


@register
@dataclass(frozen=True)
class Transpose(MovingOperator):
    """``y[i] = x[j]`` with ``i[k] = j[permutation[k]]``.

    Where no axis but those of length 1 changes its place, nothing moves, and a file's node becomes a reshape.

    Attributes:
        permutation: for each axis of the result, the operand's axis.
    """

    name = "transpose"
    tflite = ("TRANSPOSE",)
    summary = "axes in another order, no arithmetic"

    permutation: tuple[int, ...]

    def moved_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The lengths, permuted."""
        if sorted(self.permutation) != list(range(len(shape))):
            raise GraphError(f"transpose of shape {list(shape)} into axes {list(self.permutation)}")
        return tuple(shape[axis] for axis in self.permutation)

    def movement(self, shape: tuple[int, ...]) -> Movement:
        """Whole axes."""
        return Movement(shape, tuple((axis, tuple(range(shape[axis]))) for axis in self.permutation))

    def evaluate(self, inputs: Sequence[Array]) -> tuple[Array, ...]:
        """x (inferences, *shape)."""
        return (inputs[0].transpose(0, *(axis + 1 for axis in self.permutation)),)

    def to_tflite(self, inputs: Sequence[Value], outputs: Sequence[Value]) -> SourceNode:
        """With the permutation as a constant operand."""
        operands = (*inputs, index_value("perm", self.permutation))
        return SourceNode("TRANSPOSE", {}, operands, tuple(outputs), self.name)

    @classmethod
    def lower(cls, source: SourceNode) -> Lowered:
        """From a file's node; axes may count from the end."""
        x, y = source.operand(0), source.outputs[0]
        require_moved(source, x, y, _ELEMENTS)
        require_rank(source, x, _MOST_AXES)
        shape = x.type.shape
        given = constant_integers(source, 1, "permutation", length=len(shape), elements=("int32",))
        permutation = tuple(positive_axis(source, axis, len(shape)) for axis in given)
        made = cls(permutation).moved_shape(shape)
        if Movement(shape, tuple((axis, tuple(range(shape[axis]))) for axis in permutation)).reorders:
            return Lowered(cls(permutation), (x.name,))
        return Lowered(Reshape(made), (x.name,))

    @classmethod
    def examples(cls) -> Iterable[Example]:
        """Channels first and last, the last axis kept, the first kept, a matrix, other types."""
        yield _example("channels_last", (1, 3, 4, 5), (0, 2, 3, 1))
        yield _example("channels_first", (1, 4, 5, 3), (0, 3, 1, 2))
        yield _example("rows_and_columns", (1, 3, 5, 4), (0, 2, 1, -1))
        yield _example("matrix", (7, 5), (1, 0))
        yield _example("five_axes", (2, 3, 2, 2, 3), (4, 2, 0, 3, 1))
        yield _example("int16", (2, 6), (1, 0), IntType(16))
        yield _example("int32", (3, 2, 2), (1, 0, 2), IntType(32))


def _example(name: str, shape: tuple[int, ...], permutation: tuple[int, ...], element: IntType = INT8) -> Example:
    made = tuple(shape[axis] for axis in permutation)
    perm = index_value("perm", permutation)
    return moved_example(Transpose, f"transpose_{name}", "TRANSPOSE", shape, made, [perm], element=element)
