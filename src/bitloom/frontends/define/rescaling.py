"""What operators with an integer scale and a right shift share: rescale, rounding, clamp, and the proof of widths.

    result = saturate(activation(round((sum + bias) * scale / 2**shift)))

Source: NNgen, whose operators round halves away from zero, and saturate symmetrically unless told otherwise; here the
whole range of the type is used, and ``bounded(-127, 127)`` says what NNgen's int8 is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bitloom.arith import Interval, IntType, Rescale, Rounding
from bitloom.errors import GraphError, InputError, UsageError
from bitloom.frontends.define.checks import Array, ElementLike, element
from bitloom.frontends.define.tensor import Applied, Tensor, Variable, apply
from bitloom.ir import Value
from bitloom.ops.relu import Relu

ROUNDINGS = {
    "half_away": Rounding.HALF_AWAY,
    "half_up": Rounding.HALF_UP,
    "half_even": Rounding.HALF_EVEN,
    "down": Rounding.TRUNCATE,
}
"""What a right shift does with what it shifts out: to the nearest, or down as ``>>`` does."""

ScaleLike = int | Sequence[int] | npt.NDArray[np.integer] | Variable
"""One positive integer, or one for each output channel."""

_LARGEST_SCALE = 2**31 - 1
_LARGEST_SHIFT = 64
_WIDEST = 64


@dataclass(frozen=True)
class Rectifier:
    """A clamp of integers: an operator of its own when called, or the ``activation`` of one that computes.

    Attributes:
        name: of the function.
        low: the smallest result; that of the type if None.
        high: the largest.
    """

    name: str
    low: int | None = None
    high: int | None = None

    def clamp(self, made: IntType) -> Interval:
        """In a type.

        Raises:
            GraphError: no value of the type is within.
        """
        low = made.minimum if self.low is None else max(made.minimum, self.low)
        high = made.maximum if self.high is None else min(made.maximum, self.high)
        if low > high:
            raise GraphError(f"{self.name}({self.low}, {self.high}) leaves nothing of {made}")
        return Interval(low, high)

    def __call__(self, x: Tensor, name: str | None = None) -> Applied:
        """Every element clamped."""

        def make(values: Sequence[Value]) -> tuple[Relu, tuple[Value, ...]]:
            given = values[0].type.integer
            return Relu(given, given, 0, 0, Rescale((1.0,), Rounding.TRUNCATE), self.clamp(given)), (values[0],)

        return apply(self.name, [x], make, name)


relu = Rectifier("relu", low=0)
"""Negative integers become 0; call it, or give it as an activation."""


def bounded(low: int, high: int) -> Rectifier:
    """A clamp to ``low`` to ``high``: a function to call, or to give as an activation.

    Raises:
        UsageError: `low` is above `high`.
    """
    if low > high:
        raise UsageError(f"bounded({low}, {high}): the low end is above the high end")
    return Rectifier("bounded", low, high)


@dataclass(frozen=True)
class Scaling:
    """How sums become results.

    Attributes:
        scale: integers, one or one per channel, or the variable that holds them.
        shift: to the right.
        rounding: one of `ROUNDINGS`.
        activation: the clamp, None for the type's range.
        output: the type of the results.
    """

    scale: Array | Variable
    shift: int
    rounding: Rounding
    activation: Rectifier | None
    output: IntType

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """What the operator reads for it."""
        return (self.scale,) if isinstance(self.scale, Variable) else ()

    def rescale(self, values: Sequence[Value], channels: int) -> Rescale:
        """With the scale's value where it is a variable.

        Args:
            values: of `tensors`.
            channels: how many there may be.

        Raises:
            InputError: scales that are negative or wider than 31 bits, or as many as there are no channels.
        """
        scale = values[0].constant.reshape(-1) if isinstance(self.scale, Variable) else self.scale.reshape(-1)
        if scale.size not in (1, channels):
            raise InputError(f"{scale.size} scales for {channels} channels")
        if int(scale.min()) < 0 or int(scale.max()) > _LARGEST_SCALE:
            raise InputError(
                f"scales of {int(scale.min())} to {int(scale.max())}, and 0 to {_LARGEST_SCALE} are possible",
                remedy="negate the weights and the bias of channels with a negative scale",
            )
        # A scale of 31 bits times a power of two is a binary64 number, so nothing is rounded here.
        return Rescale(tuple(int(each) * 2.0**-self.shift for each in scale), self.rounding)

    @property
    def clamp(self) -> Interval:
        """Of the results."""
        return (self.activation or Rectifier("none")).clamp(self.output)


def scaling(
    scale: ScaleLike,
    shift: int,
    rounding: str,
    activation: Rectifier | None,
    output: ElementLike,
) -> Scaling:
    """Check what a user says of a rescale.

    Raises:
        UsageError: a rounding or a shift that does not exist, or an activation that is no clamp.
        InputError: scales that are no integers.
    """
    if rounding not in ROUNDINGS:
        raise UsageError(f"'{rounding}' is no rounding", remedy=f"choose one of {', '.join(ROUNDINGS)}")
    if not 0 <= shift <= _LARGEST_SHIFT:
        raise UsageError(f"a right shift by {shift}", remedy=f"give 0 to {_LARGEST_SHIFT}")
    if activation is not None and not isinstance(activation, Rectifier):
        raise UsageError(f"the activation {activation!r} is no clamp", remedy="give relu or bounded(low, high)")
    if not isinstance(scale, Variable):
        array = np.asarray(scale)
        if array.dtype.kind not in "iu" or not array.size:
            raise InputError(f"the scale is {array.dtype}, and integers are needed", remedy="scale and shift instead")
        scale = array
    return Scaling(scale, int(shift), ROUNDINGS[rounding], activation, element(output))


def check_accumulator(rows: Array, bias: Array, given: IntType, accumulator: IntType | None) -> None:
    """Prove that sums of products fit their type, whatever the input.

    Args:
        rows: weights, shape (outputs, terms).
        bias: shape (outputs,) or ().
        given: the input's type.
        accumulator: the type; None for whatever 64 bits hold.

    Raises:
        GraphError: it is too narrow; the message says which is wide enough.
    """
    # Python's integers, because the question is whether NumPy's suffice.
    narrow = int(np.abs(rows.astype(np.float64)).max(initial=0)) * rows.shape[1] < 2**62
    exact = rows if narrow else rows.astype(object)
    positive, negative = ([int(each) for each in part(exact, 0).sum(axis=1)] for part in (np.maximum, np.minimum))
    added = [int(each) for each in np.broadcast_to(bias, (len(rows),))]
    lows, highs = [0], [0]
    for plus, minus, constant in zip(positive, negative, added, strict=True):
        low, high = plus * given.minimum + minus * given.maximum, plus * given.maximum + minus * given.minimum
        lows += [low, low + constant]
        highs += [high, high + constant]
    low, high = min(lows), max(highs)
    limit = accumulator or IntType(_WIDEST)
    if limit.minimum <= low and high <= limit.maximum:
        return
    # Python's bit lengths, because no type of ours may be as wide.
    signed = limit.signed or low < 0
    bits = max((-low - 1).bit_length(), high.bit_length()) + signed
    needed = f"{'' if signed else 'u'}int{bits}"
    fits = bits <= _WIDEST
    raise GraphError(
        f"sums of products reach [{low}, {high}], which takes {needed}; the accumulator is {limit}",
        remedy=f"give accumulator='{needed}'" if fits else "take narrower inputs or weights, or fewer of them",
    )
