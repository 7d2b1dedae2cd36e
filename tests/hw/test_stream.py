"""Stream types, how tensors become beats, and the connection of streams."""

from __future__ import annotations

import numpy as np
import pyrtl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stream_checks import HoldsStill, build_between, combinational_inputs, run_checked

from bitloom.arith import IntType
from bitloom.errors import ExecutionError, HardwareError
from bitloom.hw.simulate import from_beats, simulate_stream, to_beats
from bitloom.hw.stream import Stream, StreamType

INT8 = IntType(8)

stream_types = st.builds(
    StreamType,
    st.builds(IntType, st.integers(1, 33), st.booleans()),
    row=st.integers(1, 20),
    rows=st.integers(1, 4),
    lanes=st.integers(1, 9),
)


@given(stream_types, st.integers(0, 2**16))
def test_beats_and_back(stream_type, seed):
    element = stream_type.element
    tensor = np.random.default_rng(seed).integers(element.minimum, element.maximum, stream_type.size, endpoint=True)
    beats = to_beats(tensor, stream_type)
    assert len(beats) == stream_type.beats == stream_type.row_beats * stream_type.rows
    assert max(beats) < 1 << stream_type.bits
    np.testing.assert_array_equal(from_beats(beats, stream_type), tensor)


@given(stream_types)
def test_counts_agree(stream_type):
    elements_in_full_beats = stream_type.row_beats * stream_type.lanes
    assert elements_in_full_beats - stream_type.lanes < stream_type.row <= elements_in_full_beats
    assert stream_type.has_partial_beats == (elements_in_full_beats != stream_type.row)


def test_element_zero_is_lowest_and_rows_start_beats():
    assert to_beats([1, 2, 3, 4, 5, -1], StreamType(INT8, row=3, rows=2, lanes=2)) == [0x0201, 0x03, 0x0504, 0xFF]


def test_empty_streams_are_refused():
    for row, rows, lanes in [(0, 1, 1), (1, 0, 1), (1, 1, 0), (-3, 1, 1)]:
        with pytest.raises(HardwareError, match="a stream of"):
            StreamType(INT8, row, rows, lanes)


def test_streams_of_different_types_do_not_connect():
    pyrtl.reset_working_block()
    source = Stream.input_ports("source", StreamType(INT8, 4))
    with pytest.raises(HardwareError, match=r"source carries 1x4 int8, 1 a beat, sink takes 1x4 int8, 2 a beat"):
        source.feed(Stream.output_ports("sink", StreamType(INT8, 4, lanes=2)))


def test_wire_to_wire():
    stream_type = StreamType(INT8, row=5, rows=2, lanes=2)
    ports = build_between(stream_type, stream_type, lambda s, _: s)
    inputs = np.random.default_rng(0).integers(-128, 128, (4, 10))
    np.testing.assert_array_equal(run_checked(inputs, *ports, stall=0.4).tensors, inputs)
    # The helper that other tests rely on must see such a path.
    assert ("source_ready", "sink_ready") in combinational_inputs()


def test_lanes_and_transfer():
    pyrtl.reset_working_block()
    stream = Stream.input_ports("source", StreamType(IntType(4), row=6, lanes=3))
    stream.accept(pyrtl.Input(1, "take"))
    for lane in range(3):
        wire = pyrtl.Output(4, f"lane{lane}")
        wire <<= stream.lane(lane)
    moved = pyrtl.Output(1, "moved")
    moved <<= stream.transfer
    simulation = pyrtl.FastSimulation(tracer=None)
    for valid, take in [(0, 0), (0, 1), (1, 0), (1, 1)]:
        simulation.step({"source_data": 0x321, "source_valid": valid, "source_last": 0, "take": take})
        assert [simulation.inspect(f"lane{lane}") for lane in range(3)] == [1, 2, 3]
        assert simulation.inspect("moved") == (valid and take)


def never_last(stream, _):
    made = Stream.declare("made", stream.type)
    made.drive(stream.data, stream.valid, pyrtl.Const(0, 1))
    stream.accept(made.ready)
    return made


def never_ready(stream, _):
    made = Stream.declare("made", stream.type)
    made.drive(stream.data, pyrtl.Const(0, 1), stream.last)
    stream.accept(pyrtl.Const(0, 1) & made.ready)
    return made


@pytest.mark.parametrize(("unit", "problem"), [(never_last, "lacks 'last'"), (never_ready, "no beat moved")])
def test_simulation_notices_broken_circuits(unit, problem):
    stream_type = StreamType(INT8, row=3)
    ports = build_between(stream_type, stream_type, unit)
    with pytest.raises(ExecutionError, match=problem):
        simulate_stream([[1, 2, 3]], *ports)


def test_the_hold_check_notices_a_beat_that_changes():
    """A producer that counts while nobody takes: the check that other tests rely on must fail."""
    pyrtl.reset_working_block()
    sink = Stream.output_ports("sink", StreamType(INT8, row=1))
    pyrtl.Input(1, "reset")
    count = pyrtl.Register(8, "count")
    count.next <<= count + 1
    sink.drive(count, pyrtl.Const(1, 1), pyrtl.Const(1, 1))
    simulation = HoldsStill()
    simulation.step({"sink_ready": 0, "reset": 0})
    with pytest.raises(AssertionError, match="changed while it waited"):
        simulation.step({"sink_ready": 0, "reset": 0})
