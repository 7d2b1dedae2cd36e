"""Quantizing inputs, judged by LiteRT's QUANTIZE operator."""

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from hypothesis import given, settings
from hypothesis import strategies as st

from bitloom.arith.types import IntType
from bitloom.data import quantize_inputs
from bitloom.errors import DataError
from bitloom.export.flatbuffer import OperatorSpec, TensorSpec, write_model


def litert_quantize(x: np.ndarray, scale: float, zero_point: int, dtype: str) -> np.ndarray:
    tensors = [
        TensorSpec("x", x.shape, np.float32),
        TensorSpec("y", x.shape, dtype, (scale,), (zero_point,)),
    ]
    interpreter = Interpreter(
        model_content=write_model(tensors, [OperatorSpec("QUANTIZE", (0,), (1,))], (0,), (1,)),
        experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
        num_threads=1,
    )
    interpreter.allocate_tensors()
    interpreter.set_tensor(0, x)
    interpreter.invoke()
    return np.asarray(interpreter.get_tensor(1))


def around_every_half(scale: float) -> np.ndarray:
    """The floats at, just below and just above each value that rounds with a tie, where rules differ."""
    ties = (np.arange(-300, 300) + 0.5) * np.float64(np.float32(scale))
    exact = ties.astype(np.float32)
    neighbours = [exact]
    for direction in (-np.inf, np.inf):
        neighbour = exact
        for _ in range(3):
            neighbour = np.nextafter(neighbour, np.float32(direction))
            neighbours.append(neighbour)
    return np.concatenate(neighbours)


@pytest.mark.parametrize(("dtype", "int_type"), [("int8", IntType(8)), ("uint8", IntType(8, signed=False))])
@pytest.mark.parametrize("scale", [1 / 255, 0.25, 0.0123, 3.7, 1e-6])
def test_ties_and_their_neighbours_round_as_in_litert(scale: float, dtype: str, int_type: IntType) -> None:
    zero_point = 3 + int_type.minimum // 2 + 64
    x = around_every_half(scale)
    ours = quantize_inputs(x, scale, zero_point, int_type)
    assert ours.dtype == dtype
    np.testing.assert_array_equal(ours, litert_quantize(x, scale, zero_point, dtype))


@settings(max_examples=40, deadline=None)
@given(
    scale=st.floats(2.0**-13, 2.0**10, width=32),
    zero_point=st.integers(-128, 127),
    values=st.lists(st.floats(-10000, 10000, width=32), min_size=1, max_size=50),
)
def test_any_scale_and_value_as_in_litert(scale: float, zero_point: int, values: list[float]) -> None:
    x = np.array(values, np.float32)
    np.testing.assert_array_equal(quantize_inputs(x, scale, zero_point), litert_quantize(x, scale, zero_point, "int8"))


def test_int16_as_in_litert() -> None:
    x = np.linspace(-1.5, 1.5, 1001, dtype=np.float32)
    scale = 1 / 32768
    np.testing.assert_array_equal(quantize_inputs(x, scale, 0, IntType(16)), litert_quantize(x, scale, 0, "int16"))


def test_the_largest_float_below_a_half_rounds_to_zero() -> None:
    """Adding one half before truncating would make it 1."""
    below = np.nextafter(np.float32(0.5), np.float32(0))
    assert quantize_inputs([below, -below, 0.5, -0.5], 1.0, 0).tolist() == [0, 0, 1, -1]


def test_other_widths_saturate_at_their_own_ends() -> None:
    x = [-100.0, -3.0, 0.0, 2.4, 100.0]
    assert quantize_inputs(x, 1.0, 0, IntType(4)).tolist() == [-8, -3, 0, 2, 7]
    assert quantize_inputs(x, 1.0, 1, IntType(2, signed=False)).tolist() == [0, 0, 1, 3, 3]
    assert quantize_inputs([3e38], 1e-30, 0, IntType(32)).tolist() == [2**31 - 1]


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan"), float("inf")])
def test_a_senseless_scale_is_refused(scale: float) -> None:
    with pytest.raises(DataError, match="scale is a positive number"):
        quantize_inputs([1.0], scale, 0)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_refused(value: float) -> None:
    with pytest.raises(DataError, match="NaN or infinity"):
        quantize_inputs([1.0, value], 0.5, 0)
