"""Sums as binary32 has them, in integers: against NumPy's float32."""

from __future__ import annotations

import numpy as np
import pyrtl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitloom.arith import Interval
from bitloom.hw.reduction import Reduction, rounded

# Every count of bits beyond 24 has numbers around it, and halves between neighbours.
CORNERS = sorted(
    {
        sign * ((1 << power) + (step << max(0, power - 24)) // 2 + near)
        for power in range(22, 34)
        for step in range(-4, 5)
        for near in (-1, 0, 1)
        for sign in (1, -1)
    }
    | {0, 1, -1}
)


@pytest.fixture(scope="module")
def unit():
    """A function that rounds numbers of up to 36 bits."""
    pyrtl.reset_working_block()
    x, y = pyrtl.Input(36, "x"), pyrtl.Output(36, "y")
    y <<= rounded(x)
    simulation = pyrtl.FastSimulation(tracer=None)

    def compute(number: int) -> int:
        simulation.step({"x": number & ((1 << 36) - 1)})
        return pyrtl.val_to_signed_integer(simulation.inspect("y"), 36)

    return compute


def test_corners(unit) -> None:
    for number in CORNERS:
        assert unit(number) == int(np.float32(number)), number


@settings(max_examples=2000, deadline=None)
@given(number=st.integers(-(2**34), 2**34))
def test_rounding(unit, number: int) -> None:
    assert unit(number) == int(np.float32(number))


def test_narrow_numbers_are_left_alone() -> None:
    pyrtl.reset_working_block()
    value = pyrtl.Input(25, "x")
    assert rounded(value) is value


def test_bounds_round_as_the_sums_do() -> None:
    bounds = Reduction.BINARY32_SUM.bounds(Interval(-(2**25) + 2, 2**25 - 2), 5)
    sums = np.float32(0)
    for _ in range(5):
        sums += np.float32(2**25 - 2)
    assert bounds == Interval(-int(sums), int(sums))
