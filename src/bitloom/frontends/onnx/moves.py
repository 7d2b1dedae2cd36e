"""ONNX operators that move elements, of integers, of reals with a scale, of results that wait for one, of constants."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from bitloom.errors import ModelFormatError, UnsupportedError
from bitloom.frontends.onnx.builder import GraphBuilder
from bitloom.frontends.onnx.context import LARGEST_AXIS, Context
from bitloom.frontends.onnx.file import fold_node
from bitloom.frontends.onnx.resize import resize_indices
from bitloom.frontends.onnx.values import Computed, Constant, Dequantized, Meaning, Tensor
from bitloom.ops.depth_to_space import DepthToSpace
from bitloom.ops.gather import Gather
from bitloom.ops.pad import Pad
from bitloom.ops.resize_nearest_neighbor import ResizeNearestNeighbor
from bitloom.ops.space_to_depth import SpaceToDepth

Move = Callable[[Context, Tensor, str], Tensor]


def moving(move: Move) -> Callable[[Context], Meaning]:
    """An operator that moves elements, of whatever they are."""

    def handle(context: Context) -> Meaning:
        return _moved(context.operand(0), lambda tensor, name: move(context, tensor, name), context)

    return handle


def _moved(x: Meaning, move: Callable[[Tensor, str], Tensor], context: Context) -> Meaning:
    name = context.name
    match x:
        case Constant():
            return folded(context)
        case Dequantized():
            return replace(x, tensor=move(x.tensor, name))
        case Computed() if not x.integral:
            return x.moved(move)
        case _:
            return move(context.integers(0), name)


def folded(context: Context) -> Constant:
    """A node of constants; integers that were dequantized stay so where the first operand's only move."""
    operands = [context.optional(index) for index in range(len(context.node.inputs))]
    if not all(operand is None or isinstance(operand, Constant) for operand in operands):
        raise UnsupportedError("computes with a constant and what is computed", remedy="fold constants first (onnxsim)")
    first, *rest = (operand.array if isinstance(operand, Constant) else None for operand in operands)

    def fold(array: npt.NDArray[Any] | None) -> npt.NDArray[Any]:
        return fold_node(context.node, [array, *rest], context.opset)

    made = fold(first)
    given = operands[0]
    if not isinstance(given, Constant) or given.integers is None or context.node.kind not in _FOLDED_MOVES:
        return Constant(made)
    integers = fold(given.integers.astype(np.int64)).astype(given.integers.dtype)
    if given.axis is None:
        return replace(given, array=made, integers=integers)
    # Where the scales lie is seen by moving their numbers.
    lying = [1] * given.integers.ndim
    lying[given.axis] = len(given.scales)
    numbers = fold(np.broadcast_to(np.arange(len(given.scales)).reshape(lying), given.integers.shape))
    for axis, size in enumerate(numbers.shape):
        expected = np.arange(size).reshape([-1 if other == axis else 1 for other in range(numbers.ndim)])
        if size == len(given.scales) and (numbers == expected).all():
            return replace(given, array=made, integers=integers, axis=axis)
    return Constant(made)


def _reshape(context: Context, tensor: Tensor, name: str) -> Tensor:
    wanted = [int(size) for size in context.array(1).reshape(-1)]
    if not context.attributes.get("allowzero", 0):
        wanted = [tensor.shape[axis] if size == 0 else size for axis, size in enumerate(wanted)]
    if wanted.count(-1) == 1:
        rest = math.prod(size for size in wanted if size != -1)
        wanted[wanted.index(-1)] = tensor.value.type.size // rest if rest else 0
    if math.prod(wanted) != tensor.value.type.size or min(wanted, default=1) < 1:
        raise ModelFormatError(f"gives a tensor of shape {list(tensor.shape)} the shape {wanted}")
    return context.builder.reshaped(tensor, tuple(wanted), name)


def _flatten(context: Context, tensor: Tensor, name: str) -> Tensor:
    axis = int(context.attributes.get("axis", 1))
    axis += len(tensor.shape) if axis < 0 else 0
    shape = (math.prod(tensor.shape[:axis]), math.prod(tensor.shape[axis:]))
    return context.builder.reshaped(tensor, shape, name)


def _squeeze(context: Context, tensor: Tensor, name: str) -> Tensor:
    gone = set(context.axes(len(tensor.shape))) or {axis for axis, size in enumerate(tensor.shape) if size == 1}
    shape = tuple(size for axis, size in enumerate(tensor.shape) if axis not in gone)
    return context.builder.reshaped(tensor, shape, name)


def _unsqueeze(context: Context, tensor: Tensor, name: str) -> Tensor:
    rank = len(tensor.shape) + context.array(1).size
    made, rest = set(context.axes(rank)), iter(tensor.shape)
    shape = tuple(1 if axis in made else next(rest) for axis in range(rank))
    return context.builder.reshaped(tensor, shape, name)


