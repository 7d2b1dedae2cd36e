"""Separate the float edges of a network from its integer core.

Many files quantize their input and dequantize their output inside the network. Hardware computes the integers
between; the edges stay in software, on whichever side of the bus the real numbers are.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bitloom.arith import IntType
from bitloom.errors import UnsupportedError
from bitloom.ir import Graph, Node


@dataclass(frozen=True)
class EdgeSplit:
    """A network in three parts that follow each other.

    Attributes:
        prologue: from the network's inputs to the core's inputs; None if they are the same.
        core: integers only.
        epilogue: from the core's outputs to the network's outputs; None if they are the same.
    """

    prologue: Graph | None
    core: Graph
    epilogue: Graph | None


def split_float_edges(graph: Graph) -> EdgeSplit:
    """Cut off leading and trailing nodes that touch floats.

    Raises:
        UnsupportedError: floats inside the network, or an output that is reached without any integer.
    """
    is_float = {value.name: not isinstance(value.type.element, IntType) for value in graph.values}
    touching = [node for node in graph.nodes if any(is_float[name] for name in (*node.inputs, *node.outputs))]
    first = [node for node in touching if not any(is_float[name] for name in node.outputs)]
    last = [node for node in touching if node not in first]
    for node in last:
        if graph_consumers := [name for name in node.outputs if graph.consumers(name)]:
            raise UnsupportedError(f"the float tensor '{graph_consumers[0]}' is inside the network", where=node.where)
    for node in first:
        if any(graph.producer(name) is not None for name in node.inputs):
            raise UnsupportedError("floats inside the network", where=node.where)
    middle = tuple(node for node in graph.nodes if node not in touching)
    start = tuple(_replaced(graph.inputs, {node.inputs[0]: node.outputs[0] for node in first}))
    end = tuple(_replaced(graph.outputs, {node.outputs[0]: node.inputs[0] for node in last}))
    return EdgeSplit(
        prologue=_part(graph, tuple(first), graph.inputs, start) if first else None,
        core=_part(graph, middle, start, end),
        epilogue=_part(graph, tuple(last), end, graph.outputs) if last else None,
    )


def _replaced(names: Iterable[str], replacements: dict[str, str]) -> list[str]:
    return [replacements.get(name, name) for name in names]


def _part(graph: Graph, nodes: tuple[Node, ...], inputs: tuple[str, ...], outputs: tuple[str, ...]) -> Graph:
    """The graph of some nodes, with the values they touch."""
    used = {*inputs, *outputs}
    for node in nodes:
        used.update((*node.inputs, *node.outputs))
    return Graph(
        name=graph.name,
        inputs=inputs,
        outputs=outputs,
        values=tuple(value for value in graph.values if value.name in used),
        nodes=nodes,
    )
