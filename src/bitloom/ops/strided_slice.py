"""STRIDED_SLICE, and what says less than it: SLICE, and each result of SPLIT, SPLIT_V and UNPACK."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from bitloom.circuits.movement import Movement
from bitloom.errors import GraphError, UnsupportedError
from bitloom.ir import Example, Lowered, SourceNode, Value, register
from bitloom.ir.operator import Array
from bitloom.ops.reshape import Reshape
from bitloom.ops.shared.moving import MovingOperator, index_value
from bitloom.ops.shared.slice_examples import slice_examples
from bitloom.ops.shared.slice_source import Slice, slices_of


class _Entry(NamedTuple):
    """One index of TFLite's form of a slice: ``begin:end:stride`` and its bits of the masks."""

    begin: int
    end: int
    stride: int
    to_end: bool = False
    new_axis: bool = False
    shrink: bool = False


@register
@dataclass(frozen=True)
class StridedSlice(MovingOperator):
    """``y = x[begin], x[begin + stride], ...``: so many elements along each axis.

    Axes of length 1 may be left out of the result or put in. Where all elements are kept in order, nothing moves, and
    a file's node becomes a reshape. A file's node with several results becomes a slice for each that is read.

    Attributes:
        begin: the first index along each axis of the operand.
        size: how many indices.
        stride: from one to the next; may be negative.
        shape: of the result: the sizes, but for axes of length 1.
    """

    name = "strided_slice"
    tflite: ClassVar[tuple[str, ...]] = ("STRIDED_SLICE", "SLICE", "SPLIT", "SPLIT_V", "UNPACK")
    summary = "parts of a tensor, also with steps and backwards"

    begin: tuple[int, ...]
    size: tuple[int, ...]
    stride: tuple[int, ...]
    shape: tuple[int, ...]

    def moved_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The sizes; axes of length 1 as the shape says."""
        if not len(self.begin) == len(self.size) == len(self.stride) == len(shape):
            raise GraphError(f"a slice along {len(self.begin)} axes of shape {list(shape)}")
        for length, begin, size, stride in zip(shape, self.begin, self.size, self.stride, strict=True):
            last = begin + (size - 1) * stride
            if size < 1 or not (0 <= begin < length and 0 <= last < length):
                raise GraphError(f"a slice from {begin} to {last}, {size} elements of an axis of {length}")
        if [length for length in self.size if length != 1] != [length for length in self.shape if length != 1]:
            raise GraphError(f"a slice of sizes {list(self.size)} has not the shape {list(self.shape)}")
        return self.shape

    def movement(self, shape: tuple[int, ...]) -> Movement:
        """Some indices along each axis."""
        return _movement(shape, Slice(self.begin, self.size, self.stride, self.shape))

    def evaluate(self, inputs: Sequence[Array]) -> tuple[Array, ...]:
        """x (inferences, *shape)."""
        part = inputs[0]
        for axis, (begin, size, stride) in enumerate(zip(self.begin, self.size, self.stride, strict=True), start=1):
            end = begin + size * stride
            part = part[(slice(None),) * axis + (slice(begin, end if end >= 0 else None, stride),)]
        return (part.reshape(len(part), *self.shape),)

    def to_tflite(self, inputs: Sequence[Value], outputs: Sequence[Value]) -> SourceNode:
        """As STRIDED_SLICE, with masks where an axis is left out or put in, or ends before index 0."""
        entries = list(self._entries())
        operands = [
            index_value(name, [getattr(entry, name.removesuffix("s")) for entry in entries])
            for name in ("begin", "end", "strides")
        ]
        attributes = {
            "begin_mask": 0,
            "end_mask": _mask(entry.to_end for entry in entries),
            "ellipsis_mask": 0,
            "new_axis_mask": _mask(entry.new_axis for entry in entries),
            "shrink_axis_mask": _mask(entry.shrink for entry in entries),
            "offset": False,
        }
        return SourceNode("STRIDED_SLICE", attributes, (*inputs, *operands), tuple(outputs), self.name)

    def _entries(self) -> Iterator[_Entry]:
        """Axes of the operand and the result side by side."""
        waiting = list(self.shape)
        for begin, size, stride in zip(self.begin, self.size, self.stride, strict=True):
            while waiting and waiting[0] == 1 != size:
                yield _Entry(0, 1, 1, new_axis=bool(waiting.pop(0)))
            if waiting and waiting[0] == size:
                waiting.pop(0)
                end = begin + size * stride
                yield _Entry(begin, max(end, 0), stride, to_end=end < 0)
            else:
                yield _Entry(begin, begin + 1, 1, shrink=True)
        yield from (_Entry(0, 1, 1, new_axis=True) for _ in waiting)

    @classmethod
    def lower(cls, source: SourceNode) -> Lowered:
        """From a file's node of one result.

        Raises:
            UnsupportedError: it has several.
        """
        lowered = cls.lower_results(source)
        if len(lowered) != 1:
            raise UnsupportedError(f"{source.kind} has {len(lowered)} results, and one is needed", where=source.where)
        return lowered[0]

    @classmethod
    def lower_results(cls, source: SourceNode) -> tuple[Lowered, ...]:
        """From a file's node; what says where to cut must be constant."""
        x, slices = slices_of(source)
        return tuple(
            Lowered(
                cls(*part) if _moves(x.type.shape, part) else Reshape(part.shape),
                (x.name,),
            )
            for part in slices
        )

    @classmethod
    def examples(cls) -> Iterable[Example]:
        """Crops, steps, both directions, masks, each spelling."""
        return slice_examples(cls)


def _moves(shape: tuple[int, ...], part: Slice) -> bool:
    movement = _movement(shape, part)
    return movement.drops or movement.reorders


def _movement(shape: tuple[int, ...], part: Slice) -> Movement:
    indices = [
        tuple(range(begin, begin + size * stride, stride))
        for begin, size, stride in zip(part.begin, part.size, part.stride, strict=True)
    ]
    if any(size < 1 for size in part.size) or math.prod(part.size) != math.prod(part.shape):
        raise GraphError(f"a slice of sizes {list(part.size)} has not the shape {list(part.shape)}")
    return Movement(shape, tuple(enumerate(indices)))


def _mask(bits: Iterable[bool]) -> int:
    return sum(1 << position for position, bit in enumerate(bits) if bit)
