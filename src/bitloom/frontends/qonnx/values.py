"""What the names of a QONNX file stand for while its graph is made.

QONNX computes in binary32 throughout; `Quant` nodes say which of these reals are integers with a scale. Between two of
them a tensor is `Reals`: integers of the graph, and what the file does to each of them on its own, step by step, in
binary32. Nothing of that is computed in the graph: the next `Quant` is a function of one integer per channel, known
completely by the integers at which its result changes.

Source: Umuroglu and Jahre, "Streamlined Deployment for Quantized Neural Networks" (2017, arXiv 1709.04060), for the
absorption of scales, biases and batch normalisation into thresholds; QONNX's operator documentation for the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from bitloom.frontends.onnx.values import Float32Array, Function, Tensor
from bitloom.ir import FLOAT32
from bitloom.ops.dequantize_steps import STEPS

Int64Array = npt.NDArray[np.int64]
Float64Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Step:
    """A function of one real, in binary32: an operation with a constant, or a function that has a name.

    Attributes:
        kind: a key of the operations, or the name of the function.
        constant: binary32, of shape (channels,) or (1,); None for functions.
        function: None for operations.
    """

    kind: str
    constant: Float32Array | None = None
    function: Function | None = None

    def apply(self, reals: Float32Array, channels: Int64Array) -> Float32Array:
        """Of reals (count, columns), whose columns are of these channels."""
        if self.function is not None:
            return self.function(reals).astype(np.float32)
        assert self.constant is not None
        constant = self.constant if len(self.constant) == 1 else self.constant[channels]
        return STEPS[self.kind](reals, constant)

    def direction(self, channels: int) -> Int64Array | None:
        """For each channel 1 where the step never decreases, -1 where it never increases; None where nobody knows.

        Operations of binary32 are as monotone as those of real numbers: rounding is.
        """
        if self.function is not None:
            return np.ones(channels, np.int64) if self.kind == "increasing" else None
        assert self.constant is not None
        if self.kind == "subtract_from":
            return np.full(channels, -1)
        if self.kind in ("multiply", "divide"):
            return np.broadcast_to(np.where(self.constant < 0, -1, 1), (channels,)).astype(np.int64)
        return np.ones(channels, np.int64)


@dataclass(frozen=True, eq=False)
class Known:
    """Constants of the file; those that a `Quant` made are integers with scales.

    Attributes:
        array: the numbers.
        integers: int64, less their zero point, if a `Quant` made the numbers.
        scales: ``array = integers * scales``, of the same shape.
    """

    array: npt.NDArray[np.generic]
    integers: Int64Array | None = None
    scales: Float64Array | None = None


Move = Callable[[Tensor, str], Tensor]
"""Moves or selects elements of a tensor, whatever they are; the name is for the values it makes."""


@dataclass(frozen=True, eq=False)
class Reals:
    """``steps(binary32(scale * (x - zero_point)))`` for each element x of a tensor.

    Attributes:
        tensor: of the graph: integers, or the binary32 numbers of an input, whose scale is 1.
        shape: ONNX's, behind the moves.
        low: the lowest integers that occur, int64, shape (channels,) or (1,).
        high: the highest.
        scales: binary64, shape (channels,) or (1,), positive.
        zero_points: int64, likewise.
        axis: of the tensor's shape, that the channels run along; None where everything is the same for all elements.
        steps: in binary32, in their order.
        moves: wait until the elements are integers that grow with the reals.
        increasing: the moves select elements by their order, so that only steps that never decrease may follow.
        has_moved: the moves change where the channels are.
        exact: whether binary32 computes them without rounding up to the steps, in whatever order it adds.
    """

    tensor: Tensor
    shape: tuple[int, ...]
    low: Int64Array
    high: Int64Array
    scales: Float64Array
    zero_points: Int64Array
    axis: int | None = None
    steps: tuple[Step, ...] = ()
    moves: tuple[Move, ...] = ()
    increasing: bool = False
    has_moved: bool = False
    exact: bool = True

    @property
    def is_input(self) -> bool:
        """Whether the elements are binary32 numbers from outside."""
        return self.tensor.value.type.element == FLOAT32

    @property
    def channels(self) -> int:
        """How many there are; 1 without an axis."""
        return 1 if self.axis is None else self.tensor.shape[self.axis]

    @property
    def linear(self) -> bool:
        """Whether these are integers with scales, and nothing else."""
        return not (self.steps or self.moves or self.is_input)

    @property
    def bare(self) -> Reals:
        """The integers themselves, as reals; one function of all."""
        low, high = np.array([self.low.min()]), np.array([self.high.max()])
        return Reals(self.tensor, self.tensor.shape, low, high, np.ones(1), np.zeros(1, np.int64))

    def reals(self, elements: npt.NDArray[np.generic], channels: Int64Array) -> Float32Array:
        """What elements (count, columns) mean whose columns are of these channels."""
        if self.is_input:
            values = elements.astype(np.float32)
        else:
            scales, zeros = (
                np.broadcast_to(each, (self.channels,))[channels] for each in (self.scales, self.zero_points)
            )
            values = ((elements.astype(np.float64) - zeros) * scales).astype(np.float32)
        with np.errstate(all="ignore"):
            for step in self.steps:
                values = step.apply(values, channels)
        return values

    @property
    def direction(self) -> Int64Array | None:
        """Of all steps together, as `Step.direction`."""
        made = np.ones(self.channels, np.int64)
        for step in self.steps:
            direction = step.direction(self.channels)
            if direction is None:
                return None
            made = made * direction
        return made

    def then(self, *steps: Step) -> Reals:
        """With more steps."""
        return replace(self, steps=(*self.steps, *steps))


Meaning = Tensor | Known | Reals
