"""Graphs stated in Python: against NNgen's rules written down again here, and as hardware."""

from __future__ import annotations

import sys
from collections.abc import Callable
from fractions import Fraction
from math import ceil, floor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bitloom as bl
from bitloom.ir import parse_graph, print_graph

sys.path.insert(0, str(Path(__file__).parents[2] / "docs" / "examples"))
from hello_network import hello_network

define = bl.define
RNG = np.random.default_rng(11)
HALF = Fraction(1, 2)
ROUNDED: dict[str, Callable[[Fraction], int]] = {
    "half_away": lambda value: floor(value + HALF) if value >= 0 else ceil(value - HALF),
    "half_up": lambda value: floor(value + HALF),
    "half_even": round,
    "down": floor,
}


def filled(shape: tuple[int, ...], dtype: str, name: str | None = None) -> define.Variable:
    """A variable of random integers over its whole type."""
    made = define.variable(shape, dtype, name)
    limits = made.element
    return made.set_value(RNG.integers(limits.minimum, limits.maximum, shape, endpoint=True))


def some(tensor: define.Placeholder, count: int = 3) -> np.ndarray:
    """Random inputs over the whole type."""
    low, high = tensor.element.minimum, tensor.element.maximum
    return RNG.integers(low, high, (count, *tensor.shape), tensor.element.dtype, endpoint=True)


def scaled(sums: np.ndarray, scale: int, shift: int, rounding: str, low: int, high: int) -> np.ndarray:
    """In Python's integers and fractions: scale, shift right, saturate."""
    results = [
        min(max(ROUNDED[rounding](Fraction(int(each) * scale, 2**shift)), low), high)
        for each in sums.astype(object).reshape(-1)
    ]
    return np.array(results, object).reshape(sums.shape)


def windows(images: np.ndarray, rows: int, columns: int, step: int, padding: int) -> np.ndarray:
    """Shape (inferences, batch, height, width, rows, columns, channels), of Python's integers."""
    sides = ((0, 0), (0, 0), (padding, padding), (padding, padding), (0, 0))
    around = np.pad(images.astype(object), sides)
    seen = np.lib.stride_tricks.sliding_window_view(around, (rows, columns), axis=(2, 3))
    return np.moveaxis(seen[:, :, ::step, ::step], 4, 6)


def in_hardware(output: define.Tensor, count: int = 6) -> None:
    graph = define.graph(output)
    assert bl.verify(graph, bl.random_inputs(graph, count), ["numpy", "pyrtl"], stalls=True).equal


@pytest.mark.parametrize("rounding", define.ROUNDINGS)
@pytest.mark.parametrize(
    ("given", "weights", "made", "shift"),
    [
        ("int8", "int8", "int8", 14),
        ("int16", "int16", "int16", 24),
        ("uint4", "int2", "uint4", 4),
        ("int12", "int5", "int32", 0),
        ("int32", "int16", "int32", 26),
        ("uint1", "int1", "int3", 4),
        ("int2", "uint1", "uint2", 4),
    ],
)
def test_convolutions_scale_shift_and_saturate(given, weights, made, shift, rounding):
    x = define.placeholder((1, 5, 6, 2), given, "x")
    w, b = filled((3, 3, 2, 2), weights), filled((3,), "int6")
    scales = [7, 16, 1]
    y = define.conv2d(x, w, bias=b, scale=scales, shift=shift, rounding=rounding, dtype=made, strides=2, padding=1)
    images = some(x)
    sums = np.einsum("nbhwijc,oijc->nbhwo", windows(images, 3, 2, 2, 1), w.value.astype(object)) + b.value
    limits = y.element
    expected = [
        scaled(sums[..., output], scale, shift, rounding, limits.minimum, limits.maximum)
        for output, scale in enumerate(scales)
    ]
    found = y.evaluate({x: images})
    assert np.array_equal(found, np.stack(expected, axis=-1).astype(np.int64))
    assert len(np.unique(found)) > 1
    in_hardware(y, 3)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(2, 32),
    st.integers(1, 16),
    st.integers(2, 33),
    st.integers(1, 2**15),
    st.integers(0, 40),
    st.sampled_from(sorted(define.ROUNDINGS)),
    st.data(),
)
def test_matrix_products_of_any_width(given_bits, weight_bits, made_bits, scale, shift, rounding, data):
    x = define.placeholder((2, 3), f"int{given_bits}")
    w = define.variable((2, 3), f"int{weight_bits}")
    elements = st.lists(st.integers(w.element.minimum, w.element.maximum), min_size=6, max_size=6)
    w.set_value(np.array(data.draw(elements)).reshape(2, 3))
    bias = data.draw(st.integers(-1000, 1000))
    y = define.matmul(x, w, bias=bias, scale=scale, shift=shift, rounding=rounding, dtype=f"int{made_bits}")
    elements = st.lists(st.integers(x.element.minimum, x.element.maximum), min_size=6, max_size=6)
    rows = np.array(data.draw(elements)).reshape(2, 3)
    sums = rows.astype(object) @ w.value.astype(object).T + bias
    expected = scaled(sums, scale, shift, rounding, y.element.minimum, y.element.maximum)
    assert (y.evaluate({x: rows}) == expected).all()


