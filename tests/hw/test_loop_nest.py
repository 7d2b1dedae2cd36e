"""Nested counters and the registers that follow them, against NumPy's counting."""

from __future__ import annotations

import itertools

import numpy as np
import pyrtl
from hypothesis import given, settings
from hypothesis import strategies as st

from bitloom.hw.loop_nest import Loop, by_position, loop_nest
from bitloom.hw.registers import connect


@settings(max_examples=40, deadline=None)
@given(
    loops=st.lists(st.tuples(st.integers(1, 4), st.integers(-9, 9)), min_size=1, max_size=4),
    start=st.integers(-20, 20),
    around=st.integers(-20, 20),
    bits=st.integers(1, 9),
    seed=st.integers(0, 2**16),
)
def test_a_walk_is_the_sum_of_strides(loops, start, around, bits, seed):
    pyrtl.reset_working_block()
    step, reset = pyrtl.Input(1, "step"), pyrtl.Input(1, "reset")
    names = [f"l{index}" for index in range(len(loops))]
    nest = loop_nest("at", [Loop(name, length) for name, (length, _) in zip(names, loops, strict=True)], step, reset)
    strides = {name: stride for name, (_, stride) in zip(names, loops, strict=True)}
    for wire, name in ((nest.walk("walk", strides, start, around, bits), "value"), (nest.finishes[names[-1]], "ends")):
        connect(pyrtl.Output(wire.bitwidth, name), wire)
    simulation, random = pyrtl.FastSimulation(tracer=None), np.random.default_rng(seed)
    turns = list(itertools.product(*[range(length) for length, _ in reversed(loops)]))
    position = 0
    for _ in range(3 * len(turns)):
        stepping, resetting = random.random() < 0.8, random.random() < 0.02
        simulation.step({"step": int(stepping), "reset": int(resetting)})
        turn = turns[position % len(turns)]
        expected = start + around * (position // len(turns))
        expected += sum(count * stride for count, (_, stride) in zip(turn, reversed(loops), strict=True))
        assert simulation.inspect("value") == expected % (1 << bits)
        assert simulation.inspect("ends") == (turn == turns[-1])
        position = 0 if resetting else position + stepping


@settings(max_examples=40, deadline=None)
@given(values=st.lists(st.integers(-4, 4), min_size=2, max_size=9))
def test_values_by_position(values):
    pyrtl.reset_working_block()
    count, value = pyrtl.Input((len(values) - 1).bit_length(), "count"), pyrtl.Output(4, "value")
    value <<= by_position(count, values, 4)
    simulation = pyrtl.FastSimulation()
    for position, expected in enumerate(values):
        simulation.step({"count": position})
        assert simulation.inspect("value") == expected % 16
