"""Dot products without multipliers: every weight times every activation, any shape, and few look-up tables."""

from __future__ import annotations

import numpy as np
import pyrtl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitloom.arith import IntType
from bitloom.hw.fabric import ECP5, XC7
from bitloom.hw.logic_products import logic_accumulator, logic_latency, logic_products

KINDS = {
    "binary": [-1, 1],
    "on and off": [0, 1],
    "ternary": [-1, 0, 1],
    "two bits": [-2, -1, 0, 1],
    "logarithmic": [0, 1, -1, 2, -2, 4, -4],
    "wide logarithmic": [0, *(sign << place for place in range(7) for sign in (1, -1))],
    "multiples of four": [-4, 4, 8],
    "three bits": list(range(-4, 4)),
    "four bits": list(range(-8, 8)),
    "unsigned": list(range(8)),
    "int8": list(range(-128, 128)),
    "always one": [1],
    "always minus six": [-6],
    "nothing": [0],
}


class Unit:
    """The products in the working block, a beat a cycle."""

    def __init__(self, weights, element, groups=1, fabric=XC7):
        self.weights, self.element, self.groups = weights, element, groups
        words, self.elements, self.simd = weights.shape
        pyrtl.reset_working_block()
        address = pyrtl.Input(max(1, (words - 1).bit_length()), "address")
        inputs = [pyrtl.Input(element.bits, f"x{index}") for index in range(self.simd * groups)]
        self.products = logic_products("unit", inputs, element, weights, address, groups=groups, fabric=fabric)
        for index, total in enumerate(self.products.sums):
            output = pyrtl.Output(total.bitwidth, f"sum{index}")
            output <<= total

    def simulated(self, addresses, beats):
        """Sums, and that none is beyond what is promised of its word."""
        simulation, mask, found = pyrtl.FastSimulation(tracer=None), (1 << self.element.bits) - 1, []
        latency = self.products.latency
        for cycle in range(len(beats) + latency):
            at = min(cycle, len(beats) - 1)
            sent = {f"x{lane}": int(value) & mask for lane, value in enumerate(beats[at])}
            simulation.step({"address": int(addresses[at]), **sent})
            if cycle >= latency:
                found.append([simulation.inspect(f"sum{index}") for index in range(self.elements)])
        raw = np.array(found, np.int64)
        assert (raw <= self.products.largest[addresses]).all()
        return raw - self.products.excess[addresses]

    def expected(self, addresses, beats):
        lanes = beats.reshape(len(beats), self.simd, self.groups)
        own = np.repeat(lanes, self.elements // self.groups, axis=2)
        return np.einsum("bps,bsp->bp", self.weights[addresses], own)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bits", [1, 2, 3, 5])
def test_every_weight_times_every_activation(kind, bits):
    """Alone, and in a pair whose sum may be of gates."""
    values, element = np.array(KINDS[kind], np.int64), IntType(bits)
    for lanes in (1, 2):
        weights = np.stack([np.roll(values, lane) for lane in range(lanes)], 1)[:, None]
        unit = Unit(weights, element)
        activations = np.arange(element.minimum, element.maximum + 1)
        addresses = np.repeat(np.arange(len(values)), len(activations))
        beats = np.stack([np.tile(np.roll(activations, 3 * lane), len(values)) for lane in range(lanes)], 1)
        np.testing.assert_array_equal(unit.simulated(addresses, beats), unit.expected(addresses, beats))


@settings(max_examples=60, deadline=None)
@given(
    words=st.integers(1, 9),
    members=st.integers(1, 4),
    groups=st.integers(1, 3),
    simd=st.integers(1, 15),
    kind=st.sampled_from(sorted(KINDS)),
    bits=st.integers(1, 16),
    fabric=st.sampled_from([XC7, ECP5]),
    seed=st.integers(0, 2**16),
)
def test_equals_numpy_for_any_shape(words, members, groups, simd, kind, bits, fabric, seed):
    random, element = np.random.default_rng(seed), IntType(bits)
    weights = random.choice(np.array(KINDS[kind], np.int64), (words, members * groups, simd))
    weights[:, 0, 0] = weights[0, 0, 0]  # one that is not stored
    unit = Unit(weights, element, groups, fabric)
    beats = random.integers(element.minimum, element.maximum, (20, simd * groups), endpoint=True)
    beats[0], beats[1] = element.minimum, element.maximum
    addresses = random.integers(0, words, len(beats))
    np.testing.assert_array_equal(unit.simulated(addresses, beats), unit.expected(addresses, beats))


def test_latency_is_that_of_a_tree_of_pairs():
    weights = np.random.default_rng(0).integers(-8, 8, (5, 2, 7))
    weights[0] = -8, 7, 0, 1, 2, 3, -7  # two digits
    for fabric in (XC7, ECP5):
        unit = Unit(weights, IntType(4), fabric=fabric)
        assert unit.products.latency == logic_latency(7, 2, fabric.product_registers)
    assert logic_latency(1, 1) == logic_latency(2, 1) == logic_latency(4, 1) - 1 == 3


def test_no_memory_holds_what_never_changes():
    Unit(np.array([[[1, -1, 0]]]), IntType(8))
    assert not any(net.op == "m" for net in pyrtl.working_block().logic)
    Unit(np.array([[[1, -1, 0]], [[1, 1, 0]]]), IntType(8))
    (memory,) = {net.op_param[1] for net in pyrtl.working_block().logic if net.op == "m"}
    assert memory.bitwidth == 2  # of three lanes one


def test_accumulators_start_at_the_lowest_number():
    pyrtl.reset_working_block()
    term, flags = pyrtl.Input(4, "term"), [pyrtl.Input(1, name) for name in ("valid", "first")]
    total = pyrtl.Output(6, "total")
    total <<= logic_accumulator("accumulator", term, *flags, 6, beats=4)
    simulation, seen = pyrtl.Simulation(), []
    for value, valid, first in [(15, 1, 1), (15, 1, 0), (9, 0, 0), (15, 1, 0), (15, 1, 0), (1, 1, 1), (0, 0, 0)]:
        simulation.step({"term": value, "valid": valid, "first": first})
        seen.append(pyrtl.val_to_signed_integer(simulation.inspect("total"), 6))
    assert seen[1:] == [-17, -2, -2, 13, 28, -31]
