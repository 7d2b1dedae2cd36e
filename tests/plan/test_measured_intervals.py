"""The interval of a plan is what the circuit takes: back to back in PyRTL, without one idle cycle too many."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from models import dense_network, random_inputs
from networks import BRANCHING, random_networks
from planning import remedied

from bitloom.errors import PlanError
from bitloom.frontends import Model
from bitloom.ir import Graph
from bitloom.plan import Bus, Target, make_plan
from bitloom.plan.boards import board_named
from bitloom.run import ExecutorOptions
from bitloom.run.circuit import port_words
from bitloom.run.pyrtl_executor import PyrtlExecutor

SETTLED = 4


def assert_interval_is_measured(graph: Graph, target: Target, bus: Bus, inferences: int) -> None:
    """Once the buffers have filled, results are exactly the plan's interval apart."""
    executor = PyrtlExecutor(Model(graph, graph.name), ExecutorOptions(target=target, bus=bus))
    inputs = random_inputs(graph, inferences, seed=0)
    run = executor.simulate({port.name: port_words(inputs["x"], port) for port in executor.circuit.inputs}, inferences)
    plan = executor.circuit.plan
    assert np.diff(run.last_output)[-SETTLED:].tolist() == [plan.interval] * SETTLED, plan.bottleneck


ECP5 = board_named("ulx3s-85f")
CASES = {
    "bus-bound": (dense_network([23, 11, 7], 1), Target(dsp=200)),
    "one fold": (dense_network([16, 8, 8], 2), Target(interval=16)),
    "odd": (dense_network([23, 11, 7, 9, 3], 3), Target(interval=25)),
    "odd, slow": (dense_network([23, 11, 7, 9, 3], 3), Target(interval=100)),
    "few multipliers": (dense_network([12, 10, 6], 4), Target(dsp=3)),
    "per channel": (dense_network([12, 10, 6], 5, per_channel=True), Target(interval=20)),
    "argmax": (dense_network([9, 30, 10], 6, tail="arg_max"), Target(interval=30)),
    "softmax": (dense_network([9, 4], 7, tail="softmax"), Target(dsp=20)),
    "two registers behind a multiplier": (dense_network([12, 10, 6], 8), Target(interval=15, board=ECP5)),
    "rows": (BRANCHING["reshaped_between"](), Target(interval=20)),
    "reshape alone": (BRANCHING["reshape_alone"](), Target()),
    "one output": (dense_network([30, 1], 9), Target(interval=15)),
    "one input": (dense_network([1, 30, 5], 10), Target(interval=15)),
}


@pytest.mark.parametrize("bus", Bus)
@pytest.mark.parametrize("case", CASES)
def test_interval(case: str, bus: Bus) -> None:
    assert_interval_is_measured(*CASES[case], bus, inferences=16)


@pytest.mark.parametrize("bus", Bus)
@pytest.mark.parametrize("network", ["shared_value", "reshaped_outputs", "output_twice"])
def test_interval_of_branches(network: str, bus: Bus) -> None:
    assert_interval_is_measured(BRANCHING[network](), Target(interval=20), bus, inferences=40)


@settings(max_examples=15, deadline=None)
@given(random_networks(branches=False), st.integers(1, 60), st.sampled_from(Bus))
def test_interval_of_random_chains(graph: Graph, interval: int, bus: Bus) -> None:
    target = Target(interval=interval)
    try:
        make_plan(graph, target, bus)
    except PlanError as error:
        target = remedied(error)
    assert_interval_is_measured(graph, target, bus, inferences=16)
