"""A graph while it grows, of values and operators: what is named how, and which constants are one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import count

from bitloom.errors import GraphError
from bitloom.ir import Graph, Node, Operator, TensorType, Value


class GraphBuilder:
    """Values and nodes, each added after what it is made of.

    Args:
        names: that the user gives to tensors; no value without a name is named so.

    Raises:
        GraphError: a name is given twice.
    """

    def __init__(self, names: Sequence[str]) -> None:
        for name in names:
            if names.count(name) > 1:
                raise GraphError(f"two tensors are named '{name}'", remedy="give each a name of its own")
        self.taken = set(names)
        self.inputs: list[str] = []
        self.values: dict[str, Value] = {}
        self.nodes: list[Node] = []

    def graph(self, name: str, outputs: Sequence[Value]) -> Graph:
        """All of it."""
        ends = tuple(value.name for value in outputs)
        return Graph(name, tuple(self.inputs), ends, tuple(self.values.values()), tuple(self.nodes))

    def name(self, given: str | None, kind: str) -> str:
        """The given name; if None, the kind with the first number that is free."""
        if given is not None:
            return given
        number = 0
        while f"{kind}_{number}" in self.taken:
            number += 1
        self.taken.add(f"{kind}_{number}")
        return f"{kind}_{number}"

    def input(self, name: str, tensor_type: TensorType) -> Value:
        """An input of the graph."""
        self.inputs.append(name)
        return self._add(Value(name, tensor_type))

    def node(
        self,
        operator: Operator,
        read: Sequence[Value],
        result: TensorType,
        *,
        name: str | None,
        kind: str,
        source: str,
    ) -> Value:
        """What an operator makes of values.

        Args:
            operator: the operator.
            read: its operands; constants need not be of the graph yet.
            result: the type of what it makes.
            name: of the result, or None.
            kind: what results without a name are named after.
            source: where the user stated it.
        """
        operands = [self._constant(value) if value.is_constant else value for value in read]
        value = self._add(Value(self.name(name, kind), result))
        node = f"{operator.name}_{len(self.nodes)}"
        self.nodes.append(Node(node, operator, tuple(each.name for each in operands), (value.name,), source))
        return value

    def _constant(self, value: Value) -> Value:
        """A constant under its name, or another where an operator has brought it into a form of its own."""
        for number in count():
            name = f"{value.name}_{number}" if number else value.name
            held = self.values.get(name)
            if held is None and (number == 0 or name not in self.taken):
                return self._add(replace(value, name=name))
            if held is not None and held == replace(value, name=name):
                return held
        raise AssertionError("numbers do not end")

    def _add(self, value: Value) -> Value:
        return self.values.setdefault(value.name, value)
