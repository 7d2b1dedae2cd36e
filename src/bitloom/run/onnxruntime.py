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
from bitloom.run.executor import ExecutorOptions, check_inputs
from bitloom.run.result import RunResult


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
        self.graph = model.graph
        self.views = {name: view for name, view in model.onnx.views.items() if name in self.graph.computed}
        onnx, runtime = _import("onnx"), _import("onnxruntime")
        content = _with_outputs(onnx, model.onnx.content, self.views)
        session_options = runtime.SessionOptions()
        session_options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
        session_options.intra_op_num_threads = 1
        session_options.inter_op_num_threads = 1
        session_options.log_severity_level = 3
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
        wanted = [view.tensor for view in self.views.values()]
        start = time.perf_counter()
        for inference in range(inferences):
            feed = {name: array[inference] for name, array in arrays.items()}
            try:
                results = self.session.run(wanted, feed)
            except Exception as error:  # its errors have no public base class
                raise ExecutionError(f"ONNX Runtime failed: {error}", where=f"'{self.graph.name}'") from error
            for (name, view), result in zip(self.views.items(), results, strict=True):
                tensors[name][inference] = self._lying(name, view, result)
        return RunResult(self.name, tensors, time.perf_counter() - start, self.setup_seconds)

    def _lying(self, name: str, view: TensorView, result: Array) -> Array:
        """A tensor's elements as they lie in the graph's value."""
        made = self.graph.type(name)
        if result.shape != view.shape or result.dtype != made.element.dtype:
            raise ExecutionError(
                f"ONNX Runtime makes {result.dtype}{list(result.shape)}, the graph says {made}",
                where=f"'{self.graph.name}', tensor '{name}'",
            )
        return result.reshape(view.factors).transpose(view.order).reshape(made.shape)


def _with_outputs(onnx: ModuleType, content: bytes, views: Mapping[str, TensorView]) -> bytes:
    """The file with every tensor that is looked at as an output."""
    model: Any = onnx.load_model_from_string(content)
    there = {entry.name for entry in model.graph.output}
    for view in views.values():
        if view.tensor not in there:
            there.add(view.tensor)
            model.graph.output.append(onnx.ValueInfoProto(name=view.tensor))
    made: bytes = model.SerializeToString()
    return made


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingExtraError(
            f"judging ONNX models needs the package {name}, which is not installed",
            remedy="pip install 'bitloom[onnx]'",
        ) from error
