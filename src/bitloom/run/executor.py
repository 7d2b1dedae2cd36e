"""The executor interface, the registry, and the checks every executor makes on its inputs."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np

from bitloom.arith import IntType
from bitloom.errors import InputError, UnsupportedError, UsageError
from bitloom.frontends import Model
from bitloom.ir import Graph, TensorType
from bitloom.ir.operator import Array
from bitloom.plan import Bus, Target
from bitloom.run.result import RunResult

EXECUTORS: Mapping[str, str] = MappingProxyType(
    {
        "litert": "bitloom.run.litert:LitertExecutor",
        "onnxruntime": "bitloom.run.onnxruntime:OnnxruntimeExecutor",
        "onnx-reference": "bitloom.run.onnx_reference:OnnxReferenceExecutor",
        "numpy": "bitloom.run.numpy_executor:NumpyExecutor",
        "pyrtl": "bitloom.run.pyrtl_executor:PyrtlExecutor",
        "verilog": "bitloom.run.verilog:VerilogExecutor",
    }
)
"""Where each executor's class is; imported when it is first asked for, because some need heavy packages."""

_CHOICES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "litert_kernels": ("reference", "default"),
        "simulation": ("interpreted", "fast", "compiled"),
        "simulator": ("verilator", "icarus"),
    }
)


@dataclass(frozen=True)
class ExecutorOptions:
    """Options of all executors; each reads its own.

    Attributes:
        batch_size: inferences handed over at a time; None lets the executor choose.
        litert_kernels: ``reference``, or ``default``: the interpreter as applications use it (XNNPACK), which
            rounds differently and shows only the model's outputs.
        simulation: how PyRTL simulates: ``interpreted``, ``fast`` or ``compiled``.
        simulator: of Verilog: ``verilator`` or ``icarus``.
        stalls: whether producers and consumers of a circuit stall at random.
        seed: of the stalls.
        target: what the planner of a circuit is to reach; its default if None.
        bus: how a circuit meets the world.

    Raises:
        UsageError: a value that is none of the choices.
    """

    batch_size: int | None = None
    litert_kernels: str = "reference"
    simulation: str = "fast"
    simulator: str = "verilator"
    stalls: bool = False
    seed: int = 0
    target: Target | None = None
    bus: Bus = Bus.AXI

    def __post_init__(self) -> None:
        for field in fields(self):
            choices = _CHOICES.get(field.name)
            given = getattr(self, field.name)
            if choices and given not in choices:
                raise UsageError(f"{field.name} is one of {', '.join(choices)}, not '{given}'")
        if self.batch_size is not None and self.batch_size < 1:
            raise UsageError(f"batch_size is at least 1, not {self.batch_size}")


MOST_MACS_IN_PYRTL = 100_000
"""Multiply-accumulates of a network up to which PyRTL takes part where no executors are named."""


def default_executors(model: Model) -> tuple[str, ...]:
    """Every executor but the judges of other formats than the model's, and but PyRTL where it would take minutes.

    A graph that came from no file is LiteRT's to judge if TFLite can say it: not if its activations have 4 bits, say.

    PyRTL's simulation of a network of `MOST_MACS_IN_PYRTL` takes seconds an inference; Verilator's runs the same
    circuit a hundred times as fast.
    """
    judges = {"litert", "onnxruntime", "onnx-reference"}
    left_out = judges - {model.onnx.judge if model.onnx is not None else "litert"}
    if model.onnx is None and model.flatbuffer is None and not _is_tflite(model.graph):
        left_out.add("litert")
    if model.graph.macs > MOST_MACS_IN_PYRTL:
        left_out.add("pyrtl")
    return tuple(name for name in EXECUTORS if name not in left_out)


def _is_tflite(graph: Graph) -> bool:
    from bitloom.export.tflite import graph_to_tflite  # slow to import

    try:
        graph_to_tflite(graph)
    except UnsupportedError:
        return False
    return True


class Executor(Protocol):
    """Computes inferences of one model: constructed once, then run as often as wanted."""

    @property
    def name(self) -> str:
        """As `create_executor` knows it."""

    def run(self, inputs: Mapping[str, Array]) -> RunResult:
        """Compute every tensor.

        Args:
            inputs: for each graph input an array of shape (inferences, *shape).

        Raises:
            InputError: the inputs do not fit the graph.
            ExecutionError: the executor failed.
        """


