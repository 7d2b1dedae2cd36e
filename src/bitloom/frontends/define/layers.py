"""Layers with weights: convolutions and matrix products."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from bitloom.arith import IntType
from bitloom.circuits.convolution_geometry import Geometry, Pair
from bitloom.errors import GraphError, UsageError
from bitloom.frontends.define.checks import ElementLike, element
from bitloom.frontends.define.operators import Made
from bitloom.frontends.define.rescaling import Rectifier, ScaleLike, Scaling, check_accumulator, scaling
from bitloom.frontends.define.tensor import Applied, Tensor, Variable, apply
from bitloom.ir import TensorType, Value
from bitloom.ops.conv_2d import Conv2d
from bitloom.ops.depthwise_conv_2d import DepthwiseConv2d
from bitloom.ops.fully_connected import FullyConnected
from bitloom.ops.shared.convolution import ConvolutionOperator

PairLike = int | Sequence[int]
"""One number for both directions, or down and across."""

PaddingLike = str | int | Sequence[int]
"""``SAME`` (an odd pixel goes below or right), ``SAME_LOWER`` (above or left, as NNgen has it) or ``VALID``; or
so many pixels: one number for every side, or above, below, left and right."""


def conv2d(
    x: Tensor,
    weights: Variable,
    *,
    bias: Variable | int | None = None,
    scale: ScaleLike = 1,
    shift: int = 0,
    rounding: str = "half_away",
    activation: Rectifier | None = None,
    dtype: ElementLike | None = None,
    accumulator: ElementLike | None = None,
    strides: PairLike = 1,
    dilations: PairLike = 1,
    padding: PaddingLike = "SAME",
    name: str | None = None,
) -> Applied:
    """A convolution of images (batch, height, width, channels); padding is zeros.

    Args:
        x: images.
        weights: (outputs, rows, columns, channels); channels that are a part of the images' make groups.
        bias: added to each sum: one for each output, or one number.
        scale: the sum is multiplied by it: one positive integer, or one for each output.
        shift: and shifted right.
        rounding: what happens to the bits shifted out: `half_away`, `half_up`, `half_even`, or `down`.
        activation: `relu`, or `bounded(low, high)`.
        dtype: of the result, to whose range it is saturated; that of `x` if None.
        accumulator: a type that the sums must be proved to fit; 64 bits if None. Circuits take as many as are needed.
        strides: between windows.
        dilations: between taps.
        padding: see `PaddingLike`.
        name: of the result.

    Raises:
        GraphError: shapes that do not fit; when the graph is made, an accumulator that is too narrow.
        UsageError: an option that does not exist.
    """
    scaled = scaling(scale, shift, rounding, activation, x.element if dtype is None else dtype)
    layer = _Layer(scaled, bias, None if accumulator is None else element(accumulator))
    return _convolution("conv2d", Conv2d, x, weights, layer, strides, dilations, padding, name)


def depthwise_conv2d(
    x: Tensor,
    weights: Variable,
    *,
    bias: Variable | int | None = None,
    scale: ScaleLike = 1,
    shift: int = 0,
    rounding: str = "half_away",
    activation: Rectifier | None = None,
    dtype: ElementLike | None = None,
    accumulator: ElementLike | None = None,
    strides: PairLike = 1,
    dilations: PairLike = 1,
    padding: PaddingLike = "SAME",
    name: str | None = None,
) -> Applied:
    """A convolution of each channel by itself; see `conv2d`.

    Args:
        x: images (batch, height, width, channels).
        weights: (1, rows, columns, outputs); outputs are a multiple of the channels, those of a channel side by side.
        bias: see `conv2d`, as the others.
        scale: of a result.
        shift: of a result.
        rounding: of a result.
        activation: of a result.
        dtype: of a result.
        accumulator: of the sums.
        strides: between windows.
        dilations: between taps.
        padding: zeros around the images.
        name: of the result.

    Raises:
        GraphError: shapes that do not fit; when the graph is made, an accumulator that is too narrow.
        UsageError: an option that does not exist.
    """
    scaled = scaling(scale, shift, rounding, activation, x.element if dtype is None else dtype)
    layer = _Layer(scaled, bias, None if accumulator is None else element(accumulator))
    return _convolution("depthwise_conv2d", DepthwiseConv2d, x, weights, layer, strides, dilations, padding, name)


def matmul(
    x: Tensor,
    weights: Variable,
    *,
    bias: Variable | int | None = None,
    scale: ScaleLike = 1,
    shift: int = 0,
    rounding: str = "half_away",
    activation: Rectifier | None = None,
    dtype: ElementLike | None = None,
    accumulator: ElementLike | None = None,
    inputs_first: bool = False,
    name: str | None = None,
) -> Applied:
    """Rows times a constant matrix: a dense layer.

    Args:
        x: (..., inputs).
        weights: (outputs, inputs), or (inputs, outputs) where `inputs_first`.
        bias: see `conv2d`, as the others.
        scale: of a result.
        shift: of a result.
        rounding: of a result.
        activation: of a result.
        dtype: of a result.
        accumulator: of the sums.
        inputs_first: whether the weights' inputs are their first axis.
        name: of the result.

    Raises:
        GraphError: shapes that do not fit; when the graph is made, an accumulator that is too narrow.
        UsageError: an option that does not exist.
    """
    scaled = scaling(scale, shift, rounding, activation, x.element if dtype is None else dtype)
    layer = _Layer(scaled, bias, None if accumulator is None else element(accumulator))

    def make(values: Sequence[Value]) -> Made:
        given, matrix = values[0], layer.weights(values)
        if len(matrix.type.shape) != 2:
            raise GraphError("weights are not (outputs, inputs)")
        if inputs_first:
            matrix = _constant(matrix, matrix.constant.T)
        outputs, depth = matrix.type.shape
        if not given.type.shape or given.type.shape[-1] != depth:
            raise GraphError(f"the last axis is not {depth}, the inputs of the weights")
        added = layer.added(values, outputs)
        layer.prove(given, matrix.constant, added)
        operator = FullyConnected(
            input_zero_point=0,
            weight_zero_point=0,
            output_zero_point=0,
            rescale=scaled.rescale(values[len(values) - len(scaled.tensors) :], outputs),
            activation=scaled.clamp,
            output=scaled.output,
            keep_dims=len(given.type.shape) != 2,
        )
        return operator, (given, matrix, *added)

    return apply("matmul", [x, weights, *layer.tensors], make, name)


@dataclass(frozen=True)
class _Layer:
    """What layers share beside their weights.

    Attributes:
        scaling: from sums to results.
        bias: added to the sums.
        accumulator: their type.
    """

    scaling: Scaling
    bias: Variable | int | None
    accumulator: IntType | None

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """What is read behind input and weights."""
        if isinstance(self.bias, Tensor) and not isinstance(self.bias, Variable):
            raise UsageError(f"the bias is {self.bias}, which is computed", remedy="give a variable, or use add")
        return (*((self.bias,) if isinstance(self.bias, Variable) else ()), *self.scaling.tensors)

    def weights(self, values: Sequence[Value]) -> Value:
        """The constant behind the input."""
        if not values[1].is_constant or values[0].is_constant:
            raise GraphError("a layer takes a computed input and weights that are a variable")
        return values[1]

    def added(self, values: Sequence[Value], outputs: int) -> tuple[Value, ...]:
        """The bias, one for each output; none if there is none."""
        if self.bias is None:
            return ()
        if not isinstance(self.bias, Variable):
            wide = np.full(outputs, self.bias, np.int64)
            held = IntType.holding(min(self.bias, -1), max(self.bias, 0))
            return (Value(f"{values[1].name}_bias", TensorType((outputs,), held), wide),)
        value = values[2]
        if value.type.shape not in ((outputs,), (1,), ()):
            raise GraphError(f"a bias of shape {list(value.type.shape)} for {outputs} outputs")
        return (_constant(value, np.broadcast_to(value.constant, (outputs,))),)

    def prove(self, given: Value, rows: np.ndarray, added: Sequence[Value]) -> None:
        """That the accumulator holds every sum."""
        bias = added[0].constant if added else np.zeros((), np.int64)
        check_accumulator(rows, bias, given.type.integer, self.accumulator)


def _convolution(
    kind: str,
    operator: type[ConvolutionOperator],
    x: Tensor,
    weights: Variable,
    layer: _Layer,
    strides: PairLike,
    dilations: PairLike,
    padding: PaddingLike,
    name: str | None,
) -> Applied:
    steps, spread = pair(strides, "strides"), pair(dilations, "dilations")

    def make(values: Sequence[Value]) -> Made:
        given, kernel = values[0], layer.weights(values)
        if len(given.type.shape) != 4 or len(kernel.type.shape) != 4:
            raise GraphError("images and weights have four axes each")
        taps = (kernel.type.shape[1], kernel.type.shape[2])
        geometry = padded(padding, given.type.shape[1:3], taps, steps, spread)
        scaled = layer.scaling
        outputs = kernel.type.shape[3 if operator is DepthwiseConv2d else 0]
        made = operator(
            input_zero_point=0,
            weight_zero_point=0,
            output_zero_point=0,
            rescale=scaled.rescale(values[len(values) - len(scaled.tensors) :], outputs),
            activation=scaled.clamp,
            output=scaled.output,
            strides=geometry.strides,
            dilations=geometry.dilations,
            padding=geometry.padding,
        )
        # Shapes are checked before anything is made of them.
        made.check_channels(given.type.shape[3], kernel.type.shape)
        added = layer.added(values, outputs)
        layer.prove(given, made.weight_rows(kernel.constant), added)
        return made, (given, kernel, *added)

    return apply(kind, [x, weights, *layer.tensors], make, name)


def padded(option: PaddingLike, image: Sequence[int], taps: Pair, strides: Pair, dilations: Pair) -> Geometry:
    """The geometry of a padding.

    Raises:
        UsageError: a padding that does not exist.
        GraphError: steps that are not positive.
    """
    if isinstance(option, str):
        if option not in ("SAME", "SAME_LOWER", "VALID"):
            raise UsageError(
                f"the padding '{option}'", remedy="give SAME, SAME_LOWER, VALID, a number, or four numbers"
            )
        found = Geometry.of(option.removesuffix("_LOWER"), image, taps, strides, dilations)
        top, bottom, left, right = found.padding
        return replace(found, padding=(bottom, top, right, left)) if option == "SAME_LOWER" else found
    sides = (option,) * 4 if isinstance(option, int) else tuple(int(side) for side in option)
    if len(sides) != 4:
        raise UsageError(f"the padding {list(sides)}", remedy="give pixels above, below, left and right")
    return Geometry(taps, strides, dilations, (sides[0], sides[1], sides[2], sides[3]))


def pair(given: PairLike, what: str) -> Pair:
    """Down and across.

    Raises:
        UsageError: not one number or two.
    """
    numbers = (given, given) if isinstance(given, int) else tuple(int(number) for number in given)
    if len(numbers) != 2 or min(numbers) < 1:
        raise UsageError(f"{what} of {given}", remedy="give one positive number, or two: down and across")
    return numbers[0], numbers[1]


def _constant(value: Value, data: np.ndarray) -> Value:
    return replace(value, type=replace(value.type, shape=data.shape), data=data)
