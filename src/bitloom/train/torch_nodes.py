"""What the nodes of a float graph compute, in PyTorch, with gradients; channels last, batches of any size.

PyTorch is imported when a function is first called: only the extra ``bitloom[torch]`` has it.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bitloom.errors import MissingExtraError, UnsupportedError
from bitloom.ir import FloatGraph, FloatNode

WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
"""Nodes of an operand, weights and a bias."""

KEEPING = ("RESHAPE", "MAX_POOL_2D", "AVERAGE_POOL_2D", "PAD", "TRANSPOSE", "SQUEEZE", "EXPAND_DIMS")
"""Nodes whose result has the scale of their operand."""

_CLAMPS: Mapping[str, tuple[float | None, float | None]] = {
    "NONE": (None, None),
    "RELU": (0.0, None),
    "RELU6": (0.0, 6.0),
    "RELU_N1_TO_1": (-1.0, 1.0),
}


def require_torch() -> Any:
    """PyTorch.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        return importlib.import_module("torch")
    except ImportError as error:
        raise MissingExtraError(
            f"quantization-aware training needs a package that is not installed ({error.name or error})",
            remedy="pip install 'bitloom[torch]'",
        ) from error


def away(torch: Any, steps: Any) -> Any:
    """To the nearest integers, halves away from zero, as LiteRT's kernels do it."""
    whole = torch.trunc(steps)
    return whole + torch.sign(steps) * (torch.abs(steps - whole) >= 0.5)


