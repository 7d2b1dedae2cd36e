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
from bitloom.frontends.onnx.builder import GraphBuilder
from bitloom.frontends.onnx.file import OLDEST_OPSET, OnnxNode
from bitloom.frontends.onnx.values import ELEMENTS, Computed, Constant, Dequantized, Meaning, Scale, Tensor

LARGEST_AXIS = 1 << 20
"""Longer ones are no networks for hardware, but corrupt files that would fill the memory with indices."""

# TensorProto's numbers of the types that QuantizeLinear may name without a zero point.
_OUTPUT_TYPES = {0: "uint8", 1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 10: "float16"}
_OUTPUT_TYPES |= {17: "float8e4m3fn", 19: "float8e5m2", 21: "uint4", 22: "int4", 23: "float4e2m1"}
_OUTPUT_TYPES |= {25: "uint2", 26: "int2"}


@dataclass(frozen=True)
class Context:
    """A node, and what its operands mean."""

    node: OnnxNode
    builder: GraphBuilder
    meanings: Mapping[str, Meaning]
    opset: int = OLDEST_OPSET
    result: str = ""

    @property
    def attributes(self) -> Mapping[str, Any]:
        """Of the node."""
        return self.node.attributes

    @property
    def name(self) -> str:
        """Of the result: the first, if no other is asked for."""
        return self.result or self.node.outputs[0]

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

    def axes(self, rank: int, index: int = 1) -> list[int]:
        """Axes as an operand, or as an attribute where operator sets were older; empty if absent."""
        given = self.array(index) if self.optional(index) else np.array(self.attributes.get("axes", ()), np.int64)
        found = [int(axis) for axis in given.reshape(-1)]
        if not all(-rank <= axis < rank for axis in found):
            raise ModelFormatError(f"names the axes {found} of {rank}")
        return [axis % rank for axis in found]

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
        name = str(element or _OUTPUT_TYPES.get(int(self.attributes.get("output_dtype", 0)), "uint8"))
        if zero_point is not None:
            name = str(self.array(index + 1).dtype)
        if name not in ELEMENTS:
            raise UnsupportedError(f"quantizes to {name}; supported: {', '.join(ELEMENTS)}")
        element = IntType.parse(name)
        scale = self.scalar(index)
        if not (math.isfinite(scale) and scale > 0):
            raise ModelFormatError(f"has the scale {scale}")
        return Scale(scale, 0 if zero_point is None else int(self.scalar(index + 1)), element)

    def integers(self, index: int) -> Tensor:
        """An operand that is computed integers."""
        found = self.operand(index)
        if isinstance(found, Computed) and found.integral:
            return self.builder.sums(found, self.node.inputs[index])
        if not isinstance(found, Tensor):
            raise UnsupportedError(f"takes integers that are computed, not '{self.node.inputs[index]}'")
        return found

    def quantized(self, index: int) -> Dequantized:
        """Three operands of a quantized operator: integers, their scale, their zero point."""
        tensor = self.integers(index)
        scale = self.scale(index + 1, tensor.value.type.integer)
        return Dequantized(self.builder.scaled(tensor, scale), scale)

    def reals(self, index: int = 0) -> Dequantized:
        """An operand that was dequantized and is otherwise untouched."""
        found = self.operand(index)
        if isinstance(found, Dequantized) and not found.functions:
            return found
        if isinstance(found, Tensor):
            raise UnsupportedError(f"computes with the integers '{self.node.inputs[index]}' as they are")
        raise UnsupportedError(
            f"reads '{self.node.inputs[index]}' in floating point, and integers are needed",
            remedy="quantize the whole model (QuantizeLinear and DequantizeLinear between operators)",
        )

    def constant(self, index: int, axis: int = 0) -> Constant:
        """Three operands of a quantized operator that are constant: integers, scales, zero points."""
        array, scales = self.array(index), self.array(index + 1).reshape(-1)
        zero_points = self.array(index + 2).reshape(-1) if self.optional(index + 2) else np.zeros(len(scales), np.int8)
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
