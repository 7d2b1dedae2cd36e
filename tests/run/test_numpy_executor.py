"""The NumPy executor: chunks that do not show, memory that does not grow, and speed."""

import numpy as np
import pytest
from models import assert_same_tensors, dense_network, every_operator_network, random_inputs

from bitloom.frontends import Model
from bitloom.run import ExecutorOptions, create_executor


@pytest.mark.parametrize("batch_size", [1, 3, 7, 100])
def test_chunks_do_not_show(batch_size: int) -> None:
    """A last partial chunk is partial: nothing is padded."""
    model = Model(every_operator_network(3), "every")
    inputs = random_inputs(model.graph, 20, 0)
    chunked = create_executor("numpy", model, ExecutorOptions(batch_size=batch_size)).run(inputs)
    assert chunked.inferences == 20
    assert_same_tensors(chunked, create_executor("numpy", model).run(inputs))


def test_every_tensor_is_there_with_its_shape_and_type() -> None:
    graph = every_operator_network(4)
    result = create_executor("numpy", Model(graph, "every")).run(random_inputs(graph, 3, 0))
    assert tuple(result.tensors) == graph.computed
    for name, tensor in result.tensors.items():
        assert tensor.shape == (3, *graph.type(name).shape)
        assert tensor.dtype == graph.type(name).element.dtype


def test_inputs_are_left_alone() -> None:
    graph = dense_network((9, 4), seed=0)
    inputs = random_inputs(graph, 5, 0)
    before = inputs["x"].copy()
    inputs["x"].setflags(write=False)
    create_executor("numpy", Model(graph, "dense")).run(inputs)
    assert (inputs["x"] == before).all()


def test_the_mnist_network_runs_at_50000_images_a_second() -> None:
    graph = dense_network((144, 18, 10), seed=0)
    executor = create_executor("numpy", Model(graph, "mnist"))
    inputs = random_inputs(graph, 10_000, 0)
    best = max(executor.run(inputs).inferences_per_second for _ in range(3))
    assert best >= 50_000


def test_ten_thousand_images_are_litert() -> None:
    graph = dense_network((144, 18, 10), seed=1)
    model = Model(graph, "mnist")
    inputs = random_inputs(graph, 10_000, 1)
    assert_same_tensors(create_executor("numpy", model).run(inputs), create_executor("litert", model).run(inputs))


def test_read_only_and_strided_inputs_are_taken() -> None:
    graph = dense_network((8, 4), seed=0)
    executor = create_executor("numpy", Model(graph, "dense"))
    wide = random_inputs(dense_network((16, 4), seed=0), 6, 0)["x"]
    strided = executor.run({"x": wide[::2, :, ::2]})
    assert_same_tensors(strided, executor.run({"x": np.ascontiguousarray(wide[::2, :, ::2])}))
