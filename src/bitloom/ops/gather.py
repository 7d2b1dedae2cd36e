"""GATHER: the indices along one axis that a constant names."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from bitloom.circuits.movement import Movement
from bitloom.errors import GraphError, UnsupportedError
from bitloom.ir import Example, Lowered, SourceNode, Value, register
from bitloom.ir.operator import Array
from bitloom.ops.reshape import Reshape
from bitloom.ops.shared.moving import (
    MovingOperator,
    constant_integers,
    index_value,
    moved_example,
    positive_axis,
    require_moved,
)

_ELEMENTS = ("int8", "uint8", "int16", "int32", "int64")


@register
@dataclass(frozen=True)
class Gather(MovingOperator):
    """``y[.., i, ..] = x[.., indices[i], ..]`` along one axis.

    Attributes:
        axis: of the operand, from 0.
        indices: along it, in any order, as often as wanted.
        shape: what the result has in place of the axis.
    """

    name = "gather"
    tflite = ("GATHER",)
    summary = "constant indices along one axis"

    axis: int
    indices: tuple[int, ...]
    shape: tuple[int, ...]

    def moved_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The operand's shape with the indices' in place of the axis."""
        if not 0 <= self.axis < len(shape) or math.prod(self.shape) != len(self.indices):
            raise GraphError(f"gather of {len(self.indices)} indices along axis {self.axis} of shape {list(shape)}")
        if not 0 <= min(self.indices) <= max(self.indices) < shape[self.axis]:
            raise GraphError(f"gather of indices {list(self.indices)} along an axis of {shape[self.axis]}")
        return (*shape[: self.axis], *self.shape, *shape[self.axis + 1 :])

    def movement(self, shape: tuple[int, ...]) -> Movement:
        """All other axes whole."""
        axes = ((axis, self.indices if axis == self.axis else tuple(range(shape[axis]))) for axis in range(len(shape)))
        return Movement(shape, tuple(axes))

    def evaluate(self, inputs: Sequence[Array]) -> tuple[Array, ...]:
        """x (inferences, *shape)."""
        return (np.take(inputs[0], np.reshape(self.indices, self.shape), axis=self.axis + 1),)

    def to_tflite(self, inputs: Sequence[Value], outputs: Sequence[Value]) -> SourceNode:
        """With the indices as a constant operand."""
        indices = index_value("indices", np.reshape(self.indices, self.shape).tolist())
        attributes = {"axis": self.axis, "batch_dims": 0}
        return SourceNode("GATHER", attributes, (*inputs, indices), tuple(outputs), self.name)

    @classmethod
    def lower(cls, source: SourceNode) -> Lowered:
        """From a file's node; the axis may count from the end, the indices may not."""
        x, y = source.operand(0), source.outputs[0]
        require_moved(source, x, y, _ELEMENTS)
        if int(source.attributes.get("batch_dims", 0)):
            raise UnsupportedError(f"{source.kind} with batch dimensions", where=source.where)
        indices = constant_integers(source, 1, "indices", elements=("int16", "int32", "int64"))
        axis = positive_axis(source, int(source.attributes.get("axis", 0)), len(x.type.shape))
        gather = cls(axis, indices, source.operand(1).type.shape)
        made = gather.moved_shape(x.type.shape)
        movement = gather.movement(x.type.shape)
        if movement.drops or movement.reorders:
            return Lowered(gather, (x.name,))
        return Lowered(Reshape(made), (x.name,))

    @classmethod
    def examples(cls) -> Iterable[Example]:
        """Channels in another order, rows several times, some columns, a scalar index."""
        yield _example("channels", (1, 2, 3, 4), (1, 2, 3, 4), -1, [3, 0, 2, 1])
        yield _example("rows", (1, 4, 6), (1, 5, 6), 1, [2, 2, 0, 3, 3])
        yield _example("ascending", (2, 7, 2), (2, 3, 2), 1, [1, 2, 5])
        yield _example("scalar", (1, 4, 3), (1, 3), 1, 2)
        yield _example("matrix_of_indices", (5, 2), (2, 3, 2), 0, [[4, 0, 1], [1, 1, 3]])


def _example(
    name: str, given: tuple[int, ...], made: tuple[int, ...], axis: int, indices: int | list[int] | list[list[int]]
) -> Example:
    constants, attributes = [index_value("indices", indices)], {"axis": axis}
    return moved_example(Gather, f"gather_{name}", "GATHER", given, made, constants, attributes)
