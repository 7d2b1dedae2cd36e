"""The two-step multiplier against Python integers, and after synthesis."""

from __future__ import annotations

import io

import numpy as np
import pyrtl
from gate_level import synthesize_gates
from hypothesis import given, settings
from hypothesis import strategies as st

from bitloom.arith.fixed_point import multiply_high as reference
from bitloom.hw.serial_multiply import INTERVAL, LATENCY, LEFT_BITS, MULTIPLIERS, RIGHT_BITS, multiply_high

CORNERS = [0, 1, 2, (1 << 15) - 1, 1 << 15, (1 << 16) - 1, 1 << 16, (1 << 16) + 1, 1 << 30, (1 << 31) - 1]
LEFTS, RIGHTS = CORNERS, [*CORNERS, 1 << 31, (1 << 32) - (1 << 16), (1 << 32) - 1]


def build():
    pyrtl.reset_working_block()
    left, right = pyrtl.Input(LEFT_BITS, "left"), pyrtl.Input(RIGHT_BITS, "right")
    start, result = pyrtl.Input(1, "start"), pyrtl.Output(RIGHT_BITS, "result")
    result <<= multiply_high("multiply", left, right, start)


def steps_of(pairs, gaps):
    """Input values per cycle, and the cycle of each result; between starts the operands are noise."""
    random, steps, due = np.random.default_rng(len(pairs)), [], []
    for (left, right), gap in zip(pairs, gaps, strict=True):
        due.append(len(steps) + LATENCY)
        steps.append({"left": left, "right": right, "start": 1})
        for _ in range(gap - 1):
            noise, more = int(random.integers(1 << LEFT_BITS)), int(random.integers(1 << RIGHT_BITS))
            steps.append({"left": noise, "right": more, "start": 0})
    steps += [{"left": 0, "right": 0, "start": 0}] * (LATENCY + 1)
    return steps, due


def simulate(pairs, gaps):
    steps, due = steps_of(pairs, gaps)
    simulation, results = pyrtl.FastSimulation(tracer=None), []
    for step in steps:
        simulation.step(step)
        results.append(simulation.inspect("result"))
    return [results[cycle] for cycle in due]


def expected(pairs):
    return [(left * right + (1 << 30)) >> 31 for left, right in pairs]


def test_corners_as_fast_as_allowed():
    build()
    pairs = [(left, right) for left in LEFTS for right in RIGHTS]
    assert simulate(pairs, [INTERVAL] * len(pairs)) == expected(pairs)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, (1 << LEFT_BITS) - 1), st.integers(0, (1 << RIGHT_BITS) - 1), st.integers(2, 7)),
        min_size=1,
    )
)
def test_any_operands_with_any_gaps(cases):
    build()
    pairs = [(left, right) for left, right, _ in cases]
    assert simulate(pairs, [gap for _, _, gap in cases]) == expected(pairs)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**31 - 1), st.integers(-(2**31), 2**31 - 1))
def test_signed_operands_as_documented(left, right):
    (result,) = expected([(left, right + (1 << 31))])
    assert result - left == int(reference(left, right))


def test_synthesised_it_is_two_slices_and_still_right(tmp_path):
    build()
    text = io.StringIO()
    pyrtl.output_to_verilog(text, add_reset=True)
    gates = synthesize_gates(text.getvalue(), "toplevel", tmp_path)
    assert gates.cells["DSP48E1"] == MULTIPLIERS
    pairs = [(left, right) for left in LEFTS for right in RIGHTS]
    steps, due = steps_of(pairs, [INTERVAL] * len(pairs))
    seen = gates.run({"left": LEFT_BITS, "right": RIGHT_BITS, "start": 1}, {"result": RIGHT_BITS}, steps)
    assert [seen[cycle]["result"] for cycle in due] == expected(pairs)
