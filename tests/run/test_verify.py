"""Comparing executors: what is counted, who judges, and that a single wrong element is found."""

import dataclasses
import json
from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from models import dense_network, every_operator_network

from bitloom.errors import InputError, UsageError
from bitloom.frontends import Model
from bitloom.ir.operator import Array
from bitloom.plan import Bus
from bitloom.run import Cycles, ExecutorOptions, RunResult, create_executor
from bitloom.run.batches import joined, run_batches
from bitloom.run.inputs import random_inputs
from bitloom.run.verify import check_executors, compare, difference, judge_of, verify

MODEL = Model(dense_network((9, 7, 4), seed=3), "net")
INPUTS = random_inputs(MODEL.graph, 11)
RESULT = create_executor("numpy", MODEL).run(INPUTS)


def tampered(name: str, position: tuple[int, ...], by: int) -> RunResult:
    """The result with one element changed."""
    tensors = {key: tensor.copy() for key, tensor in RESULT.tensors.items()}
    tensors[name][position] += by
    return dataclasses.replace(RESULT, tensors=tensors)


def test_equal_tensors_have_no_difference() -> None:
    found = difference(np.arange(6).reshape(2, 3), np.arange(6, dtype=np.int8).reshape(2, 3))
    assert (found.mismatches, found.largest, found.first) == (0, 0, None)


def test_differences_are_counted_beyond_the_elements_type() -> None:
    expected = np.array([[[0, -128]], [[127, 5]]], np.int8)
    found = difference(expected, np.array([[[0, 127]], [[-128, 4]]], np.int8))
    assert (found.mismatches, found.largest) == (3, 255)
    assert found.first is not None
    assert (found.first.inference, found.first.index, found.first.expected, found.first.found) == (0, (0, 1), -128, 127)


def test_floats_are_compared_exactly() -> None:
    one = np.array([[1.0, np.nan, np.inf, 0.0]], np.float32)
    assert difference(one, np.array([[1.0, np.nan, np.inf, -0.0]], np.float32)).mismatches == 0
    nearly = np.array([[np.nextafter(np.float32(1), np.float32(2)), np.nan, np.inf, 0.0]], np.float32)
    assert difference(one, nearly).mismatches == 1
    assert difference(one, np.array([[1.0, 0.0, -np.inf, 0.0]], np.float32)).largest == np.inf


@given(st.lists(st.tuples(st.integers(-128, 127), st.integers(-128, 127)), min_size=1, max_size=20))
def test_difference_against_counting(pairs: list[tuple[int, int]]) -> None:
    left, right = (np.array(column, np.int8)[:, None] for column in zip(*pairs, strict=True))
    found = difference(left, right)
    assert found.mismatches == sum(a != b for a, b in pairs)
    assert found.largest == max(abs(a - b) for a, b in pairs)


@pytest.mark.parametrize("layer", MODEL.graph.computed)
def test_one_wrong_element_of_any_layer_is_found(layer: str) -> None:
    position = (8, 0, 2)
    by = -1 if RESULT.tensors[layer][position] > 0 else 1
    outcome = compare(MODEL, {"numpy": RESULT, "pyrtl": tampered(layer, position, by)})
    assert not outcome.equal
    for tensor in outcome.tensors:
        wrong = int(tensor.name == layer)
        assert {name: one.mismatches for name, one in tensor.differences.items()} == {"numpy": 0, "pyrtl": wrong}
        assert tensor.differences["pyrtl"].largest == wrong
        assert tensor.equal == (not wrong)
    first = next(tensor for tensor in outcome.tensors if not tensor.equal).differences["pyrtl"].first
    assert first is not None
    assert (first.inference, first.index, first.found - first.expected) == (8, (0, 2), by)


@pytest.mark.parametrize(
    ("names", "judge"),
    [
        (["verilog", "numpy", "litert"], "litert"),
        (["verilog", "pyrtl", "numpy"], "numpy"),
        (["verilog", "pyrtl"], "verilog"),
    ],
)
def test_who_judges(names: list[str], judge: str) -> None:
    assert judge_of(names) == judge
    assert compare(MODEL, dict.fromkeys(names, RESULT)).judge == judge


def test_software_and_circuit_agree_and_say_so() -> None:
    options = ExecutorOptions(bus=Bus.STREAM, stalls=True, seed=5)
    steps: list[tuple[str, int, int]] = []
    outcome = verify(MODEL, INPUTS, ("litert", "numpy", "pyrtl"), options, lambda *step: steps.append(step))
    assert outcome.equal
    assert (outcome.model, outcome.judge, outcome.inferences, outcome.stalls) == ("net", "litert", 11, True)
    assert [tensor.name for tensor in outcome.tensors] == list(MODEL.graph.computed)
    assert [tensor.elements for tensor in outcome.tensors] == [77, 44]
    assert [(steps[0]), steps[-1]] == [("litert", 0, 11), ("pyrtl", 11, 11)]

    written = json.loads(json.dumps(outcome.to_json()))
    assert written["model"] == "net"
    assert written["equal"] is True
    assert list(written["executors"]) == ["litert", "numpy", "pyrtl"]
    wanted = {"seconds", "inferences_per_second", "latency_cycles", "interval_cycles"}
    assert all(wanted <= executor.keys() for executor in written["executors"].values())
    assert written["executors"]["numpy"]["latency_cycles"] is None
    assert written["executors"]["pyrtl"]["latency_cycles"] > written["executors"]["pyrtl"]["interval_cycles"] > 0
    first = written["tensors"][0]
    assert (first["name"], first["shape"], first["elements"]) == (MODEL.graph.computed[0], [1, 7], 77)
    assert first["mismatches"] == first["largest_difference"] == {"litert": 0, "numpy": 0, "pyrtl": 0}


