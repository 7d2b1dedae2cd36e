"""Tensors of a graph that is stated in Python: placeholders, variables, and what operators make of them.

A tensor is immutable and knows its shape and type; only a variable's value is set later. An operator is made twice:
when it is called, with zeros for the variables, so that a wrong shape is an error on that line; and when the graph is
made, with the variables' values, from which its ranges are proved.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from bitloom.arith import IntType
from bitloom.errors import BitloomError, GraphError, InputError, UsageError
from bitloom.frontends.define.builder import GraphBuilder
from bitloom.frontends.define.checks import Array, ElementLike, caller, checked, element, fixed_shape, inferences
from bitloom.frontends.define.operators import (
    Made,
    Make,
    chosen_by,
    product,
    reshaped,
    sliced,
    summed,
    wider,
)
from bitloom.ir import Graph, TensorType, Value
from bitloom.ops.add import Add
from bitloom.ops.sub import Sub


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
        graph, placeholders = graph_of([self], "evaluated")
        names: dict[Tensor | str, str] = {name: name for name in placeholders}
        names.update({tensor: name for name, tensor in placeholders.items()})
        unknown = [str(key) for key in inputs if key not in names]
        if unknown:
            raise InputError(f"nothing computed here reads {unknown[0]}", remedy=f"give {', '.join(placeholders)}")
        types = {name: tensor.tensor_type for name, tensor in placeholders.items()}
        arrays, batched = inferences(types, {names[key]: value for key, value in inputs.items()})
        tensors = graph.evaluate(arrays)
        (name,) = graph.outputs
        return tensors[name] if batched else tensors[name][0]

    def reshape(self, *shape: int) -> Tensor:
        """See `bitloom.define.reshape`."""
        wanted = [int(length) for length in shape]
        return apply("reshape", [self], lambda values: reshaped(values, wanted), None)

    def __add__(self, other: Tensor) -> Tensor:
        output = wider(self.element, other.element)
        return apply("add", [self, other], lambda values: summed(Add, values, output), None)

    def __sub__(self, other: Tensor) -> Tensor:
        output = wider(self.element, other.element)
        return apply("sub", [self, other], lambda values: summed(Sub, values, output), None)

    def __mul__(self, other: Tensor) -> Tensor:
        output = wider(self.element, other.element)
        return apply("mul", [self, other], lambda values: product(values, output), None)

    def __getitem__(self, index: Any) -> Tensor:
        chosen, gone = chosen_by(index, self.shape, self)
        return apply("slice", [self], lambda values: sliced(values, chosen, gone), None)

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

    def made(self, values: Sequence[Value]) -> tuple[Made, TensorType]:
        """The operator for operands' values, and the type of what it makes.

        Raises:
            BitloomError: the operator refuses them.
        """
        try:
            operator, read = self.make(values)
            ((shape, element),) = operator.infer(read)
        except BitloomError as error:
            raise type(error)(error.what, where=error.where or self.where, remedy=error.remedy) from error
        return (operator, read), TensorType(shape, element)

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
    return Placeholder(fixed_shape(shape), element(dtype), name)


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
    made = Variable(fixed_shape(shape), element(dtype), name)
    return made if value is None else made.set_value(value)


def apply(kind: str, operands: Sequence[Tensor], make: Make, name: str | None) -> Applied:
    """An operator's result, its shapes checked.

    Raises:
        BitloomError: the operands do not fit the operator.
    """
    place = caller()
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


def graph_of(outputs: Sequence[Tensor], name: str) -> tuple[Graph, dict[str, Placeholder]]:
    """The graph of everything that outputs are made of, and its inputs' placeholders by name.

    Raises:
        UsageError: an output that no operator makes.
        BitloomError: see `bitloom.define.graph`.
    """
    order = _ordered(outputs)
    builder = GraphBuilder([tensor.name for tensor in order if tensor.name is not None])
    for tensor in outputs:
        if not isinstance(tensor, Applied):
            raise UsageError(f"an output is what an operator makes, not {tensor}")
    values: dict[Tensor, Value] = {}
    placeholders: dict[str, Placeholder] = {}
    for tensor in order:
        match tensor:
            case Applied(name=given, kind=kind, place=place):
                (operator, read), result = tensor.made([values[operand] for operand in tensor.read])
                values[tensor] = builder.node(operator, read, result, name=given, kind=kind, source=place)
            case Variable():
                values[tensor] = Value(builder.name(tensor.name, "variable"), tensor.tensor_type, tensor.value)
            case Placeholder():
                values[tensor] = builder.input(builder.name(tensor.name, "input"), tensor.tensor_type)
                placeholders[values[tensor].name] = tensor
    return builder.graph(name, [values[tensor] for tensor in outputs]), placeholders


def _ordered(outputs: Sequence[Tensor]) -> list[Tensor]:
    """All tensors that outputs are made of, each once and after its operands."""
    order: dict[Tensor, None] = {}
    waiting = list(reversed(outputs))
    while waiting:
        tensor = waiting[-1]
        missing = [operand for operand in tensor.operands if operand not in order]
        if missing and tensor not in order:
            waiting.extend(reversed(missing))
            continue
        order[tensor] = None
        waiting.pop()
    return list(order)
