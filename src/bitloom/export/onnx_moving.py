"""Operators that move elements, as ONNX says them: on integers, so that nothing is rounded."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from bitloom.errors import UnsupportedError
from bitloom.export.onnx_writer import TO_FIRST, Writer, elements, images
from bitloom.ir import Node, Value
from bitloom.ops.concatenation import Concatenation
from bitloom.ops.pack import Pack
from bitloom.ops.pad import Pad
from bitloom.ops.shared.moving import MovingOperator

# ONNX's Pad takes these as they are.
_PADDED = ("int8", "uint8", "int32")


def reshape(writer: Writer, _: Node, operands: Sequence[Value], result: Value) -> None:
    """Another shape; images that lie with channels first are flattened as they lie, which is remembered."""
    (x,), shape = operands, result.type.shape
    batch = x.type.shape[0] if x.type.shape else 1
    if writer.is_first(x) and images(x) and shape == (batch, elements(x.type.shape) // batch):
        name = writer.name_of(result, first=True)
        made = writer.reshaped(writer.integers(x, first=True), shape, name)
        writer.made(result, made, first=True, flattened=x.type.shape)
        return
    writer.made(result, writer.reshaped(writer.integers(x), shape, result))


def move(writer: Writer, node: Node, operands: Sequence[Value], result: Value) -> None:
    """Indices along axes, and axes in another order; images keep their channels first where no axis changes places."""
    assert isinstance(node.operator, MovingOperator)
    (x,) = operands
    movement = node.operator.movement(x.type.shape)
    order = tuple(axis for axis, _ in movement.axes)
    plain = tuple(range(len(order)))
    first = writer.is_first(x) and images(x) and images(result) and order == plain and movement.shape == x.type.shape
    lying = TO_FIRST if first else plain
    own, name = writer.name_of(result, first=first), result.name
    steps: list[tuple[str, list[str], dict[str, object]]] = []
    given = writer.integers(x, first=first)
    shape = x.type.shape
    if movement.shape != shape:
        steps.append(("Reshape", [writer.constant(np.array(movement.shape, np.int64), f"{name}/split")], {}))
    for axis, indices in sorted(movement.axes):
        if indices != tuple(range(movement.shape[axis])):
            steps.append(_chosen(writer, name, lying.index(axis), indices))
    if order != plain:
        steps.append(("Transpose", [], {"perm": order}))
    found = tuple(len(indices) for _, indices in movement.axes)
    if found != result.type.shape or not steps:
        made = result.type.shape if not first else tuple(result.type.shape[axis] for axis in TO_FIRST)
        steps.append(("Reshape", [writer.constant(np.array(made, np.int64), f"{name}/shape")], {}))
    for number, (kind, constants, attributes) in enumerate(steps):
        last = number == len(steps) - 1
        given = writer.node(kind, [given, *constants], own if last else f"{name}/step{number}", **attributes)
    writer.made(result, given, first=first)


def _chosen(writer: Writer, name: str, axis: int, indices: tuple[int, ...]) -> tuple[str, list[str], dict[str, object]]:
    """Slice where indices rise or fall evenly, else Gather."""
    steps = {later - earlier for earlier, later in itertools.pairwise(indices)} or {1}
    if len(steps) > 1 or 0 in steps:
        return "Gather", [writer.constant(np.array(indices, np.int64), f"{name}/indices{axis}")], {"axis": axis}
    (step,) = steps
    end = indices[-1] + step
    ends = (indices[0], end if end >= 0 else np.iinfo(np.int64).min, axis, step)
    operands = [
        writer.constant(np.array([number], np.int64), f"{name}/{what}{axis}")
        for what, number in zip(("start", "end", "axis", "step"), ends, strict=True)
    ]
    return "Slice", operands, {}


def concatenation(writer: Writer, node: Node, operands: Sequence[Value], result: Value) -> None:
    """Tensors one after the other."""
    assert isinstance(node.operator, Concatenation)
    first = images(result) and any(writer.is_first(x) for x in operands)
    axis = TO_FIRST.index(node.operator.axis) if first else node.operator.axis
    parts = [_wide(writer, x, first=first) for x in operands]
    made = writer.node("Concat", parts, writer.name_of(result, first=first), axis=axis)
    writer.made(result, made, first=first)


def _wide(writer: Writer, x: Value, *, first: bool) -> str:
    """Integers in a type that ONNX computes with, which constants of 4 bits do not have."""
    if not x.is_constant:
        return writer.integers(x, first=first)
    data = x.constant.transpose(TO_FIRST) if first else x.constant
    return writer.constant(data.astype(x.type.element.dtype), f"{x.name}/part")


def pack(writer: Writer, node: Node, operands: Sequence[Value], result: Value) -> None:
    """Each with the new axis, one after the other."""
    assert isinstance(node.operator, Pack)
    axis = node.operator.axis
    shape = (*result.type.shape[:axis], 1, *result.type.shape[axis + 1 :])
    parts = [
        writer.reshaped(_wide(writer, x, first=False), shape, f"{result.name}/part{index}")
        for index, x in enumerate(operands)
    ]
    writer.made(result, writer.node("Concat", parts, result, axis=axis))


def pad(writer: Writer, node: Node, operands: Sequence[Value], result: Value) -> None:
    """A constant around a tensor."""
    assert isinstance(node.operator, Pad)
    (x,), operator = operands, node.operator
    first = writer.is_first(x) and images(x)
    lying = TO_FIRST if first else tuple(range(len(x.type.shape)))
    widths = [ends[axis] for ends in (operator.before, operator.after) for axis in lying]
    own, name = writer.name_of(result, first=first), result.name
    pads = writer.constant(np.array(widths, np.int64), f"{name}/pads")
    if str(x.type.element) in _PADDED:
        value = writer.constant(np.array(operator.value, x.type.element.dtype), f"{name}/value")
        made = writer.node("Pad", [writer.integers(x, first=first), pads, value], own)
        writer.made(result, made, first=first)
        return
    if x.type.quantization != result.type.quantization:
        raise UnsupportedError(f"ONNX's Pad takes no {x.type.element}", where=node.where)
    quantization = writer.quantization(x)
    real = np.float32((operator.value - quantization.zero_point) * quantization.scale)
    operand = writer.constant(real, f"{name}/value")
    made = writer.node("Pad", [writer.reals(x, first=first), pads, operand], f"{name}/padded")
    writer.give(result, made, first=first)
