"""Where a QONNX network ends: the last integers become reals in software, or the index of the largest in hardware."""

from __future__ import annotations

import math

import numpy as np

from bitloom.arith import IntType
from bitloom.errors import ModelFormatError, UnsupportedError
from bitloom.frontends.onnx.builder import GraphBuilder
from bitloom.frontends.onnx.values import Tensor
from bitloom.frontends.qonnx.context import QonnxContext
from bitloom.frontends.qonnx.quantizers import applied
from bitloom.frontends.qonnx.thresholds import Pieces
from bitloom.frontends.qonnx.values import Int64Array, Reals
from bitloom.ops.arg_max import ArgMax
from bitloom.ops.dequantize import Dequantize
from bitloom.ops.dequantize_steps import SOFTMAX, STEPS, DequantizeSteps

MOST_RANKS = 1 << 16
"""Reals of all channels that are told apart by their rank; beyond this a comparison in hardware is no table."""

_INDEX = IntType(64)


def real_output(builder: GraphBuilder, x: Reals, name: str) -> Tensor:
    """The reals, at the edge of the graph.

    Raises:
        UnsupportedError: they are not made of integers, or by functions that the edge does not have.
    """
    if x.is_input or x.moves:
        raise UnsupportedError(
            "is computed in floating point from what nothing quantizes", remedy="put a Quant in front of it"
        )
    unknown = [step.kind for step in x.steps if step.kind not in STEPS and step.kind != SOFTMAX]
    if unknown:
        raise UnsupportedError(
            f"ends in {unknown[0]}, computed in floating point", remedy="put a Quant behind it, or end in front of it"
        )
    tensor = builder.plain(x.tensor)
    element = tensor.value.type.integer
    if not x.steps and len(x.scales) == len(x.zero_points) == 1:
        scalar = Dequantize(element, float(x.scales[0]), int(x.zero_points[0]))
        return Tensor.plain(builder.node(scalar, [tensor.value], name))
    steps: tuple[tuple[str, tuple[float, ...]], ...] = tuple(
        (step.kind, () if step.constant is None else tuple(step.constant.astype(float).tolist())) for step in x.steps
    )
    lengths = [len(x.scales), len(x.zero_points), *(len(constants) for _, constants in steps)]
    axis = x.axis if max(lengths) > 1 else None
    scales, zeros = tuple(x.scales.tolist()), tuple(x.zero_points.tolist())
    operator = DequantizeSteps(element, scales, zeros, steps, axis)
    return Tensor.plain(builder.node(operator, [tensor.value], name))


def arg_max(context: QonnxContext) -> Tensor:
    """ArgMax, and the indices of TopK for k = 1: the first of the largest reals.

    Where the reals of all channels are one function that grows with every integer, integers are compared. Otherwise
    each integer is replaced by the rank of its real among all reals that any channel can have, so that equal reals
    are equal ranks: exact in binary32, ties included.

    Raises:
        UnsupportedError: too many different reals, another axis than the last, other operands.
    """
    x = context.reals()
    rank = len(x.shape)
    is_top = context.node.kind == "TopK"
    axis = context.integer("axis", -1 if is_top else 0) % rank
    if axis != rank - 1 or x.moves or x.is_input:
        raise UnsupportedError(f"is over axis {axis} of {rank}; supported: the last, of what is made of integers")
    if is_top:
        _check_top(context)
    elif context.integer("select_last_index", 0):
        raise UnsupportedError("selects the last of equal elements", remedy="set select_last_index to 0")
    builder, name = context.builder, context.node.outputs[-1]
    tensor = builder.plain(_comparable(context, x))
    if is_top or context.integer("keepdims", 1):
        value = builder.node(ArgMax(axis, _INDEX), [tensor.value], f"{name}_index")
        return Tensor.plain(builder.shaped(value, (*x.shape[:-1], 1), name))
    return Tensor.plain(builder.node(ArgMax(axis, _INDEX), [tensor.value], name))


def _check_top(context: QonnxContext) -> None:
    count = context.attribute_or_array("k", 1)
    if count is None or int(np.reshape(count, -1)[0]) != 1:
        raise UnsupportedError("takes several of the largest elements", remedy="supported: k = 1")
    if not context.integer("largest", 1):
        raise UnsupportedError("takes the smallest element", remedy="supported: the largest")


def _comparable(context: QonnxContext, x: Reals) -> Tensor:
    """Integers in the order of the reals."""
    count = int(np.sum(np.broadcast_to(x.high - x.low + 1, (x.channels,))))
    alike = all(len(each) == 1 for each in (x.scales, x.zero_points)) and all(
        step.constant is None or len(step.constant) == 1 for step in x.steps
    )
    direction = x.direction
    one = alike and direction is not None and bool((direction > 0).all())
    if count > MOST_RANKS:
        if one and not x.steps:
            return x.tensor
        raise UnsupportedError(
            f"compares {count:,} different reals that channels can have; up to {MOST_RANKS:,} are supported",
            remedy="end the model in front of it, and take the index in software",
        )
    reals = _all_reals(x)
    if one and all((np.diff(each) > 0).all() for each in reals):
        return x.tensor
    return _ranked(context, x, reals)


def _all_reals(x: Reals) -> list[np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
    """Of each channel, what its integers mean, ascending by integer."""
    made = []
    low, high = (np.broadcast_to(each, (x.channels,)) for each in (x.low, x.high))
    for channel in range(x.channels):
        keys = np.arange(low[channel], high[channel] + 1)
        made.append(x.reals(keys[:, None], np.array([channel]))[:, 0])
    if not all(np.isfinite(each).all() for each in made):
        raise ModelFormatError("compares reals that are not finite")
    return made


def _ranked(context: QonnxContext, x: Reals, reals: list[np.ndarray[tuple[int, ...], np.dtype[np.float32]]]) -> Tensor:
    order = np.unique(np.concatenate(reals))
    low = np.broadcast_to(x.low, (x.channels,))
    starts: list[Int64Array] = []
    values: list[Int64Array] = []
    for channel, each in enumerate(reals):
        ranks = np.searchsorted(order, each).astype(np.int64)
        changes = np.flatnonzero(ranks[1:] != ranks[:-1]) + 1
        starts.append(low[channel] + changes)
        values.append(ranks[np.concatenate([[0], changes])])
    element = IntType(max(1, math.ceil(math.log2(len(order)))), signed=False)
    return applied(context.builder, x, Pieces(tuple(starts), tuple(values)), element, f"{context.name}_ranks")
