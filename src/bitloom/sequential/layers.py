"""The layers of a sequential network, as they are stated; shapes and refusals, no numbers.

Shapes are those of one inference without a batch: ``(features,)`` or ``(rows, columns, channels)``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from bitloom.errors import GraphError, UsageError
from bitloom.sequential.integers import Integers, check_bits

Shape = tuple[int, ...]
Pair = int | tuple[int, int]


def pair(size: Pair) -> tuple[int, int]:
    """One size for rows and columns, or one for each."""
    return (size, size) if isinstance(size, int) else size


@dataclass(frozen=True)
class Layer:
    """What every layer is."""

    def made(self, shape: Shape) -> Shape:
        """The shape of the result for an operand of `shape`.

        Raises:
            GraphError: the layer does not take it.
        """
        return shape

    @property
    def weight_shape(self) -> Shape | None:
        """Of the weights as PyTorch keeps them; None without weights."""
        return None


@dataclass(frozen=True)
class Weighted(Layer):
    """A layer with weights of a width of their own.

    Attributes:
        inputs: features or channels.
        outputs: features or channels.
        bits: of the weights, 1 to 32.
        bias: whether there is one number for each output to add.
        signed: whether weights are signed; unsigned ones have their zero point at mid-range, or where it falls.
        symmetric: whether the weights' 0 is in the middle of their integers.

    Raises:
        UsageError: a size below 1, or a width outside 1 to 32.
    """

    inputs: int
    outputs: int
    bits: int = field(default=8, kw_only=True)
    bias: bool = field(default=True, kw_only=True)
    signed: bool = field(default=True, kw_only=True)
    symmetric: bool = field(default=True, kw_only=True)

    def __post_init__(self) -> None:
        name = type(self).__name__
        if min(self.inputs, self.outputs) < 1:
            raise UsageError(f"{name} from {self.inputs} to {self.outputs}", remedy="sizes are at least 1")
        check_bits(self.bits, name)

    @property
    def integers(self) -> Integers:
        """How the weights become integers."""
        return Integers(self.bits, self.signed, self.symmetric)


@dataclass(frozen=True)
class Linear(Weighted):
    """A dense layer: ``y = W x + b``, W of shape (outputs, inputs), as ``torch.nn.Linear``."""

    def made(self, shape: Shape) -> Shape:
        """As many features as outputs."""
        if len(shape) != 1:
            raise GraphError(f"takes features, not images of shape {list(shape)}", remedy="put Flatten() in front")
        if shape != (self.inputs,):
            raise GraphError(f"takes {self.inputs} features and gets {shape[0]}", remedy="make the sizes agree")
        return (self.outputs,)

    @property
    def weight_shape(self) -> Shape:
        """(outputs, inputs)."""
        return (self.outputs, self.inputs)


@dataclass(frozen=True)
class Conv2d(Weighted):
    """A convolution of images, as ``torch.nn.Conv2d`` without groups.

    Attributes:
        kernel: rows and columns of the window.
        stride: between windows.
        padding: zeros around the image.
    """

    kernel: Pair
    stride: Pair = 1
    padding: Pair = 0

    def made(self, shape: Shape) -> Shape:
        """Images of as many channels as outputs."""
        check_images(shape)
        if shape[2] != self.inputs:
            raise GraphError(f"takes {self.inputs} channels and gets {shape[2]}", remedy="make the sizes agree")
        return (*windows(shape, self.kernel, self.stride, self.padding), self.outputs)

    @property
    def weight_shape(self) -> Shape:
        """(outputs, inputs, rows, columns)."""
        return (self.outputs, self.inputs, *pair(self.kernel))


@dataclass(frozen=True)
class Pool2d(Layer):
    """A function of windows of images in each channel.

    Attributes:
        kernel: rows and columns of the window.
        stride: between windows; None for the window's own size.
    """

    kernel: Pair
    stride: Pair | None = None

    @property
    def step(self) -> tuple[int, int]:
        """Between windows."""
        return pair(self.kernel if self.stride is None else self.stride)

    def made(self, shape: Shape) -> Shape:
        """Images of as many channels."""
        check_images(shape)
        return (*windows(shape, self.kernel, self.step, 0), shape[2])


@dataclass(frozen=True)
class MaxPool2d(Pool2d):
    """The largest element of each window."""


@dataclass(frozen=True)
class AvgPool2d(Pool2d):
    """The mean of each window."""


@dataclass(frozen=True)
class Flatten(Layer):
    """Images as features."""

    def made(self, shape: Shape) -> Shape:
        """As many features as elements."""
        return (math.prod(shape),)


@dataclass(frozen=True)
class ReLU(Layer):
    """``max(x, 0)``."""


@dataclass(frozen=True)
class ReLU6(Layer):
    """``min(max(x, 0), 6)``."""


@dataclass(frozen=True)
class Sigmoid(Layer):
    """``1 / (1 + exp(-x))``."""


@dataclass(frozen=True)
class TruncateLSB(Layer):
    """Drops the lowest bits of integers: a shift to the right that rounds down.

    It belongs to the integer path only (`Sequential.naive`): real numbers have no lowest bits.

    Attributes:
        bits: how many, 1 to 32.

    Raises:
        UsageError: another number.
    """

    bits: int

    def __post_init__(self) -> None:
        check_bits(self.bits, "TruncateLSB")


@dataclass(frozen=True)
class ArgMax(Layer):
    """The index of the largest element, the first of equal ones; the last layer."""

    def made(self, shape: Shape) -> Shape:
        """One number."""
        if len(shape) != 1:
            raise GraphError(f"takes scores, not images of shape {list(shape)}", remedy="put Flatten() in front")
        return ()


@dataclass(frozen=True)
class SoftMax(ArgMax):
    """Where training has a softmax, inference needs the largest score only: `ArgMax`."""


def check_images(shape: Shape) -> None:
    """Refuse features where images are needed.

    Raises:
        GraphError: other than three dimensions.
    """
    if len(shape) != 3:
        raise GraphError(
            f"takes images of (rows, columns, channels), not shape {list(shape)}",
            remedy="give the network an input_shape of three numbers",
        )


def windows(shape: Shape, kernel: Pair, stride: Pair, padding: Pair) -> tuple[int, int]:
    """Rows and columns of windows.

    Raises:
        GraphError: none fits, or a size makes no sense.
    """
    sizes = []
    for size, taps, step, pad in zip(shape, pair(kernel), pair(stride), pair(padding), strict=False):
        if min(taps, step) < 1 or pad < 0 or size + 2 * pad < taps:
            raise GraphError(f"a window of {taps} every {step} with padding {pad} does not fit {size} pixels")
        sizes.append((size + 2 * pad - taps) // step + 1)
    return sizes[0], sizes[1]
