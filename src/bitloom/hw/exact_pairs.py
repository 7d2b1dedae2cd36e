"""Sums and products of integers of any width, scaled by integers, shifted right and rounded as said: no tables.

```
  sums      x ─▶ [ ] ─ × a ─┐               products  x ─ |x| ─▶ [ ] ─┐
                            + c ▶ [total]                             × ─ × a ─ ± ▶ [total]
            y ─▶ [ ] ─ × b ─┘                         y ─ |y| ─▶ [ ] ─┘

            [total] ─ + half ▶ [rounded] ─ >> , ties ▶ [shifted] ─ clamp ▶ [result]
```

Free-running pipelines (see `bitloom.hw.join`). Factors are constants that multiply by adders; one of 1 costs nothing.
Magnitudes are multiplied without sign, in as many slices as they take.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyrtl
from pyrtl import Const, Register, WireVector, concat, select

from bitloom.arith import Interval, IntType, Rounding
from bitloom.errors import HardwareError
from bitloom.hw.fabric import Fabric
from bitloom.hw.logic_multiply import LATENCY as FACTOR_LATENCY
from bitloom.hw.logic_multiply import multiply_in_logic
from bitloom.hw.product import LATENCY as PRODUCT_LATENCY
from bitloom.hw.product import multiply
from bitloom.hw.registers import constant, delayed, resized, signed_sum
from bitloom.hw.rescale import clamp

_OPERANDS = 1
_FINISH = 4  # total, rounded, shifted, result


@dataclass(frozen=True)
class ExactResult:
    """How a total becomes a result: ``clamp(round(total / 2**shift) + zero_point)``.

    Attributes:
        shift: to the right.
        rounding: one of the exact roundings.
        zero_point: added.
        bounds: of the clamp.
        output: the type.
    """

    shift: int
    rounding: Rounding
    zero_point: int
    bounds: Interval
    output: IntType


@dataclass(frozen=True)
class ExactSum:
    """``x * left_factor + y * right_factor + constant``.

    Attributes:
        left: the type of x.
        right: the type of y.
        left_factor: not negative.
        right_factor: of any sign.
        constant: added.
        result: how it is rounded.
    """

    left: IntType
    right: IntType
    left_factor: int
    right_factor: int
    constant: int
    result: ExactResult

    @property
    def total(self) -> Interval:
        """All values of the sum."""
        ends = sorted(self.right_factor * end for end in (self.right.minimum, self.right.maximum))
        return Interval(
            self.left.minimum * self.left_factor + ends[0] + self.constant,
            self.left.maximum * self.left_factor + ends[1] + self.constant,
        )

    @property
    def scales(self) -> bool:
        """Whether a factor takes adders."""
        return not {self.left_factor, abs(self.right_factor)} <= {0, 1}

    @property
    def latency(self) -> int:
        """Cycles from elements, which must come a cycle later than they are asked for, to results."""
        return (FACTOR_LATENCY if self.scales else 0) + _FINISH

    def compute(
        self, name: str, left: Sequence[WireVector], right: Sequence[WireVector], _: Fabric
    ) -> list[WireVector]:
        """Lane by lane, `latency` cycles later; operands come out of registers or are constant."""
        results = []
        for lane, (x, y) in enumerate(zip(left, right, strict=True)):
            prefix = f"{name}_lane{lane}"
            bits = self.total.union(Interval(0, 0)).signed_bits
            one = self._scaled(f"{prefix}_left", x, self.left, self.left_factor, bits)
            other = self._scaled(f"{prefix}_right", y, self.right, abs(self.right_factor), bits)
            summed = signed_sum(one, other, bits) if self.right_factor >= 0 else (one - other).truncate(bits)
            if self.constant:
                summed = signed_sum(summed, constant(self.constant, bits), bits)
            total = Register(bits, f"{prefix}_total")
            total.next <<= summed
            results.append(finished(prefix, total, self.result))
        return results

    def _scaled(self, name: str, element: WireVector, kind: IntType, factor: int, bits: int) -> WireVector:
        """The element times its factor, wide enough to be added."""
        signed = _signed(element, kind)
        if not self.scales:
            return resized(signed, bits) if factor else constant(0, bits)
        if factor == 0:
            return constant(0, bits)
        product = multiply_in_logic(name, _wired(signed), Const(factor, factor.bit_length() + 1))
        return resized(product, bits)


@dataclass(frozen=True)
class ExactProduct:
    """``x * y * factor``.

    Attributes:
        left: the type of x.
        right: the type of y.
        factor: positive.
        result: how it is rounded.
    """

    left: IntType
    right: IntType
    factor: int
    result: ExactResult

    @property
    def total(self) -> Interval:
        """All values of the product."""
        ends = [
            one * other * self.factor
            for one in (self.left.minimum, self.left.maximum)
            for other in (self.right.minimum, self.right.maximum)
        ]
        return Interval(min(ends), max(ends))

    @property
    def latency(self) -> int:
        """Cycles from elements to results."""
        return _OPERANDS + PRODUCT_LATENCY + (FACTOR_LATENCY if self.factor > 1 else 0) + _FINISH

    def compute(
        self, name: str, left: Sequence[WireVector], right: Sequence[WireVector], fabric: Fabric
    ) -> list[WireVector]:
        """Lane by lane, `latency` cycles later."""
        results = []
        for lane, (x, y) in enumerate(zip(left, right, strict=True)):
            prefix = f"{name}_lane{lane}"
            one, below = _magnitude(f"{prefix}_left", x, self.left)
            other, beneath = _magnitude(f"{prefix}_right", y, self.right)
            negative = delayed(below ^ beneath, PRODUCT_LATENCY, f"{prefix}_negative")
            product = multiply(f"{prefix}_product", one, other, fabric=fabric)
            if self.factor > 1:
                wide = concat(Const(0, 1), product)
                product = multiply_in_logic(f"{prefix}_factor", wide, Const(self.factor, self.factor.bit_length() + 1))
                negative = delayed(negative, FACTOR_LATENCY, f"{prefix}_negative_factor")
            bits = self.total.union(Interval(0, 0)).signed_bits
            positive = resized(concat(Const(0, 1), product), bits)
            total = Register(bits, f"{prefix}_total")
            total.next <<= select(negative, (constant(0, bits) - positive).truncate(bits), positive)
            results.append(finished(prefix, total, self.result))
        return results


def finished(prefix: str, total: WireVector, result: ExactResult) -> WireVector:
    """A signed total rounded, shifted and clamped, three cycles later.

    >>> pyrtl.reset_working_block()
    >>> total, found = pyrtl.Input(6, "total"), pyrtl.Output(4, "found")
    >>> even = ExactResult(1, Rounding.HALF_EVEN, 0, Interval(-8, 7), IntType(4))
    >>> found <<= finished("unit", total, even)
    >>> simulation = pyrtl.Simulation()
    >>> for number in (-5, -3, -1, 1, 3, 5, 31, 0, 0, 0):
    ...     simulation.step({"total": number & 63})
    >>> [pyrtl.val_to_signed_integer(value, 4) for value in simulation.tracer.trace["found"][3:]]
    [-2, -2, 0, 0, 2, 2, 7]
    """
    shift, rounding, bits = result.shift, result.rounding, max(total.bitwidth, result.shift) + 1
    half = (1 << shift) >> 1
    rounded = Register(bits, f"{prefix}_rounded")
    wide = resized(total, bits)
    if half == 0 or rounding is Rounding.TRUNCATE:
        rounded.next <<= wide
    elif rounding is Rounding.HALF_AWAY:
        offset = select(total[-1], constant(half - 1, bits), constant(half, bits))
        rounded.next <<= signed_sum(wide, offset, bits)
    elif rounding in (Rounding.HALF_UP, Rounding.HALF_EVEN):
        rounded.next <<= signed_sum(wide, constant(half, bits), bits)
    else:
        raise HardwareError(f"{rounding} is no exact rounding", where=prefix)
    steps: WireVector = rounded[shift:]
    if rounding is Rounding.HALF_EVEN and half:
        # A half is where nothing is left below, and then goes to the even neighbour.
        odd = steps[0] & pyrtl.or_all_bits(rounded[:shift])
        steps = concat(steps[1:], odd) if steps.bitwidth > 1 else odd
    kept = max(steps.bitwidth, constant_bits(result.zero_point)) + 1
    shifted = Register(kept, f"{prefix}_shifted")
    shifted.next <<= signed_sum(steps, constant(result.zero_point, kept), kept)
    made = Register(result.output.bits, f"{prefix}_result")
    made.next <<= clamp(shifted, result.bounds, result.output)
    return made


def constant_bits(value: int) -> int:
    """Signed width of a number."""
    return Interval(min(value, 0), max(value, 0)).signed_bits


def _signed(element: WireVector, kind: IntType) -> WireVector:
    """An element in two's complement: of an unsigned one a bit more."""
    if isinstance(element, Const):
        value = element.val - (kind.signed * (element.val >> (kind.bits - 1)) << kind.bits)
        return constant(value, kind.bits + (not kind.signed))
    return element if kind.signed else concat(Const(0, 1), element)


def _wired(value: WireVector) -> WireVector:
    """A constant as a wire, which other circuits may take the bits of."""
    if not isinstance(value, Const):
        return value
    wire = WireVector(value.bitwidth)
    wire <<= value
    return wire


def _magnitude(name: str, element: WireVector, kind: IntType) -> tuple[WireVector, WireVector]:
    """``|x|`` and whether it is negative, a cycle later."""
    if not kind.signed:
        register = Register(kind.bits, f"{name}_magnitude")
        register.next <<= element
        return register, Const(0, 1)
    element = _wired(element)
    register = Register(kind.bits, f"{name}_magnitude")
    register.next <<= select(element[-1], (constant(0, kind.bits) - element).truncate(kind.bits), element)
    return register, delayed(element[-1], 1, f"{name}_below")
