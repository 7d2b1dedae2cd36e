"""FULLY_CONNECTED: a dense layer, per-tensor or per-channel, with a fused activation."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from bitloom.arith import Interval, IntType, Rescale, Rounding
from bitloom.arith.linear import exact_matmul
from bitloom.arith.narrow import check_domain
from bitloom.arith.rescale import EXACT
from bitloom.circuits.dense import DenseCircuit, DenseTerms
from bitloom.circuits.streaming import StreamingCircuit, StreamingOperator
from bitloom.errors import GraphError, UnsupportedError
from bitloom.ir import Cost, Example, Lowered, Quantization, SourceNode, TensorType, Value, register
from bitloom.ir.operator import Array
from bitloom.ir.types import ElementType
from bitloom.ops.shared.fused import activation_named, fused_clamp
from bitloom.ops.shared.support import example_graph, random_integers, require_bias_scale, require_weights

# Input, weights and output types for which the reference kernel has this rule.
_KINDS = (
    ("int8", "int8", "int8"),
    ("int8", "int4", "int8"),
    ("uint8", "uint8", "uint8"),
    ("int16", "int8", "int16"),
)


@register
@dataclass(frozen=True)
class FullyConnected(StreamingOperator):
    """``clamp(rescale(sum_k (x[k] - zx) * (w[n, k] - zw) + b[n]) + zy)``.

    Operands: x of any shape whose size is a multiple of K; constant weights (N, K); optional constant bias (N,).

    Source: LiteRT 8-bit quantization specification; the rescale is ``round(double(acc) * M)``, halves away from
    zero, with ``M = double(sx) * double(sw) / double(sy)``, as the reference kernel of the pinned LiteRT.

    Attributes:
        input_zero_point: zx.
        weight_zero_point: zw.
        output_zero_point: zy.
        rescale: from accumulator to output, one multiplier or N.
        activation: the clamp, in output integers.
        output: the output's type.
        keep_dims: whether the output keeps the input's leading dimensions, else they are one.
    """

    name = "fully_connected"
    tflite = ("FULLY_CONNECTED",)
    summary = "dense layer, per-tensor or per-channel, fused activation, optional bias"

    input_zero_point: int
    weight_zero_point: int
    output_zero_point: int
    rescale: Rescale
    activation: Interval
    output: IntType
    keep_dims: bool = False

    def infer(self, inputs: Sequence[Value]) -> tuple[tuple[tuple[int, ...], ElementType], ...]:
        """Output shape (rows, N), or (*leading, N) with `keep_dims`."""
        terms = DenseTerms(self, inputs)
        x = inputs[0].type
        if x.size % terms.depth or (self.keep_dims and x.shape[-1] != terms.depth):
            raise GraphError(f"input of shape {list(x.shape)} does not fit weights {list(terms.weights.shape)}")
        if self.rescale.channels not in (1, terms.outputs):
            raise GraphError(f"{self.rescale.channels} multipliers for {terms.outputs} outputs")
        low, high = terms.accumulator_bounds
        if self.rescale.rounding in EXACT:
            check_domain(self.rescale, low, high, self.output_zero_point)
        elif low.min() < -(2**31) or high.max() >= 2**31:
            raise UnsupportedError(
                f"the accumulator reaches {Interval(int(low.min()), int(high.max()))}, beyond int32, where the "
                "reference kernel overflows"
            )
        elif np.abs(self.rescale.apply(np.stack([low, high])) + self.output_zero_point).max() >= 2**31:
            raise UnsupportedError(
                "a rescaled accumulator leaves int32, where the reference kernel's answer is undefined",
                remedy="check the output scale of this layer",
            )
        leading = x.shape[:-1] if self.keep_dims else (x.size // terms.depth,)
        return (((*leading, terms.outputs), self.output),)

    def evaluate(self, inputs: Sequence[Array]) -> tuple[Array, ...]:
        """x (inferences, *shape), weights (N, K), bias (N,)."""
        x, weights = inputs[0], inputs[1].astype(np.int64) - self.weight_zero_point
        depth = weights.shape[1]
        rows = x.reshape(x.shape[0], -1, depth).astype(np.int64) - self.input_zero_point
        largest = max(abs(int(rows.min(initial=0))), abs(int(rows.max(initial=0))))
        magnitude = largest * int(np.abs(weights).sum(axis=1).max())
        accumulators = exact_matmul(rows, weights.T, magnitude)
        if len(inputs) > 2:
            accumulators += inputs[2].astype(np.int64)
        result = self.rescale.apply(accumulators) + self.output_zero_point
        clamped = np.clip(result, self.activation.low, self.activation.high)
        leading = x.shape[1:-1] if self.keep_dims else (rows.shape[1],)
        return (clamped.reshape(x.shape[0], *leading, weights.shape[0]),)

    def cost(self, inputs: Sequence[Value]) -> Cost:
        """One multiply-accumulate per weight and row."""
        x, weights = inputs[0].type, inputs[1].type
        rows = x.size // weights.shape[1]
        return Cost(macs=rows * weights.size, parameters=sum(value.type.size for value in inputs[1:]))

    def notes(self, inputs: Sequence[Value]) -> tuple[str, ...]:
        """The accumulator's range and the narrowed rescale."""
        terms = DenseTerms(self, inputs)
        low, high = terms.accumulator_bounds
        bounds = Interval(int(low.min()), int(high.max()))
        return (
            f"accumulator {bounds} {bounds.type}",
            f"rescale by {terms.narrowed.multiplier_bits}-bit multiplier >> {terms.narrowed.shift}",
        )

    def circuit(self, operands: Sequence[Value], results: Sequence[Value]) -> StreamingCircuit:  # noqa: ARG002
        """The folded matrix-vector unit."""
        return DenseCircuit(DenseTerms(self, operands))

    def to_tflite(self, inputs: Sequence[Value], outputs: Sequence[Value]) -> SourceNode:
        """With the fused activation whose clamp this is."""
        activation = activation_named(self.activation, outputs[0].type)
        attributes = {"fused_activation_function": activation, "keep_num_dims": self.keep_dims}
        if len(inputs) > 2 and (str(inputs[0].type.element), str(inputs[2].type.element)) == ("int16", "int32"):
            attributes["quantized_bias_type"] = "INT32"
        return SourceNode("FULLY_CONNECTED", attributes, tuple(inputs), tuple(outputs), self.name)

    @classmethod
    def lower(cls, source: SourceNode) -> Lowered:
        """From a file's node, with scales taken from the tensors."""
        x, weights, bias = source.operand(0), source.operand(1), source.optional(2)
        output = source.outputs[0].type
        _check_kinds(source, x, weights, bias)
        clamp = fused_clamp(source)
        if source.attributes.get("weights_format", "DEFAULT") != "DEFAULT":
            raise UnsupportedError("shuffled FULLY_CONNECTED weights", where=source.where)
        weight_quantization = weights.type.required_quantization
        if weight_quantization.axis is not None and any(weight_quantization.zero_points):
            raise UnsupportedError("per-channel weights with a zero point that is not 0", where=source.where)
        output_quantization = output.required_quantization
        scale, zero_point = output_quantization.scale, output_quantization.zero_point
        if weight_quantization.axis is None:
            require_bias_scale(source, x, weights, bias)
        operator = cls(
            input_zero_point=x.type.required_quantization.zero_point,
            weight_zero_point=weight_quantization.zero_points[0],
            output_zero_point=zero_point,
            rescale=Rescale(
                tuple(x.type.required_quantization.scale * weight / scale for weight in weight_quantization.scales),
                Rounding.FLOAT64,
            ),
            activation=clamp,
            output=output.integer,
            keep_dims=bool(source.attributes.get("keep_num_dims", False)),
        )
        return Lowered(operator, tuple(value.name for value in (x, weights, bias) if value is not None))

    @classmethod
    def examples(cls) -> Iterable[Example]:
        """Per-tensor and per-channel, with and without bias, activations, odd sizes, several rows."""
        yield _example("per_tensor", (1, 12), 5)
        yield _example("no_bias", (1, 7), 3, bias=False)
        yield _example("per_channel_relu", (1, 9), 11, per_channel=True, activation="RELU")
        yield _example("relu6", (1, 16), 4, activation="RELU6")
        yield _example("relu_n1_to_1", (1, 5), 6, activation="RELU_N1_TO_1")
        yield _example("one_output", (1, 33), 1)
        yield _example("one_input", (1, 1), 8)
        yield _example("several_rows", (3, 6), 4, per_channel=True)
        yield _example("keep_dims", (1, 2, 3, 5), 4, keep_dims=True)
        yield _example("weight_zero_point", (1, 10), 4, weight_zero_point=7)


