"""Tensors of a graph that is stated in Python: placeholders, variables, and what operators make of them.

A tensor is immutable and knows its shape and type; only a variable's value is set later. An operator is made twice:
when it is called, with zeros for the variables, so that a wrong shape is an error on that line; and when the graph is
made, with the variables' values, from which its ranges are proved.
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from bitloom.arith import IntType
from bitloom.errors import BitloomError, GraphError, InputError
from bitloom.ir import Operator, TensorType, Value

Array = npt.NDArray[Any]
ElementLike = IntType | str
"""An integer type, or its name: ``int8``, ``uint4``, from 1 to 64 bits."""

Made = tuple[Operator, tuple[Value, ...]]
Make = Callable[[Sequence[Value]], Made]
"""Makes an operator of operands' values (constants hold their data), and says which it reads."""


@dataclass(frozen=True, eq=False)
class Tensor:
    """Integers of a shape and a type that nobody knows yet.

    ``+``, ``-``, ``*``, indexing and `reshape` are the functions of `bitloom.define` of like names.

    Attributes:
        shape: of one inference.
        element: the integer type.
        name: given by the user, or None.
    """

    shape: tuple[int, ...]
    element: IntType
    name: str | None

    @property
    def tensor_type(self) -> TensorType:
        """Shape and element type."""
        return TensorType(self.shape, self.element)

    @property
    def operands(self) -> tuple[Tensor, ...]:
        """What it is made of."""
        return ()

    def evaluate(self, inputs: Mapping[Tensor | str, npt.ArrayLike]) -> Array:
        """Compute it in software.

        Args:
            inputs: for each placeholder it depends on, or its name, integers within its type: an array of its own
                shape, or with an axis of inferences in front.

        Returns:
            An array of this tensor's shape, with that axis in front if the inputs have it.

        Raises:
            InputError: inputs that do not fit, or a variable without a value.
            BitloomError: a graph that cannot be computed exactly.
        """
        from bitloom.frontends.define.graph import evaluate

        return evaluate(self, inputs)

    def reshape(self, *shape: int) -> Tensor:
        """See `bitloom.define.reshape`."""
        from bitloom.frontends.define.moving import reshape

        return reshape(self, shape)

    def __add__(self, other: Tensor) -> Tensor:
        from bitloom.frontends.define.elementwise import add

        return add(self, other)

    def __sub__(self, other: Tensor) -> Tensor:
        from bitloom.frontends.define.elementwise import sub

        return sub(self, other)

    def __mul__(self, other: Tensor) -> Tensor:
        from bitloom.frontends.define.elementwise import mul

        return mul(self, other)

    def __getitem__(self, index: Any) -> Tensor:
        from bitloom.frontends.define.moving import indexed

        return indexed(self, index)

    def __str__(self) -> str:
        return f"{self.name or 'a tensor'} {self.tensor_type}"


@dataclass(frozen=True, eq=False)
class Placeholder(Tensor):
    """An input of the graph."""


@dataclass(frozen=True, eq=False)
class Variable(Tensor):
    """A constant of the graph whose value may be set at any time before the graph is made."""

    _held: list[Array] = field(default_factory=list, repr=False)

    @property
    def value(self) -> Array:
        """Its value.

        Raises:
            InputError: none was set.
        """
        if not self._held:
            raise InputError("has no value", where=f"variable '{self}'", remedy="set one with set_value")
        return self._held[0]

    def set_value(self, value: npt.ArrayLike) -> Variable:
        """Set the value; graphs that were made before keep the old one.

        Args:
            value: integers within the type, of the variable's shape.

        Returns:
            The variable.

        Raises:
            InputError: another shape, floats, or integers out of the type's range.
        """
        self._held[:] = [checked(value, self.tensor_type, f"variable '{self}'")]
        return self


