"""Operators that only move elements: by bookkeeping where nothing has to move."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from bitloom.errors import ModelFormatError, UnsupportedError
from bitloom.frontends.float_onnx.builder import Real
from bitloom.frontends.float_onnx.context import FloatContext, Meaning


def _reshaped(x: Real, shape: Sequence[int]) -> Real:
    if math.prod(shape) != math.prod(x.shape) or any(size < 1 for size in shape):
        raise ModelFormatError(f"gives a tensor of shape {list(x.shape)} the shape {list(shape)}")
    return replace(x, layout=x.layout.reshaped(tuple(shape)))


def reshape(context: FloatContext) -> Meaning:
    """Reshape, with 0 for a size that stays and -1 for what is left."""
    x = context.real()
    wanted = [int(size) for size in context.array(1).reshape(-1)]
    if not context.integer("allowzero", 0):
        wanted = [x.shape[axis] if size == 0 and axis < len(x.shape) else size for axis, size in enumerate(wanted)]
    if wanted.count(-1) == 1:
        rest = math.prod(size for size in wanted if size != -1)
        wanted[wanted.index(-1)] = math.prod(x.shape) // rest if rest > 0 else 0
    return _reshaped(x, wanted)


def flatten(context: FloatContext) -> Meaning:
    """Two axes."""
    x = context.real()
    axis = context.integer("axis", 1)
    axis += len(x.shape) if axis < 0 else 0
    return _reshaped(x, (math.prod(x.shape[:axis]), math.prod(x.shape[axis:])))


def squeeze(context: FloatContext) -> Meaning:
    """Axes of 1 left out."""
    x = context.real()
    found = context.integers(1, "axes")
    gone = [axis for axis, size in enumerate(x.shape) if size == 1] if found is None else found
    gone = context.axes(gone, len(x.shape))
    return _reshaped(x, [size for axis, size in enumerate(x.shape) if axis not in gone])


def unsqueeze(context: FloatContext) -> Meaning:
    """Axes of 1 put in."""
    x = context.real()
    found = context.integers(1, "axes") or ()
    rank = len(x.shape) + len(found)
    made, rest = set(context.axes(found, rank)), iter(x.shape)
    return _reshaped(x, [1 if axis in made else next(rest) for axis in range(rank)])


def transpose(context: FloatContext) -> Meaning:
    """Axes under other names."""
    x = context.real()
    rank = len(x.shape)
    permutation = tuple(int(axis) for axis in context.attributes.get("perm", range(rank)[::-1]))
    if sorted(permutation) != list(range(rank)):
        raise ModelFormatError(f"permutes {rank} axes as {list(permutation)}")
    layout = x.layout.transposed(permutation)
    if layout is None:
        x = context.builder.plain(x)
        layout = x.layout.transposed(permutation)
        assert layout is not None, "a plain layout has whole axes"
    return replace(x, layout=layout)


def identity(context: FloatContext) -> Meaning:
    """The same tensor."""
    return context.operand(0)


def dropout(context: FloatContext) -> Meaning:
    """The same tensor, as in evaluation; whoever reads the mask is refused there."""
    if context.has(2) and context.scalar(2):
        raise UnsupportedError("is in training mode", remedy="export the model in evaluation mode")
    return context.operand(0)


def cast(context: FloatContext) -> Meaning:
    """Cast: to binary32 of what is, or to integers of indices."""
    x = context.real()
    wanted, float_types, integer_types = context.integer("to", 0), (1,), (6, 7)
    index = context.builder.tensors[x.name].dtype == "int32"
    if wanted not in (integer_types if index else float_types):
        raise UnsupportedError(f"converts to the type {wanted} of ONNX", remedy="export the model in float32")
    return x


def concatenate(context: FloatContext) -> Meaning:
    """Concat, along any axis; constants among the tensors are brought into their order."""
    builder, found = context.builder, [context.operand(index) for index in range(len(context.node.inputs))]
    for index, each in enumerate(found):
        if not isinstance(each, np.ndarray):
            context.real(index)
    reals = [each for each in found if isinstance(each, Real)]
    rank = len(reals[0].shape)
    (axis,) = context.axes([context.integer("axis", 0)], rank)
    rest = {
        tuple(size for position, size in enumerate(each.shape) if position != axis)
        for each in found
        if isinstance(each, (Real, np.ndarray))
    }
    if len(rest) != 1:
        raise ModelFormatError(f"joins tensors that differ in other axes than {axis}")
    order = max(reals, key=lambda real: math.prod(real.shape)).layout.axes
    operands = [
        builder.arranged(each, order)
        if isinstance(each, Real)
        else builder.constant(f"{context.name}_constant", np.asarray(each).transpose(order))
        for each in found
    ]
    total = sum(each.shape[axis] for each in found if isinstance(each, (Real, np.ndarray)))
    shape = tuple(total if position == axis else size for position, size in enumerate(reals[0].shape))
    made = builder.node(
        "CONCATENATION",
        operands,
        context.name,
        tuple(shape[each] for each in order),
        axis=order.index(axis),
        fused_activation_function="NONE",
    )
    return builder.made(made, shape, order)


def pad(context: FloatContext) -> Meaning:
    """Pad by a constant, a mirror image or the edge."""
    x, builder, name = context.real(), context.builder, context.name
    mode, rank = context.text("mode", "constant"), len(x.shape)
    widths = context.integers(1, "pads") or ()
    axes = context.axes([int(axis) for axis in context.array(3).reshape(-1)], rank) if context.has(3) else range(rank)
    if len(widths) != 2 * len(axes) or min(widths, default=0) < 0:
        raise UnsupportedError(f"pads {len(axes)} axes by {list(widths)}", remedy="cut by Slice instead")
    around = dict(zip(axes, zip(widths[: len(axes)], widths[len(axes) :], strict=True), strict=True))
    if not any(widths):
        return x
    given, order = builder.axiswise(x)
    stored = [list(around.get(axis, (0, 0))) for axis in order]
    shape = tuple(size + sum(around.get(axis, (0, 0))) for axis, size in enumerate(x.shape))
    made_shape = tuple(shape[axis] for axis in order)
    operands = [given, builder.integers(f"{name}_widths", stored)]
    value = context.scalar(2) if context.has(2) else context.number("value", 0.0)
    if mode == "constant" and value == 0:
        made = builder.node("PAD", operands, name, made_shape)
    elif mode == "constant":
        operands.append(builder.constant(f"{name}_value", np.array([value], np.float32)))
        made = builder.node("PADV2", operands, name, made_shape)
    elif mode == "reflect" or (mode == "edge" and max(widths) == 1):
        mirror = "REFLECT" if mode == "reflect" else "SYMMETRIC"
        made = builder.node("MIRROR_PAD", operands, name, made_shape, mode=mirror)
    elif mode in ("edge", "wrap"):
        made = given
        for position, (before, after) in enumerate(stored):
            size = builder.stored(given)[position]
            places = np.arange(-before, size + after)
            made = builder.taken(made, position, places.clip(0, size - 1) if mode == "edge" else places % size, name)
    else:
        raise UnsupportedError(f"pads by {mode}; supported: constant, reflect, edge, wrap")
    return builder.made(made, shape, order)


def _part(context: FloatContext, x: Real, parts: dict[int, range], name: str) -> Real:
    """STRIDED_SLICE: some indices along some of ONNX's axes."""
    if all(part == range(x.shape[axis]) for axis, part in parts.items()):
        return x
    if any(not len(part) for part in parts.values()):
        raise UnsupportedError("keeps nothing of an axis")
    builder = context.builder
    given, order = builder.axiswise(x)
    chosen = [parts.get(axis, range(x.shape[axis])) for axis in order]
    ends = [part.stop if part.step > 0 else max(part.stop, 0) for part in chosen]
    operands = (
        given,
        builder.integers(f"{name}_begin", [part.start for part in chosen]),
        builder.integers(f"{name}_end", ends),
        builder.integers(f"{name}_strides", [part.step for part in chosen]),
    )
    masks: dict[str, Any] = {
        "begin_mask": 0,
        "ellipsis_mask": 0,
        "new_axis_mask": 0,
        "shrink_axis_mask": 0,
        "offset": False,
    }
    to_end = sum(1 << position for position, part in enumerate(chosen) if part.stop < 0)
    shape = tuple(len(parts.get(axis, range(size))) for axis, size in enumerate(x.shape))
    made_shape = tuple(shape[axis] for axis in order)
    made = builder.node("STRIDED_SLICE", operands, name, made_shape, **masks, end_mask=to_end)
    return builder.made(made, shape, order)


