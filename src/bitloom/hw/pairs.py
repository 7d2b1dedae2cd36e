"""Functions of two elements: sums of table entries, and rescaled products with their multiplier in a table.

```
  sums      x ─▶ [term] ─┐                products   x ─ |x - zx| ─▶ [magnitude] ─▶ [ ] ─┐
                         + ▶ [total] ─ >> ─ clamp ─▶ [result]                             × ▶ [product] ─ + ...
            y ─▶ [term] ─┘                           y ──────────▶ [weight, sign] ─▶ [ ] ─┘

                                      ... + offset ─▶ [total] ─ >>, ± ─▶ [signed] ─ clamp ─▶ [result]
```

Free-running pipelines of known latency (see `bitloom.hw.join`); how their numbers are found stands in
`bitloom.arith.table_sum` and `bitloom.arith.slopes`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pyrtl import Const, Register, WireVector, select, signed_lt

from bitloom.arith import Interval, IntType
from bitloom.hw.registers import constant, delayed, signed_sum
from bitloom.hw.rescale import clamp

SUM_LATENCY = 3
"""Cycles from elements to clamped sums: terms, total, result."""
PRODUCT_LATENCY = 6
"""Cycles from elements to rescaled products: magnitude and weight, both once more, product, total, signed, result."""


def clamped_sums(
    name: str, left: Sequence[WireVector], right: Sequence[WireVector], shift: int, bounds: Interval, output: IntType
) -> list[WireVector]:
    """``clamp((left + right) >> shift)``, lane by lane.

    Args:
        name: prefix of the signals.
        left: a signed term in each lane, perhaps constant.
        right: likewise.
        shift: the arithmetic right shift.
        bounds: of the clamp.
        output: the type of the results.

    Returns:
        The results, two cycles later.

    >>> import pyrtl
    >>> pyrtl.reset_working_block()
    >>> one, other, result = pyrtl.Input(7, "one"), pyrtl.Input(9, "other"), pyrtl.Output(8, "result")
    >>> result <<= clamped_sums("sum", [one], [other], 2, Interval(-60, 127), IntType(8))[0]
    >>> simulation = pyrtl.Simulation()
    >>> for pair in [(-64, -255), (3, 100), (0, 0), (0, 0)]:
    ...     simulation.step({"one": pair[0] & 127, "other": pair[1] & 511})
    >>> [pyrtl.val_to_signed_integer(value, 8) for value in simulation.tracer.trace["result"][2:]]
    [-60, 25]
    """
    results = []
    for lane, (one, other) in enumerate(zip(left, right, strict=True)):
        bits = max(one.bitwidth, other.bitwidth, shift) + 1
        total = Register(bits, f"{name}_lane{lane}_total")
        total.next <<= signed_sum(_signed(one, bits), _signed(other, bits), bits)
        result = Register(output.bits, f"{name}_lane{lane}_result")
        result.next <<= clamp(total[shift:], bounds, output)
        results.append(result)
    return results


@dataclass(frozen=True)
class ProductNumbers:
    """The numbers of a rescaled product: see `bitloom.arith.slopes.Slopes`.

    Attributes:
        element: the type of x.
        zero_point: of x.
        weight_bits: of the weights, which are not negative.
        straight: the weight wherever x is not negative, whatever y is; None if y decides there, too. With it, y's
            sign counts only where x is negative.
        offset: of products that are not negative.
        negative_offset: of negative ones.
        shift: the right shift.
        output_zero_point: added to the result.
        bounds: of the clamp.
        output: the type of the result.
    """

    element: IntType
    zero_point: int
    weight_bits: int
    straight: int | None
    offset: int
    negative_offset: int
    shift: int
    output_zero_point: int
    bounds: Interval
    output: IntType

    @property
    def magnitude_bits(self) -> int:
        """Of ``|x - zx|``."""
        ends = (self.element.minimum - self.zero_point, self.element.maximum - self.zero_point)
        return max(abs(end) for end in ends).bit_length()

    @property
    def product_bits(self) -> int:
        """Of magnitude times weight."""
        return self.magnitude_bits + self.weight_bits


def rescaled_products(
    name: str, elements: Sequence[WireVector], weights: Sequence[WireVector], numbers: ProductNumbers
) -> list[WireVector]:
    """``clamp(zero_point +- ((|x - zx| * weight + offset) >> shift))``, lane by lane.

    Args:
        name: prefix of the signals.
        elements: x in each lane.
        weights: in each lane, a cycle later than x: the weight in the lower bits, above it y's sign.
        numbers: everything else.

    Returns:
        The results, `PRODUCT_LATENCY` cycles after x.

    >>> import pyrtl
    >>> pyrtl.reset_working_block()
    >>> x, word, result = pyrtl.Input(8, "x"), pyrtl.Input(4, "word"), pyrtl.Output(8, "result")
    >>> numbers = ProductNumbers(IntType(8), 3, 3, None, 2, 1, 2, 10, Interval(-128, 127), IntType(8))
    >>> result <<= rescaled_products("product", [x], [word], numbers)[0]
    >>> simulation = pyrtl.Simulation()
    >>> for element, weight in [(100, 0), (-100, 5), (100, 8 + 1)] + [(0, 0)] * 6:
    ...     simulation.step({"x": element & 255, "word": weight})
    >>> [pyrtl.val_to_signed_integer(value, 8) for value in simulation.tracer.trace["result"][6:8]]
    [127, 36]
    >>> 10 + ((97 * 5 + 2) >> 2), 10 + ((-103 * -1 + 2) >> 2)
    (131, 36)
    """
    results = []
    for lane, (element, word) in enumerate(zip(elements, weights, strict=True)):
        prefix = f"{name}_lane{lane}"
        magnitude, is_negative = _magnitude(prefix, element, numbers)
        weight, sign = word[: numbers.weight_bits], word[numbers.weight_bits]
        if isinstance(word, Const):
            weight = Const(word.val & ((1 << numbers.weight_bits) - 1), numbers.weight_bits)
            sign = Const(word.val >> numbers.weight_bits, 1)
        if numbers.straight is None:
            negative = is_negative ^ sign
        else:
            weight = select(is_negative, weight, Const(numbers.straight, numbers.weight_bits))
            negative = is_negative & ~sign
        factor, multiplier = delayed(magnitude, 1, f"{prefix}_factor"), delayed(weight, 1, f"{prefix}_multiplier")
        product = Register(numbers.product_bits, f"{prefix}_product")
        product.next <<= factor * multiplier
        total = Register(max(numbers.product_bits, numbers.shift) + 1, f"{prefix}_total")
        negative = delayed(negative, 2, f"{prefix}_negative")
        offset = select(negative, Const(numbers.negative_offset, total.bitwidth), Const(numbers.offset, total.bitwidth))
        total.next <<= (product.zero_extended(total.bitwidth) + offset).truncate(total.bitwidth)
        results.append(_finished(prefix, total, delayed(negative, 1, f"{prefix}_total_negative"), numbers))
    return results


def _magnitude(prefix: str, element: WireVector, numbers: ProductNumbers) -> tuple[WireVector, WireVector]:
    """``|x - zx|`` and whether it is negative, a cycle later."""
    bits = element.bitwidth + 2
    wide = element.sign_extended(bits) if numbers.element.signed else element.zero_extended(bits)
    zero = constant(numbers.zero_point, bits)
    below = signed_lt(wide, zero)
    difference = select(below, zero - wide, wide - zero)
    magnitude = Register(numbers.magnitude_bits, f"{prefix}_magnitude")
    magnitude.next <<= difference.truncate(numbers.magnitude_bits)
    return magnitude, delayed(below, 1, f"{prefix}_below")


def _finished(prefix: str, total: WireVector, negative: WireVector, numbers: ProductNumbers) -> WireVector:
    """Shifted, signed, with the zero point, clamped; two cycles later."""
    steps = total[numbers.shift :]
    bits = max(steps.bitwidth, numbers.output.bits + 1) + 2
    zero, wide = constant(numbers.output_zero_point, bits), steps.zero_extended(bits)
    signed = Register(bits, f"{prefix}_signed")
    signed.next <<= select(negative, (zero - wide).truncate(bits), (zero + wide).truncate(bits))
    result = Register(numbers.output.bits, f"{prefix}_result")
    result.next <<= clamp(signed, numbers.bounds, numbers.output)
    return result


def _signed(value: WireVector, bits: int) -> WireVector:
    """A signed term, perhaps constant, in so many bits."""
    if isinstance(value, Const):
        return constant(value.val - (value.val >> (value.bitwidth - 1) << value.bitwidth), bits)
    return value.sign_extended(bits)
