"""ONNX's own reference evaluator: the judge of QONNX models, whose operators it is taught here.

The operators follow QONNX's operator documentation and the executable definition in its package, in NumPy's binary32;
they share nothing with the front end, which works with thresholds.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np

from bitloom.errors import ExecutionError, MissingExtraError, UsageError
from bitloom.frontends.model import Model, TensorView
from bitloom.ir import TensorType
from bitloom.ir.operator import Array
from bitloom.run.executor import ExecutorOptions, check_inputs
from bitloom.run.result import RunResult

# The operator set from which BatchNormalization has an attribute for it.
_TRAINING_MODE = 14
_DOMAINS = ("onnx.brevitas", "qonnx.custom_op.general", "finn.custom_op.general", "finn")


class OnnxReferenceExecutor:
    """One evaluator, run once per inference; every tensor of the file that is a value of the graph is read back.

    QONNX's tensors are reals; what a value of the graph holds are their integers, by the value's scale and zero point.
    """

    name = "onnx-reference"

    def __init__(self, model: Model, options: ExecutorOptions) -> None:  # noqa: ARG002 - it has none
        start = time.perf_counter()
        if model.onnx is None:
            raise UsageError(
                "onnx-reference computes ONNX files, and this model comes from another format",
                where=f"'{model.name}'",
                remedy="choose litert or numpy",
            )
        self.graph = model.graph
        self.views = {name: view for name, view in model.onnx.views.items() if name in self.graph.computed}
        reference = _import("onnx.reference")
        proto = _import("onnx").load_model_from_string(model.onnx.content)
        declared = {entry.domain for entry in proto.opset_import}
        for domain in {node.domain for node in proto.graph.node} - declared - {""}:
            # Exporters leave out what only QONNX knows.
            proto.opset_import.add(domain=domain, version=1)
        try:
            self.evaluator: Any = reference.ReferenceEvaluator(proto, new_ops=[*quantizers(), *_corrections(proto)])
        except Exception as error:  # its errors have no public base class
            raise ExecutionError(f"the reference refuses the model: {error}", where=f"'{model.name}'") from error
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
                with np.errstate(all="ignore"):
                    results = self.evaluator.run(wanted, feed)
            except Exception as error:  # its errors have no public base class
                raise ExecutionError(f"the reference failed: {error}", where=f"'{self.graph.name}'") from error
            for (name, view), result in zip(self.views.items(), results, strict=True):
                tensors[name][inference] = self._lying(name, view, np.asarray(result))
        return RunResult(self.name, tensors, time.perf_counter() - start, self.setup_seconds)

    def _lying(self, name: str, view: TensorView, result: Array) -> Array:
        """A tensor's elements as they lie in the graph's value, reals of integers as these."""
        made = self.graph.type(name)
        if result.shape != view.shape:
            raise ExecutionError(
                f"the reference makes {result.dtype}{list(result.shape)}, the graph says {made}",
                where=f"'{self.graph.name}', tensor '{name}'",
            )
        if view.offsets:
            axes = (1,) * (result.ndim - view.offset_axis - 1)
            result = result.astype(np.float64) - np.array(view.offsets).reshape(-1, *axes)
        lying = result.reshape(view.factors).transpose(view.order).reshape(made.shape)
        return lying if lying.dtype == made.element.dtype else _integers(lying, made)


def _integers(reals: Array, made: TensorType) -> Array:
    """The integers nearest to what the reals are by a type's scales."""
    quantization = made.required_quantization
    axes = () if quantization.axis is None else (1,) * (len(made.shape) - quantization.axis - 1)
    scales, zeros = (np.array(each).reshape(-1, *axes) for each in (quantization.scales, quantization.zero_points))
    found = np.rint(reals.astype(np.float64) / scales + zeros)
    return found.astype(np.int64).astype(made.element.dtype)


def quantizers() -> list[type]:
    """QONNX's operators, as classes of `onnx.reference.op_run.OpRun`, for every domain they have been in."""
    base: type = _import("onnx.reference.op_run").OpRun
    bodies = {"Quant": _int_quant, "IntQuant": _int_quant, "BipolarQuant": _bipolar_quant, "Trunc": _trunc}
    return [
        type(kind, (base,), {"op_domain": domain, "_run": _method(body)})
        for domain in _DOMAINS
        for kind, body in bodies.items()
    ]


