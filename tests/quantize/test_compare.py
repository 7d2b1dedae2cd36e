"""Errors of integers against real numbers."""

from __future__ import annotations

import numpy as np
import pytest
from float_networks import FloatNetwork, small_cnn

from bitloom.quantize import QuantizeOptions, quantize
from bitloom.quantize.compare import TensorError, compare, integer_inputs, real_values


def test_decibels() -> None:
    assert TensorError("t", 100.0, 1.0, 1.0).decibels == pytest.approx(20)
    assert TensorError("t", 1.0, 0.0, 0.0).decibels == float("inf")
    assert TensorError("t", 0.0, 1.0, 1.0).decibels < -1000


def test_errors_are_those_of_arrays() -> None:
    net = small_cnn()
    made = quantize(net.graph(), net.samples(70))
    found = {error.name: error for error in compare(made.state.graph, made.graph, made.state.inputs)}
    from bitloom.run.float_litert import evaluate_float

    wanted = evaluate_float(made.state.graph, made.state.inputs)
    real = real_values(made.graph, made.graph.evaluate(integer_inputs(made.graph, made.state.inputs)))
    assert list(found) == [name for name in made.graph.computed if name in wanted]
    for name, error in found.items():
        difference = real[name] - wanted[name]
        assert error.signal == pytest.approx(np.square(wanted[name].astype(np.float64)).sum())
        assert error.noise == pytest.approx(np.square(difference).sum())
        assert error.largest == pytest.approx(np.abs(difference).max())


def test_real_inputs_stay_real() -> None:
    net = FloatNetwork((1, 4))
    net.dense("x", 2)
    made = quantize(net.graph(), net.samples(20), QuantizeOptions(float_io=True))
    inputs = integer_inputs(made.graph, made.state.inputs)
    assert inputs["x"].dtype == np.float32
    (error,) = compare(made.state.graph, made.graph, made.state.inputs)
    assert (error.name, error.decibels > 30) == (made.graph.outputs[0], True)
