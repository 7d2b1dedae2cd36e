"""Ports: elements in their containers, the partial last beat, registers in both directions, silence in reset."""

import numpy as np
import pyrtl
import pytest
from models import GraphBuilder, dense_network, quantized
from networks import BRANCHING
from stream_checks import combinational_inputs

from bitloom.arith import IntType
from bitloom.design import design
from bitloom.design.ports import input_stream, output_buffer, output_port
from bitloom.hw.stream import StreamType
from bitloom.ir import Graph, TensorType, Value
from bitloom.plan import Bus, Port, Target, make_plan
from bitloom.run.circuit import port_elements, port_words

ELEMENTS = [IntType(1), IntType(5), IntType(8), IntType(8, signed=False), IntType(12, signed=False), IntType(32)]


def bus_through(element: IntType, row: int, lanes: int) -> tuple[Port, Port]:
    """An input port, wired to an output port, in a new working block."""
    pyrtl.reset_working_block()
    stream_type = StreamType(element, row, 1, lanes)
    source, sink = Port("s_axis", "x", stream_type), Port("m_axis", "x", stream_type)
    reset = pyrtl.Input(1, "reset")
    stream, _ = input_stream(source, reset)
    output_port(sink, output_buffer(sink, stream, reset, reset))
    return source, sink


def pass_through(source: Port, words: np.ndarray, beats: int) -> list[dict[str, int]]:
    """Send words back to back; the beats that come out."""
    simulation = pyrtl.FastSimulation(tracer=None)
    waiting, seen = [int.from_bytes(word, "little") for word in words], []
    for _ in range(4 * beats + 10):
        inputs = {"s_axis_tdata": (waiting or [0])[0], "s_axis_tvalid": int(bool(waiting)), "m_axis_tready": 1}
        last = int(bool(waiting) and (len(words) - len(waiting) + 1) % source.type.beats == 0)
        simulation.step({**inputs, "s_axis_tlast": last, "reset": 0})
        if waiting and simulation.inspect("s_axis_tready"):
            waiting.pop(0)
        if simulation.inspect("m_axis_tvalid"):
            seen.append({name: simulation.inspect(f"m_axis_{name}") for name in ("tdata", "tkeep", "tlast")})
    return seen


@pytest.mark.parametrize("element", ELEMENTS, ids=str)
@pytest.mark.parametrize(("row", "lanes"), [(5, 1), (5, 4), (8, 4), (3, 3), (2, 6)])
def test_elements_cross_in_their_containers(element: IntType, row: int, lanes: int) -> None:
    source, sink = bus_through(element, row, lanes)
    container = next(bits for bits in (8, 16, 32, 64) if bits >= element.bits)
    assert (source.bus_bits, sink.bus_bits) == (container * lanes, container * lanes)
    random = np.random.default_rng(0)
    tensors = random.integers(element.minimum, element.maximum, (6, row), endpoint=True)
    tensors[0], tensors[1] = element.minimum, element.maximum
    # Whatever else is in a container is ignored.
    words = port_words(tensors.astype(element.dtype), source)
    junk = port_words(random.integers(-(2**7), 2**7, tensors.shape) << element.bits, source)
    seen = pass_through(source, words ^ (junk if container > element.bits else 0), sink.type.beats * len(tensors))
    assert len(seen) == sink.type.beats * len(tensors)
    np.testing.assert_array_equal(port_elements([beat["tdata"] for beat in seen], sink, len(tensors)), tensors)
    for index, beat in enumerate(seen):
        ends = (index + 1) % sink.type.beats == 0
        filled = row - lanes * (sink.type.beats - 1) if ends else lanes
        assert beat["tlast"] == ends
        assert beat["tkeep"] == (1 << (filled * container // 8)) - 1
        # Sign- or zero-extended to the whole container.
        for lane in range(filled):
            value = int(tensors[index // sink.type.beats].flat[(index % sink.type.beats) * lanes + lane])
            found = beat["tdata"] >> (lane * container) & ((1 << container) - 1)
            assert found == value & ((1 << container) - 1)


def test_nothing_is_accepted_or_offered_in_reset() -> None:
    bus_through(IntType(8), 4, 4)
    simulation = pyrtl.FastSimulation(tracer=None)
    offered = {"s_axis_tdata": 0x01020304, "s_axis_tvalid": 1, "s_axis_tlast": 1, "m_axis_tready": 0}
    for _ in range(3):
        simulation.step({**offered, "reset": 0})
        assert simulation.inspect("s_axis_tready")
    simulation.step({**offered, "reset": 1})
    assert not simulation.inspect("s_axis_tready")
    simulation.step({**offered, "s_axis_tvalid": 0, "reset": 0})
    assert simulation.inspect("s_axis_tready")
    assert not simulation.inspect("m_axis_tvalid")


@pytest.mark.parametrize("bus", Bus)
@pytest.mark.parametrize(
    "graph",
    [*(make() for make in BRANCHING.values()), dense_network([6, 4], 1, tail="arg_max")],
    ids=lambda graph: graph.name,
)
@pytest.mark.parametrize("target", [Target(), Target(interval=300)], ids=["fast", "small"])
def test_no_output_depends_on_an_input_within_a_cycle(graph: Graph, bus: Bus, target: Target) -> None:
    assert combinational_inputs(design(make_plan(graph, target, bus)).block) == set()


@pytest.mark.parametrize(
    ("made", "kind", "bits"),
    [("int32", "ARG_MAX", 32), ("int64", "ARG_MAX", 64), ("int16", "SOFTMAX", 32), ("int8", "SOFTMAX", 32)],
)
def test_axi_streams_are_32_bits_wide_or_an_element(made: str, kind: str, bits: int) -> None:
    element = IntType(int(made[3:]))
    builder = GraphBuilder("ports", quantized((1, 6), 0.1, 0))
    if kind == "ARG_MAX":
        axis = Value("axis", TensorType((), IntType(32)), np.array(-1))
        builder.add(kind, TensorType((1,), element), [axis], output_type=made.upper())
    else:
        builder.add(kind, quantized((1, 6), 2.0**-element.bits, element.minimum, element), beta=1.0)
    circuit = design(make_plan(builder.graph()))
    assert circuit.block.get_wirevector_by_name("s_axis_tdata").bitwidth == 32
    assert circuit.block.get_wirevector_by_name("m_axis_tdata").bitwidth == bits
    assert circuit.block.get_wirevector_by_name("m_axis_tkeep").bitwidth == bits // 8
    assert circuit.outputs[0].bus_bits == bits
