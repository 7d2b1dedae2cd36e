"""What a user gives for tensors of a stated graph, checked: integer types, shapes, and arrays of integers."""

from __future__ import annotations

import operator
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bitloom.arith import IntType
from bitloom.errors import GraphError, InputError
from bitloom.ir import TensorType

Array = npt.NDArray[Any]
ElementLike = IntType | str
"""An integer type, or its name: ``int8``, ``uint4``, from 1 to 64 bits."""


def element(dtype: ElementLike) -> IntType:
    """The integer type of that name."""
    return dtype if isinstance(dtype, IntType) else IntType.parse(str(dtype))


def fixed_shape(shape: Sequence[int]) -> tuple[int, ...]:
    """A shape of whole, positive numbers.

    Raises:
        GraphError: it is none.
    """
    try:
        wanted = tuple(operator.index(length) for length in shape)
    except TypeError as error:  # None and names: axes of any length
        given = list(shape) if isinstance(shape, Iterable) else shape
        raise GraphError(f"the shape {given} is not of whole numbers", remedy="fix every axis") from error
    if any(length < 1 for length in wanted):
        raise GraphError(f"shape {list(wanted)} has a dimension that is not positive")
    return wanted


def checked(value: npt.ArrayLike, wanted: TensorType, where: str, shape: Sequence[int] | None = None) -> Array:
    """Integers of a type, copied.

    Args:
        value: the integers.
        wanted: their type.
        where: for messages.
        shape: they must have; the type's if None.

    Raises:
        InputError: another shape, floats, or integers out of range.
    """
    try:
        array = np.array(value)
    except (TypeError, ValueError) as error:  # nested lists of uneven lengths
        raise InputError(f"is no array: {error}", where=where) from error
    expected = tuple(wanted.shape if shape is None else shape)
    if array.shape != expected:
        raise InputError(f"has shape {list(array.shape)}", where=where, remedy=f"give shape {list(expected)}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise InputError("holds NaN or infinity", where=where, remedy=f"give integers of {wanted.element}")
    if array.dtype.kind not in "iub":
        raise InputError(
            f"holds {array.dtype} numbers and is {wanted.element}; they are not rounded silently",
            where=where,
            remedy="round them first (numpy.rint and astype)",
        )
    low, high = int(array.min()), int(array.max())
    if not wanted.integer.contains(low, high):
        raise InputError(
            f"holds {low} to {high}, and {wanted.element} holds {wanted.integer.minimum} to {wanted.integer.maximum}",
            where=where,
            remedy="clip them, or take a wider type",
        )
    return array.astype(wanted.element.dtype)


def inferences(wanted: Mapping[str, TensorType], given: Mapping[str, npt.ArrayLike]) -> tuple[dict[str, Array], bool]:
    """Inputs with an axis of inferences in front, and whether they were given with one.

    Args:
        wanted: the type of each input, by name.
        given: integers for each, all with that axis or all without.

    Raises:
        InputError: one is missing or does not fit, or they have different numbers of inferences.
    """
    missing = [name for name in wanted if name not in given]
    if missing:
        raise InputError(f"input '{missing[0]}' is missing", remedy=f"give {', '.join(wanted)}")
    arrays: dict[str, Array] = {}
    lengths: set[int] = set()
    for name, tensor_type in wanted.items():
        try:
            value = np.asarray(given[name])
        except (TypeError, ValueError) as error:  # nested lists of uneven lengths
            raise InputError(f"is no array: {error}", where=f"input '{name}'") from error
        batched = value.ndim == len(tensor_type.shape) + 1
        shape = (*value.shape[:1], *tensor_type.shape) if batched else tensor_type.shape
        array = checked(value, tensor_type, f"input '{name}'", shape)
        lengths.add(len(array) if batched else -1)
        arrays[name] = array if batched else array[None]
    if len(lengths) > 1 or 0 in lengths:
        raise InputError("inputs have different numbers of inferences, or none")
    return arrays, lengths != {-1}


def caller() -> str:
    """File and line outside this package that called one of its functions."""
    frame = sys._getframe(1)
    while frame.f_back is not None and str(frame.f_globals.get("__name__", "")).startswith(__package__):
        frame = frame.f_back
    file = frame.f_code.co_filename.replace("\\", "/").rpartition("/")[2]
    return f"{file}:{frame.f_lineno}"
