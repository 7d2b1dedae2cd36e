"""ONNX files as plain values: nodes, constants, ends; everything the protobuf format says, nothing it means."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from bitloom.errors import MissingExtraError, ModelFormatError, UnsupportedError

OLDEST_OPSET = 13
"""Quantization per axis, and axes as operands, are of this version."""

OLDEST_QONNX_OPSET = 9
"""QONNX models have been exported since this version; constants folded by the reference evaluator hide the rest."""

QONNX_OPERATORS = frozenset(
    f"{domain}.{kind}"
    for domain in ("onnx.brevitas", "qonnx.custom_op.general", "finn.custom_op.general", "finn")
    for kind in ("Quant", "IntQuant", "BipolarQuant", "Trunc")
)
"""As `OnnxNode.kind` has them."""

# Field 1 (ir_version) of the file as a varint, and the field that may follow it.
_VERSION_FIELD = 0x08
_LATEST_VERSION = 0x20
_NEXT_FIELDS = (0x12, 0x1A, 0x22, 0x28, 0x32, 0x3A, 0x42, 0x72)


@dataclass(frozen=True)
class OnnxNode:
    """One node.

    Attributes:
        index: its position in the file.
        kind: the operator's name, with its domain in front where that is not ONNX's own.
        attributes: by name.
        inputs: names of what it reads; empty where absent.
        outputs: names of what it makes.
        where: for messages.
    """

    index: int
    kind: str
    attributes: Mapping[str, Any]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    where: str


@dataclass(frozen=True)
class OnnxEnd:
    """An input or output: its name, its NumPy type, its shape with a batch that may change read as 1."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]


@dataclass(frozen=True)
class OnnxFile:
    """What a file says.

    Attributes:
        nodes: in the order they are computed.
        constants: by name.
        inputs: from outside.
        outputs: names.
        opset: the version of ONNX's own operators.
    """

    nodes: tuple[OnnxNode, ...]
    constants: Mapping[str, npt.NDArray[Any]]
    inputs: tuple[OnnxEnd, ...]
    outputs: tuple[str, ...]
    opset: int = OLDEST_OPSET

    @property
    def is_qonnx(self) -> bool:
        """Whether QONNX's operators say what is quantized."""
        return any(node.kind in QONNX_OPERATORS for node in self.nodes)


def is_onnx(content: bytes) -> bool:
    """Whether the content begins as ONNX files do: a protobuf message whose first field is the format's version."""
    return (
        len(content) > 3
        and content[0] == _VERSION_FIELD
        and content[1] < _LATEST_VERSION
        and (content[2] in _NEXT_FIELDS)
    )


