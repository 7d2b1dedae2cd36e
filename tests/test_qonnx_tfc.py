"""TFC_2W2A of the QONNX model zoo: the published accuracy, equal to the reference in every tensor, no multiplier."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("onnx")

import bitloom as bl
from bitloom.passes import split_float_edges
from bitloom.plan import Bus, Target, make_plan
from bitloom.run import ExecutorOptions, create_executor
from data import test_data


@pytest.fixture(scope="module")
def model() -> bl.Model:
    return bl.load(test_data("onnx/TFC_2W2A.onnx"))


def samples(model: bl.Model, count: int | None) -> tuple[dict[str, np.ndarray], np.ndarray]:
    found = bl.dataset_samples(model, "mnist", count=count, folder=test_data("mnist"))
    return dict(found.inputs), found.labels


def test_every_tensor_is_the_references(model: bl.Model) -> None:
    inputs, _ = samples(model, 60)
    for given in (inputs, bl.random_inputs(model, 30)):
        judged = create_executor("onnx-reference", model).run(given).tensors
        found = create_executor("numpy", model).run(given).tensors
        assert len(judged) == 9
        for name, tensor in judged.items():
            np.testing.assert_array_equal(found[name], tensor, err_msg=name)


def test_accuracy_is_the_published_one(model: bl.Model) -> None:
    inputs, labels = samples(model, None)
    reals = create_executor("numpy", model).run(inputs).tensors[model.graph.outputs[0]]
    assert (reals.reshape(len(labels), -1).argmax(axis=1) == labels).mean() >= 0.966


def test_weights_and_activations_have_two_bits(model: bl.Model) -> None:
    graph = model.graph
    dense = [node for node in graph.nodes if node.operator.name == "fully_connected"]
    assert [str(graph.type(name).element) for node in dense for name in node.inputs] == ["int2"] * 8


@pytest.mark.parametrize(("executor", "count"), [("pyrtl", 1), ("verilog", 40)])
def test_hardware_under_stalls_without_multipliers(model: bl.Model, executor: str, count: int) -> None:
    core = split_float_edges(model.graph).core
    assert all(make_plan(core, target).dsp == 0 for target in (Target(), Target(interval=1600)))
    inputs, _ = samples(model, count)
    expected = create_executor("numpy", model).run(inputs).tensors
    options = ExecutorOptions(stalls=True, seed=3, bus=Bus.STREAM, target=Target(interval=1600))
    seen = create_executor(executor, model, options).run(inputs).tensors
    for name, tensor in expected.items():
        np.testing.assert_array_equal(seen[name], tensor, err_msg=name)
