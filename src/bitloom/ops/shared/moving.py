"""What the files of operators that move elements share: their constant operands, their checks, their examples."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from bitloom.arith import IntType
from bitloom.circuits.movement import Movement, MovementCircuit
from bitloom.circuits.streaming import StreamingCircuit, StreamingOperator
from bitloom.errors import GraphError, UnsupportedError
from bitloom.ir import Example, Operator, Quantization, SourceNode, TensorType, Value
from bitloom.ir.types import ElementType
from bitloom.ops.shared.support import example_graph

INT8 = IntType(8)


class MovingOperator(StreamingOperator):
    """An operator whose result is its operand's elements at other positions, some left out, some repeated."""

    @abstractmethod
    def moved_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The result's shape for an operand's shape.

        Raises:
            GraphError: the operand does not fit.
        """

    @abstractmethod
    def movement(self, shape: tuple[int, ...]) -> Movement:
        """Where the elements of an operand of that shape go."""

    def infer(self, inputs: Sequence[Value]) -> tuple[tuple[tuple[int, ...], ElementType], ...]:
        """The moved shape, the operand's type."""
        return ((self.moved_shape(inputs[0].type.shape), inputs[0].type.element),)

    def circuit(self, operands: Sequence[Value], results: Sequence[Value]) -> StreamingCircuit:
        """See `bitloom.circuits.movement`."""
        x, y = operands[0].type, results[0].type
        return MovementCircuit(x.integer, x.shape, y.shape, self.movement(x.shape))


def require_moved(source: SourceNode, x: Value, y: Value, elements: Collection[str] = ()) -> None:
    """Check that a node's result has its operand's element type, one the kernel moves.

    Args:
        source: for the message.
        x: the operand.
        y: the result.
        elements: the types; any if none is given.

    Raises:
        UnsupportedError: another type.
    """
    found = str(x.type.element)
    if elements and found not in elements:
        said = ", ".join(elements)
        raise UnsupportedError(f"{source.kind} of {found}; the reference kernel takes {said}", where=source.where)
    if x.type.element != y.type.element:
        raise UnsupportedError(f"{source.kind} from {found} to {y.type.element}", where=source.where)


def require_rank(source: SourceNode, x: Value, most: int, least: int = 0) -> None:
    """Check how many axes a node's operand has.

    Raises:
        UnsupportedError: the reference kernel does not take so many.
    """
    rank = len(x.type.shape)
    if not least <= rank <= most:
        raise UnsupportedError(
            f"{source.kind} of {rank} axes; the reference kernel takes {least} to {most}", where=source.where
        )


def require_same_quantization(source: SourceNode, x: Value, y: Value) -> None:
    """Check that two tensors of a node have one scale and zero point, as kernels demand that only move elements.

    Raises:
        UnsupportedError: they differ, which the reference kernel rejects.
    """
    left, right = (_scale_and_zero_point(value) for value in (x, y))
    if left != right:
        raise UnsupportedError(
            f"{source.kind} of '{x.name}' (scale {left[0]:g}, zero point {left[1]}) and '{y.name}' (scale "
            f"{right[0]:g}, zero point {right[1]}): the reference kernel takes only equal ones",
            where=source.where,
            remedy="quantize again with one scale for both, or put QUANTIZE between",
        )


def _scale_and_zero_point(value: Value) -> tuple[float, int]:
    """As the kernels see them: an unquantized tensor, and one quantized along an axis, have 0 and 0."""
    quantization = value.type.quantization
    if quantization is None or len(quantization.scales) != 1:
        return 0.0, 0
    return quantization.scale, quantization.zero_point


def constant_integers(
    source: SourceNode,
    index: int,
    what: str,
    *,
    length: int | None = None,
    elements: Collection[str] = ("int32", "int64"),
) -> tuple[int, ...]:
    """The values of an operand that says where elements go.

    Args:
        source: the node.
        index: of the operand.
        what: its name in messages.
        length: how many values there must be, if that is known.
        elements: types the kernel takes.

    Raises:
        UnsupportedError: it is computed, or of another type.
        GraphError: it has another number of values.
    """
    operand = source.operand(index)
    if not operand.is_constant:
        raise UnsupportedError(f"{source.kind} with a computed {what} ('{operand.name}')", where=source.where)
    if str(operand.type.element) not in elements:
        raise UnsupportedError(f"{source.kind} with the {what} in {operand.type.element}", where=source.where)
    values = tuple(int(value) for value in operand.constant.reshape(-1))
    if length is not None and len(values) != length:
        raise GraphError(f"{source.kind} has {len(values)} values of {what}, not {length}", where=source.where)
    return values


def positive_axis(source: SourceNode, axis: int, rank: int) -> int:
    """An axis counted from the start, where it may count from the end.

    Raises:
        GraphError: there is no such axis.
    """
    if not -rank <= axis < rank:
        raise GraphError(f"{source.kind} along axis {axis} of {rank}", where=source.where)
    return axis % rank


def index_value(name: str, values: int | Sequence[int] | Sequence[Sequence[int]]) -> Value:
    """A constant operand of int32."""
    array = np.array(values, np.int32)
    return Value(name, TensorType(array.shape, IntType(32)), array)


def moved_example(
    operator: type[Operator],
    name: str,
    kind: str,
    given: tuple[int, ...],
    made: tuple[int, ...],
    constants: Sequence[Value] = (),
    attributes: Mapping[str, Any] | None = None,
    element: IntType = INT8,
) -> Example:
    """An example from one tensor to another of the same quantization."""
    zero_point = 0 if element.bits > 8 else 3
    x, y = (
        Value(tensor, TensorType(shape, element, Quantization((0.1,), (zero_point,))))
        for tensor, shape in (("x", given), ("y", made))
    )
    return example_graph(operator, name, kind, [x, *constants], y, attributes)
