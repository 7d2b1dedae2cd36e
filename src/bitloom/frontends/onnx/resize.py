"""Which elements ONNX's Resize takes where it takes the nearest."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from bitloom.errors import ModelFormatError, UnsupportedError
from bitloom.frontends.onnx.context import LARGEST_AXIS, Context

Float32Array = npt.NDArray[np.float32]


def resize_indices(context: Context, shape: Sequence[int]) -> dict[int, tuple[int, ...]]:
    """For each axis that changes the indices of a tensor of a shape.

    Raises:
        UnsupportedError: other modes than nearest.
        ModelFormatError: the node makes no sense.
    """
    attributes = context.attributes
    mode = attributes.get("mode", b"nearest").decode()
    if mode != "nearest":
        raise UnsupportedError(f"resizes by {mode}; supported: nearest")
    if attributes.get("keep_aspect_ratio_policy", b"stretch") != b"stretch":
        raise UnsupportedError("resizes and keeps the aspect ratio", remedy="state the sizes")
    axes = [int(axis) % len(shape) for axis in attributes.get("axes", range(len(shape)))]
    sizes = [int(size) for size in context.array(3).reshape(-1)] if context.optional(3) else []
    scales = context.array(2).reshape(-1).tolist() if context.optional(2) and context.array(2).size else []
    if len(sizes or scales) != len(axes) or min(sizes or scales) <= 0:
        raise ModelFormatError(f"resizes {len(axes)} axes by the sizes {sizes}, scales {scales}")
    found = {}
    for place, axis in enumerate(axes):
        scale = np.float32(scales[place]) if not sizes else np.float32(sizes[place]) / np.float32(shape[axis])
        made = sizes[place] if sizes else math.floor(shape[axis] * float(scale))
        if not 1 <= made <= LARGEST_AXIS:
            raise ModelFormatError(f"resizes an axis of {shape[axis]} to {made}; supported: 1 to {LARGEST_AXIS}")
        indices = _indices(context, shape[axis], made, scale)
        if indices != tuple(range(shape[axis])):
            found[axis] = indices
    return found


def _indices(context: Context, given: int, made: int, scale: np.float32) -> tuple[int, ...]:
    """Source: ONNX operator specification, Resize; binary32 as ONNX Runtime has it."""
    if made == given and scale == 1:
        return tuple(range(given))
    mode = context.attributes.get("coordinate_transformation_mode", b"half_pixel").decode()
    position, half = np.arange(made, dtype=np.float32), np.float32(0.5)
    if mode == "asymmetric":
        places = position / scale
    elif mode == "half_pixel" or (mode == "pytorch_half_pixel" and made > 1):
        places = (position + half) / scale - half
    elif mode == "pytorch_half_pixel":
        places = np.zeros(1, np.float32)
    elif mode == "align_corners":
        places = position * np.float32(given - 1) / np.float32(made - 1) if made > 1 else np.zeros(1, np.float32)
    else:
        raise UnsupportedError(
            f"resizes with positions {mode}; supported: asymmetric, half_pixel, pytorch_half_pixel, align_corners"
        )
    return tuple(np.clip(_rounded(context, places), 0, given - 1).astype(np.int64).tolist())


def _rounded(context: Context, places: Float32Array) -> Float32Array:
    mode = context.attributes.get("nearest_mode", b"round_prefer_floor").decode()
    down = np.floor(places)
    fraction = places - down
    match mode:
        case "floor":
            return down
        case "ceil":
            return np.ceil(places)
        case "round_prefer_floor":
            return down + (fraction > np.float32(0.5))
        case "round_prefer_ceil":
            return down + (fraction >= np.float32(0.5))
    raise ModelFormatError(f"rounds by {mode}")
