"""A node of an ONNX file, and what its operands mean."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bitloom.arith import IntType
from bitloom.errors import ModelFormatError, UnsupportedError
from bitloom.frontends.onnx_builder import GraphBuilder
from bitloom.frontends.onnx_file import OnnxNode
from bitloom.frontends.onnx_values import Constant, Dequantized, Meaning, Scale, Tensor

_ELEMENTS = ("int8", "uint8")


@dataclass(frozen=True)
class Context:
    """A node, and what its operands mean."""

    node: OnnxNode
    builder: GraphBuilder
    meanings: Mapping[str, Meaning]

    @property
    def attributes(self) -> Mapping[str, Any]:
        """Of the node."""
        return self.node.attributes

    @property
    def name(self) -> str:
        """Of the result."""
        return self.node.outputs[0]

    def optional(self, index: int) -> Meaning | None:
        """An operand that may be absent."""
        if index >= len(self.node.inputs) or not self.node.inputs[index]:
            return None
        if self.node.inputs[index] not in self.meanings:
            raise ModelFormatError(f"reads '{self.node.inputs[index]}' before anything makes it")
        return self.meanings[self.node.inputs[index]]

    def operand(self, index: int) -> Meaning:
        """An operand that must be there."""
        found = self.optional(index)
        if found is None:
            raise ModelFormatError(f"lacks its operand {index}")
        return found

    def array(self, index: int) -> npt.NDArray[Any]:
        """A constant operand."""
        found = self.operand(index)
        if not isinstance(found, Constant):
            raise UnsupportedError(f"has the computed operand '{self.node.inputs[index]}' where constants are needed")
        return found.array

    def scalar(self, index: int) -> float:
        """A constant of one element."""
        array = self.array(index)
        if array.size != 1:
            raise UnsupportedError(f"has {array.size} scales or zero points for '{self.node.inputs[0]}', not one")
        return float(array.reshape(-1)[0])

    def scale(self, index: int, element: IntType | None = None) -> Scale:
        """A scale, and the zero point and type behind it."""
        zero_point = self.optional(index + 1)
        if zero_point is not None:
            element = IntType.parse(str(self.array(index + 1).dtype))
        element = element or IntType(8, signed=False)
        if str(element) not in _ELEMENTS:
            raise UnsupportedError(f"quantizes to {element}; supported: {', '.join(_ELEMENTS)}")
        scale = self.scalar(index)
        if not (math.isfinite(scale) and scale > 0):
            raise ModelFormatError(f"has the scale {scale}")
        return Scale(scale, 0 if zero_point is None else int(self.scalar(index + 1)), element)

    def integers(self, index: int) -> Tensor:
        """An operand that is computed integers."""
        found = self.operand(index)
        if not isinstance(found, Tensor):
            raise UnsupportedError(f"takes integers that are computed, not '{self.node.inputs[index]}'")
        return found

    def quantized(self, index: int) -> Dequantized:
        """Three operands of a quantized operator: integers, their scale, their zero point."""
        tensor = self.integers(index)
        return Dequantized(tensor, self.scale(index + 1, tensor.value.type.integer))

    def reals(self, index: int = 0) -> Dequantized:
        """An operand that was dequantized and is otherwise untouched."""
        found = self.operand(index)
        if isinstance(found, Dequantized) and not found.functions:
            return found
        raise UnsupportedError(
            f"reads '{self.node.inputs[index]}' in floating point, and integers are needed",
            remedy="quantize the whole model (QuantizeLinear and DequantizeLinear between operators)",
        )

    def constant(self, index: int, axis: int = 0) -> Constant:
        """Three operands of a quantized operator that are constant: integers, scales, zero points."""
        array, scales = self.array(index), self.array(index + 1).reshape(-1)
        zero_points = self.array(index + 2).reshape(-1) if self.optional(index + 2) else np.zeros_like(scales, np.int8)
        return dequantized_constant(array, scales, zero_points, axis)


def dequantized_constant(
    array: npt.NDArray[Any], scales: npt.NDArray[Any], zero_points: npt.NDArray[Any], axis: int
) -> Constant:
    """Integers of the file with their scales."""
    if len(scales) != len(zero_points) or not (np.isfinite(scales).all() and (scales > 0).all()):
        raise ModelFormatError("has scales that are not positive, or not as many as zero points")
    if len(scales) > 1 and array.shape[axis] != len(scales):
        raise ModelFormatError(f"has {len(scales)} scales for an axis of {array.shape[axis]}")
    lying = [1] * array.ndim
    if len(scales) > 1:
        lying[axis] = len(scales)
    shift = array.astype(np.int64) - zero_points.astype(np.int64).reshape(lying if len(scales) > 1 else -1)[...]
    reals = shift.astype(np.float32) * scales.astype(np.float32).reshape(lying if len(scales) > 1 else -1)
    return Constant(
        reals.reshape(array.shape),
        array,
        tuple(float(scale) for scale in scales),
        tuple(int(zero_point) for zero_point in zero_points),
        axis if len(scales) > 1 else None,
    )
