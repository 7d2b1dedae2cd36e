"""What a stated graph refuses: on the line where it is wrong, or when the graph is made."""

from __future__ import annotations

import numpy as np
import pytest

import bitloom as bl
from bitloom.errors import (
    ArithmeticDomainError,
    BitloomError,
    GraphError,
    InputError,
    UnsupportedError,
    UsageError,
)

define = bl.define


def image() -> define.Placeholder:
    return define.placeholder((1, 4, 4, 2), "int8", "image")


def weights(*shape: int, dtype: str = "int8") -> define.Variable:
    return define.variable(shape, dtype, "weights")


@pytest.mark.parametrize("shape", [(None, 2), ("N", 2), (1.5, 2), 4])
def test_shapes_that_are_not_fixed(shape):
    with pytest.raises(GraphError, match=r"is not of whole numbers; fix every axis"):
        define.placeholder(shape, "int8")


@pytest.mark.parametrize("dtype", ["int0", "int65", "uint100", "float32", "8", ""])
def test_types_of_other_widths(dtype):
    with pytest.raises(ArithmeticDomainError):
        define.placeholder((1,), dtype)
    with pytest.raises(ArithmeticDomainError):
        define.matmul(define.placeholder((1, 2), "int8"), weights(3, 2), dtype=dtype)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: define.conv2d(image(), weights(4, 3, 3, 3)), "conv2d .*test_define_errors.py.*weights int8"),
        (lambda: define.conv2d(image(), weights(3, 3, 2)), "four axes"),
        (lambda: define.depthwise_conv2d(image(), weights(1, 3, 3, 3)), "do not fit"),
        (lambda: define.conv2d(image(), weights(4, 9, 9, 2), padding="VALID"), "conv2d"),
        (lambda: define.conv2d(image(), weights(4, 3, 3, 2), bias=define.variable((3,), "int8", "b")), "4 outputs"),
        (lambda: define.matmul(image(), weights(4, 3)), "matmul .*image int8"),
        (lambda: define.matmul(image(), image()), "weights that are a variable"),
        (lambda: define.max_pool(image(), 5), "does not fit"),
        (lambda: define.add(image(), define.placeholder((3,), "int8", "y")), "do not broadcast"),
        (lambda: define.concat([image(), define.placeholder((1, 4, 4, 2), "int4")], 3), "different element types"),
        (lambda: define.concat([image(), define.placeholder((1, 4, 3, 2), "int8")], 3), "concatenation of shapes"),
        (lambda: define.reshape(image(), (5, -1)), "do not fit"),
        (lambda: define.transpose(image(), (0, 1, 2, 2)), "transpose"),
        (lambda: define.pad(image(), [(0, 0)]), "pad of shape"),
        (lambda: define.pad(image(), [(0, 0)] * 4, value=300), "300"),
        (lambda: image()[:, 9:], "a slice of nothing"),
        (lambda: image()[0, 0, 0, 0, 0], "indices"),
        (lambda: define.argmax(image(), axis=4), "no axis"),
        (lambda: define.upsample(define.placeholder((4,), "int8"), 2), "four axes"),
        (lambda: define.add(weights(2), weights(2)), "computes a constant"),
        (lambda: define.relu(np.zeros(3)), "takes tensors"),
        (lambda: define.placeholder((1, 0), "int8"), "not positive"),
        (lambda: define.bounded(200, 300)(image()), "leaves nothing"),
    ],
)
def test_shapes_are_refused_where_the_operator_is_called(call, message):
    with pytest.raises(GraphError, match=message):
        call()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: define.conv2d(image(), weights(4, 3, 3, 2), shift=-1), "shift"),
        (lambda: define.conv2d(image(), weights(4, 3, 3, 2), rounding="up"), "no rounding"),
        (lambda: define.conv2d(image(), weights(4, 3, 3, 2), padding="FULL"), "padding"),
        (lambda: define.conv2d(image(), weights(4, 3, 3, 2), padding=(1, 2)), "padding"),
        (lambda: define.conv2d(image(), weights(4, 3, 3, 2), strides=0), "strides"),
        (lambda: define.conv2d(image(), weights(4, 3, 3, 2), activation=np.maximum), "no clamp"),
        (lambda: define.average_pool(image(), 2, padding=1), "count_padding"),
        (lambda: define.bounded(3, 2), "low end"),
        (lambda: define.sigmoid(image(), input_scale=0.0, output_scale=1.0), "scale"),
        (lambda: define.graph(image()), "what an operator makes"),
    ],
)
def test_options_that_make_no_sense(call, message):
    with pytest.raises(UsageError, match=message):
        call()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.zeros((2, 3), int), r"shape \[2, 3\]"),
        ([[0, 128]], "holds 0 to 128, and int8 holds -128 to 127"),
        ([[0.5, 1.0]], "not rounded silently"),
        ([[float("nan"), 1.0]], "NaN"),
        ([[float("inf"), 1.0]], "NaN or infinity"),
        ([[1], [1, 2]], "no array"),
        ([["a", "b"]], "numbers"),
    ],
)
def test_values_that_do_not_fit(value, message):
    variable = define.variable((1, 2), "int8", "w")
    with pytest.raises(InputError, match=message):
        variable.set_value(value)
    with pytest.raises(InputError, match="has no value"):
        _ = variable.value
    x = define.placeholder((1, 2), "int8", "x")
    with pytest.raises(InputError, match=message):
        define.relu(x).evaluate({x: value})


