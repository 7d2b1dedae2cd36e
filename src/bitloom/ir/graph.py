"""Nodes and graphs: frozen, and checked when they are made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy.typing as npt

from bitloom.errors import BitloomError, GraphError
from bitloom.ir.operator import Operator
from bitloom.ir.types import TensorType
from bitloom.ir.value import Value


@dataclass(frozen=True)
class Node:
    """One operator applied to named values.

    Attributes:
        name: unique among the graph's nodes; wires and reports are named after it.
        operator: what is computed, with its integer parameters.
        inputs: names of the values it reads.
        outputs: names of the values it makes.
        source: where it comes from, for messages (not part of equality).
    """

    name: str
    operator: Operator
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    source: str = field(default="", compare=False)

    @property
    def where(self) -> str:
        """The place to name in an error."""
        return f"node '{self.name}' ({self.source})" if self.source else f"node '{self.name}'"


@dataclass(frozen=True)
class Graph:
    """A network: values and nodes in an order in which they can be computed.

    Values are kept in reading order whatever the order they are given in, so that equal networks are equal graphs:
    inputs, then for each node the constants it is first to read and its results, then constants nothing reads.

    Attributes:
        name: of the network.
        inputs: names of the values given from outside.
        outputs: names of the values that are the result.
        values: every value.
        nodes: every node, each after those it reads from.
    """

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    values: tuple[Value, ...]
    nodes: tuple[Node, ...]

    def __post_init__(self) -> None:
        _verify(self)
        object.__setattr__(self, "values", _in_reading_order(self))

    @cached_property
    def _by_name(self) -> Mapping[str, Value]:
        return {value.name: value for value in self.values}

    def value(self, name: str) -> Value:
        """The value of that name."""
        return self._by_name[name]

    def type(self, name: str) -> TensorType:
        """The type of the value of that name."""
        return self._by_name[name].type

    def operands(self, node: Node) -> tuple[Value, ...]:
        """The values a node reads, in order."""
        return tuple(self._by_name[name] for name in node.inputs)

    def results(self, node: Node) -> tuple[Value, ...]:
        """The values a node makes, in order."""
        return tuple(self._by_name[name] for name in node.outputs)

    def producer(self, name: str) -> Node | None:
        """The node that makes a value, or None for inputs and constants."""
        return next((node for node in self.nodes if name in node.outputs), None)

    def consumers(self, name: str) -> tuple[Node, ...]:
        """The nodes that read a value."""
        return tuple(node for node in self.nodes if name in node.inputs)

    @property
    def computed(self) -> tuple[str, ...]:
        """Names of all values that nodes make, in order: the tensors a verification compares."""
        return tuple(name for node in self.nodes for name in node.outputs)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one inference."""
        return sum(node.operator.cost(self.operands(node)).macs for node in self.nodes)

    def evaluate(self, inputs: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        """Compute every value, by the operators' own semantics.

        Args:
            inputs: for each input name an array of shape (inferences, *shape).

        Returns:
            Every input and computed value, each of shape (inferences, *shape) and of its type's dtype.
        """
        tensors: dict[str, npt.NDArray[Any]] = dict(inputs)
        for node in self.nodes:
            operands = [value.data if value.data is not None else tensors[value.name] for value in self.operands(node)]
            for name, result in zip(node.outputs, node.operator.evaluate(operands), strict=True):
                tensors[name] = result.astype(self.type(name).element.dtype, copy=False)
        return tensors


def _in_reading_order(graph: Graph) -> tuple[Value, ...]:
    order = dict.fromkeys(graph.inputs)
    for node in graph.nodes:
        order.update(dict.fromkeys((*node.inputs, *node.outputs)))
    order.update(dict.fromkeys(value.name for value in graph.values))
    return tuple(graph.value(name) for name in order)


def _verify(graph: Graph) -> None:
    """Check names, order, constants and every operator's shape and type rule."""
    _reject_duplicates((value.name for value in graph.values), "tensor")
    _reject_duplicates((node.name for node in graph.nodes), "node")
    known = {value.name for value in graph.values}
    for name in (*graph.inputs, *graph.outputs):
        if name not in known:
            raise GraphError(f"graph '{graph.name}' names the unknown tensor '{name}'")
    _reject_duplicates(graph.inputs, "input")
    for name in graph.inputs:
        if graph.value(name).is_constant:
            raise GraphError(f"the input '{name}' is a constant", where=f"graph '{graph.name}'")
    available = set(graph.inputs) | {value.name for value in graph.values if value.is_constant}
    for node in graph.nodes:
        if not node.outputs:
            raise GraphError("makes no tensor", where=node.where)
        for name in node.inputs:
            if name not in available:
                raise GraphError(f"reads '{name}' before anything makes it", where=node.where)
        for name in node.outputs:
            if name in available or name not in known:
                raise GraphError(f"makes '{name}', which is unknown or made already", where=node.where)
        available.update(node.outputs)
        _verify_types(graph, node)
    for value in graph.values:
        if value.name not in available:
            raise GraphError(f"nothing makes the tensor '{value.name}'", where=f"graph '{graph.name}'")


def _verify_types(graph: Graph, node: Node) -> None:
    try:
        expected = node.operator.infer(graph.operands(node))
    except BitloomError as error:
        raise type(error)(error.what, where=error.where or node.where, remedy=error.remedy) from error
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        # A file can hold operands that no operator foresees, such as too few.
        raise GraphError(f"{node.operator.name} does not take these operands: {error}", where=node.where) from error
    declared = [(value.type.shape, value.type.element) for value in graph.results(node)]
    if list(expected) != declared:
        said = ", ".join(f"{element}{list(shape)}" for shape, element in declared)
        found = ", ".join(f"{element}{list(shape)}" for shape, element in expected)
        raise GraphError(f"{node.operator.name} makes {found}, the graph says {said}", where=node.where)


def _reject_duplicates(names: Iterable[str], what: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise GraphError(f"two {what}s are named '{name}'")
        seen.add(name)
