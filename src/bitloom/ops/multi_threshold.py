"""Step functions of integers, one for each channel: how many thresholds an element has reached decides its result."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from bitloom.arith import IntType
from bitloom.circuits.streaming import StreamingCircuit, StreamingOperator
from bitloom.circuits.thresholds import ThresholdCircuit
from bitloom.errors import GraphError
from bitloom.hw.thresholds import StepTables
from bitloom.ir import Cost, Example, Graph, Node, TensorType, Value, register
from bitloom.ir.operator import Array
from bitloom.ir.types import ElementType
from bitloom.ops.shared.support import random_integers, require_element

# Ranges of all channels side by side stay within int64.
_SEARCHED_BITS = 60


@register
@dataclass(frozen=True)
class MultiThreshold(StreamingOperator):
    """``y = values[c, k]``, k being how many of ``thresholds[c]`` are not above x.

    Operands: x with the channels last; constant thresholds (C, T), ascending for each channel; constant values
    (C, T + 1). With C = 1 all elements have one function.

    Any function of an accumulator per channel is one of these, however the format states it: a rescale, a batch
    normalisation in floating point, an activation, the quantizer behind them. Source: Umuroglu and Jahre,
    "Streamlined Deployment for Quantized Neural Networks" (2017), section 3.

    Attributes:
        input: the type of x.
        output: the type of y.
    """

    name = "multi_threshold"
    summary = "any step function of an integer per channel: normalisation, activation and quantizer in one (QONNX)"

    input: IntType
    output: IntType

    def infer(self, inputs: Sequence[Value]) -> tuple[tuple[tuple[int, ...], ElementType], ...]:
        """The operand's shape, the output type."""
        if len(inputs) != 3:
            raise GraphError(f"multi_threshold has three operands, not {len(inputs)}")
        x = inputs[0]
        require_element(x, self.input)
        thresholds, values = inputs[1].constant, inputs[2].constant
        if thresholds.ndim != 2 or values.shape != (thresholds.shape[0], thresholds.shape[1] + 1):
            raise GraphError(f"thresholds {list(thresholds.shape)} need one value more, these are {list(values.shape)}")
        if len(thresholds) > 1 and (not x.type.shape or x.type.shape[-1] != len(thresholds)):
            raise GraphError(f"{len(thresholds)} channels of thresholds for the shape {list(x.type.shape)}")
        if (np.diff(thresholds, axis=1) < 0).any():
            raise GraphError("thresholds do not ascend")
        if not self.input.contains(int(thresholds.min()), int(thresholds.max())):
            raise GraphError(f"thresholds from {thresholds.min()} to {thresholds.max()} for elements of {self.input}")
        if not self.output.contains(int(values.min()), int(values.max())):
            raise GraphError(f"values from {values.min()} to {values.max()} for results of {self.output}")
        return ((x.type.shape, self.output),)

    def evaluate(self, inputs: Sequence[Array]) -> tuple[Array, ...]:
        """x (inferences, *shape); one search of all channels, whose thresholds lie in ranges of their own."""
        thresholds, values = (operand.astype(np.int64) for operand in inputs[1:])
        channels, count = thresholds.shape
        flat = inputs[0].astype(np.int64).reshape(-1, channels)
        if self.input.bits + channels.bit_length() > _SEARCHED_BITS:
            columns = zip(thresholds, values, flat.T, strict=True)
            rows = [made[np.searchsorted(row, column, side="right")] for row, made, column in columns]
            return (np.stack(rows, axis=1).reshape(inputs[0].shape).astype(self.output.dtype),)
        span = 1 << self.input.bits
        places = np.arange(channels) * span - self.input.minimum
        found = np.searchsorted((thresholds + places[:, None]).reshape(-1), (flat + places).reshape(-1), side="right")
        reached = found.reshape(flat.shape) - np.arange(channels) * count
        made = values[np.arange(channels), reached]
        return (made.reshape(inputs[0].shape).astype(self.output.dtype),)

    def cost(self, inputs: Sequence[Value]) -> Cost:
        """No multiply-accumulates."""
        return Cost(parameters=sum(value.type.size for value in inputs[1:]))

    def notes(self, inputs: Sequence[Value]) -> tuple[str, ...]:
        """How many thresholds, and the comparisons that find a result."""
        tables = self._tables(inputs)
        return (f"{tables.thresholds.shape[1]} thresholds, {tables.stages} comparisons",)

    def circuit(self, operands: Sequence[Value], results: Sequence[Value]) -> StreamingCircuit:  # noqa: ARG002
        """A binary search in each lane."""
        x = operands[0].type
        return ThresholdCircuit(self._tables(operands), x.shape[-1] if x.shape else 1, x.size)

    def _tables(self, operands: Sequence[Value]) -> StepTables:
        return StepTables(self.input, self.output, operands[1].constant, operands[2].constant)

    @classmethod
    def examples(cls) -> Iterable[Example]:
        """One function and several, rising and not, repeated thresholds, narrow and wide, one channel after another."""
        int2, int4, int8, uint4 = IntType(2), IntType(4), IntType(8), IntType(4, signed=False)
        yield _example("ternary", (1, 6), IntType(9), int2, _sorted(6, 2, 120), np.arange(-1, 2))
        yield _example("one_function", (2, 7), int8, uint4, _sorted(1, 15, 100), np.arange(16))
        yield _example("images", (1, 3, 2, 5), IntType(12), int4, _sorted(5, 15, 900), np.arange(-8, 8))
        falling = np.where(np.arange(4)[:, None] % 2, -np.arange(8), np.arange(8)) - (np.arange(4)[:, None] % 2 == 0)
        yield _example("rising_and_falling", (1, 2, 4), IntType(10), int4, _sorted(4, 7, 500), falling)
        jumps = np.concatenate([_sorted(3, 4, 30), np.full((3, 3), 31)], axis=1)
        yield _example("jumps", (1, 3), IntType(6), int4, jumps, np.array([-7, -7, -2, 0, 3, 3, 3, 3]))
        yield _example("one_bit", (1, 8), IntType(7), IntType(1, signed=False), _sorted(8, 1, 60), np.arange(2))
        yield _example("of_one_bit", (1, 4), IntType(1, signed=False), int4, np.ones((1, 1)), np.array([-3, 5]))
        yield _example("constant", (1, 3), int4, int8, np.full((3, 1), 7), np.array([[5, 5], [-1, -1], [0, 0]]))
        yield _example("wide", (1, 3), IntType(40), int4, _sorted(3, 9, 1 << 39), np.arange(-5, 5))
        yield _example("unsigned", (1, 5), IntType(11, signed=False), int8, 1024 + _sorted(5, 40, 900), np.arange(41))


def _sorted(channels: int, count: int, reach: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    return np.sort(random_integers((channels, count), -reach, reach, channels * 100 + count), axis=1)


def _example(
    name: str, shape: tuple[int, ...], given: IntType, made: IntType, thresholds: Array, values: Array
) -> Example:
    rows = np.broadcast_to(values, (len(thresholds), thresholds.shape[1] + 1)).astype(np.int64)
    x, y = Value("x", TensorType(shape, given)), Value("y", TensorType(shape, made))
    constants = [
        Value("thresholds", TensorType(thresholds.shape, given), thresholds.astype(np.int64)),
        Value("values", TensorType(rows.shape, made), rows),
    ]
    node = Node("multi_threshold_0", MultiThreshold(given, made), ("x", "thresholds", "values"), ("y",))
    name = f"multi_threshold_{name}"
    return Example(name, Graph(name, ("x",), ("y",), (x, *constants, y), (node,)))
