"""A graph as an ONNX model with QuantizeLinear and DequantizeLinear, so that ONNX Runtime can judge quantized graphs.

Scales and zero points are the graph's. ONNX computes in binary32 between them and rounds halves to even, where LiteRT's
kernels round in fixed point: results differ by one where a real result is about a half. What only moves elements is
said of the integers, and is equal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import bitloom.ops  # noqa: F401 - registers the operators
from bitloom.circuits.streaming import WiringOperator
from bitloom.errors import BitloomError, UnsupportedError
from bitloom.export import onnx_elementwise, onnx_layers, onnx_moving
from bitloom.export.onnx_writer import Writer
from bitloom.frontends.model import Model, OnnxSource
from bitloom.ir import Graph, Node, Operator, Value
from bitloom.ops.shared.moving import MovingOperator
from bitloom.ops.shared.table import RealTableOperator

_Write = Callable[[Writer, Node, Sequence[Value], Value], None]

_WRITERS: Mapping[str, _Write] = {
    "quantize": onnx_elementwise.quantize,
    "quantize_linear": onnx_elementwise.quantize,
    "dequantize": onnx_elementwise.dequantize,
    "conv_2d": onnx_layers.convolution,
    "depthwise_conv_2d": onnx_layers.convolution,
    "fully_connected": onnx_layers.dense,
    "max_pool_2d": onnx_layers.pool,
    "average_pool_2d": onnx_layers.pool,
    "rescaled_average_pool": onnx_layers.pool,
    "mean": onnx_layers.mean,
    "softmax": onnx_elementwise.softmax,
    "rounded_softmax": onnx_elementwise.softmax,
    "arg_max": onnx_elementwise.arg_max,
    "maximum": onnx_elementwise.bound,
    "minimum": onnx_elementwise.bound,
    "lookup": onnx_elementwise.table,
    **dict.fromkeys(("add", "sub", "mul", "prelu"), onnx_elementwise.pair),
    **dict.fromkeys(("abs", "hard_swish", "leaky_relu", "relu", "requantize"), onnx_elementwise.function),
    "concatenation": onnx_moving.concatenation,
    "pack": onnx_moving.pack,
    "pad": onnx_moving.pad,
}


def graph_to_onnx(graph: Graph) -> bytes:
    """Write a graph as a QDQ model of opset 21; inputs and outputs are the graph's, in its shapes and types.

    Args:
        graph: whose tensors have scales, where they are computed with.

    Raises:
        MissingExtraError: the package onnx is not installed.
        UnsupportedError: an operator, an element type or a parameter that ONNX cannot say, or a tensor without scale.
    """
    return _written(graph).content()


def as_onnx_model(graph: Graph) -> Model:
    """The graph with the file that `graph_to_onnx` writes of it, by which ONNX Runtime can be asked for every tensor.

    Raises:
        MissingExtraError: the package onnx is not installed.
        UnsupportedError: see `graph_to_onnx`.
    """
    writer = _written(graph)
    content = writer.content()
    views = {name: view for name, view in writer.views.items() if name not in graph.inputs}
    return Model(graph, graph.name, onnx=OnnxSource(content, MappingProxyType(views)))


def _written(graph: Graph) -> Writer:
    writer = Writer(graph)
    for node in graph.nodes:
        writer.where = node.where
        operands, results = graph.operands(node), graph.results(node)
        write = _writer_of(node.operator)
        if write is None or len(results) != 1:
            raise UnsupportedError(
                f"{node.operator.name} has no form in ONNX files", where=node.where, remedy="write a .bitloom file"
            )
        try:
            write(writer, node, operands, results[0])
        except BitloomError as error:
            raise type(error)(error.what, where=error.where or node.where, remedy=error.remedy) from error
    return writer


def _writer_of(operator: Operator) -> _Write | None:
    if operator.name in _WRITERS:
        return _WRITERS[operator.name]
    if isinstance(operator, WiringOperator):
        return onnx_moving.reshape
    if isinstance(operator, MovingOperator):
        return onnx_moving.move
    return onnx_elementwise.function if isinstance(operator, RealTableOperator) else None
