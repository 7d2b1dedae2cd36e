"""Tensor types and quantization: what is refused, and what is said of the rest."""

import math

import numpy as np
import pytest

from bitloom.arith import IntType
from bitloom.errors import GraphError
from bitloom.ir import FLOAT32, FloatType, Quantization, TensorType


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((), ()), "0 scales"),
        (((1.0, 2.0), (0,), 0), "2 scales and 1 zero points"),
        (((1.0,), (0, 0)), "1 scales and 2 zero points"),
        (((1.0, 2.0), (0, 0)), "need an axis"),
        (((0.0,), (0,)), "positive finite"),
        (((-0.5,), (0,)), "positive finite"),
        (((math.nan,), (0,)), "positive finite"),
        (((1.0, math.inf), (0, 0), 0), "positive finite"),
    ],
)
def test_refused_quantizations(arguments, message):
    with pytest.raises(GraphError, match=message):
        Quantization(*arguments)


def test_the_only_scale_and_zero_point():
    assert (Quantization((0.5,), (3,)).scale, Quantization((0.5,), (3,)).zero_point) == (0.5, 3)
    per_axis = Quantization((0.5, 0.25), (3, 4), 1)
    with pytest.raises(GraphError, match="one quantization scale"):
        _ = per_axis.scale
    with pytest.raises(GraphError, match="one zero point"):
        _ = per_axis.zero_point


@pytest.mark.parametrize("shape", [(0,), (2, -1), (3, 0, 1)])
def test_dimensions_are_positive(shape):
    with pytest.raises(GraphError, match="not positive"):
        TensorType(shape, IntType(8))


@pytest.mark.parametrize(
    ("axis", "count", "message"),
    [
        (2, 3, "axis 2"),
        (-1, 3, "axis -1"),
        (0, 3, "3 quantization scales for 2"),
        (1, 2, "2 quantization scales for 3"),
    ],
)
def test_a_quantization_axis_fits_the_shape(axis, count, message):
    with pytest.raises(GraphError, match=message):
        TensorType((2, 3), IntType(8), Quantization((1.0,) * count, (0,) * count, axis))


def test_sizes_and_kinds():
    scalar = TensorType((), FLOAT32)
    assert scalar.size == 1
    assert TensorType((2, 3, 4), IntType(8)).size == 24
    assert TensorType((1,), IntType(5)).integer == IntType(5)
    with pytest.raises(GraphError, match="an integer tensor is needed, not float32"):
        _ = scalar.integer
    with pytest.raises(GraphError, match="no quantization"):
        _ = scalar.required_quantization


def test_floats_have_32_bits():
    assert FLOAT32.dtype == np.float32
    with pytest.raises(GraphError, match="32 bits, not 16"):
        FloatType(16)


def test_as_text():
    assert str(TensorType((), FLOAT32)) == "float32[]"
    per_axis = Quantization((0.5, 0.25), (0, 1), 1)
    assert str(TensorType((3, 2), IntType(4), per_axis)) == "int4[3, 2] scale=[0.5, 0.25] zero_point=[0, 1] axis=1"