def _corrections(proto: Any) -> list[type]:
    """Of operators that the evaluator has wrong.

    Before operator set 14 a BatchNormalization of one output is for inference (ONNX operator specification); the
    evaluator of onnx 1.23 mixes the statistics of the batch in wherever there is a momentum, which has a default.
    """
    versions = {entry.domain: entry.version for entry in proto.opset_import}
    if versions.get("", versions.get("ai.onnx", 0)) >= _TRAINING_MODE:
        return []
    base: type = _import("onnx.reference.op_run").OpRun
    return [type("BatchNormalization", (base,), {"op_domain": "", "_run": _normalized})]


def _normalized(
    self: Any,  # noqa: ARG001 - called as a method
    x: Array,
    scale: Array,
    bias: Array,
    mean: Array,
    variance: Array,
    epsilon: float | None = None,
    **others: Any,  # noqa: ARG001 - momentum
) -> tuple[Array]:
    scale, bias, mean, variance = (each.reshape(-1, *(1,) * (x.ndim - 2)) for each in (scale, bias, mean, variance))
    made = scale * (x - mean) / np.sqrt(variance + (1e-5 if epsilon is None else epsilon)) + bias
    return (made.astype(x.dtype),)


def _method(body: Any) -> Any:
    def run(self: Any, *operands: Array, **attributes: Any) -> tuple[Array]:
        given = {entry.name: _value(entry) for entry in self.onnx_node.attribute}
        made = np.asarray(body(operands, {**given, **attributes}))
        return (made.astype(np.float32),)

    return run


def _value(entry: Any) -> Any:
    found = _import("onnx.helper").get_attribute_value(entry)
    return found.decode() if isinstance(found, bytes) else found


def _int_quant(operands: Sequence[Array], attributes: Mapping[str, Any]) -> Array:
    x, scale, zero_point, bits = operands
    signed, narrow = bool(attributes.get("signed", 1)), bool(attributes.get("narrow", 0))
    y = x / scale
    y = y + zero_point
    if bits == 1 and signed:
        y = np.where(y >= 0, np.ones_like(y), -np.ones_like(y))
    else:
        y = _clamped(y, float(bits), signed, narrow)
        y = _rounded(y, str(attributes.get("rounding_mode", "ROUND")))
    made: Array = (y - zero_point) * scale
    return made


def _bipolar_quant(operands: Sequence[Array], attributes: Mapping[str, Any]) -> Array:  # noqa: ARG001 - it has none
    x, scale = operands
    made: Array = np.where(x >= 0, np.ones_like(x), -np.ones_like(x)) * scale
    return made


def _trunc(operands: Sequence[Array], attributes: Mapping[str, Any]) -> Array:
    x, scale, zero_point, given_bits = operands[:4]
    mode = str(attributes.get("rounding_mode", "FLOOR"))
    y = np.round(x / scale + zero_point)
    if len(operands) == 5:
        divisor = np.float32(2.0 ** float(given_bits - operands[4]))
        return np.asarray((_rounded(y / divisor, mode) - zero_point) * scale)
    out_scale, out_bits = operands[4:]
    factor = 2 ** np.round(np.log2(out_scale / scale))
    y = _clamped(y / factor, float(out_bits), bool(attributes.get("signed", 1)), bool(attributes.get("narrow", 0)))
    return np.asarray((_rounded(y, mode) - zero_point / factor) * out_scale)


def _clamped(y: Array, bits: float, signed: bool, narrow: bool) -> Array:
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0.0, 2**bits - 1)
    low, high = (low + narrow, high) if signed else (low, high - narrow)
    y = np.where(y > high, np.asarray(high, y.dtype), y)
    return np.where(y < low, np.asarray(low, y.dtype), y)


def _rounded(y: Array, mode: str) -> Array:
    match mode.upper():
        case "ROUND" | "HALF_EVEN":
            return np.round(y)
        case "CEIL":
            return np.ceil(y)
        case "FLOOR":
            return np.floor(y)
        case "UP":
            return np.copysign(np.ceil(np.abs(y)), y)
        case "DOWN":
            return np.fix(y)
        case "HALF_UP":
            return np.copysign(np.floor(np.abs(y) + 0.5), y)
        case "HALF_DOWN":
            return np.copysign(np.ceil(np.abs(y) - 0.5), y)
    raise ExecutionError(f"there is no rounding mode '{mode}'")


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingExtraError(
            "judging ONNX models needs the package onnx, which is not installed", remedy="pip install 'bitloom[onnx]'"
        ) from error