def _transpose(context: Context, tensor: Tensor, name: str) -> Tensor:  # noqa: ARG001 - nothing is made
    rank = len(tensor.shape)
    permutation = tuple(int(axis) for axis in context.attributes.get("perm", range(rank)[::-1]))
    if sorted(permutation) != list(range(rank)):
        raise ModelFormatError(f"permutes {rank} axes as {list(permutation)}")
    return context.builder.transposed(tensor, permutation)


def _identity(context: Context, tensor: Tensor, name: str) -> Tensor:  # noqa: ARG001 - nothing is made
    return tensor


def _slice(context: Context, tensor: Tensor, name: str) -> Tensor:
    rank = len(tensor.shape)
    starts, ends = ([int(index) for index in context.array(operand).reshape(-1)] for operand in (1, 2))
    axes = context.axes(rank, 3) if context.optional(3) else list(range(len(starts)))
    steps = [int(step) for step in context.array(4).reshape(-1)] if context.optional(4) else [1] * len(starts)
    if not len(starts) == len(ends) == len(axes) == len(steps) or 0 in steps or len(set(axes)) != len(axes):
        raise ModelFormatError(f"slices from {starts} to {ends} by {steps} along {axes}")
    parts = {
        axis: range(*slice(start, end, step).indices(tensor.shape[axis]))
        for axis, start, end, step in zip(axes, starts, ends, steps, strict=True)
    }
    return context.builder.sliced(tensor, parts, name)


