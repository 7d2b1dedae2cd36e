"""Averages whose sums are halves: there binary32's own errors decide, and so the sums are those of binary32.

Where a window has an even number of elements and the scale does not change, a quarter or more of the sums are halves of
the result's steps. DequantizeLinear, AveragePool and QuantizeLinear then round as the errors of binary32 fall:

1. each integer times the scale, rounded to 24 bits: a table;
2. the sum of the window, rounded after each addition: `Binary32Sum`;
3. divided by the count and by the scale, each rounded, and rounded to integers: a monotone function of the sum, known
   by the smallest sum of each result, which `MultiThreshold` compares with.

All of it is arithmetic of integers, and equal to ONNX Runtime. Where no sum comes near a half, rounding it once is
equal, too, and less work.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from bitloom.arith import Interval, IntType
from bitloom.frontends.onnx.builder import GraphBuilder
from bitloom.frontends.onnx.values import Bounds, Scale, Tensor
from bitloom.frontends.onnx.windows import Window, images_made
from bitloom.ir import Value
from bitloom.ops.binary32_sum import Binary32Sum, binary32_products
from bitloom.ops.gather import Gather
from bitloom.ops.lookup import Lookup
from bitloom.ops.multi_threshold import MultiThreshold


class Binary32(enum.Enum):
    """Whose arithmetic it is.

    QLinearAveragePool adds row by row, and its zero point before it rounds; so does AveragePool with larger steps along
    rows, but for the zero point. QLinearGlobalAveragePool sums integers, and multiplies by a binary32 number.
    """

    AVERAGE_POOL = enum.auto()
    QLINEAR_AVERAGE_POOL = enum.auto()
    QLINEAR_GLOBAL_AVERAGE_POOL = enum.auto()


Int64Array = npt.NDArray[np.int64]

_WIDEST = 8  # Bits of elements whose products with the scale are a table of hardware.
_LARGEST_STEP = 2  # Along rows, with which ONNX Runtime's AveragePool adds columns first.
_PARTS = 4  # Sums that ONNX Runtime keeps of whole images.
# Scales in whose neighbourhood no binary32 number is subnormal or infinite.
_SCALES = (2.0**-64, 2.0**64)


def binary32_average(
    builder: GraphBuilder,
    images: Tensor,
    given: Scale,
    window: Window,
    made: Scale,
    bounds: Bounds,
    name: str,
    *,
    binary32: Binary32,
) -> Tensor | None:
    """An average pool whose sums may be halves, or None where none is; of windows whose padding counts, or without."""
    if window.dilations != (1, 1) or not _has_halves(window.taps, given, made):
        return None
    columns_first = binary32 is Binary32.AVERAGE_POOL and window.strides[1] <= _LARGEST_STEP
    if not columns_first:
        operators = [Binary32Sum(window.taps, window.strides, window.pads)]
    elif _tiles(images, window):
        (down, across), (height, width) = window.taps, images.shape[2:]
        parts = {2: range(height // down * down), 3: range(width // across * across)}
        images = builder.sliced(images, parts, f"{name}_whole_windows")
        operators = [Binary32Sum(window.taps, window.taps, columns_first=True)]
    else:
        (down, across), (top, bottom, left, right) = window.strides, window.pads
        columns = Binary32Sum((window.taps[0], 1), (down, 1), (top, bottom, 0, 0))
        operators = [columns, Binary32Sum((1, window.taps[1]), (1, across), (0, 0, left, right))]
    sums = _products(builder, builder.images(images).value, given, name)
    for index, operator in enumerate(operators):
        sums = builder.node(operator, [sums], f"{name}_sums{index}")
    return images_made(_quantized(builder, sums, given, math.prod(window.taps), made, bounds, name, binary32))


def binary32_global_average(
    builder: GraphBuilder, images: Tensor, given: Scale, made: Scale, bounds: Bounds, name: str
) -> Tensor | None:
    """The same of whole images: sums of every fourth element, of which the first and third are added before others."""
    batch, channels, height, width = images.shape
    count = height * width
    if count % _PARTS or not _has_halves((height, width), given, made):
        return None
    products = _products(builder, builder.images(images).value, given, name)
    sums = builder.shaped(products, (batch, count // _PARTS, _PARTS, channels))
    for index, window in enumerate(((count // _PARTS, 1), (1, 2), (1, 2))):
        if index == 1:
            sums = builder.node(Gather(2, (0, 2, 1, 3), (_PARTS,)), [sums], f"{name}_paired")
        if window != (1, 1):
            operator = Binary32Sum(window, window, columns_first=True)
            sums = builder.node(operator, [sums], f"{name}_sums{index}")
    return images_made(_quantized(builder, sums, given, count, made, bounds, name, Binary32.AVERAGE_POOL))


def _products(builder: GraphBuilder, value: Value, given: Scale, name: str) -> Value:
    """What DequantizeLinear makes, in units of the scale's last place."""
    integers = range(given.element.minimum - given.zero_point, given.element.maximum + 1 - given.zero_point)
    entries = binary32_products(given.scale, integers)
    wide = IntType.holding(min(entries), max(entries))
    return builder.node(Lookup(given.element, wide, entries), [value], f"{name}_products")