def test_a_difference_is_in_the_json() -> None:
    outcome = compare(MODEL, {"litert": RESULT, "numpy": tampered(MODEL.graph.computed[1], (0, 0, 0), 3)})
    written = outcome.to_json()
    assert written["equal"] is False
    assert [tensor["mismatches"]["numpy"] for tensor in written["tensors"]] == [0, 1]
    assert [tensor["largest_difference"]["numpy"] for tensor in written["tensors"]] == [0, 3]


def test_tensors_that_an_executor_does_not_show_are_compared_among_the_others() -> None:
    graph = every_operator_network(0)
    model = Model(graph, "every")
    outcome = verify(model, random_inputs(graph, 5), ("litert", "numpy"), ExecutorOptions(litert_kernels="default"))
    shown = {tensor.name: set(tensor.differences) for tensor in outcome.tensors}
    assert shown[graph.outputs[0]] == {"litert", "numpy"}
    assert shown[graph.computed[0]] == {"numpy"}


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (
            ("numpy",),
            "two executors or more, not 1; choose from litert, onnxruntime, onnx-reference, numpy, pyrtl, verilog",
        ),
        ((), "two executors or more, not 0"),
        (("numpy", "litert", "numpy"), "named twice"),
        (("numpy", "tensorflow"), "no executor 'tensorflow'"),
    ],
)
def test_executors_that_cannot_be_compared(names: tuple[str, ...], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        check_executors(names)
    with pytest.raises(UsageError, match=said):
        verify(MODEL, INPUTS, names)


def test_inputs_are_checked_before_any_executor_is_made() -> None:
    steps: list[tuple[str, int, int]] = []
    with pytest.raises(InputError, match="has shape"):
        verify(MODEL, np.zeros((3, 8), int), ("litert", "numpy"), progress=lambda *step: steps.append(step))
    assert not steps


def test_results_of_different_inferences_are_not_compared() -> None:
    fewer = create_executor("numpy", MODEL).run({name: array[:4] for name, array in INPUTS.items()})
    with pytest.raises(UsageError, match=r"not of \[4, 11\]"):
        compare(MODEL, {"litert": RESULT, "numpy": fewer})


class Counting:
    """An executor that remembers how many inferences it was given."""

    name = "counting"

    def __init__(self, seconds: float = 0.01) -> None:
        self.given: list[int] = []
        self.seconds = seconds

    def run(self, inputs: Mapping[str, Array]) -> RunResult:
        count = len(inputs["x"])
        self.given.append(count)
        cycles = Cycles(100 + len(self.given), count if count > 1 else None)
        return RunResult(self.name, {"y": inputs["x"] + 1}, self.seconds * count, 2.0, cycles)


@given(st.integers(1, 40), st.integers(1, 50))
def test_batches_cover_everything_once_and_the_last_is_partial(inferences: int, size: int) -> None:
    executor, x = Counting(), np.arange(inferences)
    batches = list(run_batches(executor, {"x": x}, size))
    assert [start for start, _ in batches] == list(range(0, inferences, size))
    assert executor.given == [min(size, inferences - start) for start, _ in batches]
    whole = joined([result for _, result in batches])
    assert np.array_equal(whole.tensors["y"], x + 1)
    assert whole.seconds == pytest.approx(0.01 * inferences)
    assert whole.setup_seconds == 2.0
    assert whole.cycles is not None
    assert whole.cycles.latency == 101
    assert whole.cycles.interval == (max(executor.given) if max(executor.given) > 1 else None)


@pytest.mark.parametrize(("seconds", "expected"), [(1e-6, [2, 16, 128, 854]), (0.1, [2, 5, 5, 5, 3])])
def test_batches_grow_to_half_a_second(seconds: float, expected: list[int]) -> None:
    executor = Counting(seconds)
    assert len(list(run_batches(executor, {"x": np.zeros(sum(expected))}))) == len(expected)
    assert executor.given == expected


def test_batches_that_make_no_sense() -> None:
    with pytest.raises(UsageError, match="batch size is 0"):
        list(run_batches(Counting(), {"x": np.zeros(3)}, 0))
    with pytest.raises(UsageError, match="no batches"):
        joined([])
