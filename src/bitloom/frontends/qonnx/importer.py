"""QONNX files as graphs: networks in binary32 whose `Quant` nodes say which numbers are integers with scales."""

from __future__ import annotations

import numpy as np

import bitloom.ops  # noqa: F401 - registers the operators that the graph's text names
from bitloom.arith import IntType
from bitloom.errors import BitloomError, ModelFormatError, UnsupportedError
from bitloom.frontends.model import Model
from bitloom.frontends.onnx.builder import GraphBuilder
from bitloom.frontends.onnx.file import OnnxEnd, OnnxFile, OnnxNode
from bitloom.frontends.onnx.reading import finished, located
from bitloom.frontends.onnx.values import Tensor
from bitloom.frontends.qonnx.context import QonnxContext
from bitloom.frontends.qonnx.ends import real_output
from bitloom.frontends.qonnx.nodes import meaning
from bitloom.frontends.qonnx.values import Known, Meaning, Reals
from bitloom.ir import FLOAT32, TensorType, Value
from bitloom.ops.dequantize_steps import SOFTMAX

_INTEGERS = ("int8", "uint8", "int16", "uint16")


def import_qonnx(file: OnnxFile, content: bytes, name: str, where: str) -> Model:
    """Make the graph of a QONNX file.

    Args:
        file: what it says.
        content: its bytes.
        name: of the graph.
        where: the file, for messages.

    Raises:
        ModelFormatError: the file makes no sense.
        UnsupportedError: an operator or attribute that is not supported, or reals that nothing quantizes.
    """
    return _Import(file, name, where).model(content)


class _Import:
    """One file on its way to a graph."""

    def __init__(self, file: OnnxFile, name: str, where: str) -> None:
        self.file = file
        self.name = name
        self.where = where
        self.builder = GraphBuilder(where)
        self.meanings: dict[str, Meaning] = {key: Known(array) for key, array in file.constants.items()}

    def model(self, content: bytes) -> Model:
        if not self.file.inputs or not self.file.outputs:
            raise UnsupportedError("has no inputs or no outputs: nothing to compute", where=self.where)
        for end in self.file.inputs:
            self.meanings[end.name] = self.input(end)
        for node in self.file.nodes:
            self.read(node)
        outputs = tuple(self.output(name) for name in self.file.outputs)
        return finished(self.builder, self.file, outputs, content, self.name, self.where, judge="onnx-reference")

    def input(self, end: OnnxEnd) -> Meaning:
        """An input: integers as they are, reals that the first quantizer makes integers."""
        if str(end.dtype) in _INTEGERS:
            element = IntType.parse(str(end.dtype))
            return Tensor.plain(self.builder.add(Value(end.name, TensorType(end.shape, element))))
        if end.dtype != np.float32:
            raise UnsupportedError(
                f"is {end.dtype}; supported: float32, {', '.join(_INTEGERS)}", where=f"{self.where}: input '{end.name}'"
            )
        tensor = Tensor.plain(self.builder.add(Value(end.name, TensorType(end.shape, FLOAT32))))
        nothing = np.zeros(1, np.int64)
        return Reals(tensor, end.shape, nothing, nothing, np.ones(1), nothing)

    def read(self, node: OnnxNode) -> None:
        """What a node's result means."""
        self.builder.where = node.where
        context = QonnxContext(node, self.builder, self.meanings, self.file.opset, frozenset(self.file.outputs))
        with located(node):
            found = meaning(context)
        # Of TopK only the indices are made.
        name = node.outputs[-1] if node.kind == "TopK" else node.outputs[0]
        if isinstance(found, Tensor):
            self.builder.named(found, name)
        self.meanings[name] = found

    def output(self, name: str) -> str:
        """The name of the value that is the result, in ONNX's order."""
        place = f"{self.where}: output '{name}'"
        self.builder.where = place
        found = self.meanings.get(name)
        if isinstance(found, Known):
            raise UnsupportedError("is a constant", where=place)
        if found is None:
            raise ModelFormatError("nothing computes it", where=place)
        try:
            tensor = found if isinstance(found, Tensor) else real_output(self.builder, found, name)
        except BitloomError as error:
            raise UnsupportedError(error.what, where=place, remedy=error.remedy) from error
        tensor = self.builder.plain(tensor)
        # Reals that binary32 rounds in an order of its own, the judge has other last places of.
        judged = isinstance(found, Tensor) or (found.exact and not any(step.kind == SOFTMAX for step in found.steps))
        return (self.builder.named(tensor, name) if judged else tensor).value.name
