"""Streams that keep their order: what is kept, inserted and joined, under stalls and resets, without a lost cycle."""

from __future__ import annotations

import itertools

import numpy as np
import pyrtl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stream_checks import build_between, combinational_inputs, run_checked

from bitloom.arith import IntType
from bitloom.errors import HardwareError
from bitloom.hw.simulate import to_beats
from bitloom.hw.slice import LATENCY, Axis, concatenate, constant_stream, insert, keep
from bitloom.hw.stream import Stream, StreamType

INT8 = IntType(8)


def positions(axes):
    """The chosen beats of a walk, by NumPy."""
    shape = [axis.length for axis in axes]
    beats = np.arange(int(np.prod(shape))).reshape(shape)
    return beats[np.ix_(*[list(axis.chosen) for axis in axes])].reshape(-1)


def types(axes, lanes):
    walked, chosen = (int(np.prod(sizes)) for sizes in zip(*[(a.length, len(a.chosen)) for a in axes], strict=True))
    return StreamType(INT8, walked * lanes, 1, lanes), StreamType(INT8, chosen * lanes, 1, lanes)


@st.composite
def axis(draw):
    length = draw(st.integers(1, 7))
    if draw(st.booleans()):
        start = draw(st.integers(0, length - 1))
        return Axis(length, range(start, draw(st.integers(start + 1, length)), draw(st.integers(1, 4))))
    return Axis(length, tuple(sorted(draw(st.sets(st.integers(0, length - 1), min_size=1)))))


WALKS = st.lists(axis(), min_size=1, max_size=3)
RUNS = {
    "stall": st.sampled_from([0.0, 0.3, 0.8]),
    "resets": st.lists(st.integers(1, 60), max_size=2),
    "seed": st.integers(0, 2**16),
}


def check_keep(axes, lanes=1, **options):
    source, sink = types(axes, lanes)
    ports = build_between(source, sink, lambda s, reset: keep("keep", s, axes, sink, reset))
    assert not combinational_inputs()
    inputs = np.random.default_rng(len(axes)).integers(-128, 128, (4, source.size))
    run = run_checked(inputs, *ports, **options)
    expected = inputs.reshape(4, -1, lanes)[:, positions(axes)].reshape(4, -1)
    np.testing.assert_array_equal(run.tensors, expected)
    return run


def check_insert(axes, lanes=1, constant=-3, **options):
    sink, source = types(axes, lanes)
    ports = build_between(source, sink, lambda s, reset: insert("pad", s, axes, constant, sink, reset))
    assert not combinational_inputs()
    inputs = np.random.default_rng(len(axes)).integers(-128, 128, (4, source.size))
    run = run_checked(inputs, *ports, **options)
    expected = np.full((4, sink.beats, lanes), constant)
    expected[:, positions(axes)] = inputs.reshape(4, -1, lanes)
    np.testing.assert_array_equal(run.tensors, expected.reshape(4, -1))
    return run


@settings(max_examples=60, deadline=None)
@given(axes=WALKS, lanes=st.integers(1, 3), resets=RUNS["resets"], stall=RUNS["stall"], seed=RUNS["seed"])
def test_any_walk_keeps_what_is_chosen(axes, lanes, **options):
    check_keep(axes, lanes, **options)


@settings(max_examples=60, deadline=None)
@given(axes=WALKS, lanes=st.integers(1, 3), resets=RUNS["resets"], stall=RUNS["stall"], seed=RUNS["seed"])
def test_any_walk_is_filled_with_the_constant(axes, lanes, **options):
    check_insert(axes, lanes, **options)


@pytest.mark.parametrize(
    "axes", [[Axis(5, range(1, 3)), Axis(4, range(0, 4, 3))], [Axis(7, (0, 1, 5))], [Axis(1, (0,))]]
)
def test_a_beat_in_every_cycle(axes):
    walked = int(np.prod([a.length for a in axes]))
    assert check_keep(axes).interval == walked
    assert check_insert(axes).interval == walked


def test_what_was_kept_last_leaves_a_cycle_later():
    run = check_keep([Axis(6, range(1, 4))])
    assert run.last_beats[0] - run.first_beats[0] == 3 + LATENCY


@pytest.mark.parametrize("chosen", [(), (2, 1), (-1, 2), (0, 6), (1, 1)])
def test_axes_that_make_no_sense(chosen):
    with pytest.raises(HardwareError, match="no ascending positions of an axis of 6"):
        Axis(6, chosen)


def test_streams_that_do_not_fit():
    pyrtl.reset_working_block()
    source = Stream.declare("source", StreamType(INT8, 6))
    reset = pyrtl.Input(1, "reset")
    with pytest.raises(HardwareError, match="a walk of 6 beats, 2 of them chosen"):
        keep("keep", source, [Axis(6, range(2))], StreamType(INT8, 3), reset)
    with pytest.raises(HardwareError, match="cannot leave as"):
        keep("keep", source, [Axis(6, range(2))], StreamType(INT8, 2, 1, 2), reset)
    with pytest.raises(HardwareError, match="the constant 200 is no int8"):
        insert("pad", source, [Axis(8, range(6))], 200, StreamType(INT8, 8), reset)
    with pytest.raises(HardwareError, match=r"\[2, 1\] beats in turn"):
        concatenate("join", [source, source], [2, 1], StreamType(INT8, 12), reset)


