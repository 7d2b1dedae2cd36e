"""EXPAND_DIMS: the same elements with one more axis of length 1."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bitloom.circuits.streaming import WiringOperator
from bitloom.errors import GraphError
from bitloom.ir import Example, Lowered, SourceNode, Value, register
from bitloom.ir.operator import Array
from bitloom.ir.types import ElementType
from bitloom.ops.shared.moving import constant_integers, index_value, moved_example, require_same_quantization


@register
@dataclass(frozen=True)
class ExpandDims(WiringOperator):
    """The operand with an axis of length 1 put in.

    Attributes:
        axis: of the result, from 0.
    """

    name = "expand_dims"
    tflite = ("EXPAND_DIMS",)
    summary = "one more axis of length 1, no arithmetic"

    axis: int

    def infer(self, inputs: Sequence[Value]) -> tuple[tuple[tuple[int, ...], ElementType], ...]:
        """The shape with the axis, the operand's type."""
        shape = inputs[0].type.shape
        if not 0 <= self.axis <= len(shape):
            raise GraphError(f"expand_dims puts axis {self.axis} into shape {list(shape)}")
        return (((*shape[: self.axis], 1, *shape[self.axis :]), inputs[0].type.element),)

    def evaluate(self, inputs: Sequence[Array]) -> tuple[Array, ...]:
        """x (inferences, *shape)."""
        shape = inputs[0].shape
        return (inputs[0].reshape(*shape[: self.axis + 1], 1, *shape[self.axis + 1 :]),)

    def to_tflite(self, inputs: Sequence[Value], outputs: Sequence[Value]) -> SourceNode:
        """With the axis as a constant operand."""
        operands = (*inputs, index_value("axis", self.axis))
        return SourceNode("EXPAND_DIMS", {}, operands, tuple(outputs), self.name)

    @classmethod
    def lower(cls, source: SourceNode) -> Lowered:
        """From a file's node; the axis may count from the end of the result's."""
        x = source.operand(0)
        require_same_quantization(source, x, source.outputs[0])
        (axis,) = constant_integers(source, 1, "axis", length=1)
        return Lowered(cls(axis + len(x.type.shape) + 1 if axis < 0 else axis), (x.name,))

    @classmethod
    def examples(cls) -> Iterable[Example]:
        """In front, at the end counted from there."""
        yield moved_example(cls, "expand_dims_front", "EXPAND_DIMS", (3, 4), (1, 3, 4), [index_value("axis", 0)])
        yield moved_example(cls, "expand_dims_end", "EXPAND_DIMS", (1, 5), (1, 5, 1), [index_value("axis", -1)])
