"""The integer graph: values, nodes, operators, their text form, and the checks that keep a graph well formed."""

from bitloom.ir.float_graph import FloatGraph, FloatNode, FloatTensor
from bitloom.ir.graph import Graph, Node
from bitloom.ir.operator import Cost, Example, Lowered, Operator, SourceNode, operators, register
from bitloom.ir.parse import parse_graph
from bitloom.ir.text import print_graph
from bitloom.ir.types import FLOAT32, ElementType, FloatType, Quantization, TensorType
from bitloom.ir.value import Value

__all__ = [
    "FLOAT32",
    "Cost",
    "ElementType",
    "Example",
    "FloatGraph",
    "FloatNode",
    "FloatTensor",
    "FloatType",
    "Graph",
    "Lowered",
    "Node",
    "Operator",
    "Quantization",
    "SourceNode",
    "TensorType",
    "Value",
    "operators",
    "parse_graph",
    "print_graph",
    "register",
]
