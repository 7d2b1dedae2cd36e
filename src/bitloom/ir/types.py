"""Tensor types: shape, element type, and the quantization that gives the integers their real meaning."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from bitloom.arith import IntType
from bitloom.errors import GraphError


@dataclass(frozen=True)
class FloatType:
    """IEEE binary32, allowed only at a graph's edges (QUANTIZE in front, DEQUANTIZE behind)."""

    bits: int = 32

    def __post_init__(self) -> None:
        if self.bits != 32:
            raise GraphError(f"a float type has 32 bits, not {self.bits}")

    @property
    def dtype(self) -> np.dtype[np.float32]:
        """The NumPy type."""
        return np.dtype(np.float32)

    def __str__(self) -> str:
        return f"float{self.bits}"


FLOAT32 = FloatType()

ElementType = IntType | FloatType


@dataclass(frozen=True)
class Quantization:
    """``real = scale * (integer - zero_point)``, per tensor or along one axis.

    Source: Jacob et al. 2018, equation 1; LiteRT 8-bit quantization specification for the per-axis form.

    Attributes:
        scales: one scale, or one per index of `axis`; positive.
        zero_points: as many zero points.
        axis: the axis the scales run along, or None for one scale.
    """

    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    axis: int | None = None

    def __post_init__(self) -> None:
        if len(self.scales) != len(self.zero_points) or not self.scales:
            raise GraphError(f"quantization has {len(self.scales)} scales and {len(self.zero_points)} zero points")
        if not all(math.isfinite(scale) and scale > 0 for scale in self.scales):
            raise GraphError("a quantization scale is not a positive finite number")
        if self.axis is None and len(self.scales) > 1:
            raise GraphError("several quantization scales need an axis")

    @property
    def scale(self) -> float:
        """The only scale.

        Raises:
            GraphError: the quantization is per axis.
        """
        if len(self.scales) != 1:
            raise GraphError("one quantization scale is needed here, not one per axis")
        return self.scales[0]

    @property
    def zero_point(self) -> int:
        """The only zero point.

        Raises:
            GraphError: the quantization is per axis.
        """
        if len(self.zero_points) != 1:
            raise GraphError("one zero point is needed here, not one per axis")
        return self.zero_points[0]

    def __str__(self) -> str:
        if self.axis is None:
            return f"scale={self.scale!r} zero_point={self.zero_point}"
        scales = ", ".join(repr(scale) for scale in self.scales)
        return f"scale=[{scales}] zero_point=[{', '.join(map(str, self.zero_points))}] axis={self.axis}"


@dataclass(frozen=True)
class TensorType:
    """Shape, element type and optional quantization of a tensor.

    >>> str(TensorType((1, 18), IntType(8), Quantization((0.5,), (-128,))))
    'int8[1, 18] scale=0.5 zero_point=-128'
    """

    shape: tuple[int, ...]
    element: ElementType
    quantization: Quantization | None = None

    def __post_init__(self) -> None:
        if any(dimension < 1 for dimension in self.shape):
            raise GraphError(f"shape {list(self.shape)} has a dimension that is not positive")
        if self.quantization is not None and self.quantization.axis is not None:
            self._check_axis(self.quantization.axis, len(self.quantization.scales))

    def _check_axis(self, axis: int, scales: int) -> None:
        if not 0 <= axis < len(self.shape):
            raise GraphError(f"quantization axis {axis} is none of the {len(self.shape)} of shape {list(self.shape)}")
        if scales != self.shape[axis]:
            raise GraphError(f"{scales} quantization scales for {self.shape[axis]} indices of axis {axis}")

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def integer(self) -> IntType:
        """The element type, where it must be an integer.

        Raises:
            GraphError: it is a float.
        """
        if not isinstance(self.element, IntType):
            raise GraphError(f"an integer tensor is needed, not {self.element}")
        return self.element

    @property
    def required_quantization(self) -> Quantization:
        """The quantization, where there must be one.

        Raises:
            GraphError: there is none.
        """
        if self.quantization is None:
            raise GraphError("the tensor has no quantization (scale and zero point)")
        return self.quantization

    def __str__(self) -> str:
        text = f"{self.element}[{', '.join(map(str, self.shape))}]"
        return f"{text} {self.quantization}" if self.quantization else text
