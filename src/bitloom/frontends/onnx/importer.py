"""ONNX files as graphs: quantized models, with QuantizeLinear and DequantizeLinear or with quantized operators."""

from __future__ import annotations

import numpy as np

import bitloom.ops  # noqa: F401 - registers the operators that the graph's text names
from bitloom.arith import IntType
from bitloom.errors import ModelFormatError, UnsupportedError
from bitloom.frontends.model import Model
from bitloom.frontends.onnx.builder import GraphBuilder
from bitloom.frontends.onnx.context import Context
from bitloom.frontends.onnx.file import OnnxEnd, OnnxFile, OnnxNode, read_onnx_file
from bitloom.frontends.onnx.integers import DYNAMIC
from bitloom.frontends.onnx.nodes import HANDLERS, QUANTIZED
from bitloom.frontends.onnx.reading import finished, located
from bitloom.frontends.onnx.values import ELEMENTS, Bounds, Computed, Constant, Dequantized, Meaning, Scale, Tensor
from bitloom.frontends.qonnx.importer import import_qonnx
from bitloom.ir import FLOAT32, TensorType, Value
from bitloom.ops.dequantize import Dequantize
from bitloom.ops.quantize_linear import QuantizeLinear


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
        file = read_onnx_file(content, place)
        return import_qonnx(file, content, name, place) if file.is_qonnx else _Import(file, name, place).model(content)
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
        outputs = tuple(self.output(name) for name in self.file.outputs)
        return finished(self.builder, self.file, outputs, content, self.name, self.where)

    def check_support(self) -> None:
        """Refuse what no operator could mend."""
        if not self.file.nodes or not self.file.inputs:
            raise UnsupportedError("has no nodes or no inputs: nothing to compute", where=self.where)
        if not self.file.outputs:
            raise UnsupportedError("has no outputs: nothing to compute", where=self.where)
        reals = any(end.dtype == np.float32 for end in self.file.inputs)
        if reals and not any(node.kind in QUANTIZED for node in self.file.nodes):
            raise UnsupportedError(
                "is a float model, and an integer one is needed",
                where=self.where,
                remedy="quantize it to int8 with calibration data (bitloom quantize, or bitloom.quantize)",
            )
        missing = sorted({node.kind for node in self.file.nodes} - HANDLERS.keys())
        if missing:
            first = next(node for node in self.file.nodes if node.kind in missing)
            others = [kind for kind in missing if kind != first.kind]
            also = f", nor {'is' if len(others) == 1 else 'are'} {', '.join(others)}" if others else ""
            raise UnsupportedError(
                f"{first.kind} is not supported{also}; supported: {', '.join(sorted(HANDLERS.keys() - DYNAMIC))}",
                where=first.where,
            )

    def input(self, end: OnnxEnd) -> Meaning:
        """An input: integers as they are, reals as what the first QuantizeLinear makes of them."""
        if str(end.dtype) in ELEMENTS:
            element = IntType.parse(str(end.dtype))
            return Tensor.plain(self.builder.add(Value(end.name, TensorType(end.shape, element))))
        if end.dtype != np.float32:
            raise UnsupportedError(
                f"is {end.dtype}; supported: float32, {', '.join(ELEMENTS)}", where=f"{self.where}: input '{end.name}'"
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
        with located(node):
            found = HANDLERS[node.kind](Context(node, self.builder, self.meanings, self.file.opset))
        for name, meaning in zip(node.outputs, found if isinstance(found, tuple) else (found,), strict=False):
            if isinstance(meaning, Tensor):
                self.builder.named(meaning, name)
            self.meanings[name] = meaning

    def output(self, name: str) -> str:
        """The name of the value that is the result, in ONNX's order."""
        place = f"{self.where}: output '{name}'"
        self.builder.where = place
        meaning = self.meanings.get(name)
        if isinstance(meaning, Computed) and meaning.integral:
            meaning = self.builder.sums(meaning, name)
        elif isinstance(meaning, Computed) and meaning.scale is not None and meaning.bounds == Bounds():
            # Sums that one number multiplies are the integers with that scale.
            scale = Scale(meaning.scale, 0, IntType(32))
            meaning = Dequantized(self.builder.sums(meaning, f"{name}_sums"), scale)
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