def test_scales_and_biases_are_variables_numbers_or_lists():
    x = define.placeholder((1, 4), "int8", "x")
    w = filled((3, 4), "int8")
    rows = some(x)
    sums = rows.astype(object) @ w.value.astype(object).T
    listed = define.matmul(x, w, scale=[1, 2, 3], shift=7)
    held = define.matmul(x, w, scale=define.variable((3,), "uint4", value=[1, 2, 3]), shift=7)
    assert np.array_equal(listed.evaluate({x: rows}), held.evaluate({x: rows}))
    moved = define.matmul(x, w, bias=-100, shift=7, activation=define.bounded(-127, 127))
    assert (moved.evaluate({x: rows}) == scaled(sums - 100, 1, 7, "half_away", -127, 127)).all()
    one = define.matmul(x, w, bias=define.variable((1,), "int9", value=[-100]), shift=7)
    assert np.array_equal(one.evaluate({x: rows}), np.clip(scaled(sums - 100, 1, 7, "half_away", -128, 127), -128, 127))
    turned = define.matmul(x, define.variable((4, 3), "int8", value=w.value.T), inputs_first=True, shift=7)
    assert (turned.evaluate({x: rows}) == scaled(sums, 1, 7, "half_away", -128, 127)).all()


def test_depthwise_convolutions_and_groups():
    x = define.placeholder((1, 4, 4, 2), "int8", "x")
    w = filled((1, 3, 3, 4), "int4", "w")
    y = define.depthwise_conv2d(x, w, shift=4, padding="VALID", dtype="int8", activation=define.relu)
    images = some(x)
    seen = windows(images, 3, 3, 1, 0)
    kernels = w.value.astype(object).reshape(3, 3, 2, 2)
    sums = np.einsum("nbhwijc,ijcm->nbhwcm", seen, kernels).reshape(3, 1, 2, 2, 4)
    assert (y.evaluate({x: images}) == scaled(sums, 1, 4, "half_away", 0, 127)).all()
    grouped = define.conv2d(
        x,
        define.variable((4, 3, 3, 1), "int4", value=w.value.transpose(3, 1, 2, 0)),
        shift=4,
        padding="VALID",
        activation=define.relu,
    )
    assert np.array_equal(grouped.evaluate({x: images}), y.evaluate({x: images}))
    in_hardware(y)


def test_the_odd_pixel_of_padding():
    x, w = define.placeholder((1, 3, 3, 1), "int8", "x"), filled((1, 2, 2, 1), "int4")
    images = some(x)
    for padding, sides in (("SAME", (0, 1, 0, 1)), ("SAME_LOWER", (1, 0, 1, 0))):
        named, counted = (define.conv2d(x, w, dtype="int16", padding=each) for each in (padding, sides))
        assert np.array_equal(named.evaluate({x: images}), counted.evaluate({x: images}))
    largest = define.max_pool(x, 2, 1, "SAME_LOWER").evaluate({x: images})
    assert np.array_equal(largest[:, :, 0, 0], images[:, :, 0, 0])


