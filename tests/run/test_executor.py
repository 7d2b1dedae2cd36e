"""The executor interface: names, options, and the checks on inputs."""

from typing import Any

import numpy as np
import pytest
from models import dense_network, every_operator_network, quantized

from bitloom.arith import IntType
from bitloom.errors import InputError, UsageError
from bitloom.frontends import Model
from bitloom.ir import Graph, Node, Value
from bitloom.ops.reshape import Reshape
from bitloom.run import EXECUTORS, ExecutorOptions, RunResult, check_inputs, create_executor
from bitloom.run.executor import MOST_MACS_IN_PYRTL, default_executors

DENSE = dense_network((6, 4), seed=0)
EVERY = every_operator_network(0)


def int5_graph() -> Graph:
    """An input narrower than its NumPy type."""
    x, y = Value("x", quantized((1, 4), 0.5, 0, IntType(5))), Value("y", quantized((4,), 0.5, 0, IntType(5)))
    return Graph("int5", ("x",), ("y",), (x, y), (Node("reshape_0", Reshape((4,)), ("x",), ("y",)),))


def two_inputs_graph() -> Graph:
    values = [Value(name, quantized(shape, 0.5, 0)) for name, shape in (("a", (2,)), ("b", (2,)))]
    made = [Value(f"{value.name}_", quantized((2, 1), 0.5, 0)) for value in values]
    nodes = tuple(
        Node(f"reshape_{value.name}", Reshape((2, 1)), (value.name,), (f"{value.name}_",)) for value in values
    )
    return Graph("two", ("a", "b"), ("a_", "b_"), (*values, *made), nodes)


def test_names_are_those_promised() -> None:
    assert list(EXECUTORS) == ["litert", "onnxruntime", "onnx-reference", "numpy", "pyrtl", "verilog"]
    for name in ("litert", "numpy"):
        assert create_executor(name, Model(DENSE, "dense")).name == name


def test_an_unknown_executor_is_told_with_the_known() -> None:
    known = "litert, onnxruntime, onnx-reference, numpy, pyrtl, verilog"
    with pytest.raises(UsageError, match=f"'tensorflow'; choose one of {known}"):
        create_executor("tensorflow", Model(DENSE, "dense"))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"litert_kernels": "fast"}, "litert_kernels is one of reference, default, not 'fast'"),
        ({"simulation": "x"}, "simulation is one of interpreted, fast, compiled"),
        ({"simulator": "vcs"}, "simulator is one of verilator, icarus"),
        ({"batch_size": 0}, "batch_size is at least 1, not 0"),
    ],
)
def test_options_that_make_no_sense(options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        ExecutorOptions(**options)


@pytest.mark.parametrize(
    ("graph", "inputs", "said"),
    [
        (DENSE, {}, "input 'x' is missing; needed: x"),
        (DENSE, {"x": np.zeros((1, 1, 6), np.int8), "y": 1}, "'y' is no input of 'dense_network'; needed: x"),
        (DENSE, {"x": np.zeros((1, 6), np.int8)}, r"input 'x': has shape \[1, 6\], and \[inferences, 1, 6\] is needed"),
        (DENSE, {"x": np.zeros((1, 1, 7), np.int8)}, r"has shape \[1, 1, 7\]"),
        (DENSE, {"x": 3}, r"has shape \[\]"),
        (DENSE, {"x": np.zeros((0, 1, 6), np.int8)}, "no inferences to compute; give at least one"),
        (DENSE, {"x": np.zeros((1, 1, 6), np.float32)}, "is float32, and int8 is needed; quantize it"),
        (DENSE, {"x": np.zeros((1, 1, 6), np.complex64)}, "is complex64"),
        (DENSE, {"x": np.full((1, 1, 6), "1")}, "is <U1"),
        (DENSE, {"x": np.full((1, 1, 6), 200, np.uint8)}, "values from 200 to 200, and int8 holds -128 to 127"),
        (DENSE, {"x": np.full((2, 1, 6), -129)}, "values from -129 to -129"),
        (int5_graph(), {"x": np.full((2, 1, 4), 16, np.int8)}, "values from 16 to 16, and int5 holds -16 to 15"),
        (EVERY, {"x": np.full((1, 1, 4, 6), np.nan, np.float32)}, "not finite"),
        (EVERY, {"x": np.full((1, 1, 4, 6), -np.inf)}, "not finite"),
        (EVERY, {"x": np.full((1, 1, 4, 6), 1e300)}, "not finite"),
        (EVERY, {"x": np.full((1, 1, 4, 6), 1e9)}, "beyond 3.22123e\\+07, where quantizing is undefined"),
        (EVERY, {"x": np.full((1, 1, 4, 6), True)}, "is bool, and float32 is needed"),
        (
            two_inputs_graph(),
            {"a": np.zeros((3, 2), np.int8), "b": np.zeros((4, 2), np.int8)},
            "different numbers of inferences: 'a' has 3, 'b' has 4",
        ),
    ],
)
def test_inputs_that_do_not_fit(graph: Graph, inputs: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said) as error:
        check_inputs(graph, inputs)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("executor", ["litert", "numpy"])
def test_executors_check_their_inputs(executor: str) -> None:
    with pytest.raises(InputError, match="has shape"):
        create_executor(executor, Model(DENSE, "dense")).run({"x": np.zeros((1, 7), np.int8)})


def test_integers_of_any_width_are_taken_if_they_fit() -> None:
    narrow = np.arange(-3, 3, dtype=np.int8).reshape(1, 1, 6)
    for dtype in (np.int8, np.int16, np.int32, np.int64):
        checked = check_inputs(DENSE, {"x": narrow.astype(dtype)})["x"]
        assert checked.dtype == np.int8
        assert (checked == narrow).all()
    assert check_inputs(DENSE, {"x": narrow.tolist()})["x"].dtype == np.int8
    assert check_inputs(EVERY, {"x": np.ones((1, 1, 4, 6))})["x"].dtype == np.float32


def test_results_count_their_inferences() -> None:
    result = RunResult("numpy", {"y": np.zeros((5, 2))}, seconds=0.5)
    assert result.inferences == 5
    assert result.inferences_per_second == 10
    assert RunResult("numpy", {}, seconds=0.0).inferences_per_second == 0


def test_large_networks_leave_pyrtl_out_where_nobody_asks_for_it() -> None:
    small, large = dense_network([300, 300], 1), dense_network([400, 300], 1)
    assert small.macs <= MOST_MACS_IN_PYRTL < large.macs
    assert default_executors(Model(small, "small")) == ("litert", "numpy", "pyrtl", "verilog")
    assert default_executors(Model(large, "large")) == ("litert", "numpy", "verilog")


def test_litert_is_no_judge_of_what_tflite_cannot_say() -> None:
    assert default_executors(Model(int5_graph(), "narrow")) == ("numpy", "pyrtl", "verilog")