def build_joined(turns, parts, lanes):
    """Streams split off one input by slices of its wide beats, all but the last; the last is constant."""
    count = len(parts)
    pyrtl.reset_working_block()
    reset = pyrtl.Input(1, "reset")
    sources = [
        Stream.input_ports(f"in{k}", StreamType(INT8, turns * part * lanes, 1, lanes)) for k, part in enumerate(parts)
    ]
    output = StreamType(INT8, turns * sum(parts) * lanes, 1, lanes)
    sink = Stream.output_ports("sink", output)
    concatenate("join", sources, parts, output, reset).feed(sink)
    assert not combinational_inputs()
    return sources, sink, count


def run_joined(sources, sink, tensors, stall, seed):
    """Every source stalls for itself; beats of the result and the cycles they took."""
    rng, simulation = np.random.default_rng(seed), pyrtl.FastSimulation(tracer=None)
    queues = [
        [word for tensor in given for word in to_beats(tensor, s.type)]
        for given, s in zip(tensors, sources, strict=True)
    ]
    offered = [False] * len(sources)
    wanted, seen, cycles = len(tensors[0]) * sink.type.beats, [], 0
    while len(seen) < wanted:
        assert cycles < 100_000
        offered = [bool(q) and (o or rng.random() >= stall) for q, o in zip(queues, offered, strict=True)]
        ready = rng.random() >= stall
        step = {"reset": 0, "sink_ready": int(ready)}
        for source, queue, valid in zip(sources, queues, offered, strict=True):
            step |= {
                f"{source.name}_data": queue[0] if valid else 0,
                f"{source.name}_valid": int(valid),
                f"{source.name}_last": 0,
            }
        simulation.step(step)
        for k, source in enumerate(sources):
            if offered[k] and simulation.inspect(f"{source.name}_ready"):
                queues[k].pop(0)
                offered[k] = False
        if ready and simulation.inspect("sink_valid"):
            seen.append(simulation.inspect("sink_data"))
            assert simulation.inspect("sink_last") == (len(seen) % sink.type.beats == 0)
        cycles += 1
    return seen, cycles


@pytest.mark.parametrize("stall", [0.0, 0.4])
@pytest.mark.parametrize("parts", [(1, 1), (2, 1), (3, 5, 1), (4, 4), (1, 2, 3, 4, 5)])
@pytest.mark.parametrize("turns", [1, 3])
def test_streams_take_turns(turns, parts, stall):
    lanes, count = 2, 3
    sources, sink, _ = build_joined(turns, parts, lanes)
    rng = np.random.default_rng(len(parts))
    tensors = [rng.integers(-128, 128, (count, turns, part * lanes)) for part in parts]
    seen, cycles = run_joined(sources, sink, tensors, stall, seed=turns)
    expected = [word for tensor in np.concatenate(tensors, axis=2) for word in to_beats(tensor, sink.type)]
    assert seen == expected
    assert stall or cycles == len(expected) + LATENCY


@pytest.mark.parametrize("stall", [0.0, 0.5])
def test_a_constant_takes_its_turn(stall):
    output = StreamType(INT8, 9, 2, 1)

    def unit(stream, reset):
        words = [k & 255 for k in range(-2, 4)]
        numbers = constant_stream("numbers", words, StreamType(INT8, 3, 2), reset)
        return concatenate("join", [stream, numbers], [6, 3], output, reset)

    ports = build_between(StreamType(INT8, 6, 2), output, unit)
    inputs = np.random.default_rng(0).integers(-128, 128, (5, 2, 6))
    constant = np.broadcast_to(np.arange(-2, 4).reshape(2, 3), (5, 2, 3))
    for resets in itertools.chain([()], [(cycle,) for cycle in range(1, 12)]):
        run = run_checked(inputs, *ports, stall=stall, resets=resets)
        np.testing.assert_array_equal(run.tensors, np.concatenate([inputs, constant], axis=2).reshape(5, -1))
        assert stall or run.interval == 18


@pytest.mark.parametrize("unit", ["insert", "concatenate"])
def test_nothing_leaves_before_a_tensor_arrives(unit):
    def pad(stream, reset):
        return insert("unit", stream, [Axis(6, range(4, 6))], 1, StreamType(INT8, 6), reset)

    def join(stream, reset):
        numbers = constant_stream("numbers", [1, 2, 3, 4], StreamType(INT8, 4), reset)
        return concatenate("unit", [numbers, stream], [4, 2], StreamType(INT8, 6), reset, starter=1)

    build_between(StreamType(INT8, 2), StreamType(INT8, 6), pad if unit == "insert" else join)
    simulation = pyrtl.FastSimulation(tracer=None)
    seen = []
    for cycle in range(40):
        step = {"reset": 0, "source_data": 0, "source_valid": int(cycle >= 20), "source_last": 0, "sink_ready": 1}
        simulation.step(step)
        seen.append(simulation.inspect("sink_valid"))
    assert seen == [0] * (20 + LATENCY) + [1] * (20 - LATENCY)


def test_a_constant_has_as_many_words_as_beats():
    pyrtl.reset_working_block()
    with pytest.raises(HardwareError, match="2 words are no tensor of 3 beats"):
        constant_stream("numbers", [1, 2], StreamType(INT8, 3), pyrtl.Input(1, "reset"))
