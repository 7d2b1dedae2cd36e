"""LiteRT: the judge."""

from __future__ import annotations

import contextlib
import os
import time
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from bitloom.errors import ExecutionError, UsageError
from bitloom.export.tflite import graph_to_tflite
from bitloom.frontends import Model, load_tflite
from bitloom.ir.operator import Array
from bitloom.run.executor import ExecutorOptions, check_inputs
from bitloom.run.result import RunResult


class LitertExecutor:
    """One interpreter, invoked once per inference.

    With the reference kernels every tensor is read back. With the default kernels (the XNNPACK delegate, as
    applications run models) tensors between operators do not exist, and only the model's outputs are.
    """

    name = "litert"

    def __init__(self, model: Model, options: ExecutorOptions) -> None:
        start = time.perf_counter()
        self.graph = model.graph
        content, indices = _tflite(model)
        reference = options.litert_kernels == "reference"
        wanted = self.graph.computed if reference else tuple(dict.fromkeys(self.graph.outputs))
        self.inputs = {name: indices[name] for name in self.graph.inputs}
        self.outputs = {name: indices[name] for name in wanted}
        self.interpreter = open_interpreter(content, model.name, options.litert_kernels)
        with self._failing_as("LiteRT refuses the model"), quiet_stderr():
            for name, index in self.inputs.items():
                self.interpreter.resize_tensor_input(index, self.graph.type(name).shape)
            self.interpreter.allocate_tensors()
        self.setup_seconds = time.perf_counter() - start

    def run(self, inputs: Mapping[str, Array]) -> RunResult:
        """Compute every tensor; see `Executor.run`."""
        arrays = check_inputs(self.graph, inputs)
        inferences = len(next(iter(arrays.values())))
        tensors: dict[str, Array] = {}
        for name in self.outputs:
            made = self.graph.type(name)
            tensors[name] = np.empty((inferences, *made.shape), made.element.dtype)
        start = time.perf_counter()
        with self._failing_as("LiteRT failed"):
            for inference in range(inferences):
                for name, index in self.inputs.items():
                    self.interpreter.set_tensor(index, arrays[name][inference])
                self.interpreter.invoke()
                for name, index in self.outputs.items():
                    tensors[name][inference] = self._result(name, index)
        return RunResult(self.name, tensors, time.perf_counter() - start, self.setup_seconds)

    def _result(self, name: str, index: int) -> Array:
        result: Array = self.interpreter.get_tensor(index)
        made = self.graph.type(name)
        # Assignment into the result would broadcast and convert silently.
        if result.shape != made.shape or result.dtype != made.element.dtype:
            raise ExecutionError(
                f"LiteRT makes {result.dtype}{list(result.shape)}, the graph says {made}",
                where=f"'{self.graph.name}', tensor '{name}'",
            )
        return result

    @contextlib.contextmanager
    def _failing_as(self, what: str) -> Iterator[None]:
        try:
            yield
        except (RuntimeError, ValueError) as error:
            raise ExecutionError(f"{what}: {error}", where=f"'{self.graph.name}'") from error


def _tflite(model: Model) -> tuple[bytes, Mapping[str, int]]:
    """The model's own file, or one written from its graph."""
    if model.onnx is not None:
        raise UsageError(
            "LiteRT computes TFLite files, whose operators round otherwise than those of this ONNX model",
            where=f"'{model.name}'",
            remedy="choose onnxruntime",
        )
    if model.flatbuffer is not None:
        return model.flatbuffer, model.tensor_indices
    content = graph_to_tflite(model.graph)
    return content, load_tflite(content, model.name).tensor_indices


_RESOLVERS = {
    "reference": OpResolverType.BUILTIN_REF,
    "default": OpResolverType.AUTO,
    "optimised": OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
}


def open_interpreter(content: bytes, name: str, kernels: str) -> Any:
    """An interpreter of a file.

    Args:
        content: of the file.
        name: of the model, for messages.
        kernels: ``reference``; ``default`` as applications run it, in which tensors between operators do not exist;
            ``optimised``, fast ones without the delegate, for float models.

    Raises:
        ExecutionError: LiteRT refuses the file.
    """
    try:
        with quiet_stderr(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about its metrics and about keeping tensors
            return Interpreter(
                model_content=content,
                experimental_op_resolver_type=_RESOLVERS[kernels],
                experimental_preserve_all_tensors=kernels != "default",
                num_threads=1,
            )
    except (RuntimeError, ValueError) as error:
        raise ExecutionError(f"LiteRT refuses the model: {error}", where=f"'{name}'") from error


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Keep what the C++ library logs ("INFO: Created TensorFlow Lite XNNPACK delegate") off the terminal."""
    try:
        saved = os.dup(2)
    except OSError:  # there is no standard error to keep clean
        yield
        return
    try:
        with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - a device, not a file
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
