"""Operators that move elements, pools, and the index of the largest element."""

from __future__ import annotations

import builtins
from collections.abc import Sequence

from bitloom.arith import Interval, IntType
from bitloom.circuits.pool_windows import Padding
from bitloom.errors import GraphError, UsageError
from bitloom.frontends.define.checks import ElementLike, element
from bitloom.frontends.define.layers import PaddingLike, PairLike, padded, pair
from bitloom.frontends.define.operators import Made, from_start, reshaped, sliced
from bitloom.frontends.define.tensor import Applied, Tensor, apply
from bitloom.ir import Value
from bitloom.ops.arg_max import ArgMax
from bitloom.ops.average_pool_2d import AveragePool2d
from bitloom.ops.concatenation import Concatenation
from bitloom.ops.max_pool_2d import MaxPool2d
from bitloom.ops.pad import Pad
from bitloom.ops.reshape import Reshape
from bitloom.ops.resize_nearest_neighbor import ResizeNearestNeighbor
from bitloom.ops.shared.pooling import PoolOperator
from bitloom.ops.transpose import Transpose


def max_pool(
    x: Tensor,
    window: PairLike,
    strides: PairLike | None = None,
    padding: PaddingLike = "VALID",
    *,
    name: str | None = None,
) -> Applied:
    """The largest element of each window of images, in each channel; padding is smaller than everything.

    Args:
        x: images (batch, height, width, channels).
        window: rows and columns.
        strides: between windows; the window's size if None.
        padding: see `conv2d`.
        name: of the result.

    Raises:
        GraphError: no images, or a window that does not fit.
        UsageError: an option that does not exist.
    """
    return _pool("max_pool", MaxPool2d, x, window, strides, padding, x.element.minimum, name)


def average_pool(
    x: Tensor,
    window: PairLike,
    strides: PairLike | None = None,
    padding: PaddingLike = "VALID",
    *,
    count_padding: bool = False,
    name: str | None = None,
) -> Applied:
    """The mean of each window of images, in each channel, halves away from zero.

    Args:
        x: images (batch, height, width, channels).
        window: rows and columns.
        strides: between windows; the window's size if None.
        padding: see `conv2d`.
        count_padding: whether zeros of the padding count as elements (NNgen), or only ``SAME`` is possible.
        name: of the result.

    Raises:
        GraphError: no images, or a window that does not fit.
        UsageError: an option that does not exist; a padding in pixels that does not count.
    """
    fill = 0 if count_padding else None
    return _pool("average_pool", AveragePool2d, x, window, strides, padding, fill, name)


def _pool(
    kind: str,
    operator: type[PoolOperator],
    x: Tensor,
    window: PairLike,
    strides: PairLike | None,
    padding: PaddingLike,
    fill: int | None,
    name: str | None,
) -> Applied:
    """A pool; padding that its operator does not have becomes elements in front of it."""
    taps = pair(window, "a window")
    steps = taps if strides is None else pair(strides, "strides")
    counted = kind == "average_pool" and fill is not None
    if padding != "VALID" and (not isinstance(padding, str) or padding == "SAME_LOWER" or counted):
        if fill is None:
            raise UsageError(f"the padding {padding} of an average", remedy="set count_padding, or give SAME or VALID")
        if len(x.shape) == 4:
            top, bottom, left, right = padded(padding, x.shape[1:3], taps, steps, (1, 1)).padding
            x, padding = pad(x, [(0, 0), (top, bottom), (left, right), (0, 0)], value=fill), "VALID"
    if padding not in ("SAME", "VALID"):
        raise UsageError(f"the padding {padding!r}", remedy="give SAME, VALID, a number, or four numbers")
    rule = Padding[str(padding)]

    def make(values: Sequence[Value]) -> Made:
        given = values[0].type.integer
        return operator(taps, steps, rule, Interval(given.minimum, given.maximum)), (values[0],)

    return apply(kind, [x], make, name)


def concat(tensors: Sequence[Tensor], axis: int, *, name: str | None = None) -> Applied:
    """Tensors of one type, one after the other along an axis.

    Raises:
        GraphError: shapes or types that do not fit, or no such axis.
    """

    def make(values: Sequence[Value]) -> Made:
        return Concatenation(from_start(axis, len(values[0].type.shape))), tuple(values)

    return apply("concat", list(tensors), make, name)