@dataclass(frozen=True)
class Call:
    """A node and what it needs to know beside its operands.

    Attributes:
        node: of the graph.
        shape: of its result.
        constants: integer operands (shapes, paddings, axes) by position.
    """

    node: FloatNode
    shape: tuple[int, ...]
    constants: Mapping[int, Any]

    @classmethod
    def of(cls, graph: FloatGraph, node: FloatNode) -> Call:
        """A node of a graph.

        Raises:
            UnsupportedError: training does not know its kind.
        """
        if node.kind not in _FUNCTIONS:
            raise UnsupportedError(
                f"quantization-aware training does not know {node.kind}",
                where=node.where,
                remedy=f"it knows {', '.join(sorted(_FUNCTIONS))}",
            )
        for position, name in enumerate(node.inputs):
            constant = name is not None and graph.tensor(name).is_constant and graph.tensor(name).dtype == "float32"
            if constant and (node.kind not in WEIGHTED or position == 0):
                raise UnsupportedError(
                    f"{node.kind} with the constant '{name}', which training does not quantize", where=node.where
                )
        constants = {
            position: graph.tensor(name).constant
            for position, name in enumerate(node.inputs)
            if name is not None and graph.tensor(name).is_constant and graph.tensor(name).dtype == "int32"
        }
        return cls(node, graph.tensor(node.outputs[0]).shape, constants)

    @property
    def real_operands(self) -> tuple[int, ...]:
        """Positions of the operands that are real numbers."""
        inputs = enumerate(self.node.inputs)
        return tuple(position for position, name in inputs if name is not None and position not in self.constants)

    def __call__(self, operands: Sequence[Any]) -> Any:
        """The result, its activation included, of operands with a batch of any size."""
        result = _FUNCTIONS[self.node.kind](self, operands)
        low, high = _CLAMPS[self.node.attributes.get("fused_activation_function", "NONE")]
        return result if low is None and high is None else self.torch.clamp(result, low, high)

    @property
    def without_activation(self) -> Call:
        """The same with nothing fused into it."""
        attributes = {**self.node.attributes, "fused_activation_function": "NONE"}
        return replace(self, node=replace(self.node, attributes=attributes))

    @property
    def torch(self) -> Any:
        """PyTorch."""
        return require_torch()

    def option(self, name: str, default: int = 1) -> int:
        """A whole number among the attributes."""
        return int(self.node.attributes.get(name, default))

    def images(self, x: Any, value: float = 0.0) -> Any:
        """Images with channels second, padded as the option says."""
        x = x.permute(0, 3, 1, 2)
        if self.node.attributes.get("padding") != "SAME":
            return x
        ends: list[int] = []
        for size, taps, stride, dilation in reversed(list(zip(x.shape[2:], *self._windows(), strict=True))):
            outputs = -(-size // stride)
            total = max((outputs - 1) * stride + (taps - 1) * dilation + 1 - size, 0)
            ends += [total // 2, total - total // 2]
        return self.torch.nn.functional.pad(x, ends, value=value) if any(ends) else x

    def _windows(self) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
        taps = self.constants.get(-1)
        size = (self.option("filter_height"), self.option("filter_width")) if taps is None else taps
        return size, self.strides, self.dilations

    @property
    def strides(self) -> tuple[int, int]:
        """Down and across."""
        return self.option("stride_h"), self.option("stride_w")

    @property
    def dilations(self) -> tuple[int, int]:
        """Down and across."""
        return self.option("dilation_h_factor"), self.option("dilation_w_factor")


def _convolution(call: Call, operands: Sequence[Any]) -> Any:
    x, weights, *bias = operands
    depthwise = call.node.kind == "DEPTHWISE_CONV_2D"
    kernel = weights.permute(3, 0, 1, 2) if depthwise else weights.permute(0, 3, 1, 2)
    sized = Call(call.node, call.shape, {**call.constants, -1: tuple(kernel.shape[2:])})
    images = sized.images(x)
    groups = images.shape[1] // kernel.shape[1]
    made = call.torch.nn.functional.conv2d(
        images, kernel, bias[0] if bias else None, call.strides, 0, call.dilations, groups
    )
    return made.permute(0, 2, 3, 1)


def _dense(call: Call, operands: Sequence[Any]) -> Any:
    x, weights, *bias = operands
    rows = x.reshape(-1, weights.shape[1])
    return call.torch.nn.functional.linear(rows, weights, bias[0] if bias else None).reshape(len(x), *call.shape[1:])


def _max_pool(call: Call, operands: Sequence[Any]) -> Any:
    images = call.images(operands[0], -math.inf)
    size = (call.option("filter_height"), call.option("filter_width"))
    return call.torch.nn.functional.max_pool2d(images, size, call.strides).permute(0, 2, 3, 1)


def _average_pool(call: Call, operands: Sequence[Any]) -> Any:
    images = call.images(operands[0])
    size = (call.option("filter_height"), call.option("filter_width"))
    sums = call.torch.nn.functional.avg_pool2d(images, size, call.strides, divisor_override=1)
    ones = call.images(call.torch.ones_like(operands[0][:1, :, :, :1]))
    counts = call.torch.nn.functional.avg_pool2d(ones, size, call.strides, divisor_override=1)
    return (sums / counts).permute(0, 2, 3, 1)


def _mean(call: Call, operands: Sequence[Any]) -> Any:
    axes = [int(axis) for axis in call.constants[1].reshape(-1)]
    return operands[0].mean(axes).reshape(len(operands[0]), *call.shape[1:])


def _pad(call: Call, operands: Sequence[Any]) -> Any:
    ends = [int(size) for pair in reversed(call.constants[1].tolist()) for size in pair]
    return call.torch.nn.functional.pad(operands[0], ends)


def _transpose(call: Call, operands: Sequence[Any]) -> Any:
    return operands[0].permute(*(int(axis) for axis in call.constants[1]))


def _reshape(call: Call, operands: Sequence[Any]) -> Any:
    return operands[0].reshape(len(operands[0]), *call.shape[1:])


def _softmax(call: Call, operands: Sequence[Any]) -> Any:
    return call.torch.softmax(operands[0], -1)


def _clamp(call: Call, operands: Sequence[Any]) -> Any:
    return call.torch.clamp(operands[0], *_CLAMPS[call.node.kind])


def _elementwise(call: Call, operands: Sequence[Any]) -> Any:
    return getattr(call.torch, _ELEMENTWISE[call.node.kind])(*operands)


# PyTorch's names of functions of elements alone.
_ELEMENTWISE = {"ADD": "add", "SUB": "sub", "MUL": "mul", "LOGISTIC": "sigmoid", "TANH": "tanh"}

_FUNCTIONS: Mapping[str, Callable[[Call, Sequence[Any]], Any]] = {
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _convolution,
    "FULLY_CONNECTED": _dense,
    "MAX_POOL_2D": _max_pool,
    "AVERAGE_POOL_2D": _average_pool,
    "MEAN": _mean,
    "PAD": _pad,
    "TRANSPOSE": _transpose,
    **dict.fromkeys(("RESHAPE", "SQUEEZE", "EXPAND_DIMS"), _reshape),
    **dict.fromkeys(("RELU", "RELU6", "RELU_N1_TO_1"), _clamp),
    **dict.fromkeys(_ELEMENTWISE, _elementwise),
    "SOFTMAX": _softmax,
}