def _check_kinds(source: SourceNode, x: Value, weights: Value, bias: Value | None) -> None:
    """Refuse operands that the reference kernel refuses, or reads as something else than they are."""
    found = require_weights(source, x, weights, bias, _KINDS)
    if bias is None:
        return
    declared = source.attributes.get("quantized_bias_type", "FLOAT32")
    expected = "int32" if found[0] != "int16" or declared == "INT32" else "int64"
    if str(bias.type.element) != expected:
        raise UnsupportedError(
            f"{source.kind} of {found[0]} with a bias of {bias.type.element}; the kernel reads {expected}",
            where=source.where,
        )


def _example(
    name: str,
    shape: tuple[int, ...],
    outputs: int,
    *,
    bias: bool = True,
    per_channel: bool = False,
    activation: str = "NONE",
    keep_dims: bool = False,
    weight_zero_point: int = 0,
) -> Example:
    depth = shape[-1]
    seed = math.prod(shape) * 31 + outputs
    scales = tuple(0.01 * (1 + index / 7) for index in range(outputs)) if per_channel else (0.012,)
    weights = Value(
        "weights",
        TensorType(
            (outputs, depth),
            IntType(8),
            Quantization(scales, (weight_zero_point,) * len(scales), 0 if per_channel else None),
        ),
        random_integers((outputs, depth), -127, 127, seed),
    )
    x = Value("x", TensorType(shape, IntType(8), Quantization((0.05,), (-3,))))
    operands: list[Value | None] = [x, weights]
    if bias:
        bias_type = TensorType(
            (outputs,),
            IntType(32),
            Quantization(tuple(0.05 * s for s in scales), (0,) * len(scales), 0 if per_channel else None),
        )
        operands.append(Value("bias", bias_type, random_integers((outputs,), -2000, 2000, seed + 1)))
    y_shape = (*shape[:-1], outputs) if keep_dims else (math.prod(shape) // depth, outputs)
    y = Value("y", TensorType(y_shape, IntType(8), Quantization((0.004 * depth,), (5,))))
    return example_graph(
        FullyConnected,
        f"fully_connected_{name}",
        "FULLY_CONNECTED",
        operands,
        y,
        {"fused_activation_function": activation, "keep_num_dims": keep_dims},
    )
