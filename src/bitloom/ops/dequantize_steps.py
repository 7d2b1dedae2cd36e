"""Integers become real numbers at the edge of a graph, and what a format does to them there in binary32."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bitloom.arith import IntType
from bitloom.errors import GraphError
from bitloom.ir import FLOAT32, Example, Graph, Node, Operator, TensorType, Value, register
from bitloom.ir.operator import Array
from bitloom.ir.types import ElementType
from bitloom.ops.shared.support import require_element

Float32Array = npt.NDArray[np.float32]

STEPS: Mapping[str, Callable[[Float32Array, Float32Array], Float32Array]] = {
    "add": np.add,
    "subtract": np.subtract,
    "subtract_from": lambda x, constant: constant - x,
    "multiply": np.multiply,
    "divide": np.divide,
    "maximum": np.maximum,
    "minimum": np.minimum,
}
"""Operations of binary32 with a constant, each rounded on its own."""

SOFTMAX = "softmax"
"""The step that has no constant: over the last axis, of the differences from the largest."""


@register
@dataclass(frozen=True)
class DequantizeSteps(Operator):
    """``steps(float32(s * (x - z)))``: the product in binary64, rounded once; then steps, each in binary32.

    Attributes:
        input: the type of x.
        scales: s, one or one per channel.
        zero_points: z, likewise.
        steps: names (of `STEPS`, or `SOFTMAX`) and constants, one or one per channel.
        axis: of the channels; None where nothing differs between them.
    """

    name = "dequantize_steps"
    summary = "integers to float32 at a graph's edge, and operations with constants behind (last layers of QONNX)"
    float_edge = True

    input: IntType
    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    steps: tuple[tuple[str, tuple[float, ...]], ...] = ()
    axis: int | None = None

    def infer(self, inputs: Sequence[Value]) -> tuple[tuple[tuple[int, ...], ElementType], ...]:
        """The operand's shape, float32."""
        x = inputs[0]
        require_element(x, self.input)
        shape = x.type.shape
        if self.axis is not None and not 0 <= self.axis < len(shape):
            raise GraphError(f"channels along axis {self.axis} of shape {list(shape)}")
        channels = 1 if self.axis is None else shape[self.axis]
        for constants in (self.scales, self.zero_points, *(each for name, each in self.steps if name != SOFTMAX)):
            if len(constants) not in (1, channels) or not np.isfinite(constants).all():
                raise GraphError(f"{len(constants)} constants for {channels} channels, or some that are not finite")
        for name, _ in self.steps:
            if name not in STEPS and name != SOFTMAX:
                raise GraphError(f"there is no step '{name}'; there are {', '.join(STEPS)}, {SOFTMAX}")
        return ((shape, FLOAT32),)

    def evaluate(self, inputs: Sequence[Array]) -> tuple[Array, ...]:
        """x integers (inferences, *shape)."""
        behind = 0 if self.axis is None else inputs[0].ndim - self.axis - 2

        def lying(constants: Sequence[float]) -> npt.NDArray[np.float64]:
            return np.array(constants, np.float64).reshape(-1, *(1,) * behind)

        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            difference = inputs[0].astype(np.float64) - lying(self.zero_points)
            reals = (lying(self.scales) * difference).astype(np.float32)
            for name, constants in self.steps:
                made = lying(constants).astype(np.float32)
                reals = softmax(reals) if name == SOFTMAX else STEPS[name](reals, made)
        return (reals,)

    @classmethod
    def examples(cls) -> Iterable[Example]:
        """One scale, scales and constants of channels, and a softmax."""
        int12 = IntType(12)
        affine = (("subtract", (1.25,)), ("divide", (18.5,)), ("multiply", (0.75,)), ("add", (-1.5,)))
        yield _example("affine", cls(int12, (1.0,), (0,), affine))
        channels = (("add", (0.5, -0.25, 8.0)), ("maximum", (0.0,)))
        yield _example("channels", cls(int12, (0.1, 0.2, 0.3), (0, 4, -4), channels, 2))
        yield _example("softmax", cls(IntType(4), (0.25,), (0,), ((SOFTMAX, ()),)))


def softmax(reals: Float32Array) -> Float32Array:
    """Over the last axis, in binary32, as ONNX's reference evaluator has it."""
    exponentials = np.exp(reals - reals.max(axis=-1, keepdims=True))
    made: Float32Array = exponentials / exponentials.sum(axis=-1, keepdims=True)
    return made


def _example(name: str, operator: DequantizeSteps) -> Example:
    x, y = Value("x", TensorType((1, 5, 3), operator.input)), Value("y", TensorType((1, 5, 3), FLOAT32))
    node = Node("dequantize_steps_0", operator, ("x",), ("y",))
    name = f"dequantize_steps_{name}"
    return Example(name, Graph(name, ("x",), ("y",), (x, y), (node,)))
