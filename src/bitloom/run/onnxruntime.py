"""ONNX Runtime without graph optimisation: the judge of ONNX models."""

from __future__ import annotations

import importlib
import time
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import numpy as np

from bitloom.errors import ExecutionError, MissingExtraError, UsageError
from bitloom.frontends import Model
from bitloom.frontends.model import TensorView
from bitloom.ir.operator import Array
from bitloom.ir.types import ElementType
from bitloom.run.executor import ExecutorOptions, check_inputs
from bitloom.run.result import RunResult

# What holds elements of less than a byte, and the ending of the names of tensors that are held so.
_BYTES = {"int2": "INT8", "int4": "INT8", "uint2": "UINT8", "uint4": "UINT8"}
_AS_BYTES = "_as_bytes"


class OnnxruntimeExecutor:
    """One session, run once per inference; every tensor of the file that is a value of the graph is read back.

    The session has no graph optimisation, which would fuse operators into others that round differently, and one
    thread, so that sums in floating point have one order.
    """

    name = "onnxruntime"

    def __init__(self, model: Model, options: ExecutorOptions) -> None:  # noqa: ARG002 - it has none
        start = time.perf_counter()
        if model.onnx is None:
            raise UsageError(
                "onnxruntime computes ONNX files, and this model comes from another format",
                where=f"'{model.name}'",
                remedy="choose litert or numpy",
            )
        if model.onnx.judge != self.name:
            raise UsageError(
                "onnxruntime does not know the quantizers of QONNX files",
                where=f"'{model.name}'",
                remedy=f"choose {model.onnx.judge}",
            )
        self.graph = model.graph
        self.views = {name: view for name, view in model.onnx.views.items() if name in self.graph.computed}
        onnx, runtime = _import("onnx"), _import("onnxruntime")
        narrow = {name: _BYTES[str(element)] for name, element in self._elements() if str(element) in _BYTES}
        content, self.shown = _with_outputs(onnx, model.onnx.content, self.views, narrow)
        self.fed = {name: f"{name}{_AS_BYTES}" if name in narrow else name for name in self.graph.inputs}
        session_options = runtime.SessionOptions()
        session_options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
        session_options.intra_op_num_threads = 1
        session_options.inter_op_num_threads = 1
        session_options.log_severity_level = 4  # errors are raised, too, and then printed once
        try:
            self.session = runtime.InferenceSession(content, session_options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its errors have no public base class
            raise ExecutionError(f"ONNX Runtime refuses the model: {error}", where=f"'{model.name}'") from error
        self.setup_seconds = time.perf_counter() - start

    def run(self, inputs: Mapping[str, Array]) -> RunResult:
        """Compute every tensor; see `Executor.run`."""
        arrays = check_inputs(self.graph, inputs)
        inferences = len(next(iter(arrays.values())))
        tensors: dict[str, Array] = {}
        for name in self.views:
            made = self.graph.type(name)
            tensors[name] = np.empty((inferences, *made.shape), made.element.dtype)
        start = time.perf_counter()
        for inference in range(inferences):
            feed = {self.fed[name]: array[inference] for name, array in arrays.items()}
            try:
                results = self.session.run(self.shown, feed)
            except Exception as error:  # its errors have no public base class
                raise ExecutionError(f"ONNX Runtime failed: {error}", where=f"'{self.graph.name}'") from error
            for (name, view), result in zip(self.views.items(), results, strict=True):
                tensors[name][inference] = self._lying(name, view, result)
        return RunResult(self.name, tensors, time.perf_counter() - start, self.setup_seconds)

    def _elements(self) -> list[tuple[str, ElementType]]:
        """Of each input and each tensor that is looked at, by their names in the graph."""
        return [(name, self.graph.type(name).element) for name in (*self.graph.inputs, *self.views)]

    def _lying(self, name: str, view: TensorView, result: Array) -> Array:
        """A tensor's elements as they lie in the graph's value."""
        made = self.graph.type(name)
        if result.shape != view.shape or result.dtype != made.element.dtype:
            raise ExecutionError(
                f"ONNX Runtime makes {result.dtype}{list(result.shape)}, the graph says {made}",
                where=f"'{self.graph.name}', tensor '{name}'",
            )
        return result.reshape(view.factors).transpose(view.order).reshape(made.shape)


def _with_outputs(
    onnx: ModuleType, content: bytes, views: Mapping[str, TensorView], narrow: Mapping[str, str]
) -> tuple[bytes, list[str]]:
    """The file with every tensor that is looked at as an output, and their names.

    Elements of less than a byte, which have no NumPy type, come in and go out as bytes.
    """
    model: Any = onnx.load_model_from_string(content)
    graph, make = model.graph, onnx.helper.make_node
    there, shown = {entry.name for entry in graph.output}, []
    for name, view in views.items():
        wanted = view.tensor
        if name in narrow:
            wanted = f"{view.tensor}{_AS_BYTES}"
            graph.node.append(make("Cast", [view.tensor], [wanted], to=getattr(onnx.TensorProto, narrow[name])))
        if wanted not in there:
            there.add(wanted)
            graph.output.append(onnx.ValueInfoProto(name=wanted))
        shown.append(wanted)
    for entry in graph.input:
        if entry.name in narrow:
            kind = entry.type.tensor_type.elem_type
            graph.node.insert(0, make("Cast", [f"{entry.name}{_AS_BYTES}"], [entry.name], to=kind))
            entry.name += _AS_BYTES
            entry.type.tensor_type.elem_type = getattr(onnx.TensorProto, narrow[entry.name.removesuffix(_AS_BYTES)])
    made: bytes = model.SerializeToString()
    return made, shown


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingExtraError(
            f"judging ONNX models needs the package {name}, which is not installed",
            remedy="pip install 'bitloom[onnx]'",
        ) from error