def split(context: Context) -> tuple[Meaning, ...]:
    """Split: a slice for each result."""
    names, made = context.node.outputs, []
    for index, name in enumerate(names):

        def part(tensor: Tensor, name: str, index: int = index) -> Tensor:
            rank = len(tensor.shape)
            axis = int(context.attributes.get("axis", 0)) % rank
            length, parts = tensor.shape[axis], len(names)
            size = -(-length // parts)
            sizes = [int(each) for each in context.array(1).reshape(-1)] if context.optional(1) else []
            sizes = sizes or [*[size] * (parts - 1), length - size * (parts - 1)]
            if len(sizes) != parts or sum(sizes) != length or min(sizes) < 1:
                raise UnsupportedError(f"splits {length} elements into {sizes}")
            start = sum(sizes[:index])
            return context.builder.sliced(tensor, {axis: range(start, start + sizes[index])}, name)

        if isinstance(context.operand(0), Constant):
            raise UnsupportedError("splits a constant", remedy="fold constants first (onnxsim)")
        made.append(_moved(context.operand(0), part, replace(context, result=name)))
    return tuple(made)


def _gathered(builder: GraphBuilder, tensor: Tensor, axis: int, indices: tuple[int, ...], name: str) -> Tensor:
    """Indices along an axis."""
    lying = builder.permuted(tensor)
    if indices == tuple(range(lying.shape[axis])):
        return lying
    value = builder.like(Gather(lying.order.index(axis), indices, (len(indices),)), lying.value, name)
    shape = (*lying.shape[:axis], len(indices), *lying.shape[axis + 1 :])
    return Tensor(value, shape, shape, lying.order)


def _gather(context: Context, tensor: Tensor, name: str) -> Tensor:
    axis = int(context.attributes.get("axis", 0)) % len(tensor.shape)
    given, length = context.array(1), tensor.shape[axis]
    indices = tuple(int(index) for index in given.reshape(-1))
    if not indices or not all(-length <= index < length for index in indices):
        raise ModelFormatError(f"gathers the indices {list(indices)} along an axis of {length}")
    made = _gathered(context.builder, tensor, axis, tuple(index % length for index in indices), name)
    if given.ndim == 1:
        return made
    shape = (*tensor.shape[:axis], *given.shape, *tensor.shape[axis + 1 :])
    return context.builder.reshaped(made, shape, f"{name}_shaped")


def _resize(context: Context, tensor: Tensor, name: str) -> Tensor:
    found = resize_indices(context, tensor.shape)
    builder = context.builder
    lying = builder.permuted(tensor)
    if len(lying.shape) == 4 and set(found) <= {2, 3}:
        height, width = (len(found.get(axis, range(lying.shape[axis]))) for axis in (2, 3))
        for aligned, centers in ((False, False), (False, True), (True, False), (True, True)):
            operator = ResizeNearestNeighbor(height, width, aligned, centers)
            rows = [operator.sources(lying.shape[axis], size) for axis, size in ((2, height), (3, width))]
            if all(rows[axis - 2] == found.get(axis, rows[axis - 2]) for axis in (2, 3)):
                images = builder.images(lying)
                shape = (*lying.shape[:2], height, width)
                return Tensor(builder.like(operator, images.value, name), shape, shape, images.order)
    for axis, indices in found.items():
        lying = _gathered(builder, lying, axis, indices, f"{name}_along{axis}")
    return lying


def _depth_to_space(context: Context, tensor: Tensor, name: str) -> Tensor:
    builder, block = context.builder, int(context.attributes["blocksize"])
    images = builder.images(tensor)
    batch, channels, height, width = images.shape
    made = channels // block**2 if block > 0 else 0
    if made * block**2 != channels or not made:
        raise ModelFormatError(f"makes squares of {block} of {channels} channels")
    if context.attributes.get("mode", b"DCR") == b"CRD":
        order = np.arange(channels).reshape(made, block**2).T.reshape(-1)
        images = _gathered(builder, images, 1, tuple(order.tolist()), f"{name}_ordered")
    value = builder.like(DepthToSpace(block), images.value, name)
    shape = (batch, made, height * block, width * block)
    return Tensor(value, shape, shape, images.order)


def _space_to_depth(context: Context, tensor: Tensor, name: str) -> Tensor:
    builder, block = context.builder, int(context.attributes["blocksize"])
    images = builder.images(tensor)
    batch, channels, height, width = images.shape
    if block < 1 or height % block or width % block:
        raise ModelFormatError(f"takes squares of {block} from images of {height} x {width}")
    value = builder.like(SpaceToDepth(block), images.value, name)
    shape = (batch, channels * block**2, height // block, width // block)
    return Tensor(value, shape, shape, images.order)


_OWN_ELEMENTS = ("reflect", "edge", "wrap")


def pad(context: Context) -> Meaning:
    """Pad, by a number or by the tensor's own elements."""
    x = context.operand(0)
    if isinstance(x, Tensor):
        constant = context.array(2).reshape(-1) if context.optional(2) else np.zeros(1)
        return _padded(context, x, int(constant[0]))
    reals = context.reals()
    real = context.scalar(2) if context.optional(2) else 0.0
    integer = int(reals.scale.integers(np.array(real, np.float32)))
    if context.attributes.get("mode", b"constant") == b"constant":
        back = reals.scale.reals(np.array(integer))
        if back != np.float32(real):
            raise UnsupportedError(
                f"pads with {real:g}, which no integer of scale {reals.scale.scale:g} stands for",
                remedy="pad with a number that the quantization can say, such as 0",
            )
    return replace(reals, tensor=_padded(context, reals.tensor, integer))


def _padded(context: Context, given: Tensor, integer: int) -> Tensor:
    mode = context.attributes.get("mode", b"constant").decode()
    tensor, rank = context.builder.permuted(given), len(given.shape)
    widths = [int(size) for size in context.array(1).reshape(-1)]
    axes = context.axes(rank, 3) if context.optional(3) else list(range(rank))
    if len(widths) != 2 * len(axes) or min(widths, default=0) < 0 or (mode not in _OWN_ELEMENTS and mode != "constant"):
        raise UnsupportedError(
            f"pads {len(axes)} axes by {widths} ({mode})",
            remedy="use widths of 0 and more, constant, reflect, edge, wrap",
        )
    before, after = dict(zip(axes, widths, strict=False)), dict(zip(axes, widths[len(axes) :], strict=True))
    shape = tuple(before.get(axis, 0) + size + after.get(axis, 0) for axis, size in enumerate(tensor.shape))
    if max(shape, default=0) > LARGEST_AXIS:
        raise UnsupportedError(f"makes a tensor of shape {list(shape)}; axes have up to {LARGEST_AXIS} elements")
    if mode == "constant":
        operator = Pad(
            tuple(before.get(axis, 0) for axis in tensor.order),
            tuple(after.get(axis, 0) for axis in tensor.order),
            integer,
        )
        return Tensor(context.builder.like(operator, tensor.value, context.name), shape, shape, tensor.order)
    for axis in axes:
        lying = np.arange(tensor.shape[axis])
        indices = np.pad(lying, (before[axis], after[axis]), mode=mode)
        tensor = _gathered(context.builder, tensor, axis, tuple(indices.tolist()), f"{context.name}_along{axis}")
    return tensor


MOVES: Mapping[str, Callable[[Context], Meaning | tuple[Meaning, ...]]] = {
    "Reshape": moving(_reshape),
    "Flatten": moving(_flatten),
    "Squeeze": moving(_squeeze),
    "Unsqueeze": moving(_unsqueeze),
    "Transpose": moving(_transpose),
    "Identity": moving(_identity),
    "Dropout": moving(_identity),
    "Slice": moving(_slice),
    "Gather": moving(_gather),
    "Resize": moving(_resize),
    "DepthToSpace": moving(_depth_to_space),
    "SpaceToDepth": moving(_space_to_depth),
    "Split": split,
    "Pad": pad,
}
"""For each operator what makes its meaning."""

_FOLDED_MOVES = frozenset({"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Identity", "Slice", "Gather"})
