"""The systolic array after synthesis for xc7: one DSP slice a cell, and still the right product."""

from __future__ import annotations

import io

import numpy as np
import pyrtl
import pytest
from gate_level import synthesize_gates

from bitloom.arith import IntType
from bitloom.hw.matrix.channel import MatrixChannel
from bitloom.hw.matrix.integer import to_integer
from bitloom.hw.matrix.multiply import systolic_interval, systolic_multiply

ROWS, TERMS, COLUMNS = 2, 3, 2


@pytest.mark.parametrize(
    ("a_type", "b_type", "a_zero", "b_zero", "bias"),
    [
        ("int8", "int8", 0, 0, False),
        ("int8", "int8", -128, 5, True),
        ("uint8", "int8", 128, 0, False),
    ],
)
def test_synthesised_array_multiplies(tmp_path, a_type, b_type, a_zero, b_zero, bias):
    pyrtl.reset_working_block()
    random = np.random.default_rng(5)
    left, right = IntType.parse(a_type), IntType.parse(b_type)
    a, b = MatrixChannel.input("a", (ROWS, TERMS), left), MatrixChannel.input("b", (TERMS, COLUMNS), right)
    offset = random.integers(-9999, 9999, (ROWS, COLUMNS)) if bias else np.zeros((ROWS, COLUMNS), int)
    built = systolic_multiply("mm", a, b, a_zero=a_zero, b_zero=b_zero, bias=offset if bias else None)
    built.product.output("c")
    text = io.StringIO()
    pyrtl.output_to_verilog(text, add_reset=True)
    gates = synthesize_gates(text.getvalue(), "toplevel", tmp_path)
    assert gates.cells["DSP48E1"] == ROWS * COLUMNS

    count, interval = 12, systolic_interval(ROWS, TERMS, COLUMNS)
    lefts = random.choice([left.minimum, left.maximum, -1 if left.signed else 1, 77], (count, ROWS, TERMS))
    rights = random.choice([right.minimum, right.maximum, -1, 99], (count, TERMS, COLUMNS))
    steps = [
        a.matrix.stimulus(lefts[min(cycle // interval, count - 1)])
        | b.matrix.stimulus(rights[min(cycle // interval, count - 1)])
        | {"a_valid": int(cycle % interval == 0), "b_valid": int(cycle % interval == 0), "c_ready": 1}
        for cycle in range((count + 2) * interval)
    ]
    block = pyrtl.working_block()
    inputs = {wire.name: len(wire) for wire in block.wirevector_subset(pyrtl.Input)}
    outputs = {wire.name: len(wire) for wire in block.wirevector_subset(pyrtl.Output)}
    results = [
        [
            to_integer(step[f"c_{i}_{j}"], outputs[f"c_{i}_{j}"], built.product.matrix.signed)
            for i, j in np.ndindex(2, 2)
        ]
        for step in gates.run(inputs, outputs, steps)
        if step["c_valid"] == 1
    ]
    expected = (lefts - a_zero) @ (rights - b_zero) + offset
    assert len(results) >= count
    assert results[:count] == expected.reshape(count, -1).tolist()
