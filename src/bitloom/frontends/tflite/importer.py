"""TFLite files as graphs."""

from __future__ import annotations

import math
from collections.abc import Iterable
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

import bitloom.ops  # noqa: F401 - registers the operators that are looked up here
from bitloom.arith import IntType
from bitloom.errors import BitloomError, ModelFormatError, UnsupportedError
from bitloom.frontends.model import Model
from bitloom.frontends.tflite.file import IDENTIFIER, FileOperator, FileTensor, TfliteFile, read_tflite_file
from bitloom.ir import (
    FLOAT32,
    ElementType,
    Graph,
    Lowered,
    Node,
    Operator,
    Quantization,
    SourceNode,
    TensorType,
    Value,
    operators,
)
from bitloom.ir.operator import spelled

_ELEMENTS: dict[str, ElementType] = {
    "float32": FLOAT32,
    **{str(element): element for bits in (8, 16, 32, 64) for element in (IntType(bits), IntType(bits, signed=False))},
    "int4": IntType(4),
    "int2": IntType(2),
    "uint4": IntType(4, signed=False),
}
_NAME_WIDTH = 60
_FLOATS = ("float16", "bfloat16", "float32", "float64")
# Larger tensors are refused before anything of their size is allocated: 128 million elements, where the largest of
# networks for small devices have some ten thousand.
_MOST_ELEMENTS = 1 << 27
# Operators that no integer graph can say, and why.
NEVER_SUPPORTED = {
    **dict.fromkeys(("IF", "WHILE", "CALL", "CALL_ONCE", "STABLEHLO_WHILE", "STABLEHLO_CASE"), "is control flow"),
    **dict.fromkeys(
        ("VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE", "HASHTABLE", "HASHTABLE_FIND", "HASHTABLE_IMPORT"),
        "keeps state between inferences",
    ),
}
SPECIAL_TENSORS = {
    "variable": "is a variable (state between inferences)",
    "sparse": "is stored sparsely",
    "blockwise": "has blockwise or custom quantization",
    "external": "is stored outside the model's tables",
}


def is_tflite(content: bytes) -> bool:
    """Whether the content says it is a TFLite file."""
    return content[4:8] == IDENTIFIER


def load_tflite(content: bytes, name: str, where: str | None = None) -> Model:
    """Read a TFLite model.

    Args:
        content: of the file.
        name: of the graph.
        where: the file, for messages; the name if not given.

    Raises:
        ModelFormatError: not a TFLite file, truncated or corrupt.
        UnsupportedError: a float model, an operator or a parameter that is not supported, dynamic shapes, state.
    """
    place = where or name
    return _Import(read_tflite_file(content, place), name, place).model(content)


