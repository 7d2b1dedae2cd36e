"""Float ONNX files as float graphs: channels last, in TFLite's vocabulary, constants folded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from bitloom.errors import BitloomError, ModelFormatError, UnsupportedError
from bitloom.frontends.float_onnx import images, layers, moving, pairs, pools
from bitloom.frontends.float_onnx.builder import FloatBuilder, Real
from bitloom.frontends.float_onnx.context import FloatContext, Form, Handler, Meaning
from bitloom.frontends.float_onnx.functions import FUNCTIONS
from bitloom.frontends.float_onnx.layout import Layout, channels_last
from bitloom.frontends.onnx.file import QONNX_OPERATORS, OnnxFile, OnnxNode, fold_node, read_onnx_file
from bitloom.frontends.onnx.nodes import QUANTIZED
from bitloom.ir.float_graph import FloatGraph

OLDEST_FLOAT_OPSET = 9
"""From it on, operators of float models are read."""

HANDLERS: Mapping[str, Handler] = {
    "Conv": layers.convolution,
    "Gemm": layers.gemm,
    "MatMul": layers.matrix_product,
    "BatchNormalization": layers.batch_normalization,
    "Softmax": layers.softmax,
    "Add": pairs.pair,
    "Sub": pairs.pair,
    "Mul": pairs.pair,
    "Div": pairs.pair,
    "Sum": pairs.total,
    "MaxPool": pools.max_pool,
    "AveragePool": pools.average_pool,
    "GlobalAveragePool": pools.global_average_pool,
    "GlobalMaxPool": pools.global_max_pool,
    "ReduceMean": pools.reduced_mean,
    "ReduceSum": pools.reduced_mean,
    "ReduceMax": pools.reduced_maximum,
    "ArgMax": pools.arg_max,
    "Reshape": moving.reshape,
    "Flatten": moving.flatten,
    "Squeeze": moving.squeeze,
    "Unsqueeze": moving.unsqueeze,
    "Transpose": moving.transpose,
    "Identity": moving.identity,
    "Dropout": moving.dropout,
    "Cast": moving.cast,
    "Expand": images.expand,
    "Tile": images.tile,
    "Concat": moving.concatenate,
    "Pad": moving.pad,
    "Slice": moving.slices,
    "Split": moving.split,
    "Gather": moving.gather,
    "Resize": images.resize,
    "Upsample": images.resize,
    "DepthToSpace": images.depth_to_space,
    "SpaceToDepth": images.space_to_depth,
    "Shape": moving.shape_of,
    "Size": moving.size_of,
    **FUNCTIONS,
}
"""For each operator what makes its meaning."""

_CONTROL_FLOW = ("If", "Loop", "Scan")
_STATISTICS = "train with BatchNormalization, whose statistics are constants"
_REMEDIES = {
    **dict.fromkeys(
        ("LayerNormalization", "InstanceNormalization", "GroupNormalization", "RMSNormalization", "LRN"), _STATISTICS
    ),
    **dict.fromkeys(("MeanVarianceNormalization", "LpNormalization"), _STATISTICS),
    **dict.fromkeys(("Elu", "Selu", "Celu", "Softplus", "Mish", "ThresholdedRelu"), "use LeakyRelu, Gelu or HardSwish"),
    **dict.fromkeys(("LSTM", "GRU", "RNN"), "networks with state are not supported"),
    **dict.fromkeys(_CONTROL_FLOW, "export the model without control flow"),
    **dict.fromkeys(("Attention", "Einsum"), "attention is not supported; products by constant matrices are"),
    "ConvTranspose": "resize by nearest pixels and convolve instead",
    "LogSoftmax": "leave it out: the largest element of its input is that of its result",
}


def load_float_onnx(content: bytes, name: str, where: str | None = None, *, inputs_last: bool = False) -> FloatGraph:
    """Read a float ONNX model.

    Args:
        content: of the file.
        name: of the graph.
        where: the file, for messages; the name if not given.
        inputs_last: whether inputs and results that are images have their channels last, else second as in the file.

    Raises:
        MissingExtraError: the package onnx is not installed.
        ModelFormatError: not an ONNX file, truncated or corrupt; weights that are not finite.
        UnsupportedError: a quantized model, an operator or an attribute that is not supported, dynamic shapes.
    """
    return import_float_onnx(content, name, where, inputs_last=inputs_last)[0]


def import_float_onnx(
    content: bytes, name: str, where: str | None = None, *, inputs_last: bool = False
) -> tuple[FloatGraph, Mapping[str, tuple[str, Layout]]]:
    """As `load_float_onnx`, and for tensors of the file the graph's tensor of the same elements, and how they lie."""
    place = where or name
    try:
        return _Import(read_onnx_file(content, place, OLDEST_FLOAT_OPSET), place, inputs_last=inputs_last).graph(name)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        # Corrupt files parse, too: as names that are no text, types that do not exist, shapes of nothing.
        raise ModelFormatError(f"makes no sense: {error}", where=place) from error


