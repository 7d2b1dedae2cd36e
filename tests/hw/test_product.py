"""Products in slices: right, and as many slices as said, in simulation and after synthesis."""

from __future__ import annotations

import io
import itertools

import pyrtl
import pytest
from gate_level import synthesize_gates

from bitloom.hw.fabric import ECP5, XC7
from bitloom.hw.product import LATENCY, latency, multiply, signed_multiply, slices, widest_multiplier
from bitloom.hw.registers import connect, delayed


def corners(bits, *, signed=False):
    """Values of a width at which carries run far, as bit patterns."""
    top, mask = 1 << (bits - 1), (1 << bits) - 1
    patterns = {0, 1, 2, mask, mask - 1, top, top - 1, top + 1, 0x5555555555 & mask, 0xAAAAAAAAAA & mask, mask // 3}
    return sorted(pattern for pattern in patterns if 0 <= pattern <= mask and not (signed and pattern & top))


def signed(pattern, bits):
    return pattern - ((pattern >> (bits - 1)) << bits)


@pytest.mark.parametrize(
    ("value_bits", "multiplier_bits", "xc7", "ecp5"),
    [(25, 17, 1, 2), (18, 24, 1, 4), (18, 17, 1, 1), (17, 25, 2, 2), (19, 18, 2, 4), (26, 17, 2, 2), (20, 20, 2, 4)],
)
def test_slices(value_bits, multiplier_bits, xc7, ecp5):
    assert slices(value_bits, multiplier_bits, XC7) == xc7
    assert slices(value_bits, multiplier_bits, ECP5) == ecp5
    assert latency(value_bits, multiplier_bits, XC7) == (1 if xc7 == 1 else LATENCY)
    assert latency(value_bits, multiplier_bits, XC7, in_logic=True) == LATENCY


@pytest.mark.parametrize("fabric", [XC7, ECP5])
def test_a_multiplier_grows_as_far_as_its_slices_allow(fabric):
    for value_bits, multiplier_bits in itertools.product(range(1, 40), range(1, 30)):
        widest = widest_multiplier(value_bits, multiplier_bits, fabric)
        least = slices(value_bits, multiplier_bits, fabric)
        assert widest >= multiplier_bits
        assert slices(value_bits, widest, fabric) <= least < slices(value_bits, widest + 1, fabric)


@pytest.mark.parametrize("fabric", [XC7, ECP5])
@pytest.mark.parametrize(("value_bits", "multiplier_bits"), [(24, 17), (17, 24), (25, 18), (30, 20), (1, 1), (40, 40)])
def test_unsigned_products(value_bits, multiplier_bits, fabric):
    pyrtl.reset_working_block()
    value, multiplier = pyrtl.Input(value_bits, "value"), pyrtl.Input(multiplier_bits, "multiplier")
    product = multiply("unit", value, multiplier, fabric=fabric)
    connect(pyrtl.Output(product.bitwidth, "product"), product)
    simulation = pyrtl.FastSimulation(tracer=None)
    for left, right in itertools.product(corners(value_bits), corners(multiplier_bits)):
        for _ in range(LATENCY + 1):
            simulation.step({"value": left, "multiplier": right})
        assert simulation.inspect("product") == left * right


def test_synthesised_a_product_is_as_many_slices_as_said(tmp_path):
    """Both orientations of a full slice, with a multiplier that varies and with a constant; and two limbs."""
    pyrtl.reset_working_block()
    forms = [(25, 17, None), (18, 24, None), (18, 24, 0xABCDEF), (25, 17, 0x1FFFF), (19, 24, None)]
    inputs, outputs, expected = {}, {}, 0
    for index, (value_bits, multiplier_bits, fixed) in enumerate(forms):
        value = pyrtl.Input(value_bits, f"value{index}")
        inputs[value.name] = value_bits
        value = delayed(value, 1, f"held{index}")
        if fixed is None:
            bits = multiplier_bits + (slices(value_bits, multiplier_bits, XC7) == 1)
            factor = pyrtl.Input(bits, f"factor{index}")
            inputs[factor.name] = bits
            factor = delayed(factor, 1, f"factor{index}_held")
        else:
            factor = pyrtl.Const(-fixed & ((2 << multiplier_bits) - 1), multiplier_bits + 1)
        expected += (count := slices(value_bits, multiplier_bits, XC7))
        unit = f"unit{index}"
        product = signed_multiply(unit, value, factor) if count == 1 else multiply(unit, value, factor)
        outputs[f"product{index}"] = product.bitwidth
        connect(pyrtl.Output(product.bitwidth, f"product{index}"), product)
    text = io.StringIO()
    pyrtl.output_to_verilog(text, add_reset=True)
    gates = synthesize_gates(text.getvalue(), "toplevel", tmp_path)
    assert gates.cells["DSP48E1"] == expected

    cases = []
    for number in range(121):
        case = {}
        for index, (value_bits, multiplier_bits, fixed) in enumerate(forms):
            values = corners(value_bits)
            case[f"value{index}"] = values[number % len(values)]
            if fixed is None:
                factors = corners(inputs[f"factor{index}"], signed=inputs[f"factor{index}"] > multiplier_bits)
                case[f"factor{index}"] = factors[number // len(values) % len(factors)]
        cases += [case] * (LATENCY + 2)
    seen = gates.run(inputs, outputs, cases)
    for case, step in list(zip(cases, seen, strict=True))[LATENCY + 1 :: LATENCY + 2]:
        for index, (value_bits, multiplier_bits, fixed) in enumerate(forms):
            value, bits = case[f"value{index}"], outputs[f"product{index}"]
            factor = -fixed if fixed is not None else case[f"factor{index}"]
            value = signed(value, value_bits) if slices(value_bits, multiplier_bits, XC7) == 1 else value
            assert step[f"product{index}"] == value * factor & ((1 << bits) - 1)
