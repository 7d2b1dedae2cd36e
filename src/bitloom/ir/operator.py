"""The operator base class and registry, and the neutral node that front ends hand to operators.

An operator states in one file what varies per operator: its shape and type rule, its exact integer semantics,
how formats spell it, its cost, its hardware, and examples that tests and documentation use.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy.typing as npt

from bitloom.errors import GraphError, UnsupportedError
from bitloom.ir.types import ElementType
from bitloom.ir.value import Value

if TYPE_CHECKING:
    from bitloom.ir.graph import Graph

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class SourceNode:
    """What a front end found in a file, without the file's format.

    Attributes:
        kind: the format's name of the operator, such as ``FULLY_CONNECTED``.
        attributes: options by the format's field names.
        inputs: operand values; None where an optional operand is absent.
        outputs: result values.
        where: file and position, for messages.
    """

    kind: str
    attributes: Mapping[str, Any]
    inputs: tuple[Value | None, ...]
    outputs: tuple[Value, ...]
    where: str

    def operand(self, index: int) -> Value:
        """An operand that must be present.

        Raises:
            GraphError: it is absent.
        """
        value = self.inputs[index] if index < len(self.inputs) else None
        if value is None:
            raise GraphError(f"{self.kind} lacks its operand {index}", where=self.where)
        return value

    def optional(self, index: int) -> Value | None:
        """An operand that may be absent."""
        return self.inputs[index] if index < len(self.inputs) else None


@dataclass(frozen=True)
class Lowered:
    """An operator made from a source node, and the names of the operands it reads."""

    operator: Operator
    inputs: tuple[str, ...]


@dataclass(frozen=True)
class Cost:
    """Work of one inference.

    Attributes:
        macs: multiply-accumulates with weights or between tensors.
        parameters: constant elements.
    """

    macs: int = 0
    parameters: int = 0


@dataclass(frozen=True)
class Example:
    """A small graph that shows one use of an operator; tests run it on every executor."""

    name: str
    graph: Graph


class Operator(ABC):
    """What a node computes. Subclasses are frozen dataclasses whose fields are the integer parameters.

    Class attributes:
        name: of the operator in the text form.
        tflite: builtin operator names it is spelled with in TFLite files.
        summary: one line for the generated operator table.
        float_edge: whether it may read or make float32 tensors, as the conversions at a graph's edges do.
    """

    name: ClassVar[str]
    tflite: ClassVar[tuple[str, ...]] = ()
    summary: ClassVar[str] = ""
    float_edge: ClassVar[bool] = False

    @abstractmethod
    def infer(self, inputs: Sequence[Value]) -> tuple[tuple[tuple[int, ...], ElementType], ...]:
        """Shape and element type of each result.

        Raises:
            BitloomError: the operands do not fit the operator.
        """

    @abstractmethod
    def evaluate(self, inputs: Sequence[Array]) -> tuple[Array, ...]:
        """The exact semantics.

        Args:
            inputs: variable operands of shape (inferences, *shape); constants of their own shape.

        Returns:
            Results of shape (inferences, *shape).
        """

    def cost(self, inputs: Sequence[Value]) -> Cost:  # noqa: ARG002 - the default is work-free
        """Work of one inference."""
        return Cost()

    def notes(self, inputs: Sequence[Value]) -> tuple[str, ...]:  # noqa: ARG002 - the default says nothing
        """Facts derived from the constants, shown beside the node: ranges and chosen widths."""
        return ()

    @classmethod
    def lower(cls, source: SourceNode) -> Lowered:
        """Make the operator from a file's node.

        Raises:
            UnsupportedError: the node uses something this operator does not support.
        """
        raise UnsupportedError(f"{source.kind} cannot be read from this format", where=source.where)

    @classmethod
    def lower_results(cls, source: SourceNode) -> tuple[Lowered, ...]:
        """Make the operators of a file's node: one that makes all its results, or one for each result in order.

        Every operator has one result here. An operator whose spelling in a file may have several, such as SPLIT,
        overrides this; results that nothing reads then cost nothing.
        """
        return (cls.lower(source),)

    def to_tflite(self, inputs: Sequence[Value], outputs: Sequence[Value]) -> SourceNode:
        """A TFLite node that `lower` makes this operator from; the default suits operators without options.

        Operands that `lower` turns into attributes come back as constants, whose names need not be unique.

        Raises:
            UnsupportedError: TFLite cannot say this.
        """
        if len(self.tflite) != 1:
            raise UnsupportedError(f"{self.name} has no form in TFLite files")
        return SourceNode(self.tflite[0], {}, tuple(inputs), tuple(outputs), self.name)

    @classmethod
    @abstractmethod
    def examples(cls) -> Iterable[Example]:
        """Small graphs that use the operator in each way that differs."""


_REGISTRY: dict[str, type[Operator]] = {}

_OperatorType = TypeVar("_OperatorType", bound=type[Operator])


def register(operator: _OperatorType) -> _OperatorType:
    """Class decorator that adds an operator to the registry.

    Raises:
        GraphError: the name or a spelling is taken.
    """
    for other in _REGISTRY.values():
        if other.name == operator.name or set(other.tflite) & set(operator.tflite):
            raise GraphError(f"operator '{operator.name}' is registered twice (also by {other.__name__})")
    _REGISTRY[operator.name] = operator
    return operator


def operators() -> Mapping[str, type[Operator]]:
    """Every registered operator by name."""
    return dict(sorted(_REGISTRY.items()))


def spelled(spelling: str, spellings: Callable[[type[Operator]], Iterable[str]]) -> type[Operator] | None:
    """The operator a format spells so, or None."""
    return next((op for op in _REGISTRY.values() if spelling in spellings(op)), None)
