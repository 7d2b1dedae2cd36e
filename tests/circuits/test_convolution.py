"""Circuits of convolutions in every folding: NumPy's answers under stalls, promised cycles, schedules to the beat."""

from __future__ import annotations

import random

import numpy as np
import pyrtl
import pytest
from gate_stream import synthesized_stream
from stream_checks import build_between, combinational_inputs, run_checked

from bitloom.circuits.convolution import ConvolutionCircuit
from bitloom.circuits.streaming import Folding
from bitloom.errors import UnsupportedError
from bitloom.hw.stream import Stream
from bitloom.ops.conv_2d import Conv2d
from bitloom.ops.depthwise_conv_2d import DepthwiseConv2d
from bitloom.ops.shared.convolution_examples import ExampleConvolution

conv, depthwise = ExampleConvolution(Conv2d), ExampleConvolution(DepthwiseConv2d)
LAYERS = {
    "padded": conv("padded", (1, 4, 5, 4), (6, 3, 3, 4), per_channel=True),
    "strided": conv("strided", (1, 6, 5, 6), (4, 3, 2, 6), strides=(2, 2), padding="VALID"),
    "one_channel": conv("one_channel", (1, 7, 5, 1), (6, 5, 4, 1), strides=(2, 2), activation="RELU"),
    "three_channels": conv("three_channels", (1, 5, 4, 3), (4, 3, 3, 3), elements=("uint8", "uint8", "int32")),
    "pixels": conv("pixels", (1, 3, 3, 6), (9, 1, 1, 6), per_channel=True),
    "grouped": conv("grouped", (1, 4, 3, 6), (9, 2, 2, 2)),
    "grouped_pixels": conv("grouped_pixels", (1, 3, 2, 6), (9, 1, 1, 2)),
    "depthwise": depthwise("depthwise", (1, 4, 5, 6), (1, 3, 3, 6), per_channel=True),
    "depthwise_strided": depthwise("depthwise_strided", (1, 5, 6, 4), (1, 3, 2, 4), strides=(2, 2)),
    "multiplier": depthwise("multiplier", (1, 4, 4, 4), (1, 3, 3, 12), dilations=(2, 2)),
    "depthwise_pixels": depthwise("depthwise_pixels", (1, 3, 3, 6), (1, 1, 1, 6)),
    "images": conv("images", (2, 3, 3, 2), (4, 2, 2, 2)),
}
CHOICES = [(layer, choice) for layer in LAYERS for choice in range(4)]


def layer_of(name: str):
    """The circuit of a layer, and a function that gives NumPy's answers."""
    graph = LAYERS[name].graph
    (node,) = graph.nodes
    operands = graph.operands(node)
    circuit = node.operator.circuit(operands, graph.results(node))
    constants = [np.asarray(operand.constant) for operand in operands[1:]]

    def numpy(inputs: np.ndarray) -> np.ndarray:
        images = inputs.reshape(len(inputs), *operands[0].type.shape).astype(operands[0].type.integer.dtype)
        return node.operator.evaluate([images, *constants])[0].reshape(len(inputs), -1)

    return circuit, numpy


def random_images(name: str, count: int) -> np.ndarray:
    image = LAYERS[name].graph.value("x").type
    low, high = image.integer.minimum, image.integer.maximum
    return np.random.default_rng(7).integers(low, high, (count, image.size), endpoint=True)


def build(circuit: ConvolutionCircuit, folding: Folding) -> tuple[Stream, Stream]:
    (given,) = circuit.input_types(folding)
    return build_between(
        given, circuit.output_type(folding), lambda stream, reset: circuit.build("layer", folding, [stream], reset)
    )


def some_folding(circuit: ConvolutionCircuit, choice: int) -> Folding:
    """The fastest, the slowest, or another."""
    foldings = sorted(circuit.foldings(), key=lambda folding: circuit.estimate(folding).cycles)
    return foldings[{0: 0, 1: -1}.get(choice, random.Random(choice).randrange(len(foldings)))]


@pytest.mark.parametrize(("name", "choice"), CHOICES)
def test_foldings_are_numpy_under_stalls(name: str, choice: int) -> None:
    circuit, numpy = layer_of(name)
    source, sink = build(circuit, some_folding(circuit, choice))
    inputs = random_images(name, 3)
    run = run_checked(inputs, source, sink, stall=0.3, seed=choice, resets=(40 * choice,))
    np.testing.assert_array_equal(run.tensors, numpy(inputs))
    assert not combinational_inputs()