def create_executor(name: str, model: Model, options: ExecutorOptions | None = None) -> Executor:
    """Make an executor for a model.

    Args:
        name: one of `EXECUTORS`.
        model: to compute.
        options: the defaults if None.

    Raises:
        UsageError: there is no executor of that name.
        BitloomError: the executor cannot be made for this model or on this machine.
    """
    if name not in EXECUTORS:
        raise UsageError(f"there is no executor '{name}'", remedy=f"choose one of {', '.join(EXECUTORS)}")
    module, _, attribute = EXECUTORS[name].partition(":")
    executor: Executor = getattr(importlib.import_module(module), attribute)(model, options or ExecutorOptions())
    return executor


def check_inputs(graph: Graph, inputs: Mapping[str, Any]) -> dict[str, Array]:
    """The inputs, as arrays of the graph's types.

    Args:
        graph: whose inputs they are.
        inputs: for each input name an array of shape (inferences, *shape): integers of any width, as long as the
            values fit the input's type, or floats where the input is float32.

    Returns:
        The same values, each array of its type's dtype.

    Raises:
        InputError: an input is missing or unknown, or has the wrong shape, kind of number, range, or number of
            inferences.
    """
    for name in (*graph.inputs, *inputs):
        if name not in inputs:
            raise InputError(f"input '{name}' is missing", remedy=f"needed: {', '.join(graph.inputs)}")
        if name not in graph.inputs:
            raise InputError(f"'{name}' is no input of '{graph.name}'", remedy=f"needed: {', '.join(graph.inputs)}")
    arrays = {name: _check_input(graph, name, np.asarray(inputs[name])) for name in graph.inputs}
    counts = {name: len(array) for name, array in arrays.items()}
    if len(set(counts.values())) > 1:
        said = ", ".join(f"'{name}' has {count}" for name, count in counts.items())
        raise InputError(f"the inputs have different numbers of inferences: {said}")
    if 0 in counts.values():
        raise InputError("there are no inferences to compute", remedy="give at least one")
    return arrays


def _check_input(graph: Graph, name: str, array: Array) -> Array:
    wanted = graph.type(name)
    where = f"input '{name}'"
    if array.shape[1:] != wanted.shape or not array.ndim:
        needed = ", ".join(["inferences", *map(str, wanted.shape)])
        raise InputError(f"has shape {list(array.shape)}, and [{needed}] is needed", where=where)
    if isinstance(wanted.element, IntType):
        return _check_integers(array, wanted.element, where)
    if array.dtype.kind not in "fiu":
        raise InputError(f"is {array.dtype}, and {wanted.element} is needed", where=where)
    limit = min((_float_limit(made) for made in _consumer_results(graph, name)), default=np.inf)
    with np.errstate(over="ignore"):
        floats = array.astype(np.float32, copy=False)
        inside = np.abs(floats) < limit  # false for what is not a number
    if not inside.all():
        raise InputError(
            f"holds values that are not finite, or beyond {limit:g}, where quantizing is undefined", where=where
        )
    return floats


def _check_integers(array: Array, element: IntType, where: str) -> Array:
    if array.dtype.kind not in "iub":
        raise InputError(
            f"is {array.dtype}, and {element} is needed", where=where, remedy="quantize it with the input's scale"
        )
    if array.size and not (array.dtype == element.dtype and element.bits == 8 * array.dtype.itemsize):
        low, high = int(array.min()), int(array.max())
        if not element.contains(low, high):
            raise InputError(
                f"holds values from {low} to {high}, and {element} holds {element.minimum} to {element.maximum}",
                where=where,
            )
    return array.astype(element.dtype, copy=False)


def _consumer_results(graph: Graph, name: str) -> Iterable[TensorType]:
    return (graph.type(made) for node in graph.consumers(name) for made in node.outputs)


def _float_limit(made: TensorType) -> float:
    """Below this, a float divided by the scale stays well inside int32, which the reference kernel converts it to."""
    return min(made.quantization.scales) * 2.0**30 if made.quantization else np.inf
