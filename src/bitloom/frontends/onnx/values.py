"""What the names of an ONNX file stand for while its graph is made.

Integers are `Tensor`s: values of the graph, whose elements may lie in another order than ONNX's. Real numbers never
become values (but at the ends): they are constants, integers with a scale that nothing has rounded since
(`Dequantized`), or results that wait for the QuantizeLinear that says their scale (`Computed`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from bitloom.arith import Interval, IntType
from bitloom.ir import Quantization, Value

Float32Array = npt.NDArray[np.float32]
Function = Callable[[Float32Array], Float32Array]

CHANNELS_LAST = (0, 2, 3, 1)
"""Axes of ONNX's images in the order of bitloom's."""

ELEMENTS = ("int2", "uint2", "int4", "uint4", "int8", "uint8", "int16", "uint16")
"""What QuantizeLinear makes, as NumPy names it; weights are of these, too."""


def element_of(array: npt.NDArray[Any]) -> IntType | None:
    """The integer type of an array, of those that quantized tensors have."""
    return IntType.parse(str(array.dtype)) if str(array.dtype) in ELEMENTS else None


@dataclass(frozen=True)
class Scale:
    """Of integers: ``real = scale * (integer - zero_point)``; scale is a binary32 number."""

    scale: float
    zero_point: int
    element: IntType

    @property
    def quantization(self) -> Quantization:
        """As the graph's types have it."""
        return Quantization((self.scale,), (self.zero_point,))

    def reals(self, integers: npt.NDArray[Any]) -> Float32Array:
        """DequantizeLinear: a product in binary32."""
        with np.errstate(over="ignore"):
            return (integers.astype(np.int32) - np.int32(self.zero_point)).astype(np.float32) * np.float32(self.scale)

    def integers(self, reals: Float32Array) -> npt.NDArray[np.int64]:
        """QuantizeLinear: a division in binary32, halves to even, saturated."""
        with np.errstate(over="ignore"):
            ratio = np.rint(reals / np.float32(self.scale)).astype(np.float64)
        return np.clip(ratio + self.zero_point, self.element.minimum, self.element.maximum).astype(np.int64)

    def clamp(self, bounds: Bounds) -> Interval:
        """Of integers whose reals are bounded: rounding is monotone, so the bounds may be rounded instead."""
        low, high = self.integers(np.array([bounds.low, bounds.high], np.float32)).tolist()
        return Interval(low, high)


@dataclass(frozen=True)
class Bounds:
    """Of reals, by the rectifiers and clips behind what computes them."""

    low: float = -math.inf
    high: float = math.inf

    def within(self, low: float, high: float) -> Bounds:
        """Clipped further."""
        return Bounds(*(min(max(end, low), high) for end in (self.low, self.high)))


@dataclass(frozen=True)
class Tensor:
    """A value of the graph, and where its elements are in ONNX's tensor.

    ``elements of the value = tensor.reshape(factors).transpose(order)``, in whatever shape the value has: images lie
    with channels last, also after they have been flattened.

    Attributes:
        value: of the graph.
        shape: ONNX's.
        factors: a shape of as many elements.
        order: axes of `factors`.
    """

    value: Value
    shape: tuple[int, ...]
    factors: tuple[int, ...]
    order: tuple[int, ...]

    @classmethod
    def plain(cls, value: Value) -> Tensor:
        """With elements in ONNX's order."""
        shape = value.type.shape
        return cls(value, shape, shape, tuple(range(len(shape))))

    @property
    def is_plain(self) -> bool:
        """Whether elements and shape are ONNX's."""
        return self.value.type.shape == self.shape and self.order == tuple(range(len(self.order)))

    @property
    def permuted(self) -> bool:
        """Whether the value has ONNX's axes, in some order."""
        return self.factors == self.shape and self.value.type.shape == tuple(self.shape[axis] for axis in self.order)


@dataclass(frozen=True, eq=False)
class Constant:
    """Numbers of the file; integers that were dequantized keep them.

    Attributes:
        array: the numbers.
        integers: before they were dequantized, if they were.
        scales: of those, one or one per index of `axis`.
        zero_points: as many.
        axis: that the scales run along, None for one scale.
    """

    array: npt.NDArray[Any]
    integers: npt.NDArray[Any] | None = None
    scales: tuple[float, ...] = ()
    zero_points: tuple[int, ...] = ()
    axis: int | None = None


@dataclass(frozen=True, eq=False)
class Dequantized:
    """Reals that are integers with a scale, and functions of one real applied to them.

    Attributes:
        tensor: the integers.
        scale: of them.
        functions: in the order they are applied.
    """

    tensor: Tensor
    scale: Scale
    functions: tuple[Function, ...] = ()


Make = Callable[[Scale, Bounds, str], Tensor]
"""Makes the integers, of a scale, clamped to bounds, with a name for the value."""


@dataclass(frozen=True, eq=False)
class Computed:
    """Reals that an operator computes and rounds once, to the scale that a QuantizeLinear behind it says.

    Attributes:
        make: adds the operator to the graph.
        bounds: by rectifiers and clips behind it.
        with_bias: the same with a constant added; None for a constant that the operator has no room for.
        scaled: the same times a constant; None for a constant that the operator's scales have no room for.
        integral: whether they are the integers of ConvInteger or MatMulInteger, which nothing has scaled yet.
        scale: of those integers, where nothing but one scale was applied to them.
    """

    make: Make
    bounds: Bounds = Bounds()
    with_bias: Callable[[Constant], Computed | None] | None = None
    scaled: Callable[[Constant], Computed | None] | None = None
    integral: bool = False
    scale: float | None = None

    def moved(self, move: Callable[[Tensor, str], Tensor]) -> Computed:
        """With elements moved behind it."""
        return Computed(lambda scale, bounds, name: move(self.make(scale, bounds, name + "_before"), name), self.bounds)

    def clipped(self, low: float, high: float) -> Computed:
        """With a clip behind it."""
        bounds = self.bounds.within(low, high)
        return replace(self, bounds=bounds, with_bias=None, scaled=None, integral=False, scale=None)


Meaning = Tensor | Constant | Dequantized | Computed
