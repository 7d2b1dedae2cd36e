"""SQUEEZE: the same elements without axes of length 1."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bitloom.circuits.streaming import WiringOperator
from bitloom.errors import GraphError
from bitloom.ir import Example, Lowered, SourceNode, Value, register
from bitloom.ir.operator import Array
from bitloom.ir.types import ElementType
from bitloom.ops.shared.moving import moved_example, require_rank

_MOST_AXES = 8


@register
@dataclass(frozen=True)
class Squeeze(WiringOperator):
    """The operand without some axes of length 1.

    Attributes:
        axes: to leave out, ascending, from 0.
    """

    name = "squeeze"
    tflite = ("SQUEEZE",)
    summary = "fewer axes of length 1, no arithmetic"

    axes: tuple[int, ...]

    def infer(self, inputs: Sequence[Value]) -> tuple[tuple[tuple[int, ...], ElementType], ...]:
        """The shape without the axes, the operand's type."""
        shape = inputs[0].type.shape
        if any(not 0 <= axis < len(shape) or shape[axis] != 1 for axis in self.axes):
            raise GraphError(f"squeeze leaves out axes {list(self.axes)} of shape {list(shape)}, not all of length 1")
        kept = tuple(length for axis, length in enumerate(shape) if axis not in self.axes)
        return ((kept, inputs[0].type.element),)

    def evaluate(self, inputs: Sequence[Array]) -> tuple[Array, ...]:
        """x (inferences, *shape)."""
        return (inputs[0].squeeze(tuple(axis + 1 for axis in self.axes)),)

    def to_tflite(self, inputs: Sequence[Value], outputs: Sequence[Value]) -> SourceNode:
        """With the axes as an option; without any the kernel would leave out all, which is then what they are."""
        return SourceNode("SQUEEZE", {"squeeze_dims": self.axes}, tuple(inputs), tuple(outputs), self.name)

    @classmethod
    def lower(cls, source: SourceNode) -> Lowered:
        """From a file's node; axes may count from the end, and none means all of length 1."""
        x = source.operand(0)
        require_rank(source, x, _MOST_AXES)
        shape = x.type.shape
        given = [int(axis) for axis in source.attributes.get("squeeze_dims", ()) or ()]
        given = given or [axis for axis, length in enumerate(shape) if length == 1]
        return Lowered(cls(tuple(sorted({axis + len(shape) if axis < 0 else axis for axis in given}))), (x.name,))

    @classmethod
    def examples(cls) -> Iterable[Example]:
        """All axes, one of several, from the end."""
        yield moved_example(cls, "squeeze_all", "SQUEEZE", (1, 3, 1, 4), (3, 4))
        yield moved_example(cls, "squeeze_one", "SQUEEZE", (1, 1, 5), (1, 5), attributes={"squeeze_dims": (1,)})
        yield moved_example(cls, "squeeze_from_end", "SQUEEZE", (1, 6, 1), (1, 6), attributes={"squeeze_dims": (-1,)})
