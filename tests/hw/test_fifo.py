"""FIFOs: order, capacity, throughput and reset; with credits, that no push is ever too many."""

from __future__ import annotations

import numpy as np
import pyrtl
import pytest
from fifo_checks import RESETS, SEEDS, STALLS, STREAM_TYPES, build_fifo, check_capacity, check_order
from hypothesis import given, settings
from hypothesis import strategies as st
from stream_checks import build_between, combinational_inputs, run_checked

from bitloom.arith import IntType
from bitloom.errors import HardwareError
from bitloom.hw.fifo import DEEPEST_DIRECT, credit_depth, credit_fifo, fifo
from bitloom.hw.registers import delayed, delayed_flag, named
from bitloom.hw.stream import StreamType

DEPTHS = [2, 4, 8, 16]


@settings(max_examples=40, deadline=None)
@given(depth=st.sampled_from(DEPTHS), stream_type=STREAM_TYPES, stall=STALLS, resets=RESETS, seed=SEEDS)
def test_what_goes_in_comes_out(depth, stream_type, stall, resets, seed):
    check_order(fifo, depth, stream_type, stall, resets, seed)


@pytest.mark.parametrize("depth", DEPTHS)
def test_a_beat_every_cycle_one_cycle_later(depth):
    run = run_checked(np.arange(40).reshape(4, 10), *build_fifo(fifo, depth, StreamType(IntType(8), 10)))
    assert run.interval == 10
    assert run.latency == 11


@pytest.mark.parametrize("depth", DEPTHS)
def test_holds_its_depth_and_no_more(depth):
    check_capacity(fifo, depth, 2 * depth)


def test_no_combinational_path():
    build_fifo(fifo, 4, StreamType(IntType(8), 5))
    assert combinational_inputs() == set()


@pytest.mark.parametrize("depth", [0, 1, 3, 12])
def test_depths_are_powers_of_two(depth):
    with pytest.raises(HardwareError, match=f"power of two from 2, not {depth}"):
        build_fifo(fifo, depth, StreamType(IntType(8), 5))


def pipeline(depth, latency, group):
    """A unit that reserves `group` beats when a group's first beat enters, and needs `latency` cycles for each."""

    def unit(stream, reset):
        accept = pyrtl.WireVector(1, "accept")
        position = pyrtl.Register(4, "position")
        last_position = position == group - 1
        position.next <<= pyrtl.select(
            reset, pyrtl.Const(0, 4), pyrtl.select(accept, pyrtl.select(last_position, 0, position + 1), position)
        )
        starts = position == 0
        buffer = credit_fifo(
            "buffer",
            stream.type,
            depth,
            push=named(delayed_flag(accept, latency, "push", reset), "push"),
            data=delayed(stream.data, latency, "data"),
            last=delayed(stream.last, latency, "last"),
            reserved=pyrtl.select(accept & starts, pyrtl.Const(group), pyrtl.Const(0, pyrtl.Const(group).bitwidth)),
            reset=reset,
        )
        allowed = named(~starts | buffer.room_for(group), "allowed")
        stream.accept(allowed)
        accept <<= stream.valid & allowed
        return buffer.output

    stream_type = StreamType(IntType(8), 4 * group)
    return build_between(stream_type, stream_type, unit)


@settings(max_examples=40, deadline=None)
@given(
    depth=st.sampled_from([*DEPTHS, 2 * DEEPEST_DIRECT]),
    latency=st.integers(0, 9),
    group=st.integers(1, 2),
    stall=st.sampled_from([0.0, 0.3, 0.8]),
    resets=st.lists(st.integers(1, 60), max_size=2),
    seed=st.integers(0, 2**16),
)
def test_reserved_room_is_never_overrun(depth, latency, group, stall, resets, seed):
    source, sink = pipeline(depth, latency, group)
    inputs = np.random.default_rng(seed).integers(-128, 128, (5, source.type.size))
    run = run_checked(inputs, source, sink, stall=stall, seed=seed, resets=tuple(resets))
    np.testing.assert_array_equal(run.tensors, inputs)


@pytest.mark.parametrize("latency", [0, 1, 5])
@pytest.mark.parametrize("depth", [2, 8])
def test_a_blocked_consumer_fills_it_exactly(depth, latency):
    """Held beats and beats on their way never exceed the depth, and all of it is used."""
    pipeline(depth, latency, 1)
    simulation, accepted = pyrtl.FastSimulation(tracer=None), 0
    for _ in range(4 * depth + latency):
        simulation.step({"source_data": 1, "source_valid": 1, "source_last": 0, "sink_ready": 0, "reset": 0})
        accepted += simulation.inspect("source_ready")
        credit_count, held = simulation.inspect("buffer_credits"), simulation.inspect("buffer_count")
        assert credit_count + accepted - simulation.inspect("source_ready") == depth
        assert held <= depth
    assert accepted == depth == simulation.inspect("buffer_count")
    simulation.step({"source_data": 1, "source_valid": 1, "source_last": 0, "sink_ready": 0, "reset": 1})
    simulation.step({"source_data": 1, "source_valid": 0, "source_last": 0, "sink_ready": 0, "reset": 0})
    assert (simulation.inspect("buffer_credits"), simulation.inspect("buffer_count")) == (depth, 0)


def test_a_deep_one_holds_two_more_in_registers():
    depth, accepted = 2 * DEEPEST_DIRECT, 0
    pipeline(depth, 3, 1)
    simulation = pyrtl.FastSimulation(tracer=None)
    for _ in range(4 * depth):
        simulation.step({"source_data": 1, "source_valid": 1, "source_last": 0, "sink_ready": 0, "reset": 0})
        accepted += simulation.inspect("source_ready")
    assert accepted == depth + 2
    assert simulation.inspect("buffer_count") == depth


@pytest.mark.parametrize("latency", [1, 4, 6, 27, 30, 31, 61, 62])
def test_full_throughput_where_the_depth_covers_the_latency(latency):
    """A credit returns the cycle after its beat leaves: latency, the FIFO's own cycles, and that one."""
    depth = credit_depth(lambda cycles: latency + cycles)
    source, sink = pipeline(depth, latency, 1)
    inputs = np.random.default_rng(0).integers(-128, 128, (8, source.type.size))
    assert run_checked(inputs, source, sink).interval == source.type.beats


def test_more_than_the_depth_can_never_be_reserved():
    with pytest.raises(HardwareError, match="5 beats can never be reserved"):
        pipeline(4, 1, 5)
