"""The judge as an executor: every tensor, any graph, silence on the terminal."""

import os
from dataclasses import replace

import numpy as np
import pytest
from models import assert_same_tensors, dense_network, every_operator_network, random_inputs

from bitloom.errors import ExecutionError
from bitloom.export.tflite import graph_to_tflite
from bitloom.frontends import Model, load_tflite
from bitloom.run import ExecutorOptions, create_executor

GRAPH = dense_network((20, 13, 10), seed=4, tail="softmax")
FILE = load_tflite(graph_to_tflite(GRAPH), GRAPH.name)


def test_every_tensor_is_there_with_its_shape_and_type() -> None:
    result = create_executor("litert", FILE).run(random_inputs(GRAPH, 7, 0))
    assert result.executor == "litert"
    assert tuple(result.tensors) == GRAPH.computed
    for name, tensor in result.tensors.items():
        assert tensor.shape == (7, *GRAPH.type(name).shape)
        assert tensor.dtype == np.int8
    assert result.inferences == 7
    assert result.seconds > 0
    assert result.setup_seconds > 0
    assert result.cycles is None


def test_a_graph_without_a_file_is_written_for_it() -> None:
    inputs = random_inputs(GRAPH, 9, 1)
    without = create_executor("litert", Model(GRAPH, "without")).run(inputs)
    assert_same_tensors(without, create_executor("litert", FILE).run(inputs))


def test_one_executor_runs_as_often_as_wanted() -> None:
    executor = create_executor("litert", FILE)
    inputs = random_inputs(GRAPH, 12, 2)
    whole = executor.run(inputs)
    parts = [executor.run({"x": inputs["x"][part]}) for part in (slice(5), slice(5, 6), slice(6, 12))]
    for name, tensor in whole.tensors.items():
        assert (np.concatenate([part.tensors[name] for part in parts]) == tensor).all()
    assert_same_tensors(executor.run(inputs), whole)


def test_results_do_not_share_memory_with_the_interpreter() -> None:
    executor = create_executor("litert", FILE)
    first = executor.run(random_inputs(GRAPH, 1, 3))
    before = {name: tensor.copy() for name, tensor in first.tensors.items()}
    executor.run(random_inputs(GRAPH, 1, 4))
    assert all((first.tensors[name] == before[name]).all() for name in before)


def test_the_default_kernels_show_the_outputs_only() -> None:
    executor = create_executor("litert", FILE, ExecutorOptions(litert_kernels="default"))
    result = executor.run(random_inputs(GRAPH, 3, 5))
    assert tuple(result.tensors) == GRAPH.outputs
    assert result.tensors[GRAPH.outputs[0]].shape == (3, 1, 10)


@pytest.mark.parametrize("kernels", ["reference", "default"])
def test_nothing_is_logged(kernels: str, capfd: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder) -> None:
    model = Model(every_operator_network(1), "every")
    create_executor("litert", model, ExecutorOptions(litert_kernels=kernels)).run(random_inputs(model.graph, 2, 0))
    assert capfd.readouterr() == ("", "")
    assert not recwarn.list


def test_standard_error_works_again_afterwards(capfd: pytest.CaptureFixture[str]) -> None:
    create_executor("litert", FILE)
    os.write(2, b"still here")
    assert capfd.readouterr().err == "still here"


def test_a_file_that_litert_refuses_is_an_error_of_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    damaged = replace(FILE, flatbuffer=FILE.flatbuffer[:-40])
    with pytest.raises(ExecutionError, match="LiteRT refuses the model") as error:
        create_executor("litert", damaged)
    assert "\n" not in str(error.value)
    assert capfd.readouterr().err == ""


def test_a_graph_that_is_not_the_file_is_noticed() -> None:
    """Assigning a tensor of another shape or type into the result would convert it silently."""
    wide = dense_network((20, 13, 10), seed=4, tail="arg_max")
    names = {**FILE.tensor_indices, wide.outputs[0]: FILE.tensor_indices[GRAPH.outputs[0]]}
    executor = create_executor("litert", replace(FILE, graph=wide, tensor_indices=names))
    with pytest.raises(ExecutionError, match=r"LiteRT makes int8\[1, 10\], the graph says int32\[1\]"):
        executor.run(random_inputs(wide, 1, 0))
