"""Two products in one multiplication: every pair of weights times every activation, and chains up to their bound."""

from __future__ import annotations

import numpy as np
import pyrtl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from product_units import ProductUnit
from pyrtl import Const, concat

from bitloom.arith import IntType
from bitloom.errors import HardwareError
from bitloom.hw.fabric import ECP5, XC7
from bitloom.hw.multiply_accumulate import LanePlan, dot_latency
from bitloom.hw.packed_products import (
    Packing,
    can_pack,
    multiplicand,
    packed_latency,
    packed_multipliers,
    separated,
)

INT8 = IntType(8)


@pytest.mark.parametrize("shift", [16, 17])
def test_every_pair_of_weights_times_every_activation_in_numpy(shift):
    """The bits of the circuit, taken apart and put together as it does; 17 is too far only for -128 - 1 above."""
    low = activation = np.arange(-128, 128)
    for high in range(-128, 128):
        stored = high - (low < 0)
        bits = ((stored & ((1 << (25 - shift)) - 1)) << shift) | (low & ((1 << shift) - 1))
        operand = np.where(bits >> 24, bits - (1 << 25), bits)
        fits = stored >= -(1 << (24 - shift))
        np.testing.assert_array_equal(operand[fits], ((high << shift) + low)[fits])
        total = operand[fits][:, None] * activation
        below, carry = total & ((1 << shift) - 1), (total >> (shift - 1)) & 1
        np.testing.assert_array_equal(below - (carry << shift), low[fits][:, None] * activation)
        np.testing.assert_array_equal((total >> shift) + carry, np.broadcast_to(high * activation, total.shape))
        assert fits.all() == (shift == 16 or high > -128)


@pytest.mark.parametrize("shift", [16, 17])
def test_every_pair_of_weights_times_every_activation_in_the_circuit(shift):
    """A circuit counts through all 2**24 cases, 32 at a time, and keeps whether any was wrong."""
    pyrtl.reset_working_block()
    packing = Packing(((0, 1),), (), 25 - shift, shift, 1)
    count = pyrtl.Register(19, "count")
    count.next <<= (count + 1).truncate(19)
    low, high, activation_high = count[:8], count[8:16], count[16:]
    taken = concat(Const(0, 8), low[-1])
    stored = (high.sign_extended(9) - taken).truncate(9)
    operand = multiplicand(low, stored, packing)
    mismatches = []
    for activation_low in range(32):
        activation = concat(activation_high, Const(activation_low, 5))
        below, above = separated(f"total{activation_low}", pyrtl.signed_mult(activation, operand), shift)
        for weight, term in ((low, below), (high, above)):
            exact = pyrtl.signed_mult(activation, weight)
            mismatches.append(term.added_to(Const(0, 18), 18) != exact.sign_extended(18))
    wrong = pyrtl.or_all_bits(concat(*mismatches))
    fits = Const(1, 1) if shift == 16 else ~((high == 0x80) & low[-1])
    seen = pyrtl.Register(1, "seen")
    seen.next <<= seen | (wrong & fits)
    never = pyrtl.Register(1, "never")
    never.next <<= never | (wrong & ~fits)
    done, failed, refused = pyrtl.Output(19, "done"), pyrtl.Output(1, "failed"), pyrtl.Output(1, "refused")
    done <<= count
    failed <<= seen
    refused <<= never
    simulation = pyrtl.CompiledSimulation(tracer=pyrtl.SimulationTrace([done, failed, refused]))
    for _ in range(1 << 5):
        simulation.run([{}] * (1 << 14))
    simulation.step({})
    assert [simulation.inspect(name) for name in ("done", "failed", "refused")] == [0, 0, shift == 17]


@settings(max_examples=60, deadline=None)
@given(
    words=st.integers(1, 9),
    members=st.integers(1, 5),
    groups=st.integers(1, 3),
    simd=st.integers(1, 11),
    bounds=st.sampled_from([(-128, 127), (-127, 127), (-255, 255), (-3, 3), (0, 127), (-128, -1), (0, 1), (1, 1)]),
    bits=st.sampled_from([8, 4, 2]),
    seed=st.integers(0, 2**16),
)
def test_equals_numpy_for_any_shape(words, members, groups, simd, bounds, bits, seed):
    random, element = np.random.default_rng(seed), IntType(bits)
    weights = random.integers(*bounds, (words, members * groups, simd), endpoint=True)
    unit = ProductUnit(weights, element, groups)
    beats = random.integers(element.minimum, element.maximum, (24, simd * groups), endpoint=True)
    beats[0], beats[1] = element.minimum, element.maximum
    addresses = random.integers(0, words, len(beats))
    np.testing.assert_array_equal(unit.simulated(addresses, beats), unit.expected(addresses, beats))
    assert unit.latency == packed_latency(simd) + 1


def lanes(low: list[int], high: list[int]) -> np.ndarray:
    """One word for two processing elements; the first has the smaller sums."""
    return np.array([[low, high]], np.int64)