class _Import:
    """One file on its way to a graph."""

    def __init__(self, file: OnnxFile, where: str, *, inputs_last: bool) -> None:
        self.file = file
        self.where = where
        self.inputs_last = inputs_last
        self.builder = FloatBuilder(where)
        self.meanings: dict[str, Meaning] = dict(file.constants)
        self.forms: dict[Real, Form] = {}
        self.expanded: dict[Real, Real] = {}

    def graph(self, name: str) -> tuple[FloatGraph, Mapping[str, tuple[str, Layout]]]:
        self.check_support()
        for end in self.file.inputs:
            if end.dtype != np.float32:
                raise UnsupportedError(
                    f"is {end.dtype}; supported: float32",
                    where=f"{self.where}: input '{end.name}'",
                    remedy="export the model in float32",
                )
            self.meanings[end.name] = self.builder.input(end.name, end.shape, last=self.inputs_last)
        for node in self.file.nodes:
            self.read(node)
        outputs: list[str] = []
        for output in self.file.outputs:
            outputs.append(self.output(output, outputs))
        graph = self.builder.finish(name, [end.name for end in self.file.inputs], outputs)
        kept = {tensor.name for tensor in graph.tensors}
        views = {
            key: (real.name, real.layout)
            for key, real in self.meanings.items()
            if isinstance(real, Real) and real.name in kept
        }
        return graph, views

    def check_support(self) -> None:
        """Refuse what no operator could mend."""
        if not self.file.nodes or not self.file.inputs or not self.file.outputs:
            raise UnsupportedError("has no nodes, inputs or outputs: nothing to compute", where=self.where)
        quantized = next((node for node in self.file.nodes if node.kind in (*QUANTIZED, *QONNX_OPERATORS)), None)
        if quantized:
            raise UnsupportedError(
                "is quantized already, and a float model is needed",
                where=quantized.where,
                remedy="read it with bitloom.load",
            )

    def read(self, node: OnnxNode) -> None:
        """What a node's results mean."""
        self.builder.where = node.where
        try:
            found = self.meaning(node)
        except BitloomError as error:
            kind = UnsupportedError if isinstance(error, UnsupportedError) else ModelFormatError
            what = error.what if error.where in (None, node.where) else f"{error.where}: {error.what}"
            raise kind(what, where=node.where, remedy=error.remedy) from error
        except (ArithmeticError, AssertionError, LookupError, TypeError, ValueError, AttributeError) as error:
            # A file can hold attributes and operands that no operator foresees.
            raise ModelFormatError(f"makes no sense: {error}", where=node.where) from error
        self.meanings.update(zip(node.outputs, found if isinstance(found, tuple) else (found,), strict=False))

    def meaning(self, node: OnnxNode) -> Meaning | tuple[Meaning, ...]:
        operands = [self.meanings.get(name) for name in node.inputs]
        known = [each if isinstance(each, np.ndarray) else None for each in operands]
        foldable = all(isinstance(each, np.ndarray) for each, name in zip(operands, node.inputs, strict=True) if name)
        if foldable and node.kind not in _CONTROL_FLOW:
            if len(node.outputs) > 1:
                raise UnsupportedError("computes several constants", remedy="fold constants first (onnxsim)")
            return fold_node(node, known, self.file.opset)
        if node.kind not in HANDLERS:
            raise UnsupportedError(
                f"is not supported; supported: {', '.join(sorted(HANDLERS))}", remedy=_REMEDIES.get(node.kind)
            )
        context = FloatContext(node, self.builder, self.meanings, self.file.opset, self.forms, self.expanded)
        return HANDLERS[node.kind](context)

    def output(self, name: str, taken: list[str]) -> str:
        """The name of the graph's tensor that is a result."""
        self.builder.where = f"{self.where}: output '{name}'"
        found = self.meanings.get(name)
        if not isinstance(found, Real):
            what = "nothing computes it" if found is None else "is a constant"
            raise ModelFormatError(what, where=self.builder.where)
        order = channels_last(len(found.shape)) if self.inputs_last else tuple(range(len(found.shape)))
        stored = self.builder.arranged(found, order, name if name not in self.builder.tensors else None)
        changes = self.builder.output(stored, name, [*taken, *(end.name for end in self.file.inputs)])
        for key, meaning in self.meanings.items():
            if isinstance(meaning, Real) and meaning.name in changes:
                self.meanings[key] = replace(meaning, name=changes[meaning.name])
        self.meanings[name] = Real(name, Layout.of(found.shape, order))
        return name
