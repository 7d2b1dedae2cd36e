"""The softmax that is rounded once: halves are exact, and what it refuses."""

from __future__ import annotations

import io

import numpy as np
import pyrtl
import pytest
from gate_level import synthesize_gates
from hypothesis import given, settings
from hypothesis import strategies as st
from stream_checks import build_between

from bitloom.arith import IntType
from bitloom.circuits.streaming import Folding
from bitloom.errors import GraphError, UnsupportedError
from bitloom.ir import TensorType, Value
from bitloom.ops.rounded_softmax import RoundedSoftmax

INT8 = IntType(8)


@settings(max_examples=100, deadline=None)
@given(
    row=st.integers(1, 9),
    spread=st.integers(1, 128),
    scale=st.floats(0.001, 3),
    step=st.one_of(st.floats(2.0**-12, 2.0), st.sampled_from([2.0**-8, 2.0**-3, 0.5, 2 / 3, 1 / 255, 1.0])),
    seed=st.integers(0, 2**16),
)
def test_numpy_is_the_integers(row, spread, scale, step, seed):
    """Rows of few different elements have quotients that are halves, or a rounding of binary64 away from one."""
    operator = RoundedSoftmax(INT8, IntType(16), scale, step, -100)
    x = np.random.default_rng(seed).integers(-spread, spread, (20, row)) // spread * spread
    powers = operator.exponentials[x.max(axis=1, keepdims=True) - x]
    totals = powers.sum(axis=1)
    exact = [[operator.quotient.rounded(int(e), int(s)) for e in row] for row, s in zip(powers, totals, strict=True)]
    (seen,) = operator.evaluate([x])
    np.testing.assert_array_equal(seen, np.minimum(np.array(exact) - 100, (1 << 15) - 1))


def test_estimate_is_about_what_synthesis_finds(tmp_path):
    operator = RoundedSoftmax(INT8, INT8, 0.1, float(np.float32(1 / 255)), -128)
    x = Value("x", TensorType((1, 12), INT8))
    circuit, folding = operator.circuit([x], [x]), Folding()
    (given_type,) = circuit.input_types(folding)
    build_between(
        given_type,
        circuit.output_type(folding),
        lambda stream, reset: circuit.build("softmax", folding, [stream], reset),
    )
    text = io.StringIO()
    pyrtl.output_to_verilog(text, add_reset=True)
    cells = synthesize_gates(text.getvalue(), "toplevel", tmp_path).cells
    tables = sum(count for name, count in cells.items() if name.startswith("LUT"))
    assert circuit.estimate(folding).logic == pytest.approx(tables, rel=0.25)
    assert cells["DSP48E1"] == circuit.estimate(folding).dsp == 0


def test_what_it_refuses():
    x = Value("x", TensorType((1, 12), INT8))
    with pytest.raises(UnsupportedError, match="to scale 0"):
        RoundedSoftmax(INT8, INT8, 0.1, 0.0, 0).infer([x])
    with pytest.raises(UnsupportedError, match="from scale nan"):
        RoundedSoftmax(INT8, INT8, float("nan"), 0.1, 0).infer([x])
    with pytest.raises(GraphError, match="zero point 128 is no int8"):
        RoundedSoftmax(INT8, INT8, 0.1, 0.1, 128).infer([x])
    with pytest.raises(UnsupportedError, match="int9"):
        RoundedSoftmax(IntType(9), INT8, 0.1, 0.1, 0).infer([Value("x", TensorType((1, 12), IntType(9)))])
