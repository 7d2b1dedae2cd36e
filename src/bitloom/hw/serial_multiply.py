"""Multiplying 32-bit fixed-point numbers with two small multipliers, in two steps.

```
  cycle   0            1               2                3             4             5          6           7
  left  ──▶ [left] ─┬─ low ──▶ [operand] ──▶ × ──▶ [product] ──▶ [product] ─┐
                    └─ high ─▶ [operand] ──▶ × ──▶ [product] ──▶ [product] ─+─▶ [row] ─▶ + ──▶ [total] ─▶ >> 15
                                             ▲                                           ▲
  right ──▶ [slice] ─────────▶ [operand] ────┘              2**30, a cycle later total >> 16
```

`left` is cut in two, and `right` comes 16 bits at a time, the low ones first and the high ones a cycle later, so that
each product is one multiplier of 16 by 16 bits, which every FPGA family has. Of the second total the bits from the 15th
on are the result. The bits shifted out of the first one are not needed any more: only their carry was.

Multipliers stand in columns of their own. So each has a cycle to itself between two registers that can stand beside
it, and the ways to and from these have a cycle, too.
"""

from __future__ import annotations

from pyrtl import Const, Register, WireVector, concat, select

from bitloom.hw.registers import delayed, named

LEFT_BITS = 31
"""Unsigned."""

RIGHT_BITS = 32
"""Unsigned."""

LATENCY = 7
"""Cycles from `start` to the result."""

INTERVAL = 2
"""Cycles between starts, at least."""

MULTIPLIERS = 2
"""Multiplier slices used."""

_SLICE = 16
_TOTAL_BITS = LEFT_BITS + _SLICE


def multiply_high(name: str, left: WireVector, right: WireVector, start: WireVector) -> WireVector:
    """``(left * right + 2**30) >> 31``: the product of a Q0.31 number and another fixed-point number, rounded.

    This is the saturating rounding doubling high multiply of the softmax kernels, `arith.fixed_point.multiply_high`,
    of unsigned numbers. For a negative right operand r, pass ``r + 2**31`` (its sign bit flipped) and subtract `left`
    from the result: ``left * 2**31`` is no fraction of the rounding's unit, so that this is exact too. Operands of
    one signedness are what synthesis fits into one multiplier.

    The pipeline runs freely and needs no reset: a result depends on nothing but what came with its `start`.

    Args:
        name: prefix of the signals.
        left: `LEFT_BITS` bits, unsigned.
        right: `RIGHT_BITS` bits, unsigned.
        start: take both now; not again in the next cycle.

    Returns:
        `RIGHT_BITS` bits, unsigned, `LATENCY` cycles after `start`, for one cycle.

    >>> import pyrtl
    >>> pyrtl.reset_working_block()
    >>> left, right = pyrtl.Input(31, "left"), pyrtl.Input(32, "right")
    >>> start, result = pyrtl.Input(1, "start"), pyrtl.Output(32, "result")
    >>> result <<= multiply_high("half", left, right, start)
    >>> simulation = pyrtl.Simulation()
    >>> for cycle in range(1 + LATENCY):
    ...     simulation.step({"left": 2**30, "right": 7, "start": int(cycle == 0)})
    >>> simulation.inspect("result")
    4
    """
    taken = Register(LEFT_BITS, f"{name}_left")
    taken.next <<= select(start, left, taken)
    upper = Register(_SLICE, f"{name}_right_upper")
    upper.next <<= right[_SLICE:]
    right_slice = Register(_SLICE, f"{name}_right_slice")
    right_slice.next <<= select(start, right[:_SLICE], upper)
    right_operand = delayed(right_slice, 1, f"{name}_right_operand")
    product_low = _product(f"{name}_product_low", taken[:_SLICE], right_operand)
    product_high = _product(f"{name}_product_high", taken[_SLICE:], right_operand)
    row = Register(_TOTAL_BITS, f"{name}_row")
    row_upper = (product_high + product_low[_SLICE:]).truncate(_TOTAL_BITS - _SLICE)
    row.next <<= concat(row_upper, product_low[:_SLICE])
    first = delayed(start, LATENCY - 2, f"{name}_start")
    total = Register(_TOTAL_BITS, f"{name}_total")
    kept = named(select(first, Const(1 << 30, _TOTAL_BITS), total[_SLICE:].zero_extended(_TOTAL_BITS)), f"{name}_kept")
    total.next <<= (kept + row).truncate(_TOTAL_BITS)
    return named(total[_SLICE - 1 :], f"{name}_result")


def _product(name: str, left: WireVector, right_operand: WireVector) -> WireVector:
    """Of `left`, registered here, and an operand that has its register; two registers later."""
    operand = delayed(left, 1, f"{name}_operand")
    register = Register(left.bitwidth + right_operand.bitwidth, name)
    register.next <<= operand * right_operand
    return delayed(register, 1, name)
