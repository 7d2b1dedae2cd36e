"""Networks with the wiring of real ones: NumPy is LiteRT in every tensor, and the circuits are NumPy under stalls."""

import pytest
from conv_networks import CONVOLUTIONAL, ConvolutionalBuilder
from models import (
    assert_litert_agrees,
    assert_same_tensors,
    corner_inputs,
    joined,
    random_inputs,
)

from bitloom.frontends import Model
from bitloom.plan import Bus, Target
from bitloom.run import ExecutorOptions, create_executor

# Compiling takes seconds: the ones that differ most, in what they join, and in ports.
COMPILED = ("inverted_residual", "encoder_decoder", "detection_head", "two_images")


@pytest.mark.parametrize("name", CONVOLUTIONAL)
def test_every_tensor_is_that_of_litert(name):
    graph = CONVOLUTIONAL[name]()
    inputs = joined(random_inputs(graph, 20, seed=1), corner_inputs(graph))
    assert_litert_agrees(graph, inputs)


def test_no_tensor_is_nearly_constant():
    for name, make in CONVOLUTIONAL.items():
        graph = make()
        tensors = create_executor("numpy", Model(graph, name)).run(random_inputs(graph, 20, seed=2)).tensors
        for tensor, values in tensors.items():
            assert values.std() > 1, f"{name}: {tensor}"


@pytest.mark.parametrize("name", CONVOLUTIONAL)
def test_the_circuit_is_numpy_under_stalls(name):
    graph = CONVOLUTIONAL[name]()
    options = ExecutorOptions(target=Target(dsp=40), bus=Bus.STREAM, stalls=True, seed=len(name))
    check(graph, create_executor("pyrtl", Model(graph, name), options))


@pytest.mark.parametrize("name", CONVOLUTIONAL)
def test_the_planned_interval_is_kept(name):
    """Nothing is slowed by what another branch computes, nor by padding or by what a join takes in turn."""
    graph = CONVOLUTIONAL[name]()
    options = ExecutorOptions(target=Target(dsp=40), bus=Bus.STREAM)
    executor = create_executor("pyrtl", Model(graph, name), options)
    cycles = executor.run(random_inputs(graph, 9, seed=2)).cycles
    assert cycles.interval == executor.circuit.plan.interval


@pytest.mark.parametrize("padded", [False, True], ids=["", "padded"])
def test_a_skip_past_circuits_without_slack_keeps_the_interval(padded):
    """What each circuit adds until the next has its beats counts: here nothing ever waits that makes up for it."""
    network = ConvolutionalBuilder("skip", 1, 1, 32, 8)
    x = network.x
    for _ in range(2):
        if padded:
            x = network.padded(x, (0, 0), (0, 0), (2, 0), (0, 0))
        x = network.conv(x, 8, (1, 3), padding="VALID" if padded else "SAME")
    network.sum(network.x, x)
    graph = network.graph()
    options = ExecutorOptions(target=Target(interval=128), bus=Bus.STREAM)
    executor = create_executor("pyrtl", Model(graph, graph.name), options)
    assert executor.run(random_inputs(graph, 12, seed=2)).cycles.interval == 128


@pytest.mark.parametrize("name", COMPILED)
def test_the_verilog_is_numpy(name):
    graph = CONVOLUTIONAL[name]()
    options = ExecutorOptions(target=Target(dsp=40), stalls=True, seed=3)
    check(graph, create_executor("verilog", Model(graph, name), options))


@pytest.mark.parametrize("simulator", ["verilator", "icarus"])
def test_beats_that_no_output_depends_on_are_waited_for(simulator):
    """They belong to their own job, not to the next."""
    graph = CONVOLUTIONAL["unread_ends"]()
    options = ExecutorOptions(target=Target(dsp=40), bus=Bus.STREAM, simulator=simulator)
    executor = create_executor("verilog", Model(graph, graph.name), options)
    for seed in range(2):
        check(graph, executor, seed)


def check(graph, executor, seed=3):
    inputs = random_inputs(graph, 3, seed=seed)
    assert_same_tensors(create_executor("numpy", Model(graph, graph.name)).run(inputs), executor.run(inputs))