def reshape(x: Tensor, shape: Sequence[int], *, name: str | None = None) -> Applied:
    """The same elements in another shape; one length may be -1, for what is left.

    Raises:
        GraphError: as many elements do not fit.
    """
    wanted = [int(length) for length in shape]
    return apply("reshape", [x], lambda values: reshaped(values, wanted), name)


def transpose(x: Tensor, axes: Sequence[int], *, name: str | None = None) -> Applied:
    """The axes in another order.

    Args:
        x: a tensor.
        axes: for each axis of the result, that of `x`.
        name: of the result.

    Raises:
        GraphError: not every axis once.
    """

    def make(values: Sequence[Value]) -> Made:
        shape = values[0].type.shape
        operator = Transpose(tuple(from_start(axis, len(shape)) for axis in axes))
        made = operator.moved_shape(shape)
        return operator if operator.movement(shape).reorders else Reshape(made), (values[0],)

    return apply("transpose", [x], make, name)


def pad(x: Tensor, widths: Sequence[tuple[int, int]], *, value: int = 0, name: str | None = None) -> Applied:
    """Elements of one value around a tensor.

    Args:
        x: a tensor.
        widths: for each axis how many before and after, as `numpy.pad` has them.
        value: of these elements.
        name: of the result.

    Raises:
        GraphError: not a pair for every axis, negative widths, or a value out of the type's range.
    """

    def make(values: Sequence[Value]) -> Made:
        before, after = (tuple(int(each[side]) for each in widths) for side in (0, 1))
        return Pad(before, after, value), (values[0],)

    return apply("pad", [x], make, name)


def slice(
    x: Tensor,
    begin: Sequence[int],
    end: Sequence[int],
    strides: Sequence[int] | None = None,
    *,
    name: str | None = None,
) -> Applied:
    """``x[begin:end:stride]`` along every axis; indexing, ``x[:, 1:5]``, says the same.

    Args:
        x: a tensor.
        begin: for each axis.
        end: for each axis.
        strides: for each axis; 1 if None.
        name: of the result.

    Raises:
        GraphError: nothing is left, or not a number for each axis.
    """
    steps = [1] * len(begin) if strides is None else list(strides)
    if not len(begin) == len(end) == len(steps) == len(x.shape):
        raise GraphError(f"slice of {x} along {len(begin)} axes, to {len(end)} ends, by {len(steps)} strides")
    chosen = [range(*_slice(*each)) for each in zip(begin, end, steps, x.shape, strict=True)]
    return apply("slice", [x], lambda values: sliced(values, chosen), name)


def upsample(x: Tensor, factor: PairLike, *, name: str | None = None) -> Applied:
    """Images so many times as large: every pixel repeated.

    Args:
        x: images (batch, height, width, channels).
        factor: down and across.
        name: of the result.

    Raises:
        GraphError: no images.
        UsageError: a factor that is not positive.
    """
    down, across = pair(factor, "a factor")

    def make(values: Sequence[Value]) -> Made:
        shape = values[0].type.shape
        if len(shape) != 4:
            raise GraphError("takes images of four axes")
        return ResizeNearestNeighbor(shape[1] * down, shape[2] * across), (values[0],)

    return apply("upsample", [x], make, name)


def argmax(x: Tensor, axis: int = -1, *, dtype: ElementLike = "int32", name: str | None = None) -> Applied:
    """The index of the largest element along an axis, the first of equal ones; the axis goes away.

    Raises:
        GraphError: no such axis, or a type too narrow for its indices.
    """
    output: IntType = element(dtype)

    def make(values: Sequence[Value]) -> Made:
        return ArgMax(from_start(axis, len(values[0].type.shape)), output), (values[0],)

    return apply("argmax", [x], make, name)


def _slice(begin: int, end: int, stride: int, length: int) -> tuple[int, int, int]:
    if stride == 0:
        raise GraphError("a slice with a stride of 0")
    return builtins.slice(begin, end, stride).indices(length)


__all__ = [
    "argmax",
    "average_pool",
    "concat",
    "max_pool",
    "pad",
    "reshape",
    "slice",
    "transpose",
    "upsample",
]
