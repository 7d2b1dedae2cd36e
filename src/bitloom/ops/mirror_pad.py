"""MIRROR_PAD: a tensor and its mirror images around it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from bitloom.circuits.movement import Movement
from bitloom.errors import GraphError, UnsupportedError
from bitloom.ir import Example, Lowered, SourceNode, Value, register
from bitloom.ir.operator import Array
from bitloom.ops.reshape import Reshape
from bitloom.ops.shared.moving import MovingOperator, constant_integers, index_value, moved_example, require_moved


@register
@dataclass(frozen=True)
class MirrorPad(MovingOperator):
    """The operand, and what stands beyond its ends as in a mirror there.

    Attributes:
        before: how many indices along each axis.
        after: how many.
        reflect: whether the mirror stands on the first and last element, which is then not repeated, instead of
            beyond it.
    """

    name = "mirror_pad"
    tflite = ("MIRROR_PAD",)
    summary = "mirror images around a tensor"

    before: tuple[int, ...]
    after: tuple[int, ...]
    reflect: bool

    def moved_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The operand's shape and what is around it."""
        widths = (*self.before, *self.after)
        most = min((length - self.reflect - max(low, high) for length, low, high in self._axes(shape)), default=0)
        if not len(self.before) == len(self.after) == len(shape) or min(widths, default=0) < 0 or most < 0:
            raise GraphError(f"mirror_pad of shape {list(shape)} by {list(self.before)} and {list(self.after)}")
        return tuple(length + low + high for length, low, high in self._axes(shape))

    def _axes(self, shape: tuple[int, ...]) -> Iterable[tuple[int, int, int]]:
        return zip(shape, self.before, self.after, strict=False)

    def movement(self, shape: tuple[int, ...]) -> Movement:
        """Indices counted from the mirrors."""
        indices = []
        for length, low, high in self._axes(shape):
            ahead = range(low - 1 + self.reflect, self.reflect - 1, -1)
            behind = range(length - 1 - self.reflect, length - 1 - self.reflect - high, -1)
            indices.append((*ahead, *range(length), *behind))
        return Movement(shape, tuple(enumerate(indices)))

    def evaluate(self, inputs: Sequence[Array]) -> tuple[Array, ...]:
        """x (inferences, *shape)."""
        widths = ((0, 0), *zip(self.before, self.after, strict=True))
        return (np.pad(inputs[0], widths, mode="reflect" if self.reflect else "symmetric"),)

    def to_tflite(self, inputs: Sequence[Value], outputs: Sequence[Value]) -> SourceNode:
        """With the widths as a constant operand."""
        paddings = index_value("paddings", list(zip(self.before, self.after, strict=True)))
        attributes = {"mode": "REFLECT" if self.reflect else "SYMMETRIC"}
        return SourceNode("MIRROR_PAD", attributes, (*inputs, paddings), tuple(outputs), self.name)

    @classmethod
    def lower(cls, source: SourceNode) -> Lowered:
        """From a file's node."""
        x, y = source.operand(0), source.outputs[0]
        require_moved(source, x, y)
        mode = source.attributes.get("mode", "REFLECT")
        if mode not in ("REFLECT", "SYMMETRIC"):
            raise UnsupportedError(f"{source.kind} with the mode {mode}", where=source.where)
        widths = constant_integers(source, 1, "paddings", length=2 * len(x.type.shape))
        pad = cls(widths[::2], widths[1::2], mode == "REFLECT")
        made = pad.moved_shape(x.type.shape)
        return Lowered(pad if made != x.type.shape else Reshape(made), (x.name,))

    @classmethod
    def examples(cls) -> Iterable[Example]:
        """Both mirrors, images and channels."""
        yield _example("reflect", (1, 3, 4, 2), [(0, 0), (1, 2), (2, 1), (0, 0)], "REFLECT")
        yield _example("symmetric", (1, 3, 2, 2), [(0, 0), (1, 0), (2, 2), (0, 0)], "SYMMETRIC")
        yield _example("channels", (2, 3), [(0, 0), (2, 1)], "REFLECT")


def _example(name: str, given: tuple[int, ...], widths: Sequence[tuple[int, int]], mode: str) -> Example:
    made = tuple(length + low + high for length, (low, high) in zip(given, widths, strict=True))
    paddings = index_value("paddings", widths)
    return moved_example(MirrorPad, f"mirror_pad_{name}", "MIRROR_PAD", given, made, [paddings], {"mode": mode})