class _Import:
    """One file on its way to a graph."""

    def __init__(self, file: TfliteFile, name: str, where: str) -> None:
        self.file = file
        self.name = name
        self.where = where
        self.names = unique_names(file.tensors)
        self.values: dict[int, Value] = {}
        self.read = {index for operator in file.operators for index in operator.inputs} | set(file.outputs)

    def model(self, content: bytes) -> Model:
        self.check_support()
        nodes = [node for operator in self.file.operators for node in self.nodes(operator)]
        read = {name for node in nodes for name in (*node.inputs, *node.outputs)}
        ends = (*self.file.inputs, *self.file.outputs)
        kept = {index: value for index, value in self.values.items() if value.name in read}
        kept.update({index: self.value(index) for index in ends})
        try:
            graph = Graph(
                name=self.name,
                inputs=tuple(self.names[index] for index in self.file.inputs),
                outputs=tuple(self.names[index] for index in self.file.outputs),
                values=tuple(kept.values()),
                nodes=tuple(nodes),
            )
        except BitloomError as error:
            raise self.located(error, self.where) from error
        indices = {self.names[index]: index for index in kept}
        return Model(graph, self.name, content, MappingProxyType(indices))

    def check_support(self) -> None:
        """Refuse what no operator could mend: control flow and state, then float, as quantizing changes operators."""
        for operator in self.file.operators:
            if operator.kind in NEVER_SUPPORTED:
                raise UnsupportedError(
                    f"{operator.kind} {NEVER_SUPPORTED[operator.kind]}, and only networks without are supported",
                    where=self.place(operator),
                    remedy="convert the model again with fixed control flow and no variables",
                )
        if self.file.subgraphs != 1:
            raise UnsupportedError(
                f"has {self.file.subgraphs} subgraphs; only models of one are supported",
                where=self.where,
                remedy="convert the model again without control flow",
            )
        if not self.file.operators or not self.file.inputs or not self.file.outputs:
            raise UnsupportedError("has no operators, no inputs or no outputs: nothing to compute", where=self.where)
        moving = [self.file.tensors[index] for operator in self.file.operators for index in self.activations(operator)]
        if any(tensor.element in _FLOATS for tensor in moving) and not any(
            tensor.scales and tensor.element not in _FLOATS for tensor in moving
        ):
            raise UnsupportedError(
                "is a float model, and an integer one is needed",
                where=self.where,
                remedy="quantize it to int8 with calibration data (bitloom quantize, or bitloom.quantize)",
            )
        missing = [operator for operator in self.file.operators if self.operator(operator) is None]
        if missing:
            others = sorted({operator.kind for operator in missing[1:]} - {missing[0].kind})
            also = f", nor {'is' if len(others) == 1 else 'are'} {', '.join(others)}" if others else ""
            supported = sorted(spelling for operator in operators().values() for spelling in operator.tflite)
            raise UnsupportedError(
                f"{missing[0].kind} is not supported{also}; supported: {', '.join(supported)}",
                where=self.place(missing[0]),
            )

    def operator(self, operator: FileOperator) -> type[Operator] | None:
        return spelled(operator.kind, lambda candidate: candidate.tflite)

    def activations(self, operator: FileOperator) -> Iterable[int]:
        """Indices of what the operator reads and makes, constants left out."""
        for index in (*operator.inputs, *operator.outputs):
            if index is not None and self.file.tensors[index].data is None:
                yield index

    def place(self, operator: FileOperator) -> str:
        output = _short(self.names[operator.outputs[0]])
        return f"{self.where}: operator {operator.index} {operator.kind} (output '{output}')"

    def located(self, error: BitloomError, where: str) -> BitloomError:
        """The error with its place in the file; what is not merely unsupported is a fault of the file."""
        kind = UnsupportedError if isinstance(error, UnsupportedError) else ModelFormatError
        inner = error.where if error.where and not error.where.startswith(self.where) else None
        place = f"{where}: {inner}" if inner else (error.where or where)
        return kind(error.what, where=place, remedy=error.remedy)

    def nodes(self, operator: FileOperator) -> Iterable[Node]:
        """Lower one operator: a node, or one for each of several results that something reads."""
        kind = self.operator(operator)
        assert kind is not None, "unsupported operators were refused before"
        place = self.place(operator)
        try:
            self.check_node(operator, kind)
            source = SourceNode(
                kind=operator.kind,
                attributes=operator.attributes(),
                inputs=tuple(None if index is None else self.value(index, place) for index in operator.inputs),
                outputs=tuple(self.value(index, place) for index in operator.outputs),
                where=place,
            )
            lowered = kind.lower_results(source)
            _check_operands(source, lowered)
        except BitloomError as error:
            raise self.located(error, place) from error
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:
            # A file can hold attributes and operands that no operator foresees.
            raise ModelFormatError(f"makes no sense: {error}", where=place) from error
        made = [value.name for value in source.outputs]
        if len(lowered) == 1:
            name = f"{lowered[0].operator.name}_{operator.index}"
            return [Node(name, lowered[0].operator, lowered[0].inputs, tuple(made), source=place)]
        if len(lowered) != len(made):
            raise ModelFormatError(f"has {len(made)} outputs, and {operator.kind} makes {len(lowered)}", where=place)
        return [
            Node(
                f"{each.operator.name}_{operator.index}_{position}", each.operator, each.inputs, (result,), source=place
            )
            for position, (each, result) in enumerate(zip(lowered, made, strict=True))
            if operator.outputs[position] in self.read
        ]

    def check_node(self, operator: FileOperator, kind: type[Operator]) -> None:
        tensors = self.file.tensors
        if not kind.float_edge and any(tensors[index].element in _FLOATS for index in self.activations(operator)):
            raise UnsupportedError(
                "computes in floating point, and integers are needed",
                remedy="quantize the whole model to int8 (full integer quantization)",
            )
        if all(index is None or tensors[index].data is not None for index in operator.inputs):
            raise UnsupportedError("computes a constant", remedy="convert the model again with constant folding")

    def value(self, index: int, place: str | None = None) -> Value:
        """The value of a tensor, made when it is first needed: tensors that nothing reads may be anything.

        Args:
            index: of the tensor.
            place: of the operator that needs it, for messages.
        """
        if index not in self.values:
            tensor = self.file.tensors[index]
            try:
                self.values[index] = _value(tensor, self.names[index])
            except BitloomError as error:
                where = f"{place or self.where}: tensor {index} '{_short(self.names[index])}'"
                raise self.located(error, where) from error
        return self.values[index]


