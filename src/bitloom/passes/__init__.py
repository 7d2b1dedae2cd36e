"""Graph to graph, one pass a file."""

from bitloom.passes.float_edges import EdgeSplit, split_float_edges

__all__ = ["EdgeSplit", "split_float_edges"]
