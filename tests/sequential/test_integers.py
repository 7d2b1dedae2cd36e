"""Scales and zero points of sequential networks' numbers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitloom.errors import UsageError
from bitloom.sequential import Integers


@pytest.mark.parametrize("bits", [0, -1, 33, 64, 4.0, True, "8"])
def test_widths_outside_1_to_32_are_refused(bits: object) -> None:
    with pytest.raises(UsageError, match="choose 1 to 32"):
        Integers(bits)  # type: ignore[arg-type]


@given(
    st.integers(1, 32),
    st.booleans(),
    st.booleans(),
    st.lists(st.floats(-1000, 1000, width=32), min_size=1, max_size=9),
)
def test_integers_stay_in_their_type_and_0_is_exact(
    bits: int, signed: bool, symmetric: bool, values: list[float]
) -> None:
    scaled = Integers(bits, signed, symmetric).of(np.array(values))
    integers = scaled.integers(values)
    assert scaled.element.contains(int(integers.min()), int(integers.max()))
    assert scaled.integers([0.0]).tolist() == [scaled.zero_point]
    assert scaled.element.contains(scaled.zero_point, scaled.zero_point)
    if bits > 1 and symmetric:
        middle = 0 if signed else 2 ** (bits - 1)
        assert scaled.zero_point == middle
        assert np.abs((integers - middle) * scaled.scale - values).max() <= scaled.scale * 0.500001


def test_asymmetric_integers_use_all_of_the_range() -> None:
    scaled = Integers(8, signed=False, symmetric=False).of_range(-1.0, 3.0)
    assert scaled.integers([-1.0, 3.0]).tolist() == [0, 255]
    assert scaled.zero_point == 64
