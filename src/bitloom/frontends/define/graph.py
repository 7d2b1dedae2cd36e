"""The frozen graph of tensors that were stated in Python, and their evaluation in software."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import count

import numpy as np
import numpy.typing as npt

from bitloom.errors import BitloomError, GraphError, InputError, UsageError
from bitloom.frontends.define.tensor import Applied, Array, Placeholder, Tensor, Variable, checked
from bitloom.ir import Graph, Node, TensorType, Value


def graph(outputs: Tensor | Sequence[Tensor], name: str = "network") -> Graph:
    """The frozen graph of everything that outputs are made of, with the values that variables have now.

    Every executor runs it, `bitloom.verify` compares them, and `bitloom.build` makes hardware of it. Names of tensors
    become names of values; where none was given, values are named after their operators.

    Args:
        outputs: the results; a tensor that nothing computes is none.
        name: of the graph.

    Raises:
        InputError: a variable has no value.
        GraphError: a name is given twice, an accumulator is too narrow, or an output is not computed.
        BitloomError: an operator refuses the values.
    """
    wanted = [outputs] if isinstance(outputs, Tensor) else list(outputs)
    return _Builder(wanted).graph(name)


def evaluate(output: Tensor, inputs: Mapping[Tensor | str, npt.ArrayLike]) -> Array:
    """One tensor in software; see `Tensor.evaluate`."""
    builder = _Builder([output])
    made = builder.graph("evaluated")
    arrays, batched = _inputs(builder.placeholders, inputs)
    tensors = made.evaluate(arrays)
    (name,) = made.outputs
    return tensors[name] if batched else tensors[name][0]


def _inputs(
    placeholders: Mapping[str, Placeholder], given: Mapping[Tensor | str, npt.ArrayLike]
) -> tuple[dict[str, Array], bool]:
    """An array with an axis of inferences for each placeholder, and whether they had one."""
    names: dict[Tensor | str, str] = {name: name for name in placeholders}
    names.update({tensor: name for name, tensor in placeholders.items()})
    unknown = [str(key) for key in given if key not in names]
    if unknown:
        raise InputError(f"nothing computed here reads {unknown[0]}", remedy=f"give {', '.join(placeholders)}")
    by_name = {names[key]: value for key, value in given.items()}
    missing = [name for name in placeholders if name not in by_name]
    if missing:
        raise InputError(f"input '{missing[0]}' is missing", remedy=f"give {', '.join(placeholders)}")
    arrays: dict[str, Array] = {}
    lengths: set[int] = set()
    for name, placed in placeholders.items():
        try:
            value = np.asarray(by_name[name])
        except (TypeError, ValueError) as error:  # nested lists of uneven lengths
            raise InputError(f"is no array: {error}", where=f"input '{name}'") from error
        batched = value.ndim == len(placed.shape) + 1
        shape = (*value.shape[:1], *placed.shape) if batched else placed.shape
        array = checked(value, placed.tensor_type, f"input '{name}'", shape)
        lengths.add(len(array) if batched else -1)
        arrays[name] = array if batched else array[None]
    if len(lengths) > 1 or 0 in lengths:
        raise InputError("inputs have different numbers of inferences, or none")
    return arrays, lengths != {-1}


class _Builder:
    """Tensors on their way to a graph, each after what it is made of."""

    def __init__(self, outputs: Sequence[Tensor]) -> None:
        self.outputs = outputs
        self.values: dict[str, Value] = {}
        self.nodes: list[Node] = []
        self.made: dict[Tensor, Value] = {}
        self.placeholders: dict[str, Placeholder] = {}
        self.order = _ordered(outputs)
        self.taken = self.given_names()

    def given_names(self) -> set[str]:
        names = [tensor.name for tensor in self.order if tensor.name is not None]
        for name in names:
            if names.count(name) > 1:
                raise GraphError(f"two tensors are named '{name}'", remedy="give each a name of its own")
        return set(names)

    def graph(self, name: str) -> Graph:
        for tensor in self.outputs:
            if not isinstance(tensor, Applied):
                raise UsageError(f"an output is what an operator makes, not {tensor}")
        for tensor in self.order:
            match tensor:
                case Applied():
                    self.made[tensor] = self.node(tensor)
                case Variable():
                    value = Value(self.name(tensor, "variable"), tensor.tensor_type, tensor.value)
                    self.made[tensor] = value
                case Placeholder():
                    self.made[tensor] = self.add(Value(self.name(tensor, "input"), tensor.tensor_type))
                    self.placeholders[self.made[tensor].name] = tensor
        outputs = tuple(self.made[tensor].name for tensor in self.outputs)
        return Graph(name, tuple(self.placeholders), outputs, tuple(self.values.values()), tuple(self.nodes))

    def node(self, tensor: Applied) -> Value:
        try:
            operator, read = tensor.make([self.made[operand] for operand in tensor.read])
            ((shape, element),) = operator.infer(read)
        except BitloomError as error:
            raise type(error)(error.what, where=error.where or tensor.where, remedy=error.remedy) from error
        operands = [self.constant(value) if value.is_constant else value for value in read]
        value = self.add(Value(self.name(tensor, tensor.kind), TensorType(shape, element)))
        node = f"{operator.name}_{len(self.nodes)}"
        self.nodes.append(Node(node, operator, tuple(each.name for each in operands), (value.name,), tensor.place))
        return value

    def constant(self, value: Value) -> Value:
        """A constant under its name, or another where an operator has brought it into a form of its own."""
        for number in count():
            name = f"{value.name}_{number}" if number else value.name
            held = self.values.get(name)
            if held is None and (number == 0 or name not in self.taken):
                return self.add(replace(value, name=name))
            if held is not None and held == replace(value, name=name):
                return held
        raise AssertionError("numbers do not end")

    def add(self, value: Value) -> Value:
        return self.values.setdefault(value.name, value)

    def name(self, tensor: Tensor, kind: str) -> str:
        if tensor.name is not None:
            return tensor.name
        number = 0
        while f"{kind}_{number}" in self.taken:
            number += 1
        self.taken.add(f"{kind}_{number}")
        return f"{kind}_{number}"


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
