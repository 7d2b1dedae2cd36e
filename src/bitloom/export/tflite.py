"""A graph as a TFLite model: the inverse of the front end, so that LiteRT can judge any graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

import bitloom.ops  # noqa: F401 - registers the operators that spelled nodes are lowered by
from bitloom.arith import IntType
from bitloom.errors import BitloomError, UnsupportedError
from bitloom.export.flatbuffer import ABSENT, OperatorSpec, TensorSpec, write_model
from bitloom.ir import FloatType, Graph, Node, SourceNode, TensorType, Value
from bitloom.ir.operator import spelled

_BYTE = 8
_INTEGER_BITS = (2, 4, 8, 16, 32, 64)
_ELEMENTS = (
    "float32",
    "uint4",
    *(f"int{bits}" for bits in _INTEGER_BITS),
    *(f"uint{bits}" for bits in _INTEGER_BITS[2:]),
)


def graph_to_tflite(graph: Graph) -> bytes:
    """Write a graph as a TFLite model; reading it back gives an equal graph (nodes are named anew).

    Weights of widths that the kernels lack, such as 3 bits, are stored in the next wider type that they have.

    Args:
        graph: whose scales are binary32 numbers, as the format stores them.

    Raises:
        UnsupportedError: an operator, a parameter or an element type that TFLite cannot say. Every node is lowered
            again and compared, so that a file never means something else than the graph.
    """
    graph = _with_stored_constants(graph)
    tensors = _Tensors([_tensor(value, value.name) for value in graph.values])
    index = {value.name: position for position, value in enumerate(graph.values)}
    operators = []
    for node in graph.nodes:
        operands = graph.operands(node)
        source = _spelled(graph, node)
        inputs = []
        for operand in source.inputs:
            if operand is None:
                inputs.append(ABSENT)
            elif any(operand is given for given in operands):
                inputs.append(index[operand.name])
            else:
                inputs.append(tensors.add_constant(operand, node))
        outputs = tuple(index[name] for name in node.outputs)
        operators.append(OperatorSpec(source.kind, tuple(inputs), outputs, source.attributes))
    return write_model(
        tensors.specs,
        operators,
        [index[name] for name in graph.inputs],
        [index[name] for name in graph.outputs],
        description=graph.name,
    )


@dataclass
class _Tensors:
    """The tensors of the file: the graph's, and constants that only the file's operators have."""

    specs: list[TensorSpec] = field(default_factory=list)

    def add_constant(self, value: Value, node: Node) -> int:
        """Append a constant under a name that no other tensor has."""
        taken = {spec.name for spec in self.specs}
        name = f"{node.name}/{value.name}"
        while name in taken:
            name += "_"
        self.specs.append(_tensor(value, name))
        return len(self.specs) - 1


def _with_stored_constants(graph: Graph) -> Graph:
    """The graph with narrow weights widened, where kernels do not take them as they are."""
    changes: dict[str, Value] = {}
    for node in graph.nodes:
        operands = graph.operands(node)
        wider = [_widened(value) for value in operands]
        if wider == list(operands) or (not _unknown_widths(operands) and _is_spelled(graph, node)):
            continue
        try:
            fits = node.operator.infer(wider) == node.operator.infer(operands)
        except BitloomError:
            continue
        if fits:
            changes.update({value.name: value for value in wider if value.is_constant})
    if not changes:
        return graph
    return replace(graph, values=tuple(changes.get(value.name, value) for value in graph.values))


def _widened(value: Value) -> Value:
    """A constant of less than 8 bits as one of 8."""
    element = value.type.element
    if not value.is_constant or not isinstance(element, IntType) or element.bits >= _BYTE:
        return value
    return Value(value.name, replace(value.type, element=IntType(_BYTE, element.signed)), value.data)


def _unknown_widths(operands: Sequence[Value]) -> bool:
    return any(value.is_constant and str(value.type.element) not in _ELEMENTS for value in operands)


def _is_spelled(graph: Graph, node: Node) -> bool:
    try:
        _spelled(graph, node)
    except BitloomError:
        return False
    return True


def _spelled(graph: Graph, node: Node) -> SourceNode:
    """The node as TFLite says it, proved by lowering it again."""
    try:
        source = node.operator.to_tflite(graph.operands(node), graph.results(node))
        operator = spelled(source.kind, lambda candidate: candidate.tflite)
        lowered = operator.lower(source) if operator else None
    except BitloomError as error:
        raise UnsupportedError(error.what, where=node.where, remedy=error.remedy) from error
    if lowered is None or lowered.operator != node.operator or lowered.inputs != node.inputs:
        raise UnsupportedError(
            f"TFLite's {source.kind} would not compute the same with this node's parameters",
            where=node.where,
            remedy="only rescales, roundings and clamps that follow from binary32 scales can be written",
        )
    return source


def _tensor(value: Value, name: str) -> TensorSpec:
    quantization = value.type.quantization
    for scale in quantization.scales if quantization else ():
        if float(np.float32(scale)) != scale:
            raise UnsupportedError(
                f"its scale {scale!r} is no binary32 number, which is what TFLite stores",
                where=f"tensor '{name}'",
                remedy="round the scales to numpy.float32 when the graph is made",
            )
    return TensorSpec(
        name=name,
        shape=value.type.shape,
        dtype=_dtype(value.type, name),
        scales=quantization.scales if quantization else (),
        zero_points=_zero_points(value.type),
        axis=(quantization.axis or 0) if quantization else 0,
        data=value.data,
    )


def _zero_points(tensor_type: TensorType) -> Sequence[int]:
    return tensor_type.quantization.zero_points if tensor_type.quantization else ()


def _dtype(tensor_type: TensorType, name: str) -> str:
    element = tensor_type.element
    if str(element) not in _ELEMENTS or (isinstance(element, FloatType) and tensor_type.quantization):
        raise UnsupportedError(f"TFLite has no tensors of {element}", where=f"tensor '{name}'")
    return str(element)