def _tiles(images: Tensor, window: Window) -> bool:
    """Whether windows tile the image, but for elements behind the last."""
    return not any(window.pads) and all(
        taps <= size and (stride == taps or taps == size)
        for stride, taps, size in zip(window.strides, window.taps, images.shape[2:], strict=True)
    )


def _has_halves(taps: tuple[int, int], given: Scale, made: Scale) -> bool:
    """Whether the average of some sum lies within binary32's errors of a half."""
    if given.element.bits > _WIDEST or not all(_SCALES[0] < each.scale < _SCALES[1] for each in (given, made)):
        return False
    count = math.prod(taps)
    low, high = (count * (end - given.zero_point) for end in (given.element.minimum, given.element.maximum))
    averages = np.arange(low, high + 1) * (given.scale / made.scale / count)
    reached = averages[np.abs(averages) <= 1 << made.element.bits]
    distance = np.abs(reached - np.floor(reached) - 0.5)
    # Each operation of binary32 is off by 2**-24 of its result at most.
    return bool((distance <= np.abs(reached) * (sum(taps) + 4) * 2.0**-24).any())


def _quantized(
    builder: GraphBuilder,
    sums: Value,
    given: Scale,
    count: int,
    made: Scale,
    bounds: Bounds,
    name: str,
    binary32: Binary32,
) -> Value:
    """Sums divided and quantized as binary32 does it: results and, for each but the lowest, the smallest sum."""
    _, exponent = math.frexp(given.scale)
    element, clamp = sums.type.integer, made.clamp(bounds)

    def quantize(total: Int64Array) -> Int64Array:
        reals = np.ldexp(total.astype(np.float32), exponent - 24).astype(np.float32) / np.float32(count)
        if binary32 is Binary32.QLINEAR_AVERAGE_POOL:
            integers = np.rint(reals / np.float32(made.scale) + np.float32(made.zero_point)).astype(np.int64)
        else:
            integers = made.integers(reals)
        return np.clip(integers, clamp.low, clamp.high)

    ends = quantize(np.array([element.minimum, element.maximum]))
    values = np.arange(ends[0], ends[1] + 1)
    thresholds = _smallest(quantize, values[1:], Interval(element.minimum, element.maximum))
    if not len(thresholds):
        # A search needs something to compare with.
        thresholds, values = np.array([element.maximum]), np.array([ends[0], ends[0]])
    constants = [
        builder.constant(f"{name}_thresholds", thresholds[None], element),
        builder.constant(f"{name}_results", values[None], made.element),
    ]
    return builder.node(MultiThreshold(element, made.element), [sums, *constants], name, made)


def _smallest(quantize: Callable[[Int64Array], Int64Array], levels: Int64Array, sums: Interval) -> Int64Array:
    """For each level the smallest sum whose result is at least that, of those whose largest is."""
    low, high = np.full(len(levels), sums.low), np.full(len(levels), sums.high)
    while (low < high).any():
        middle = (low + high) >> 1
        enough = quantize(middle) >= levels
        low, high = np.where(enough, low, np.minimum(middle + 1, high)), np.where(enough, middle, high)
    return high
