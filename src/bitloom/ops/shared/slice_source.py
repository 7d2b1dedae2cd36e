"""How files say slices: STRIDED_SLICE with its masks, SLICE, SPLIT, SPLIT_V and UNPACK, all as begin, size, stride."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from bitloom.errors import GraphError, UnsupportedError
from bitloom.ir import SourceNode, Value
from bitloom.ops.shared.moving import constant_integers, positive_axis, require_moved, require_same_quantization

_STRIDED = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")
_SPLIT = ("int8", "uint8", "int16", "int32", "int64")
_UNPACK = ("int8", "uint8", "int16", "int32")


class Slice(NamedTuple):
    """So many indices along each axis of a tensor, and the shape that the result has."""

    begin: tuple[int, ...]
    size: tuple[int, ...]
    stride: tuple[int, ...]
    shape: tuple[int, ...]


class _Index(NamedTuple):
    """What STRIDED_SLICE says about one axis; a new one has no axis of the operand."""

    axis: int | None
    begin: int
    size: int
    stride: int
    shrink: bool


def slices_of(source: SourceNode) -> tuple[Value, tuple[Slice, ...]]:
    """The operand that a node cuts, and the slice for each result.

    Raises:
        UnsupportedError: what says where to cut is computed, or the reference kernel refuses the node.
        GraphError: it makes no sense.
    """
    readers = {
        "STRIDED_SLICE": _strided_slice,
        "SLICE": _slice,
        "SPLIT": _split,
        "SPLIT_V": _split_v,
        "UNPACK": _unpack,
    }
    return readers[source.kind](source)


def _strided_slice(source: SourceNode) -> tuple[Value, tuple[Slice, ...]]:
    x = source.operand(0)
    require_moved(source, x, source.outputs[0], _STRIDED)
    begin, end, strides = (
        constant_integers(source, index, name, elements=("int32",))
        for index, name in ((1, "begin"), (2, "end"), (3, "strides"))
    )
    if not len(begin) == len(end) == len(strides):
        raise GraphError(f"{source.kind} from {list(begin)} to {list(end)} by {list(strides)}", where=source.where)
    masks = int(source.attributes.get("ellipsis_mask", 0)) | int(source.attributes.get("new_axis_mask", 0))
    if source.attributes.get("offset") and (masks or len(begin) != len(x.type.shape)):
        raise UnsupportedError(
            f"{source.kind} whose ends count from the begins (offset), and not one index for each axis: the reference "
            "kernel reads beyond them",
            where=source.where,
        )
    indices = list(_indices(source, x.type.shape, list(zip(begin, end, strides, strict=True))))
    taken = [index for index in indices if index.axis is not None]
    made = tuple(index.size for index in indices if not index.shrink)
    begins, sizes, steps = (tuple(getattr(index, name) for index in taken) for name in ("begin", "size", "stride"))
    return x, (Slice(begins, sizes, steps, made),)


def _indices(source: SourceNode, shape: Sequence[int], given: list[tuple[int, int, int]]) -> Iterator[_Index]:
    """Each axis in turn.

    Source: BuildStridedSliceParams in LiteRT's kernel (kernels/strided_slice.cc): an ellipsis stands for as many axes
    as nothing else names, a new axis at the same bit is ignored, and axes beyond the last index are taken whole. An
    ellipsis for which no axis is left is taken for one all the same, and the last index is ignored.
    """
    masks = {name: int(source.attributes.get(f"{name}_mask", 0)) for name in ("ellipsis", "new_axis")}
    ellipses = [position for position in range(len(given)) if masks["ellipsis"] >> position & 1]
    if len(ellipses) > 1:
        raise GraphError(f"{source.kind} with {len(ellipses)} ellipses", where=source.where)
    new = [position for position in range(len(given)) if masks["new_axis"] >> position & 1 and position not in ellipses]
    spread = len(shape) + len(new) + len(ellipses) - len(given)
    if spread < 0:
        raise GraphError(f"{source.kind} with {len(given)} indices of shape {list(shape)}", where=source.where)
    if ellipses and not spread:
        if new:
            raise UnsupportedError(
                f"{source.kind} with an ellipsis that stands for no axis, and new axes: the reference kernel reads "
                "beyond the shape",
                where=source.where,
            )
        spread, given = 1, given[:-1]
    axis = 0
    for position, index in enumerate(given):
        if position in new:
            yield _Index(None, 0, 1, 1, shrink=False)
            continue
        if position in ellipses:
            for _ in range(spread):
                yield _Index(axis, 0, shape[axis], 1, shrink=False)
                axis += 1
            continue
        yield _index(source, axis, shape[axis], position, index)
        axis += 1
    for rest in range(axis, len(shape)):
        yield _Index(rest, 0, shape[rest], 1, shrink=False)


def _index(source: SourceNode, axis: int, length: int, position: int, index: tuple[int, int, int]) -> _Index:
    """One axis: ends may count from its end, and are cut to it.

    Source: StartForAxis and EndForAxis in LiteRT's reference kernel (kernels/internal/reference/strided_slice.h).
    """
    begin, end, stride = index
    to_start, to_end, shrink = (
        bool(int(source.attributes.get(f"{name}_mask", 0)) >> position & 1) for name in ("begin", "end", "shrink_axis")
    )
    if stride == 0:
        raise GraphError(f"{source.kind} by steps of 0", where=source.where)
    low, high = (0, length) if stride > 0 else (-1, length - 1)
    first = (0 if stride > 0 else length - 1) if to_start else _cut(begin, length, low, high)
    if shrink:
        if stride < 0 or not 0 <= first < length:
            raise UnsupportedError(
                f"{source.kind} of element {begin} by {stride} from an axis of {length}: the reference kernel "
                "writes nothing",
                where=source.where,
            )
        return _Index(axis, first, 1, 1, shrink=True)
    if source.attributes.get("offset"):
        end += first
    stop = (length if stride > 0 else -1) if to_end else _cut(end, length, low, high)
    size = len(range(first, stop, stride))
    return _Index(axis, first, size, stride if size > 1 else 1, shrink=False)


def _cut(index: int, length: int, low: int, high: int) -> int:
    return min(max(index + length if index < 0 else index, low), high)


def _slice(source: SourceNode) -> tuple[Value, tuple[Slice, ...]]:
    x = source.operand(0)
    require_moved(source, x, source.outputs[0], _STRIDED)
    shape = x.type.shape
    begin = constant_integers(source, 1, "begin", length=len(shape))
    given = constant_integers(source, 2, "size", length=len(shape))
    size = tuple(
        length - first if wanted == -1 else wanted for length, first, wanted in zip(shape, begin, given, strict=True)
    )
    return x, (Slice(begin, size, (1,) * len(shape), size),)


def _split(source: SourceNode) -> tuple[Value, tuple[Slice, ...]]:
    x, parts = source.operand(1), len(source.outputs)
    (given,) = constant_integers(source, 0, "axis", length=1, elements=("int32",))
    axis = positive_axis(source, given, len(x.type.shape))
    length = x.type.shape[axis]
    if int(source.attributes.get("num_splits", 0)) != parts or length % parts:
        raise GraphError(f"{source.kind} of {length} indices into {parts} results", where=source.where)
    return x, _parts(source, x, axis, [length // parts] * parts)


def _split_v(source: SourceNode) -> tuple[Value, tuple[Slice, ...]]:
    x, parts = source.operand(0), len(source.outputs)
    sizes = list(constant_integers(source, 1, "sizes", length=parts))
    (given,) = constant_integers(source, 2, "axis", length=1, elements=("int32",))
    axis = positive_axis(source, given, len(x.type.shape))
    length = x.type.shape[axis]
    if sizes.count(-1) == 1:
        sizes[sizes.index(-1)] = length - sum(size for size in sizes if size != -1)
    if int(source.attributes.get("num_splits", 0)) != parts or sum(sizes) != length or min(sizes) < 1:
        raise GraphError(f"{source.kind} of {length} indices into {sizes}", where=source.where)
    return x, _parts(source, x, axis, sizes)


def _parts(source: SourceNode, x: Value, axis: int, sizes: list[int]) -> tuple[Slice, ...]:
    """Consecutive parts along an axis."""
    shape, found, begin = x.type.shape, [], 0
    for size, result in zip(sizes, source.outputs, strict=True):
        require_moved(source, x, result, _SPLIT)
        part = (*shape[:axis], size, *shape[axis + 1 :])
        first = tuple(begin if position == axis else 0 for position in range(len(shape)))
        found.append(Slice(first, part, (1,) * len(shape), part))
        begin += size
    return tuple(found)


def _unpack(source: SourceNode) -> tuple[Value, tuple[Slice, ...]]:
    x, parts = source.operand(0), len(source.outputs)
    shape = x.type.shape
    axis = positive_axis(source, int(source.attributes.get("axis", 0)), len(shape))
    if not int(source.attributes.get("num", 0)) == parts == shape[axis]:
        raise GraphError(f"{source.kind} of {shape[axis]} indices into {parts} results", where=source.where)
    found = []
    for index, result in enumerate(source.outputs):
        require_moved(source, x, result, _UNPACK)
        require_same_quantization(source, x, result)
        begin = tuple(index if position == axis else 0 for position in range(len(shape)))
        size = (*shape[:axis], 1, *shape[axis + 1 :])
        found.append(Slice(begin, size, (1,) * len(shape), (*shape[:axis], *shape[axis + 1 :])))
    return x, tuple(found)
