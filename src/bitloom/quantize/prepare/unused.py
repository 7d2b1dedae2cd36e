"""What no output needs."""

from __future__ import annotations

from bitloom.ir.float_graph import FloatGraph
from bitloom.quantize.prepare.rewrite import rebuilt


def remove_unused(graph: FloatGraph) -> FloatGraph:
    """Without nodes that no output depends on, and tensors that nothing touches; inputs stay."""
    made = rebuilt(graph, graph.nodes)
    same = len(made.nodes) == len(graph.nodes) and len(made.tensors) == len(graph.tensors)
    return graph if same else made
