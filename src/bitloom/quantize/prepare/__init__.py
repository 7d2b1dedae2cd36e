"""Float graph to float graph, computing the same: what makes fewer roundings when it is quantized. One pass a file."""

from __future__ import annotations

from collections.abc import Callable

from bitloom.ir.float_graph import FloatGraph
from bitloom.quantize.prepare.activations import fuse_activations
from bitloom.quantize.prepare.affine import fold_affine
from bitloom.quantize.prepare.clamps import name_activations
from bitloom.quantize.prepare.constants import fold_constants
from bitloom.quantize.prepare.identities import remove_identities
from bitloom.quantize.prepare.normalization import scale_channels
from bitloom.quantize.prepare.padding import fold_padding
from bitloom.quantize.prepare.quotients import multiply_by_reciprocals
from bitloom.quantize.prepare.unused import remove_unused

__all__ = ["PASSES", "prepare"]

PASSES: tuple[tuple[str, Callable[[FloatGraph], FloatGraph]], ...] = (
    ("what no output needs goes away", remove_unused),
    ("nodes of constants are computed", fold_constants),
    ("divisions by constants become products", multiply_by_reciprocals),
    ("what computes nothing goes away", remove_identities),
    ("bounds become the activations they are", name_activations),
    ("factors and terms of channels go into the layer in front of them", fold_affine),
    ("factors and terms that have no such layer become a depthwise convolution", scale_channels),
    ("zeros around an image become a convolution's own padding", fold_padding),
    ("activations go into the layer in front of them", fuse_activations),
)
"""In order; what each is for."""


def prepare(graph: FloatGraph) -> FloatGraph:
    """All passes, until none changes anything.

    A pass gives back the very graph it was given where it has nothing to do.
    """
    while True:
        before = graph
        for _, apply in PASSES:
            graph = apply(graph)
        if graph is before:
            return graph
