"""Nodes whose operands are all known, computed by LiteRT; shapes of tensors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bitloom.ir.float_graph import FloatGraph
from bitloom.quantize.prepare.rewrite import rebuilt
from bitloom.run.float_litert import evaluate_float


def fold_constants(graph: FloatGraph) -> FloatGraph:
    """Every node that reads nothing computed becomes constants.

    Raises:
        ExecutionError: LiteRT cannot compute it.
        GraphError: the result is not finite.
    """
    known = {tensor.name: tensor for tensor in graph.tensors if tensor.is_constant}
    before, left = set(known), []
    for node in graph.nodes:
        if node.kind == "SHAPE" and node.inputs[0] is not None:
            shape = np.array(graph.tensor(node.inputs[0]).shape, np.int32)
            known[node.outputs[0]] = replace(graph.tensor(node.outputs[0]), data=shape)
        elif all(name in known for name in node.read):
            tensors = {name: known.get(name, graph.tensor(name)) for name in (*node.read, *node.outputs)}
            alone = FloatGraph(graph.name, (), node.outputs, tuple(tensors.values()), (node,))
            for name, values in evaluate_float(alone, {}).items():
                known[name] = replace(graph.tensor(name), data=values[0])
        else:
            left.append(node)
    folded = known.keys() - before
    if not folded:
        return graph
    every = tuple(known.get(tensor.name, tensor) for tensor in graph.tensors)
    return rebuilt(replace(graph, tensors=every, nodes=tuple(left)), left)