def import_onnx() -> ModuleType:
    """The `onnx` package.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        return importlib.import_module("onnx")
    except ImportError as error:
        raise MissingExtraError(
            "reading ONNX files needs the package onnx, which is not installed", remedy="pip install 'bitloom[onnx]'"
        ) from error


def read_onnx_file(content: bytes, where: str, oldest: int = OLDEST_OPSET) -> OnnxFile:
    """Parse and check a file.

    Args:
        content: of the file.
        where: the file, for messages.
        oldest: operator set that is read.

    Raises:
        MissingExtraError: the package onnx is not installed.
        ModelFormatError: the file is corrupt.
        UnsupportedError: an old version, constants outside the file, dimensions that are not fixed.
    """
    onnx = import_onnx()
    model = _checked(onnx, content, where)
    versions = {entry.domain: entry.version for entry in model.opset_import}
    opset = versions.get("", versions.get("ai.onnx", 0))
    if any(f"{node.domain}.{node.op_type}" in QONNX_OPERATORS for node in model.graph.node):
        oldest = min(oldest, OLDEST_QONNX_OPSET)
    if opset < oldest:
        raise UnsupportedError(
            f"is of operator set {opset}, and {oldest} or newer is needed",
            where=where,
            remedy="convert it with onnx.version_converter, or export it again",
        )
    graph = model.graph
    ends = (*graph.input, *graph.output, *graph.initializer)
    named = [text for node in graph.node for text in (node.op_type, node.domain, *node.input, *node.output)]
    if not all(isinstance(text, str) for text in (*named, *(entry.name for entry in ends))):
        raise ModelFormatError("holds names that are not UTF-8", where=where)
    constants = {tensor.name: _array(onnx, tensor, where) for tensor in graph.initializer}
    nodes = []
    for index, node in enumerate(graph.node):
        if node.op_type == "Constant" and not node.domain:
            values = {entry.name: onnx.helper.get_attribute_value(entry) for entry in node.attribute}
            constants[node.output[0]] = _constant(onnx, values, f"{where}: node {index} Constant")
        else:
            nodes.append(_node(onnx, index, node, where))
    inputs = tuple(_end(onnx, entry, where) for entry in graph.input if entry.name not in constants)
    outputs = tuple(entry.name for entry in graph.output)
    return OnnxFile(tuple(nodes), constants, inputs, outputs, opset)


def _checked(onnx: ModuleType, content: bytes, where: str) -> Any:
    try:
        model = onnx.load_model_from_string(content)
    except Exception as error:  # protobuf's own errors, whose class is not public
        raise ModelFormatError(f"is no ONNX file, or a corrupt one: {error}", where=where) from error
    if any(tensor.data_location for tensor in model.graph.initializer):
        raise UnsupportedError(
            "keeps constants in other files", where=where, remedy="save it again with all data in one file"
        )
    standard = onnx.ModelProto()
    standard.CopyFrom(model)
    known = {"", "ai.onnx", "ai.onnx.ml"}
    if all(node.domain in known for node in model.graph.node):
        try:
            onnx.checker.check_model(standard)
        except Exception as error:  # onnx.checker.ValidationError and what parsing constants raises
            raise ModelFormatError(f"is not a valid ONNX model: {error}", where=where) from error
    return _inlined(model, where) if model.functions else model


def _inlined(model: Any, where: str) -> Any:
    """With the bodies of the functions that the file defines in place of the nodes that call them."""
    try:
        return importlib.import_module("onnx.inliner").inline_local_functions(model)
    except Exception as error:  # whatever functions that make no sense raise
        raise ModelFormatError(f"defines functions that cannot be put in place: {error}", where=where) from error


def _node(onnx: ModuleType, index: int, node: Any, where: str) -> OnnxNode:
    standard = node.domain in ("", "ai.onnx")
    kind = node.op_type if standard else f"{node.domain}.{node.op_type}"
    if not node.output:
        raise ModelFormatError("makes nothing", where=f"{where}: node {index} {kind}")
    return OnnxNode(
        index=index,
        kind=kind,
        attributes={entry.name: onnx.helper.get_attribute_value(entry) for entry in node.attribute},
        inputs=tuple(node.input),
        outputs=tuple(node.output),
        where=f"{where}: node {index} {kind} (output '{node.output[0]}')",
    )


def fold_node(node: OnnxNode, operands: Sequence[npt.NDArray[Any] | None], opset: int) -> npt.NDArray[Any]:
    """The first result of a node of ONNX's own whose operands are constants, as ONNX's reference computes it.

    Raises:
        ModelFormatError: it cannot be computed.
    """
    onnx = import_onnx()
    names = ["" if operand is None else f"x{index}" for index, operand in enumerate(operands)]
    feed = {name: operand for name, operand in zip(names, operands, strict=True) if operand is not None}
    try:
        made = onnx.helper.make_node(node.kind, names, ["y"], **node.attributes)
        inputs = [
            onnx.helper.make_tensor_value_info(name, onnx.helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
            for name, array in feed.items()
        ]
        graph = onnx.helper.make_graph([made], "constants", inputs, [onnx.ValueInfoProto(name="y")])
        model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)])
        reference = importlib.import_module("onnx.reference")
        with np.errstate(all="ignore"):
            (result,) = reference.ReferenceEvaluator(model).run(None, feed)
    except Exception as error:  # whatever nonsense in a file raises there
        raise ModelFormatError(f"cannot be computed from its constants: {error}", where=node.where) from error
    return _finite(np.asarray(result), node.outputs[0], node.where)


def _finite(array: npt.NDArray[Any], name: str, where: str) -> npt.NDArray[Any]:
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ModelFormatError(f"the constant '{name}' holds values that are not finite", where=where)
    return array


def _constant(onnx: ModuleType, values: Mapping[str, Any], where: str) -> npt.NDArray[Any]:
    for name, dtype in (("value_float", np.float32), ("value_floats", np.float32), ("value_int", np.int64)):
        if name in values:
            return _finite(np.array(values[name], dtype), name, where)
    if "value_ints" in values:
        return np.array(values["value_ints"], np.int64)
    if "value" in values:
        return _array(onnx, values["value"], where)
    raise UnsupportedError(f"a constant given as {', '.join(values) or 'nothing'}", where=where)


def _array(onnx: ModuleType, tensor: Any, where: str) -> npt.NDArray[Any]:
    try:
        array: npt.NDArray[Any] = onnx.numpy_helper.to_array(tensor)
    except Exception as error:  # whatever malformed data raises
        raise ModelFormatError(f"the constant '{tensor.name}' is corrupt: {error}", where=where) from error
    return _finite(array, tensor.name, where)


def _end(onnx: ModuleType, entry: Any, where: str) -> OnnxEnd:
    place = f"{where}: input '{entry.name}'"
    tensor = entry.type.tensor_type
    if not tensor.HasField("shape"):
        raise UnsupportedError("has no shape", where=place, remedy="export the model again with fixed shapes")
    shape = []
    for axis, dimension in enumerate(tensor.shape.dim):
        size = dimension.dim_value
        if not dimension.HasField("dim_value") and axis == 0:
            size = 1  # a batch that may change is read as one inference
        if size < 1:
            raise UnsupportedError(
                f"has the dynamic axis {axis}" + (f" ('{dimension.dim_param}')" if dimension.dim_param else ""),
                where=place,
                remedy="fix it (onnxruntime.tools.make_dynamic_shape_fixed)",
            )
        shape.append(size)
    try:
        dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type))
    except Exception as error:  # a number that names no type
        raise ModelFormatError(f"has the unknown element type {tensor.elem_type}", where=place) from error
    return OnnxEnd(entry.name, dtype, tuple(shape))