@pytest.mark.parametrize(
    ("low", "chains"),
    [
        ([127, 127, 127, 127, 4], 1),  # 512 * -128 = -2**16, the lowest number of 17 bits
        ([-127, -127, -127, -127, -3], 1),  # 511 * 128, the highest multiple of 128
        ([-127, -127, -127, -127, -4], 2),  # 512 * 128 = 2**16 is one too many
        ([127, 127, 127, 127, 5], 2),
        ([64, -64] * 4, 1),
        ([65, -65] * 4, 2),  # each activation at its own extreme
        ([127] * 8, 2),
    ],
)
def test_chains_are_as_long_as_every_lower_sum_fits(low, chains):
    weights = lanes(low, [-127] * len(low))
    packing = Packing.of(weights, INT8)
    assert (packing.shift, packing.chains) == (17, chains)
    unit = ProductUnit(weights, INT8)
    corners = np.array([-128, 127, 0, 1, -1])
    opposing = np.where(np.array(low) > 0, [[-128], [127]], [[127], [-128]])
    noise = np.random.default_rng(0).choice(corners, (30, len(low)))
    beats = np.concatenate([np.broadcast_to(corners[:, None], (5, len(low))), opposing, noise])
    addresses = np.zeros(len(beats), np.int64)
    np.testing.assert_array_equal(unit.simulated(addresses, beats), unit.expected(addresses, beats))


def test_minus_128_above_a_negative_weight_moves_the_fields_closer():
    weights = lanes([-1, 5], [-128, 100])
    assert Packing.of(weights, INT8).shift == 16
    # Above a positive weight nothing is taken from it.
    assert Packing.of(lanes([1, 5], [-128, 100]), INT8).shift == 17
    # Narrow weights leave the lower field more room.
    assert Packing.of(lanes([-3, 3], [-3, 3]), INT8).shift == 22


def test_the_largest_sums_are_above():
    weights = np.zeros((1, 5, 8), np.int64)
    weights[0] = np.array([120, 10, 110, 20, 127])[:, None]
    packing = Packing.of(weights, INT8)
    assert packing.pairs == ((1, 2), (3, 0))
    assert packing.singles == (4,)
    assert packing.chains == 1


def test_what_can_be_packed():
    int8 = np.array([-128, 127])
    assert can_pack(int8, INT8, XC7)
    assert can_pack(np.array([-255, 255]), INT8, XC7)
    assert not can_pack(np.array([-300, 255]), INT8, XC7)
    assert not can_pack(int8, IntType(8, signed=False), XC7)
    assert not can_pack(int8, IntType(12), XC7)
    assert can_pack(np.array([-1, 1]), IntType(18), XC7)
    assert not can_pack(np.array([-1, 1]), IntType(19), XC7)
    assert not can_pack(np.array([-1, 1]), IntType(1), XC7)
    assert not can_pack(int8, INT8, ECP5)
    with pytest.raises(HardwareError, match=r"8 bits.*ecp5"):
        Packing.of(lanes([1], [-128]), INT8, fabric=ECP5)


@settings(max_examples=100, deadline=None)
@given(low=st.integers(-3000, 0), high=st.integers(0, 3000), bits=st.integers(2, 18), seed=st.integers(0, 99))
def test_what_can_be_packed_has_a_packing_in_any_arrangement(low, high, bits, seed):
    """And each lower sum, at its extremes, is in its field; nothing else may be refused."""
    element, bounds = IntType(bits), np.array([low, high])
    weights = np.random.default_rng(seed).choice([low, low + 1, 0, high - 1, high], (6, 4, 9)).clip(low, high)
    if not can_pack(bounds, element, XC7):
        return
    packing = Packing.of(weights, element)
    plan = LanePlan.of(9, count=packing.chains)
    limit = 1 << (packing.shift - 1)
    for lower, upper in packing.pairs:
        stored = packing.stored(weights)[:, upper]
        assert -(1 << (packing.high_bits - 1)) <= stored.min() <= stored.max() < 1 << (packing.high_bits - 1)
        for chain in plan.chains:
            own = weights[:, lower][:, list(chain)]
            extremes = np.stack([own * element.minimum, own * element.maximum])
            assert -limit <= extremes.min(axis=0).sum(axis=1).min()
            assert extremes.max(axis=0).sum(axis=1).max() < limit


def test_multipliers_and_latency():
    assert [packed_multipliers(pe, 3) for pe in (1, 2, 3, 8)] == [3, 3, 6, 12]
    assert packed_multipliers(6, 2, groups=3) == 6
    assert packed_multipliers(9, 2, groups=3) == 12
    # Mostly that of products that are not packed, for which eight lanes are a chain.
    assert [packed_latency(simd) - dot_latency(simd) for simd in (1, 2, 8, 9, 63, 64)] == [0, 0, 0, 0, 0, 1]
    for simd in range(1, 130):
        plans = [LanePlan.of(simd, count=chains) for chains in range(-(-simd // 8), simd + 1)]
        assert packed_latency(simd) == 2 + max(plan.sum_latency for plan in plans)
