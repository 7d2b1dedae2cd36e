"""ONNX files as graphs: quantized models, with QuantizeLinear and DequantizeLinear or with quantized operators."""

from __future__ import annotations

from types import MappingProxyType

import numpy as np

import bitloom.ops  # noqa: F401 - registers the operators that the graph's text names
from bitloom.arith import IntType
from bitloom.errors import BitloomError, ModelFormatError, UnsupportedError
from bitloom.frontends.model import Model, OnnxSource
from bitloom.frontends.onnx_builder import GraphBuilder
from bitloom.frontends.onnx_context import Context
from bitloom.frontends.onnx_file import OnnxEnd, OnnxFile, OnnxNode, read_onnx_file
from bitloom.frontends.onnx_nodes import HANDLERS, QUANTIZED
from bitloom.frontends.onnx_values import Bounds, Computed, Constant, Dequantized, Meaning, Scale, Tensor
from bitloom.ir import FLOAT32, Graph, TensorType, Value
from bitloom.ops.dequantize import Dequantize
from bitloom.ops.quantize_linear import QuantizeLinear

_INTEGERS = ("int8", "uint8")


def load_onnx(content: bytes, name: str, where: str | None = None) -> Model:
    """Read a quantized ONNX model.

    Args:
        content: of the file.
        name: of the graph.
        where: the file, for messages; the name if not given.

    Raises:
        MissingExtraError: the package onnx is not installed.
        ModelFormatError: not an ONNX file, truncated or corrupt.
        UnsupportedError: a float model, an operator or an attribute that is not supported, dynamic shapes.
    """
    place = where or name
    try:
        return _Import(read_onnx_file(content, place), name, place).model(content)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        # Corrupt files parse, too: as names that are no text, types that do not exist, shapes of nothing.
        raise ModelFormatError(f"makes no sense: {error}", where=place) from error


class _Import:
    """One file on its way to a graph."""

    def __init__(self, file: OnnxFile, name: str, where: str) -> None:
        self.file = file
        self.name = name
        self.where = where
        self.builder = GraphBuilder(where)
        self.meanings: dict[str, Meaning] = {key: Constant(array) for key, array in file.constants.items()}

    def model(self, content: bytes) -> Model:
        self.check_support()
        for end in self.file.inputs:
            self.meanings[end.name] = self.input(end)
        for node in self.file.nodes:
            self.read(node)
        output = self.output(self.file.outputs[0])
        builder = self.builder
        inputs = tuple(end.name for end in self.file.inputs)
        try:
            graph = Graph(self.name, inputs, (output,), tuple(builder.values.values()), tuple(builder.nodes))
        except BitloomError as error:
            raise ModelFormatError(error.what, where=f"{self.where}: {error.where or ''}") from error
        views = {key: view for key, view in builder.views.items() if key not in inputs}
        return Model(graph, self.name, onnx=OnnxSource(content, MappingProxyType(views)))

    def check_support(self) -> None:
        """Refuse what no operator could mend."""
        if not self.file.nodes or not self.file.inputs:
            raise UnsupportedError("has no nodes or no inputs: nothing to compute", where=self.where)
        if len(self.file.outputs) != 1:
            raise UnsupportedError(
                f"has {len(self.file.outputs)} outputs; models of one are supported",
                where=self.where,
                remedy="cut the others off (onnx.utils.extract_model)",
            )
        if not any(node.kind in QUANTIZED for node in self.file.nodes):
            raise UnsupportedError(
                "is a float model, and an integer one is needed",
                where=self.where,
                remedy="quantize it to int8 (onnxruntime.quantization.quantize_static with calibration data)",
            )
        missing = sorted({node.kind for node in self.file.nodes} - HANDLERS.keys())
        if missing:
            first = next(node for node in self.file.nodes if node.kind in missing)
            others = [kind for kind in missing if kind != first.kind]
            also = f", nor {'is' if len(others) == 1 else 'are'} {', '.join(others)}" if others else ""
            raise UnsupportedError(
                f"{first.kind} is not supported{also}; supported: {', '.join(sorted(HANDLERS))}", where=first.where
            )

    def input(self, end: OnnxEnd) -> Meaning:
        """An input: integers as they are, reals as what the first QuantizeLinear makes of them."""
        if str(end.dtype) in _INTEGERS:
            element = IntType.parse(str(end.dtype))
            return Tensor.plain(self.builder.add(Value(end.name, TensorType(end.shape, element))))
        if end.dtype != np.float32:
            raise UnsupportedError(
                f"is {end.dtype}; supported: float32, {', '.join(_INTEGERS)}", where=f"{self.where}: input '{end.name}'"
            )
        value = self.builder.add(Value(end.name, TensorType(end.shape, FLOAT32)))

        def make(scale: Scale, bounds: Bounds, name: str) -> Tensor:
            operator = QuantizeLinear(scale.scale, scale.zero_point, scale.element)
            tensor = Tensor.plain(self.builder.node(operator, [value], name, scale))
            return self.builder.clamped(tensor, scale, bounds, name)

        return Computed(make)

    def read(self, node: OnnxNode) -> None:
        """What a node's result means."""
        self.builder.where = node.where
        try:
            meaning = HANDLERS[node.kind](Context(node, self.builder, self.meanings))
        except BitloomError as error:
            kind = UnsupportedError if isinstance(error, UnsupportedError) else ModelFormatError
            what = error.what if error.where in (None, node.where) else f"{error.where}: {error.what}"
            raise kind(what, where=node.where, remedy=error.remedy) from error
        except (ArithmeticError, LookupError, TypeError, ValueError, AttributeError) as error:
            # A file can hold attributes and operands that no operator foresees.
            raise ModelFormatError(f"makes no sense: {error}", where=node.where) from error
        if isinstance(meaning, Tensor):
            self.builder.named(meaning, node.outputs[0])
        self.meanings[node.outputs[0]] = meaning

    def output(self, name: str) -> str:
        """The name of the value that is the result, in ONNX's order."""
        place = f"{self.where}: output '{name}'"
        self.builder.where = place
        meaning = self.meanings.get(name)
        if isinstance(meaning, Tensor):
            return self.builder.named(self.builder.plain(meaning), name).value.name
        if isinstance(meaning, Dequantized) and not meaning.functions:
            scale = meaning.scale
            tensor = self.builder.plain(meaning.tensor)
            operator = Dequantize(scale.element, scale.scale, scale.zero_point)
            value = self.builder.node(operator, [tensor.value], name)
            return self.builder.named(Tensor.plain(value), name).value.name
        if isinstance(meaning, (Dequantized, Computed)):
            raise UnsupportedError(
                "is computed in floating point",
                where=place,
                remedy="quantize the last operator as well (QuantizeLinear and DequantizeLinear behind it)",
            )
        raise ModelFormatError("nothing computes it", where=place)
