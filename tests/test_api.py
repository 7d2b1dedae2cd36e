"""The public names: complete, lazy, and the same thing whichever way a model or its inputs are given."""

import dataclasses
import importlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from models import dense_network

import bitloom as bl
from bitloom import api
from bitloom.data import SHIPPED_DIGITS


def in_new_process(program: str) -> str:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip()


def test_importing_bitloom_loads_nothing_heavy() -> None:
    heavy = ["numpy", "pyrtl", "rich", "ai_edge_litert", "bitloom.ir"]
    assert in_new_process(f"import bitloom, sys; print([name for name in {heavy} if name in sys.modules])") == "[]"


@pytest.mark.parametrize("name", sorted(bl.__all__))
def test_every_public_name_exists(name: str) -> None:
    assert getattr(bl, name) is not None
    assert name in dir(bl)


def test_parsing_a_graph_first_of_all_knows_the_operators() -> None:
    text = 'graph "g" { input %x: int8[1, 4] %y: int32[1] = arg_max @a (%x) {axis=1, output=int32} output %y }'
    assert in_new_process(f"import bitloom; print(bitloom.parse_graph({text!r}).name)") == "g"


def test_unknown_names_are_attribute_errors() -> None:
    with pytest.raises(AttributeError, match="module 'bitloom' has no attribute 'nonsense'"):
        _ = bl.nonsense  # type: ignore[attr-defined]


def test_version() -> None:
    assert bl.__version__.count(".") >= 1


@pytest.mark.parametrize("first", ["import bitloom.run.executor", "from bitloom.run import executor", "bitloom.run"])
def test_run_is_a_function_and_a_package_whatever_is_imported_first(first: str) -> None:
    program = f"""
import bitloom
{first}
import bitloom.run.executor as module
from bitloom.run import create_executor
assert module.create_executor is create_executor is bitloom.run.create_executor
print(bitloom.run({str(SHIPPED_DIGITS)!r}, [[0] * 64] * 3).inferences)
"""
    assert in_new_process(program) == "3"


@pytest.mark.parametrize("name", ["run", "train"])
def test_packages_with_the_name_of_their_function_can_be_called(name: str) -> None:
    package = importlib.import_module(f"bitloom.{name}")
    assert getattr(bl, name) is package
    with pytest.raises(TypeError, match=rf"{name}\(\) missing .* required positional argument"):
        package()


def test_options_are_those_of_executors() -> None:
    wanted = {field.name for field in dataclasses.fields(bl.ExecutorOptions)}
    assert set(api.Options.__annotations__) == wanted


def test_a_model_is_a_path_or_a_graph_or_a_model(tmp_path: Path) -> None:
    model = bl.load(SHIPPED_DIGITS)
    inputs = bl.random_inputs(model, 4)
    expected = bl.run(model, inputs).tensors["logits"]
    assert expected.shape == (4, 1, 10)
    text = tmp_path / "digits.bitloom"
    text.write_text(bl.print_graph(model.graph))
    for same in (SHIPPED_DIGITS, str(SHIPPED_DIGITS), model.graph, text):
        assert np.array_equal(bl.run(same, inputs).tensors["logits"], expected)


@pytest.mark.parametrize("executor", ["litert", "numpy", "pyrtl"])
def test_run_takes_options(executor: str) -> None:
    graph = dense_network((6, 5, 3), seed=1)
    result = bl.run(graph, np.eye(6, dtype=int)[:4], executor=executor, bus=bl.Bus.STREAM, target=bl.Target(interval=9))
    assert result.executor == executor
    assert result.inferences == 4
    assert (result.cycles is not None) == (executor == "pyrtl")
    if result.cycles:
        assert result.cycles.interval is not None
        assert result.cycles.interval <= 9


def test_verify_compares_every_tensor() -> None:
    outcome = bl.verify(
        SHIPPED_DIGITS, bl.random_inputs(SHIPPED_DIGITS, 6), ["litert", "numpy", "pyrtl"], stalls=True, seed=3
    )
    assert outcome.equal
    assert outcome.stalls
    assert [tensor.elements for tensor in outcome.tensors] == [6 * 27, 6 * 19, 6 * 10]
    assert json.dumps(outcome.to_json())


def test_samples_of_a_data_set_are_classified() -> None:
    model = bl.load(SHIPPED_DIGITS)
    digits = bl.dataset_samples(model, "digits")
    logits = bl.run(model, digits.inputs).tensors["logits"].reshape(len(digits.labels), -1)
    assert np.mean(logits.argmax(axis=1) == digits.labels) > 0.95
