"""The operators behind ``+``, ``-``, ``*``, `reshape` and indexing, made of their operands' values.

They stand below the tensors, which have these signs, and below the functions, which offer every option.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from bitloom.arith import Interval, IntType, Rescale, Rounding
from bitloom.errors import GraphError, UnsupportedError
from bitloom.ir import Operator, Value
from bitloom.ops.mul import Mul
from bitloom.ops.reshape import Reshape
from bitloom.ops.shared.sums import SumOperator, left_shift
from bitloom.ops.strided_slice import StridedSlice

Made = tuple[Operator, tuple[Value, ...]]
Make = Callable[[Sequence[Value]], Made]
"""Makes an operator of operands' values (constants hold their data), and says which it reads."""

_UNSCALED = Rescale((1.0,), Rounding.HALF_AWAY)


def wider(left: IntType, right: IntType) -> IntType:
    """The type that holds the values of both.

    Raises:
        ArithmeticDomainError: there is none of up to 64 bits.
    """
    return IntType.holding(min(left.minimum, right.minimum), max(left.maximum, right.maximum))


def summed(
    operator: type[SumOperator],
    values: Sequence[Value],
    output: IntType,
    *,
    scales: tuple[int, int] = (1, 1),
    rescale: Rescale = _UNSCALED,
    clamp: Interval | None = None,
) -> Made:
    """A sum or a difference.

    Args:
        operator: which of both.
        values: of the operands.
        output: the type of the result.
        scales: of the operands.
        rescale: of the sum; its rounding is that of the operands as well.
        clamp: of the result; the range of its type if None.

    Raises:
        UnsupportedError: operands whose sum leaves the integers that it is computed in.
    """
    left, right, constant = _pair(values)
    # Both operands are lifted and brought to the scale of the sum, here by integers: nothing is rounded.
    lifted = left_shift(max(left.type.integer.bits, right.type.integer.bits))
    made = operator(
        left=left.type.integer,
        right=right.type.integer,
        output=output,
        constant=constant,
        left_zero_point=0,
        right_zero_point=0,
        output_zero_point=0,
        left_rescale=Rescale((scales[0] * 2.0**-lifted,), rescale.rounding),
        right_rescale=Rescale((scales[1] * 2.0**-lifted,), rescale.rounding),
        rescale=rescale,
        activation=_range(output) if clamp is None else clamp,
    )
    _check_sum(made, scales, lifted)
    return made, (left, right)


def _check_sum(operator: SumOperator, scales: tuple[int, int], lifted: int) -> None:
    """Refuse operands whose sum leaves the integers that it is computed in."""
    ends = [max(-each.minimum, each.maximum) for each in operator.types]
    products = [end * scale for end, scale in zip(ends, scales, strict=True)]
    if sum(products) >= int(operator.rescale.largest[0]) or max(products) << lifted >= 2**62:
        raise UnsupportedError(
            f"a sum of {operator.left} and {operator.right} leaves 62 bits", remedy="rescale the operands first"
        )


def product(
    values: Sequence[Value], output: IntType, *, rescale: Rescale = _UNSCALED, clamp: Interval | None = None
) -> Made:
    """A product.

    Args:
        values: of the operands.
        output: the type of the result.
        rescale: of the product.
        clamp: of the result; the range of its type if None.
    """
    left, right, constant = _pair(values)
    operator = Mul(
        left=left.type.integer,
        right=right.type.integer,
        output=output,
        constant=constant,
        left_zero_point=0,
        right_zero_point=0,
        output_zero_point=0,
        rescale=rescale,
        activation=_range(output) if clamp is None else clamp,
    )
    return operator, (left, right)


def _pair(values: Sequence[Value]) -> tuple[Value, Value, int | None]:
    """Both operands, and which is constant."""
    left, right = values[:2]
    constants = [index for index, value in enumerate((left, right)) if value.is_constant]
    return left, right, constants[0] if constants else None


def _range(element: IntType) -> Interval:
    return Interval(element.minimum, element.maximum)


def reshaped(values: Sequence[Value], shape: Sequence[int]) -> Made:
    """The same elements in another shape, in which one length may be -1, for what is left."""
    wanted = list(shape)
    if wanted.count(-1) == 1:
        rest = math.prod(length for length in wanted if length != -1)
        wanted[wanted.index(-1)] = values[0].type.size // rest if rest else 0
    return Reshape(tuple(wanted)), (values[0],)


def sliced(values: Sequence[Value], chosen: Sequence[range], gone: Sequence[int] = ()) -> Made:
    """A part of a tensor.

    Args:
        values: of the operand.
        chosen: the indices along each axis.
        gone: axes that the result does not have; one index is chosen of them.

    Raises:
        GraphError: nothing is left.
    """
    if not all(chosen):
        raise GraphError("a slice of nothing")
    shape = tuple(len(each) for axis, each in enumerate(chosen) if axis not in gone)
    operator = StridedSlice(
        tuple(each[0] for each in chosen),
        tuple(len(each) for each in chosen),
        tuple(each.step for each in chosen),
        shape,
    )
    movement = operator.movement(values[0].type.shape)
    return operator if movement.reorders or movement.drops else Reshape(shape), (values[0],)


def chosen_by(index: Any, shape: Sequence[int], said: object) -> tuple[list[range], tuple[int, ...]]:
    """What NumPy's basic indexing chooses: slices, integers (which take their axis away), and an ellipsis.

    Args:
        index: between the brackets.
        shape: of what is indexed.
        said: what is indexed, for messages.

    Returns:
        The indices along each axis, and the axes that the result does not have.

    Raises:
        GraphError: too many indices, one that there is not, or another kind of index.
    """
    entries = list(index) if isinstance(index, tuple) else [index]
    if Ellipsis in entries:
        place = entries.index(Ellipsis)
        whole = [slice(None)] * (len(shape) - len(entries) + 1)
        entries[place : place + 1] = whole
    entries += [slice(None)] * (len(shape) - len(entries))
    if len(entries) > len(shape):
        raise GraphError(f"{len(entries)} indices of {said}")
    chosen, gone = [], []
    for axis, (entry, length) in enumerate(zip(entries, shape, strict=True)):
        if isinstance(entry, slice):
            chosen.append(range(*entry.indices(length)))
        elif isinstance(entry, int):
            chosen.append(range(from_start(entry, length), from_start(entry, length) + 1))
            gone.append(axis)
        else:
            raise GraphError(f"the index {entry!r} of {said}", remedy="use slices and integers")
    return chosen, tuple(gone)


def from_start(index: int, length: int) -> int:
    """An axis or an index, counted from the start.

    Raises:
        GraphError: there is none.
    """
    if not -length <= index < length:
        raise GraphError(f"there is no axis or index {index} of {length}")
    return index % length