def test_a_variable_without_value_is_named():
    y = define.matmul(define.placeholder((1, 2), "int8"), weights(3, 2))
    with pytest.raises(InputError, match=r"variable 'weights int8.*set_value"):
        define.graph(y)


def test_scales_are_positive_integers():
    x = define.placeholder((1, 2), "int8")
    for scale in (-1, [1, 2], 2**31, [1.5, 1, 1], []):
        with pytest.raises(InputError, match="scale"):
            define.matmul(x, weights(3, 2), scale=scale)
    negative = define.variable((3,), "int8", "s", value=[1, -1, 1])
    with pytest.raises(InputError, match="negate the weights"):
        define.graph(define.matmul(x, weights(3, 2).set_value(np.ones((3, 2), int)), scale=negative, name="y"))


def test_an_accumulator_that_is_too_narrow_says_the_width_needed():
    x = define.placeholder((1, 100), "int8", "x")
    w = weights(1, 100).set_value(np.full((1, 100), 127))
    y = define.matmul(x, w, shift=12, accumulator="int21", name="y")
    with pytest.raises(GraphError, match=r"matmul 'y' \(test_define_errors.py.*takes int22; the .* is int21.*'int22'"):
        define.graph(y)
    define.graph(define.matmul(x, w, shift=12, accumulator="int22"))
    with pytest.raises(GraphError, match="int23"):
        define.graph(define.matmul(x, w, bias=600000, shift=12, accumulator="int21"))
    with pytest.raises(GraphError, match="takes int22; the accumulator is uint30"):
        define.graph(define.matmul(x, w, shift=12, accumulator="uint30"))


def test_sums_beyond_64_bits():
    x = define.placeholder((1, 4), "int48", "x")
    w = define.variable((1, 4), "int32", "w", value=np.full((1, 4), 2**31 - 1))
    with pytest.raises(GraphError, match=r"takes int81.*narrower"):
        define.graph(define.matmul(x, w))
    # The accumulator fits, its product with the scale does not.
    w.set_value(np.full((1, 4), 100))
    with pytest.raises(ArithmeticDomainError, match="62 bits"):
        define.graph(define.matmul(x, w, scale=12345, shift=30))
    wide = define.placeholder((2,), "int64")
    with pytest.raises(UnsupportedError, match="62 bits"):
        define.add(wide, wide)


def test_tables_of_wide_types():
    with pytest.raises(UnsupportedError, match="16 bits"):
        define.exp(define.placeholder((2,), "int24"), input_scale=1.0, output_scale=1.0)


def test_names_given_twice():
    x = define.placeholder((2,), "int8", "x")
    with pytest.raises(GraphError, match="two tensors are named 'x'"):
        define.graph(define.relu(x, name="x"))


def test_inputs_of_an_evaluation():
    x, y = define.placeholder((2,), "int8", "x"), define.placeholder((2,), "int8", "y")
    total = x + y
    assert total.evaluate({x: [1, 2], y: [3, 4]}).tolist() == [4, 6]
    for inputs, message in (
        ({x: [1, 2]}, "'y' is missing"),
        ({x: [1, 2], y: [3, 4], "z": [1]}, "nothing computed here reads z"),
        ({x: [[1, 2]], y: [3, 4]}, "different numbers"),
        ({x: [1, 2, 3], y: [3, 4]}, "shape"),
    ):
        with pytest.raises(InputError, match=message):
            total.evaluate(inputs)


def test_errors_are_one_line():
    with pytest.raises(BitloomError) as raised:
        define.conv2d(image(), weights(4, 3, 3, 3))
    assert "\n" not in str(raised.value)
