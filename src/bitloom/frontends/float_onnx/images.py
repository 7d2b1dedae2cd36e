"""Images of another size, blocks of pixels, repeated elements."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from bitloom.errors import ModelFormatError, UnsupportedError
from bitloom.frontends.float_onnx.builder import Real
from bitloom.frontends.float_onnx.context import FloatContext, Meaning
from bitloom.frontends.float_onnx.layers import images_made
from bitloom.frontends.float_onnx.layout import Shape
from bitloom.ops.resize_nearest_neighbor import ResizeNearestNeighbor


def expand(context: FloatContext) -> Meaning:
    """Expand: elements repeated along axes of 1."""
    x = context.real()
    wanted = [int(size) for size in context.array(1).reshape(-1)]
    try:
        shape = np.broadcast_shapes(x.shape, tuple(wanted))
    except ValueError as error:
        raise ModelFormatError(f"repeats elements of shape {list(x.shape)} to {wanted}") from error
    ranked = (*(1,) * (len(shape) - len(x.shape)), *x.shape)
    x = replace(x, layout=x.layout.reshaped(ranked))
    made = _repeated(context, x, [made // size for made, size in zip(shape, ranked, strict=True)])
    context.expanded[made] = x
    return made


def tile(context: FloatContext) -> Meaning:
    """Tile: the whole tensor repeated along its axes."""
    x = context.real()
    times = [int(each) for each in context.array(1).reshape(-1)]
    if len(times) != len(x.shape) or min(times, default=1) < 1:
        raise ModelFormatError(f"repeats a tensor of shape {list(x.shape)} {times} times")
    return _repeated(context, x, times)


def _repeated(context: FloatContext, x: Real, times: list[int]) -> Real:
    if all(each == 1 for each in times):
        return x
    builder = context.builder
    name, order = builder.axiswise(x)
    for position, axis in enumerate(order):
        name = builder.taken(name, position, np.tile(np.arange(x.shape[axis]), times[axis]), context.name)
    return builder.made(name, tuple(size * each for size, each in zip(x.shape, times, strict=True)), order)


def _sources(context: FloatContext, given: int, made: int, scale: float) -> tuple[int, ...]:
    """ONNX's rule for the row or column of the operand that one of the result is.

    Source: the operator Resize of the ONNX specification; Upsample and the first Resize are asymmetric and round down.
    """
    old = context.opset < 11 or context.node.kind == "Upsample"
    mode = "asymmetric" if old else context.text("coordinate_transformation_mode", "half_pixel")
    rounding = "floor" if old else context.text("nearest_mode", "round_prefer_floor")
    places = np.arange(made, dtype=np.float64)
    if mode == "asymmetric":
        found = places / scale
    elif mode == "align_corners":
        found = places * (given - 1) / (made - 1) if made > 1 else places * 0
    elif mode == "tf_half_pixel_for_nn":
        found = (places + 0.5) / scale
    elif mode == "half_pixel" or (mode == "pytorch_half_pixel" and made > 1):
        found = (places + 0.5) / scale - 0.5
    elif mode == "pytorch_half_pixel":
        found = places * 0
    else:
        raise UnsupportedError(f"has the coordinates {mode}")
    rules = {
        "floor": np.floor(found),
        "ceil": np.ceil(found),
        "round_prefer_floor": np.ceil(found - 0.5),
        "round_prefer_ceil": np.floor(found + 0.5),
    }
    if rounding not in rules:
        raise UnsupportedError(f"has the rounding {rounding}")
    return tuple(np.clip(rules[rounding], 0, given - 1).astype(int).tolist())


def resize(context: FloatContext) -> Meaning:
    """Resize and Upsample of images, nearest pixels."""
    x, builder = context.real(), context.builder
    if context.text("mode", "nearest") != "nearest":
        raise UnsupportedError(f"resizes by {context.text('mode', '')}; supported: nearest", remedy="use mode nearest")
    rank = len(x.shape)
    made, scales = _resized(context, x)
    if rank not in (3, 4) or made[:2] != x.shape[:2]:
        raise UnsupportedError(f"resizes a tensor of shape {list(x.shape)} to {list(made)}; supported: images")
    wanted = [_sources(context, *each) for each in zip(x.shape[2:], made[2:], scales[2:], strict=True)]
    height, width = (1, *made[2:])[-2:]
    image = builder.images(x)
    for options in ({}, {"half_pixel_centers": True}, {"align_corners": True}):
        rule = ResizeNearestNeighbor(height, width, **options)
        if [rule.sources(*each) for each in zip(x.shape[2:], made[2:], strict=True)] == wanted:
            break
    else:
        rows, columns = ((0,), *wanted)[-2:]
        name = builder.taken(builder.taken(image, 1, np.array(rows), context.name), 2, np.array(columns), context.name)
        return images_made(context, name, rank)
    operand = builder.integers(f"{context.name}_size", (height, width))
    attributes: dict[str, Any] = {"align_corners": rule.align_corners, "half_pixel_centers": rule.half_pixel_centers}
    shape = (x.shape[0], height, width, x.shape[1])
    name = builder.node("RESIZE_NEAREST_NEIGHBOR", (image, operand), context.name, shape, **attributes)
    return images_made(context, name, rank)


def _resized(context: FloatContext, x: Real) -> tuple[Shape, tuple[float, ...]]:
    """The shape of the result, and how much larger it is along each axis."""
    rank, old = len(x.shape), context.opset < 11 or context.node.kind == "Upsample"
    axes = context.axes(context.attributes.get("axes", range(rank)), rank)
    if context.text("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise UnsupportedError("keeps the aspect ratio", remedy="give the sizes")
    sizes, scales = list(x.shape), [1.0] * rank
    if not old and context.has(3):
        for axis, size in zip(axes, context.array(3).reshape(-1).tolist(), strict=True):
            sizes[axis], scales[axis] = int(size), size / x.shape[axis]
    else:
        given = context.array(1 if old else 2).reshape(-1).tolist()
        for axis, scale in zip(axes, given, strict=True):
            sizes[axis], scales[axis] = math.floor(x.shape[axis] * scale), scale
    if min(sizes) < 1:
        raise ModelFormatError(f"resizes a tensor of shape {list(x.shape)} to {sizes}")
    return tuple(sizes), tuple(scales)


def depth_to_space(context: FloatContext) -> Meaning:
    """DepthToSpace in both orders of channels."""
    x, block = context.real(), context.integer("blocksize", 0)
    if len(x.shape) != 4 or block < 1 or x.shape[1] % (block * block):
        raise ModelFormatError(f"makes blocks of {block} of a tensor of shape {list(x.shape)}")
    builder, image = context.builder, context.builder.images(x)
    batch, height, width, channels = builder.stored(image)
    if context.text("mode", "DCR") == "CRD" and block > 1:
        image = builder.taken(
            image, 3, np.arange(channels).reshape(-1, block * block).T.reshape(-1), f"{context.name}_ordered"
        )
    shape = (batch, height * block, width * block, channels // block**2)
    made = builder.node("DEPTH_TO_SPACE", (image,), context.name, shape, block_size=block)
    return images_made(context, made, 4)


def space_to_depth(context: FloatContext) -> Meaning:
    """SpaceToDepth."""
    x, block = context.real(), context.integer("blocksize", 0)
    if len(x.shape) != 4 or block < 1 or any(size % block for size in x.shape[2:]):
        raise ModelFormatError(f"takes blocks of {block} of a tensor of shape {list(x.shape)}")
    image = context.builder.images(x)
    batch, height, width, channels = context.builder.stored(image)
    shape = (batch, height // block, width // block, channels * block**2)
    made = context.builder.node("SPACE_TO_DEPTH", (image,), context.name, shape, block_size=block)
    if context.text("mode", "DCR") == "CRD":
        order = np.arange(shape[3]).reshape(block * block, -1).T.reshape(-1)
        made = context.builder.taken(made, 3, order, f"{context.name}_ordered")
    return images_made(context, made, 4)