def _check_operands(source: SourceNode, lowered: Iterable[Lowered]) -> None:
    """Refuse operands that are computed and that the operator would not read."""
    read = {name for each in lowered for name in each.inputs}
    for value in source.inputs:
        if value is not None and not value.is_constant and value.name not in read:
            raise ModelFormatError(f"{source.kind} takes no operand '{_short(value.name)}'", where=source.where)


def _short(name: str) -> str:
    """A name for messages: converters join the names of all layers they fused."""
    return name if len(name) <= _NAME_WIDTH else f"{name[:_NAME_WIDTH]}..."


def unique_names(tensors: Iterable[FileTensor]) -> tuple[str, ...]:
    """The file's names where they are unique; a second tensor of a name gets its index appended."""
    taken: set[str] = set()
    names = []
    for tensor in tensors:
        name = tensor.name or f"tensor_{tensor.index}"
        while name in taken:
            name = f"{name}_{tensor.index}"
        taken.add(name)
        names.append(name)
    return tuple(names)


def _value(tensor: FileTensor, name: str) -> Value:
    if tensor.extras:
        raise UnsupportedError(f"the tensor {SPECIAL_TENSORS[tensor.extras[0]]}")
    element = _ELEMENTS.get(tensor.element)
    if element is None:
        raise UnsupportedError(f"tensors of {tensor.element} are not supported")
    tensor_type = TensorType(fixed_shape(tensor), element, _quantization(tensor, element))
    return Value(name, tensor_type, None if tensor.data is None else _elements(tensor.data, tensor_type))


def fixed_shape(tensor: FileTensor) -> tuple[int, ...]:
    """The dimensions, a batch that may change being read as one inference."""
    shape = list(tensor.shape)
    if shape and shape[0] == -1:
        shape[0] = 1
    if any(dimension < 1 for dimension in (*shape, *tensor.signature[1:])):
        raise UnsupportedError(
            f"the shape {list(tensor.signature or tensor.shape)} is dynamic or empty; only the batch may be -1",
            remedy="convert the model again with fixed shapes",
        )
    if math.prod(shape) > _MOST_ELEMENTS:
        raise UnsupportedError(f"the shape {shape} has {math.prod(shape)} elements, more than {_MOST_ELEMENTS}")
    return tuple(shape)


def _quantization(tensor: FileTensor, element: ElementType) -> Quantization | None:
    if not tensor.scales or not isinstance(element, IntType):
        return None
    if len(tensor.zero_points) != len(tensor.scales):
        raise ModelFormatError(f"it has {len(tensor.scales)} scales and {len(tensor.zero_points)} zero points")
    low, high = min(tensor.zero_points), max(tensor.zero_points)
    if not element.contains(low, high):
        raise ModelFormatError(f"its zero point {low if low < element.minimum else high} is no {element}")
    return Quantization(tensor.scales, tensor.zero_points, tensor.axis if len(tensor.scales) > 1 else None)


def _elements(data: npt.NDArray[np.uint8], tensor_type: TensorType) -> npt.NDArray[np.generic]:
    """A constant's elements from its bytes; elements of 2 and 4 bits are packed, the lowest bits first."""
    bits = tensor_type.element.bits
    expected = math.ceil(tensor_type.size * bits / 8)
    if data.size != expected:
        raise ModelFormatError(f"its data has {data.size} bytes, and {tensor_type} needs {expected}")
    dtype = tensor_type.element.dtype
    if bits >= 8:
        return data.view(dtype.newbyteorder("<")).astype(dtype).reshape(tensor_type.shape)
    fields = (data[:, None] >> np.arange(0, 8, bits, dtype=np.uint8)) & np.uint8((1 << bits) - 1)
    integers = fields.reshape(-1)[: tensor_type.size].astype(np.int64)
    wrapped = integers - ((integers > tensor_type.integer.maximum).astype(np.int64) << bits)
    return wrapped.astype(dtype).reshape(tensor_type.shape)