@dataclass(frozen=True, eq=False)
class Applied(Tensor):
    """What an operator makes.

    Attributes:
        kind: the function of `bitloom.define` that made it.
        read: its operands.
        make: the operator, from the operands' values.
        place: the line that called the function.
    """

    kind: str
    read: tuple[Tensor, ...]
    make: Make
    place: str

    @property
    def operands(self) -> tuple[Tensor, ...]:
        """What it is made of."""
        return self.read

    @property
    def where(self) -> str:
        """For messages."""
        return f"{self.kind} '{self.name}' ({self.place})" if self.name else f"{self.kind} ({self.place})"


def placeholder(shape: Sequence[int], dtype: ElementLike, name: str | None = None) -> Placeholder:
    """An input of the graph.

    Args:
        shape: of one inference; images are (batch, height, width, channels), and the batch is 1 as a rule.
        dtype: an integer type of 1 to 64 bits.
        name: of the input.

    Raises:
        GraphError: a dimension that is not positive.
        ArithmeticDomainError: no integer type of that name or width.
    """
    return Placeholder(_shape(shape), element(dtype), name)


def variable(
    shape: Sequence[int], dtype: ElementLike, name: str | None = None, value: npt.ArrayLike | None = None
) -> Variable:
    """A constant whose value is set with `Variable.set_value`, or here.

    Args:
        shape: of the value.
        dtype: an integer type of 1 to 64 bits.
        name: of the constant.
        value: integers within the type.

    Raises:
        GraphError: a dimension that is not positive.
        ArithmeticDomainError: no integer type of that name or width.
        InputError: a value that does not fit.
    """
    made = Variable(_shape(shape), element(dtype), name)
    return made if value is None else made.set_value(value)


def element(dtype: ElementLike) -> IntType:
    """The integer type of that name."""
    return dtype if isinstance(dtype, IntType) else IntType.parse(str(dtype))


def apply(kind: str, operands: Sequence[Tensor], make: Make, name: str | None) -> Applied:
    """An operator's result, its shapes checked.

    Raises:
        BitloomError: the operands do not fit the operator.
    """
    place = _caller()
    for operand in operands:
        if not isinstance(operand, Tensor):
            raise GraphError(
                f"takes tensors, not {type(operand).__name__}",
                where=f"{kind} ({place})",
                remedy="make a variable or a placeholder of it",
            )
    said = " and ".join(str(operand) for operand in operands)
    values = [template(operand, f"operand{index}") for index, operand in enumerate(operands)]
    if all(value.is_constant for value in values):
        raise GraphError(f"of {said} computes a constant", where=f"{kind} ({place})", remedy="compute it with NumPy")
    try:
        operator, read = make(values)
        ((shape, made),) = operator.infer(read)
    except BitloomError as error:
        raise type(error)(f"{error.what}, of {said}", where=f"{kind} ({place})", remedy=error.remedy) from error
    assert isinstance(made, IntType), "operators of integers make integers"
    return Applied(shape, made, name, kind, tuple(operands), make, place)


def template(tensor: Tensor, name: str) -> Value:
    """A value of the tensor's type: zeros where it is a variable."""
    data = np.zeros(tensor.shape, np.int8) if isinstance(tensor, Variable) else None
    return Value(name, tensor.tensor_type, data)


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


def _shape(shape: Sequence[int]) -> tuple[int, ...]:
    try:
        wanted = tuple(operator.index(length) for length in shape)
    except TypeError as error:  # None and names: axes of any length
        given = list(shape) if isinstance(shape, Iterable) else shape
        raise GraphError(f"the shape {given} is not of whole numbers", remedy="fix every axis") from error
    if any(length < 1 for length in wanted):
        raise GraphError(f"shape {list(wanted)} has a dimension that is not positive")
    return wanted


def _caller() -> str:
    """File and line outside this package that called one of its functions."""
    frame = sys._getframe(1)
    while frame.f_back is not None and str(frame.f_globals.get("__name__", "")).startswith(__package__):
        frame = frame.f_back
    file = frame.f_code.co_filename.replace("\\", "/").rpartition("/")[2]
    return f"{file}:{frame.f_lineno}"