def test_pools_with_every_padding():
    x = define.placeholder((1, 5, 5, 3), "int5", "x")
    images = some(x)
    low = x.element.minimum
    padded = windows(images - low, 3, 3, 2, 1) + low  # padding is the smallest value
    largest = define.max_pool(x, 3, 2, padding=1)
    assert (largest.evaluate({x: images}) == padded.max(axis=(4, 5))).all()
    mean = define.average_pool(x, 3, 2, padding=(1, 1, 1, 1), count_padding=True)
    sums = windows(images, 3, 3, 2, 1).sum(axis=(4, 5))
    expected = np.array([ROUNDED["half_away"](Fraction(int(each), 9)) for each in sums.reshape(-1)])
    assert np.array_equal(mean.evaluate({x: images}), expected.reshape(sums.shape))
    inside = define.average_pool(x, (5, 5))
    total = images.astype(object).sum(axis=(2, 3)).reshape(-1)
    expected = np.array([ROUNDED["half_away"](Fraction(int(each), 25)) for each in total])
    assert np.array_equal(inside.evaluate({x: images}).reshape(-1), expected)
    for each in (largest, mean, inside, define.max_pool(x, 2, 1, "SAME")):
        in_hardware(each)


@pytest.mark.parametrize(("left", "right"), [("int8", "int8"), ("uint4", "int5"), ("int12", "int3"), ("int32", "int8")])
@pytest.mark.parametrize("rounding", define.ROUNDINGS)
def test_sums_and_products(left, right, rounding):
    x, y = define.placeholder((2, 3), left, "x"), define.placeholder((3,), right, "y")
    a, b = some(x, 20), some(y, 20)
    one, other = a.astype(object), b.astype(object)[:, None]
    added = define.add(x, y, x_scale=3, y_scale=5, shift=2, rounding=rounding)
    limits = added.element
    total = scaled(one * 3 + other * 5, 1, 2, rounding, limits.minimum, limits.maximum)
    assert (added.evaluate({x: a, y: b}) == total).all()
    taken = define.sub(x, y, x_scale=3, y_scale=5, shift=2, rounding=rounding, activation=define.relu)
    difference = scaled(one * 3 - other * 5, 1, 2, rounding, 0, limits.maximum)
    assert (taken.evaluate({x: a, y: b}) == difference).all()
    product = define.mul(x, y, scale=3, shift=4, rounding=rounding)
    assert (product.evaluate({x: a, y: b}) == scaled(one * other, 3, 4, rounding, limits.minimum, limits.maximum)).all()
    held = define.variable((3,), right, value=b[0])
    assert np.array_equal(
        define.mul(x, held, scale=3, shift=4, rounding=rounding).evaluate({x: a[:1]}),
        product.evaluate({x: a[:1], y: b[:1]}),
    )
    for each in (added, taken, product, define.mul(x, held, scale=3, shift=4, rounding=rounding)):
        in_hardware(each)


