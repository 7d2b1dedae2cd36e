"""The replay buffer: every vector as often as asked, in order, while the next one arrives."""

from __future__ import annotations

import numpy as np
import pyrtl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitloom.arith import IntType
from bitloom.hw.registers import connect
from bitloom.hw.replay import replay
from bitloom.hw.simulate import to_beats
from bitloom.hw.stream import Stream, StreamType


def build(stream_type, passes):
    """The buffer, read in every cycle in which ``wanted`` is high and a beat is available."""
    pyrtl.reset_working_block()
    source, read = Stream.input_ports("source", stream_type), pyrtl.WireVector(1, "read")
    vector = replay("vector", source, passes, read, pyrtl.Input(1, "reset"))
    read <<= vector.available & pyrtl.Input(1, "wanted")
    connect(pyrtl.Output(stream_type.bits, "word"), vector.word)
    connect(pyrtl.Output(1, "reads"), read)


def run(beats, count, stall, seed, resets=()):
    """The words read, and the cycle of each read; a reset starts everything over."""
    simulation, random = pyrtl.FastSimulation(tracer=None), np.random.default_rng(seed)
    position, offered, reading, words, cycles = 0, False, False, [], []
    for cycle in range(5000):
        offered = position < len(beats) and (offered or random.random() >= stall)
        step = {"source_data": beats[position] if offered else 0, "source_valid": int(offered), "source_last": 0}
        in_reset = cycle in resets
        simulation.step({**step, "wanted": int(random.random() >= stall), "reset": int(in_reset)})
        if reading:
            words.append(simulation.inspect("word"))
        if len(words) == count and not any(reset >= cycle for reset in resets):
            return words, cycles
        reading = bool(simulation.inspect("reads"))
        if reading:
            cycles.append(cycle)
        if offered and simulation.inspect("source_ready"):
            position, offered = position + 1, False
        if in_reset:
            position, offered, reading, words, cycles = 0, False, False, [], []
    raise AssertionError(f"{len(words)} of {count} words")


def vectors_of(stream_type, count, seed):
    element = stream_type.element
    random = np.random.default_rng(seed)
    return random.integers(element.minimum, element.maximum, (count, stream_type.size), endpoint=True)


def wanted(vectors, stream_type, passes):
    """Each row's beats `passes` times."""
    words = []
    for vector in vectors:
        beats = to_beats(vector, stream_type)
        for start in range(0, len(beats), stream_type.row_beats):
            words += beats[start : start + stream_type.row_beats] * passes
    return words


@settings(max_examples=50, deadline=None)
@given(
    row=st.integers(1, 9),
    rows=st.integers(1, 3),
    lanes=st.integers(1, 4),
    passes=st.integers(1, 5),
    stall=st.sampled_from([0.0, 0.3, 0.8]),
    resets=st.lists(st.integers(1, 50), max_size=2),
    seed=st.integers(0, 2**16),
)
def test_reads_every_vector_so_many_times(row, rows, lanes, passes, stall, resets, seed):
    stream_type = StreamType(IntType(5), row, rows, lanes)
    vectors = vectors_of(stream_type, 4, seed)
    expected = wanted(vectors, stream_type, passes)
    build(stream_type, passes)
    beats = [beat for vector in vectors for beat in to_beats(vector, stream_type)]
    words, _ = run(beats, len(expected), stall, seed, resets)
    assert words == expected


@pytest.mark.parametrize("passes", [1, 2, 5])
@pytest.mark.parametrize("beats", [1, 2, 5])
def test_reads_in_every_cycle_from_the_second(beats, passes):
    """The first pass follows right behind the first beat, and nothing pauses between vectors."""
    stream_type = StreamType(IntType(8), beats)
    vectors = vectors_of(stream_type, 6, 1)
    expected = wanted(vectors, stream_type, passes)
    build(stream_type, passes)
    words, cycles = run([beat for vector in vectors for beat in to_beats(vector, stream_type)], len(expected), 0.0, 0)
    assert words == expected
    assert cycles[: len(expected)] == list(range(1, 1 + len(expected)))