def slices(context: FloatContext) -> Meaning:
    """Slice, with steps and from the end."""
    x = context.real()
    starts, ends = context.integers(1, "starts") or (), context.integers(2, "ends") or ()
    axes = context.axes(context.integers(3, "axes") or range(len(starts)), len(x.shape))
    steps = context.integers(4, "steps") or (1,) * len(starts)
    if not len(starts) == len(ends) == len(axes) == len(steps) or 0 in steps:
        raise ModelFormatError(f"cuts from {list(starts)} to {list(ends)} by {list(steps)} along {list(axes)}")
    parts = {
        axis: range(*slice(start, None if step < 0 and end < -x.shape[axis] else end, step).indices(x.shape[axis]))
        for start, end, axis, step in zip(starts, ends, axes, steps, strict=True)
    }
    return _part(context, x, parts, context.name)


def split(context: FloatContext) -> tuple[Meaning, ...]:
    """Split: each part a slice."""
    x = context.real()
    (axis,) = context.axes([context.integer("axis", 0)], len(x.shape))
    count = len(context.node.outputs)
    sizes = context.integers(1, "split")
    if sizes is None:
        most = -(-x.shape[axis] // count)
        sizes = (*(most,) * (count - 1), x.shape[axis] - most * (count - 1))
    if sum(sizes) != x.shape[axis] or len(sizes) != count:
        raise ModelFormatError(f"splits an axis of {x.shape[axis]} into {list(sizes)}")
    starts = np.cumsum([0, *sizes]).tolist()
    return tuple(
        _part(context, x, {axis: range(start, start + size)}, name or f"{context.name}_part{index}")
        for index, (start, size, name) in enumerate(zip(starts, sizes, context.node.outputs, strict=False))
    )


def gather(context: FloatContext) -> Meaning:
    """Gather of constant indices along an axis."""
    x, builder = context.real(), context.builder
    (axis,) = context.axes([context.integer("axis", 0)], len(x.shape))
    given_indices = context.array(1)
    indices = np.where(given_indices < 0, given_indices + x.shape[axis], given_indices).astype(np.int64)
    if indices.size == 0 or indices.min() < 0 or indices.max() >= x.shape[axis]:
        raise ModelFormatError(f"takes indices outside an axis of {x.shape[axis]}")
    flat = indices.reshape(-1).tolist()
    shape = (*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])
    if flat == list(range(flat[0], flat[0] + len(flat))):
        return _reshaped(_part(context, x, {axis: range(flat[0], flat[-1] + 1)}, context.name), shape)
    given, order = builder.axiswise(x)
    made = builder.taken(given, order.index(axis), np.array(flat), context.name)
    kept = (*x.shape[:axis], len(flat), *x.shape[axis + 1 :])
    return _reshaped(builder.made(made, kept, order), shape)


def shape_of(context: FloatContext) -> Meaning:
    """Shape, a constant here."""
    shape = context.real().shape
    return np.array(shape[context.integer("start", 0) : context.attributes.get("end", len(shape))], np.int64)


def size_of(context: FloatContext) -> Meaning:
    """Size, likewise."""
    return np.array(math.prod(context.real().shape), np.int64)
