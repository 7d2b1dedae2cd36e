"""The small parts every unit is made of, against models of a few lines."""

from __future__ import annotations

import numpy as np
import pyrtl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitloom.hw.registers import (
    connect,
    constant,
    delayed,
    delayed_flag,
    follow,
    named,
    signed_sum,
    state,
    wrapping_counter,
)


def random_flags(count, seed, probability=0.5):
    return (np.random.default_rng(seed).random(count) < probability).astype(int).tolist()


@settings(max_examples=40, deadline=None)
@given(length=st.integers(1, 17), seed=st.integers(0, 2**16))
def test_wrapping_counter(length, seed):
    pyrtl.reset_working_block()
    enable, reset = pyrtl.Input(1, "enable"), pyrtl.Input(1, "reset")
    _, at_end = wrapping_counter("count", length, enable, reset)
    connect(pyrtl.Output(1, "end"), at_end)
    simulation, model = pyrtl.FastSimulation(tracer=None), 0
    for enabled, in_reset in zip(random_flags(100, seed, 0.8), random_flags(100, seed + 1, 0.05), strict=True):
        simulation.step({"enable": enabled, "reset": in_reset})
        assert (simulation.inspect("count"), simulation.inspect("end")) == (model, int(model == length - 1))
        model = 0 if in_reset else (model + enabled) % length


@pytest.mark.parametrize("initial", [0, 5, 7])
def test_state_starts_and_resets_to_its_initial_value(initial):
    pyrtl.reset_working_block()
    value, reset = pyrtl.Input(3, "value"), pyrtl.Input(1, "reset")
    register = state("register", 3, initial)
    follow(register, value, reset)
    simulation = pyrtl.FastSimulation(tracer=None)
    seen = []
    for driven, in_reset in [(3, 0), (6, 1), (2, 0), (0, 0)]:
        simulation.step({"value": driven, "reset": in_reset})
        seen.append(simulation.inspect("register"))
    assert seen == [initial, 3, initial, 2]


def test_following_keeps_the_low_bits():
    pyrtl.reset_working_block()
    register = state("register", 2)
    follow(register, register + 1, pyrtl.Input(1, "reset"))
    simulation = pyrtl.FastSimulation(tracer=None)
    seen = []
    for _ in range(6):
        simulation.step({"reset": 0})
        seen.append(simulation.inspect("register"))
    assert seen == [0, 1, 2, 3, 0, 1]


@pytest.mark.parametrize("cycles", [0, 1, 2, 5])
def test_delays(cycles):
    """A flag forgets in reset, data does not; the registers carry the names the documentation gives."""
    pyrtl.reset_working_block()
    flag, data, reset = pyrtl.Input(1, "flag"), pyrtl.Input(4, "data"), pyrtl.Input(1, "reset")
    connect(pyrtl.Output(1, "late_flag"), delayed_flag(flag, cycles, "flag_register", reset))
    connect(pyrtl.Output(4, "late_data"), delayed(data, cycles, "data_register"))
    names = {wire.name for wire in pyrtl.working_block().wirevector_subset(pyrtl.Register)}
    assert names == {f"{kind}_register_d{cycle}" for kind in ("flag", "data") for cycle in range(1, cycles + 1)}
    simulation = pyrtl.FastSimulation(tracer=None)
    flags, words, resets = random_flags(60, 1), list(range(60)), random_flags(60, 2, 0.1)
    for cycle in range(60):
        simulation.step({"flag": flags[cycle], "data": words[cycle] % 16, "reset": resets[cycle]})
        if cycle >= cycles:
            cleared = any(resets[cycle - cycles : cycle])
            assert simulation.inspect("late_flag") == (0 if cleared else flags[cycle - cycles])
            assert simulation.inspect("late_data") == words[cycle - cycles] % 16


def test_a_delayed_constant_is_the_constant():
    pyrtl.reset_working_block()
    value = pyrtl.Const(3, 2)
    assert delayed(value, 4, "unused") is value


def test_signed_sum_of_every_small_pair():
    """Operands narrower than the sum, as wide and wider: two's complement in the sum's width."""
    pyrtl.reset_working_block()
    left, right = pyrtl.Input(3, "left"), pyrtl.Input(5, "right")
    for bits in (3, 5, 6):
        connect(pyrtl.Output(bits, f"sum{bits}"), signed_sum(left, right, bits))
    simulation = pyrtl.FastSimulation(tracer=None)
    for a in range(-4, 4):
        for b in range(-16, 16):
            simulation.step({"left": a & 7, "right": b & 31})
            for bits in (3, 5, 6):
                assert simulation.inspect(f"sum{bits}") == (a + b) % (1 << bits)


def test_constants_are_twos_complement():
    pyrtl.reset_working_block()
    assert [(constant(value, 4).val, constant(value, 4).bitwidth) for value in (-8, -1, 0, 7)] == [
        (8, 4),
        (15, 4),
        (0, 4),
        (7, 4),
    ]


def test_named_wires_are_seen_in_a_waveform():
    pyrtl.reset_working_block()
    named(pyrtl.Input(4, "value") + 1, "one_more")
    simulation = pyrtl.Simulation()
    simulation.step({"value": 15})
    assert simulation.tracer.trace["one_more"] == [16]
