"""What passes over float graphs share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from bitloom.ir.float_graph import FloatGraph, FloatNode, FloatTensor

WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
"""Operators with weights in operand 1 and perhaps a bias in operand 2."""


def rebuilt(graph: FloatGraph, nodes: Iterable[FloatNode], tensors: Iterable[FloatTensor] = ()) -> FloatGraph:
    """The graph with other nodes and more tensors, without what no output needs."""
    known = {tensor.name: tensor for tensor in (*graph.tensors, *tensors)}
    needed = set(graph.outputs)
    kept: list[FloatNode] = []
    for node in reversed(tuple(nodes)):
        if needed.intersection(node.outputs):
            kept.append(node)
            needed.update(node.read)
            needed.update(node.outputs)
    wanted = dict.fromkeys((*graph.inputs, *(name for name in known if name in needed)))
    return replace(graph, tensors=tuple(known[name] for name in wanted), nodes=tuple(reversed(kept)))


def repeated(graph: FloatGraph, step: Callable[[FloatGraph], FloatGraph | None]) -> FloatGraph:
    """One change after the other, until there is none (the step gives None)."""
    while (changed := step(graph)) is not None:
        graph = changed
    return graph


def replaced(nodes: Iterable[FloatNode], changes: Mapping[int, FloatNode | None]) -> list[FloatNode]:
    """Nodes with some, by their id, replaced or (None) left out."""
    made = (changes.get(id(node), node) for node in nodes)
    return [node for node in made if node is not None]


def renamed(node: FloatNode, names: Mapping[str, str]) -> FloatNode:
    """The node reading and making tensors of other names."""
    if not any(name in names for name in (*node.read, *node.outputs)):
        return node
    inputs = tuple(None if name is None else names.get(name, name) for name in node.inputs)
    return replace(node, inputs=inputs, outputs=tuple(names.get(name, name) for name in node.outputs))


def only_reader(graph: FloatGraph, name: str, reader: FloatNode) -> bool:
    """Whether nothing but one node needs a tensor."""
    return name not in graph.outputs and graph.readers(name) == (reader,)


def fresh_name(graph: FloatGraph, wanted: str) -> str:
    """A name that no tensor has."""
    taken = {tensor.name for tensor in graph.tensors}
    while wanted in taken:
        wanted += "_"
    return wanted


def constant_operand(graph: FloatGraph, node: FloatNode) -> tuple[str, npt.NDArray[Any], int] | None:
    """Of a node of two operands: the computed one's name, the constant and its position; None if it is not so."""
    if len(node.inputs) != 2 or None in node.inputs:
        return None
    operands = [graph.tensor(name) for name in node.read]
    constants = [position for position, tensor in enumerate(operands) if tensor.is_constant]
    if len(constants) != 1 or operands[constants[0]].dtype != "float32":
        return None
    return operands[1 - constants[0]].name, operands[constants[0]].constant, constants[0]


def per_channel(constant: npt.NDArray[Any], channels: int) -> npt.NDArray[np.float64] | None:
    """A constant that broadcasts along the last axis only, one number per channel; None if it is another."""
    if constant.size != constant.shape[-1] if constant.shape else False:
        return None
    if constant.size not in (1, channels):
        return None
    return np.broadcast_to(constant.reshape(-1).astype(np.float64), (channels,))


def fused(node: FloatNode) -> str:
    """The activation that the node has inside."""
    return str(node.attributes.get("fused_activation_function", "NONE"))


def with_attributes(node: FloatNode, **changes: Any) -> FloatNode:
    """The node with some options changed."""
    return replace(node, attributes={**node.attributes, **changes})