@pytest.mark.parametrize("rounding", define.ROUNDINGS)
@pytest.mark.parametrize("dtype", ["int8", "uint3", "int12", "int14"])
def test_rectifiers_and_rescaling(dtype, rounding):
    x = define.placeholder((5,), dtype, "x")
    every = np.arange(x.element.minimum, x.element.maximum + 1)
    every = np.resize(every, (len(every) // 5 + 1, 5))
    low, high = x.element.minimum, x.element.maximum
    assert np.array_equal(define.relu(x).evaluate({x: every}), np.maximum(every, 0))
    assert np.array_equal(define.bounded(-1, 6)(x).evaluate({x: every}), np.clip(every, max(-1, low), min(6, high)))
    leaky = define.leaky_relu(x, slope=3, shift=4, rounding=rounding)
    expected = np.where(every < 0, scaled(every, 3, 4, rounding, low, high), every)
    assert (leaky.evaluate({x: every}) == expected).all()
    narrower = define.rescale(x, scale=5, shift=4, rounding=rounding, dtype="int2")
    assert (narrower.evaluate({x: every}) == scaled(every, 5, 4, rounding, -2, 1)).all()
    for each in (define.relu(x), narrower, leaky)[: 3 if dtype != "int14" else 2]:
        in_hardware(each)


def test_functions_are_tables():
    x = define.placeholder((1,), "int9", "x")
    every = np.arange(-256, 256)[:, None]
    half = define.sigmoid(x, input_scale=1 / 32, output_scale=1 / 256, dtype="uint8")
    assert np.array_equal(half.evaluate({x: every}), np.clip(np.rint(256 / (1 + np.exp(-every / 32))), 0, 255))
    power = define.exp(x, input_scale=1 / 16, output_scale=1.0, dtype="int12", name="power")
    assert np.array_equal(power.evaluate({x: every}), np.minimum(np.rint(np.exp(every / 16)), 2047))
    assert np.array_equal(
        define.tanh(x, input_scale=1 / 64, output_scale=1 / 128, dtype="int8").evaluate({x: every}),
        np.clip(np.rint(128 * np.tanh(every / 64)), -128, 127),
    )
    in_hardware(half)
    in_hardware(power)


def test_softmax_and_argmax():
    x = define.placeholder((2, 5), "int6", "x")
    rows = some(x, 50)
    likely = define.softmax(x, input_scale=0.125)
    powers = np.exp(rows * 0.125)
    assert np.array_equal(likely.evaluate({x: rows}), np.rint(64 * powers / powers.sum(-1, keepdims=True)).clip(0, 63))
    best = define.argmax(x, dtype="uint3")
    assert np.array_equal(best.evaluate({x: rows}), rows.argmax(-1))
    in_hardware(best)


def test_operators_that_move():
    x, y = define.placeholder((1, 2, 3, 4), "int11", "x"), define.placeholder((1, 2, 3, 1), "int11", "y")
    a, b = some(x), some(y)
    cases = {
        x.reshape(4, -1): a.reshape(3, 4, 6),
        define.transpose(x, (0, 3, 1, -2)): a.transpose(0, 1, 4, 2, 3),
        define.transpose(y, (0, 3, 1, 2)): b.transpose(0, 1, 4, 2, 3),
        define.pad(x, [(0, 0), (1, 0), (0, 2), (0, 0)], value=-7): np.pad(
            a, [(0, 0), (0, 0), (1, 0), (0, 2), (0, 0)], constant_values=-7
        ),
        define.slice(x, (0, 0, 0, 1), (1, 2, 3, 4), (1, 1, 2, 2)): a[:, :, :, ::2, 1::2],
        x[0, :, -1]: a[:, 0, :, -1],
        x[..., ::-1]: a[..., ::-1],
        x[:, 1:]: a[:, :, 1:],
        define.upsample(x, (2, 3)): a.repeat(2, axis=2).repeat(3, axis=3),
        define.concat([x, y], -1): np.concatenate([a, b], axis=-1),
    }
    for tensor, expected in cases.items():
        given = {x: a, y: b}
        found = tensor.evaluate({key: given[key] for key in _inputs(tensor)})
        assert np.array_equal(found, expected)
        in_hardware(tensor, 3)


def _inputs(tensor: define.Tensor) -> set[define.Placeholder]:
    if isinstance(tensor, define.Placeholder):
        return {tensor}
    return {found for operand in tensor.operands for found in _inputs(operand)}


def test_names_are_those_given_and_the_text_reads_back():
    x = define.placeholder((1, 4, 4, 1), "int8", "image")
    w = filled((2, 3, 3, 1), "int4", "kernel")
    inner = define.conv2d(x, w, shift=4)
    again = define.conv2d(x, w, shift=4, activation=define.relu, name="again")
    total = define.add(inner, again, name="total")
    graph = define.graph([total, inner], name="twice")
    assert graph.inputs == ("image",)
    assert graph.outputs == ("total", "conv2d_0")
    assert [value.name for value in graph.values if value.is_constant] == ["kernel"]
    assert parse_graph(print_graph(graph)) == graph
    assert "test_define.py" in graph.nodes[0].source


def test_arithmetic_signs_are_operators():
    x = define.placeholder((3,), "int4", "x")
    y = define.placeholder((3,), "int4", "y")
    given = {x: [7, -8, 3], "y": [7, 7, -2]}
    assert (x + y).evaluate(given).tolist() == [7, -1, 1]
    assert (x - y).evaluate(given).tolist() == [0, -8, 5]
    assert (x * y).evaluate(given).tolist() == [7, -8, -6]


def test_signs_make_the_operators_that_functions_make():
    x, y = define.placeholder((2, 3), "int4", "x"), define.placeholder((2, 3), "uint7", "y")
    held = filled((3,), "int3", "held")
    for signed, called in (
        (x + y, define.add(x, y)),
        (y - held, define.sub(y, held)),
        (held * x, define.mul(held, x)),
        (x.reshape(-1, 2), define.reshape(x, (-1, 2))),
        (x[:, 1:], define.slice(x, (0, 1), (2, 3))),
    ):
        assert define.graph(signed) == define.graph(called)


def test_a_graph_keeps_the_values_of_its_time():
    x = define.placeholder((1, 2), "int8", "x")
    w = define.variable((1, 2), "int8", "w", value=[[1, 1]])
    y = define.matmul(x, w, dtype="int16", name="y")
    first = define.graph(y)
    w.set_value([[2, 2]])
    given = {"x": np.array([[3, 4]])}
    assert bl.run(first, given).tensors["y"].tolist() == [[[7]]]
    assert bl.run(define.graph(y), given).tensors["y"].tolist() == [[[14]]]
    assert y.evaluate({x: np.array([[3, 4]])}).tolist() == [[14]]


@pytest.mark.parametrize(("dtype", "shift"), [("int8", 14), ("int16", 22)])
def test_the_hello_network(dtype, shift):
    small = hello_network(dtype, side=4, channels=4, hidden=6, shift=shift - 3)
    inputs = bl.random_inputs(small, 6)
    outcome = bl.verify(small, inputs, ["numpy", "pyrtl", "verilog"], simulator="icarus")
    assert outcome.equal
    assert len(np.unique(bl.run(small, inputs).tensors["output_layer"])) > 4


def test_a_residual_block_of_int16_in_verilog():
    x = define.placeholder((1, 4, 4, 3), "int16", "x")
    inner = define.conv2d(x, filled((3, 3, 3, 3), "int8"), shift=9, activation=define.relu, accumulator="int30")
    outer = define.conv2d(inner, filled((3, 1, 1, 3), "int3"), shift=2, dtype="int14", rounding="half_even")
    total = define.relu(define.add(x, outer, y_scale=5, shift=1, rounding="half_even", dtype="int16"))
    gated = define.mul(total, filled((3,), "uint5"), shift=4, rounding="down", dtype="int18", name="gated")
    graph = define.graph(define.argmax(gated, dtype="uint2"), name="residual")
    outcome = bl.verify(
        graph, bl.random_inputs(graph, 6), ["numpy", "pyrtl", "verilog"], simulator="icarus", stalls=True
    )
    assert outcome.equal
    assert [tensor.name for tensor in outcome.tensors][-2:] == ["gated", "argmax_0"]


def test_the_hello_network_at_its_full_size():
    graph = hello_network()
    assert graph.macs == 32 * 32 * 64 * 27 + 16 * 16 * 64 * 576 + 16384 * 256 + 256 * 10
    assert graph.type("reshape_0").shape == (1, 16384)
    result = bl.run(graph, bl.random_inputs(graph, 2)).tensors["output_layer"]
    assert len(np.unique(result)) > 3
