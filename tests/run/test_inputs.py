"""Inputs from arrays, data sets and random numbers."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from models import INT8, dense_network, every_operator_network, quantized

from bitloom.arith import IntType
from bitloom.data import load_dataset, quantize_inputs
from bitloom.errors import InputError, UsageError
from bitloom.ir import FLOAT32, Graph, Node, TensorType, Value
from bitloom.ops.reshape import Reshape
from bitloom.run.inputs import accepted_shapes, arrange_inputs, dataset_samples, random_inputs
from data import test_data


def graph_of(*types: TensorType) -> Graph:
    """Inputs of these types, each made flat."""
    inputs = [Value(f"x{index}", kind) for index, kind in enumerate(types)]
    flat = [TensorType((kind.size,), kind.element, kind.quantization) for kind in types]
    outputs = [Value(f"y{index}", kind) for index, kind in enumerate(flat)]
    nodes = tuple(
        Node(f"reshape_{index}", Reshape((kind.size,)), (f"x{index}",), (f"y{index}",))
        for index, kind in enumerate(types)
    )
    names = tuple(value.name for value in inputs)
    return Graph("flat", names, tuple(value.name for value in outputs), (*inputs, *outputs), nodes)


def image_graph(*shape: int, element: IntType = INT8) -> Graph:
    return graph_of(quantized(shape, 1 / 255, -128 if element.signed else 0, element))


@pytest.mark.parametrize("given_shape", [(3, 1, 4, 5, 1), (3, 4, 5, 1), (3, 20)])
def test_every_accepted_shape_gives_the_same_inputs(given_shape: tuple[int, ...]) -> None:
    values = np.arange(60).reshape(3, 1, 4, 5, 1)
    arranged = arrange_inputs(image_graph(1, 4, 5, 1), values.reshape(given_shape))
    assert list(arranged) == ["x0"]
    assert arranged["x0"].dtype == np.int8
    assert np.array_equal(arranged["x0"], values)


@given(st.lists(st.integers(1, 4), max_size=4).map(tuple))
def test_accepted_shapes_are_never_ambiguous(shape: tuple[int, ...]) -> None:
    shapes = accepted_shapes(shape)
    assert shape in shapes
    assert len(set(shapes)) == len(shapes)
    assert {int(np.prod(one)) for one in shapes} == {int(np.prod(shape))}


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.zeros((2, 5)), r"input 'x0': has shape \[2, 5\]; give shape \[n, 2, 3\] or \[n, 1, 2, 3\] or \[n, 6\]"),
        (np.zeros((2, 3), int), r"has shape \[2, 3\]"),
        (np.int8(3), r"has shape \[\]"),
        (np.zeros((1, 6)), r"holds float64 numbers and the model takes int8; they are not quantized silently; .*-128"),
        (np.full((1, 6), 128), "holds values from 128 to 128, and int8 holds -128 to 127"),
        (np.zeros((0, 6), int), "no inferences"),
        (np.full((1, 6), "a"), "is <U1, and int8 is needed"),
        ([[1, 2], [3]], "is no array"),
    ],
)
def test_arrays_that_do_not_fit(array: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        arrange_inputs(image_graph(1, 2, 3), array)


def test_inputs_by_name() -> None:
    graph = graph_of(quantized((2,), 1, 0), TensorType((1, 3), FLOAT32))
    arranged = arrange_inputs(graph, {"x1": np.ones((4, 3)), "x0": np.ones((4, 2), int)})
    assert {name: (array.shape, array.dtype.name) for name, array in arranged.items()} == {
        "x0": ((4, 2), "int8"),
        "x1": ((4, 1, 3), "float32"),
    }
    with pytest.raises(InputError, match="has 2 inputs and one array was given; give an array for each of x0, x1"):
        arrange_inputs(graph, np.ones((4, 2), int))
    with pytest.raises(InputError, match="input 'x1' is missing; needed: x0, x1"):
        arrange_inputs(graph, {"x0": np.ones((4, 2), int)})
    with pytest.raises(InputError, match="'z' is no input"):
        arrange_inputs(graph, {"x0": np.ones((4, 2), int), "x1": np.ones((4, 3)), "z": np.ones(4)})


def test_random_inputs_are_fixed_by_their_seed() -> None:
    first = random_inputs(dense_network((6, 4), seed=0), 2, seed=7)["x"]
    # From the raw words of the bit generator, which NumPy promises never to change.
    assert first.reshape(2, 6).tolist() == [[32, 101, 70, -71, -52, 95], [-127, 82, 76, -9, -51, -57]]
    assert not np.array_equal(first, random_inputs(dense_network((6, 4), seed=0), 2, seed=8)["x"])


@pytest.mark.parametrize("element", [IntType(8), IntType(5), IntType(3, signed=False), IntType(32)])
def test_random_inputs_fill_their_type_and_end_with_its_ends(element: IntType) -> None:
    values = random_inputs(image_graph(2, 300, element=element), 40)["x0"]
    assert values.shape == (40, 2, 300)
    assert values.dtype == element.dtype
    assert (values[-2] == element.minimum).all()
    assert (values[-1] == element.maximum).all()
    inner = values[:-2].astype(np.float64)
    assert element.minimum <= inner.min() < element.minimum + 0.01 * 2**element.bits
    assert element.maximum >= inner.max() > element.maximum - 0.01 * 2**element.bits
    assert abs(inner.mean() - (element.minimum + element.maximum) / 2) < 0.02 * 2**element.bits


def test_random_floats_reach_what_quantizing_can_say() -> None:
    graph = every_operator_network(0)
    name = graph.inputs[0]
    quantization = graph.type(graph.consumers(name)[0].outputs[0]).required_quantization
    values = random_inputs(graph, 50)[name]
    assert values.dtype == np.float32
    assert values[-2].min() == np.float32(quantization.scale * (-128 - quantization.zero_point))
    assert values[-1].max() == pytest.approx(quantization.scale * (127 - quantization.zero_point))


@pytest.mark.parametrize(("count", "seed", "said"), [(0, 0, "0 random inputs"), (1, -1, "the seed is -1")])
def test_random_inputs_that_make_no_sense(count: int, seed: int, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        random_inputs(image_graph(4), count, seed)


@pytest.mark.parametrize("shape", [(1, 64), (64,), (1, 8, 8, 1), (8, 8)])
def test_digits_are_quantized_by_the_inputs_scale(shape: tuple[int, ...]) -> None:
    samples = dataset_samples(image_graph(*shape), "digits", start=350)
    dataset = load_dataset("digits")
    expected = quantize_inputs(dataset.test_x[350:], np.float32(1 / 255), -128)
    assert samples.inputs["x0"].shape == (9, *shape)
    assert np.array_equal(samples.inputs["x0"].reshape(9, 64), expected)
    assert np.array_equal(samples.labels, dataset.test_y[350:])
    assert (samples.start, samples.available) == (350, 359)
    assert samples.images is not None
    assert np.array_equal(samples.images, dataset.test_x[350:].reshape(9, 8, 8))


def test_smaller_inputs_get_the_average_of_areas() -> None:
    samples = dataset_samples(graph_of(TensorType((1, 4, 2, 1), FLOAT32)), "digits", count=20)
    pixels = load_dataset("digits").test_x[:20].reshape(20, 4, 2, 2, 4)
    assert samples.inputs["x0"].dtype == np.float32
    assert np.array_equal(samples.inputs["x0"][..., 0].reshape(20, 4, 2), pixels.mean(axis=(2, 4), dtype=np.float64))
    assert samples.images is not None
    assert samples.images.shape == (20, 4, 2)


def test_iris_is_taken_as_it_is() -> None:
    samples = dataset_samples(image_graph(1, 4), "iris", count=3)
    assert samples.inputs["x0"].shape == (3, 1, 4)
    assert samples.images is None
    assert samples.class_names == ("setosa", "versicolor", "virginica")


@pytest.mark.parametrize("side", [12, 28])
def test_mnist_is_shrunk_to_the_input(side: int) -> None:
    folder = test_data("mnist")
    samples = dataset_samples(image_graph(1, side * side), "mnist", count=5, folder=folder)
    assert samples.inputs["x0"].shape == (5, 1, side * side)
    assert samples.labels.tolist() == [7, 2, 1, 0, 4]
    assert samples.available == 10_000
    assert samples.images is not None
    assert np.array_equal(
        samples.inputs["x0"].reshape(5, side, side), quantize_inputs(samples.images, np.float32(1 / 255), -128)
    )


@pytest.mark.parametrize(
    ("shape", "name", "said"),
    [
        ((1, 5), "iris", "has 5 elements and iris 4 features"),
        ((1, 60), "digits", "is no grey image"),
        ((1, 8, 8, 3), "digits", "is no grey image"),
        ((1, 9, 9), "digits", "takes 9x9 pixels and images of digits have 8x8; they are shrunk to fit, never enlarged"),
        ((1, 900), "mnist", "takes 30x30 pixels and images of mnist have 28x28"),
    ],
)
def test_data_sets_that_do_not_fit(shape: tuple[int, ...], name: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        dataset_samples(image_graph(*shape), name)


def test_samples_that_are_not_there() -> None:
    with pytest.raises(UsageError, match="test split of digits: there is no sample 359; start at 0 to 358"):
        dataset_samples(image_graph(64), "digits", start=359)
    with pytest.raises(UsageError, match="0 samples of digits were asked for"):
        dataset_samples(image_graph(64), "digits", count=0)
    two = graph_of(quantized((64,), 1, 0), quantized((64,), 1, 0))
    with pytest.raises(InputError, match="networks of one input, and 'flat' has 2"):
        dataset_samples(two, "digits")
