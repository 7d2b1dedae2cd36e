"""Integer types: bounds, containers, names."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitloom.arith import IntType
from bitloom.errors import ArithmeticDomainError

ALL = [IntType(bits, signed) for bits in range(1, 65) for signed in (True, False)]


@pytest.mark.parametrize("element", ALL, ids=str)
def test_every_type_knows_its_bounds_container_and_name(element):
    if element.signed:
        assert (element.minimum, element.maximum) == (-(2**element.bits) // 2, 2**element.bits // 2 - 1)
    else:
        assert (element.minimum, element.maximum) == (0, 2**element.bits - 1)
    container = np.iinfo(element.dtype)
    assert container.min <= element.minimum
    assert element.maximum <= container.max
    assert container.bits == 8 or container.bits < 2 * element.bits
    assert IntType.parse(str(element)) == element


@pytest.mark.parametrize("bits", [0, -1, 65, 1000])
def test_widths_outside_1_to_64_are_refused(bits):
    with pytest.raises(ArithmeticDomainError, match="1 to 64"):
        IntType(bits)


@pytest.mark.parametrize(
    "text", ["int", "uint", "int0", "int65", "int08", "int8 ", " int8", "Int8", "float32", "i8", ""]
)
def test_other_names_are_refused(text):
    with pytest.raises(ArithmeticDomainError):
        IntType.parse(text)


@given(st.integers(-(2**63), 2**64 - 1), st.integers(-(2**63), 2**64 - 1))
def test_holding_is_the_narrowest(first, second):
    low, high = sorted((first, second))
    if low < 0 and high >= 2**63:
        with pytest.raises(ArithmeticDomainError):
            IntType.holding(low, high)
        return
    element = IntType.holding(low, high)
    assert element.signed == (low < 0)
    assert element.contains(low, high)
    assert element.bits == 1 or not IntType(element.bits - 1, element.signed).contains(low, high)


def test_holding_all_small_intervals():
    for low in range(-20, 20):
        for high in range(low, 20):
            element = IntType.holding(low, high)
            assert element.contains(low, high)
            assert element.bits == 1 or not IntType(element.bits - 1, element.signed).contains(low, high)


def test_clamp_saturates():
    assert IntType(4).clamp([[-9, -8], [7, 8]]).tolist() == [[-8, -8], [7, 7]]
    assert IntType(3, signed=False).clamp([-1, 0, 7, 8]).tolist() == [0, 0, 7, 7]