@pytest.mark.parametrize(("name", "choice"), CHOICES)
def test_images_follow_each_other_in_the_cycles_promised(name: str, choice: int) -> None:
    circuit, numpy = layer_of(name)
    folding = some_folding(circuit, choice)
    source, sink = build(circuit, folding)
    inputs = random_images(name, 4)
    run = run_checked(inputs, source, sink)
    np.testing.assert_array_equal(run.tensors, numpy(inputs))
    assert run.interval <= circuit.estimate(folding).cycles


@pytest.mark.parametrize(("name", "choice"), CHOICES)
def test_a_beat_leaves_when_what_the_schedule_says_has_come(name: str, choice: int) -> None:
    circuit, _ = layer_of(name)
    folding = some_folding(circuit, choice)
    build(circuit, folding)
    schedule = circuit.schedule(folding)
    simulation = pyrtl.FastSimulation(tracer=None)
    idle = {"source_data": 0, "source_valid": 0, "source_last": 0, "sink_ready": 1, "reset": 0}
    left = 0
    quiet = schedule.latency + sum(circuit.estimate(folding).cycles for _ in range(2))
    (given,) = circuit.input_types(folding)
    for taken in range(given.beats):
        waited = 0
        while waited < quiet and left < np.searchsorted(schedule.needed[0], taken, "right"):
            simulation.step(idle)
            left, waited = left + simulation.inspect("sink_valid"), waited + 1
        for _ in range(schedule.latency + 8):
            simulation.step(idle)
            left += simulation.inspect("sink_valid")
        assert left == np.searchsorted(schedule.needed[0], taken, "right"), f"after {taken} beats"
        accepted = False
        while not accepted:
            simulation.step({**idle, "source_valid": 1})
            accepted = bool(simulation.inspect("source_ready"))
            left += simulation.inspect("sink_valid")


@pytest.mark.parametrize("name", LAYERS)
def test_foldings_reach_from_one_multiplier_to_an_array_that_waits_for_nothing(name: str) -> None:
    circuit, _ = layer_of(name)
    estimates = [circuit.estimate(folding) for folding in circuit.foldings()]
    images = LAYERS[name].graph.value("x").type.shape
    pixels, outputs = circuit.output_type(Folding()).rows, circuit.output_type(Folding()).row
    assert max(estimate.cycles for estimate in estimates) == pixels * outputs * circuit.terms.depth
    assert min(estimate.multipliers for estimate in estimates) == 1
    assert min(estimate.cycles for estimate in estimates) <= 4 * max(pixels, images[0] * images[1] * images[2])


@pytest.mark.parametrize("packed", [False, True])
def test_gates_are_the_circuit(tmp_path, packed: bool) -> None:
    circuit, numpy = layer_of("padded")
    folding = Folding(pe=2, simd=2, results=1, packed=packed)
    source, sink = build(circuit, folding)
    inputs = random_images("padded", 2)
    gates, tensors = synthesized_stream(inputs, source, sink, tmp_path)
    np.testing.assert_array_equal(tensors, numpy(inputs))
    assert gates.cells["DSP48E1"] == circuit.estimate(folding).dsp


def test_a_large_layer_offers_few_foldings() -> None:
    """A planner asks for the costs of all of them."""
    graph = conv("large", (1, 8, 8, 256), (256, 3, 3, 256), per_channel=True).graph
    (node,) = graph.nodes
    circuit = node.operator.circuit(graph.operands(node), graph.results(node))
    assert circuit.facts()["accumulator_bits"] > 20
    foldings = list(circuit.foldings())
    assert 100 < len(foldings) < 4000
    assert len(set(foldings)) == len(foldings)


def test_a_result_that_no_pixel_reaches_has_no_circuit() -> None:
    graph = conv("unreached", (1, 1, 1, 2), (3, 2, 2, 2), strides=(1, 1), dilations=(3, 3)).graph
    (node,) = graph.nodes
    with pytest.raises(UnsupportedError, match="constant"):
        node.operator.circuit(graph.operands(node), graph.results(node))
