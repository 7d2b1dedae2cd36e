"""The sliding window, some or all taps a beat: under stalls and resets, its promised beats, cycles and memory."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stream_checks import build_between, combinational_inputs, run_checked
from window_checks import CASES, INT8, PAD, SAME, Pins, build, images, shapes

from bitloom.arith import IntType
from bitloom.errors import HardwareError
from bitloom.hw.stream import StreamType
from bitloom.hw.window import Taps, WindowShape, window


def shapes_of(**limits):
    return st.sampled_from(Taps).flatmap(lambda taps: shapes(taps, **limits))


def check(shape, **options):
    given_images = images(shape, 3)
    run = run_checked(given_images, *build(shape), **options)
    np.testing.assert_array_equal(run.tensors, shape.windows(given_images, PAD))
    return run


@pytest.mark.parametrize("taps", Taps)
@pytest.mark.parametrize("shape", CASES.values(), ids=CASES.keys())
def test_shapes_of_every_kind(shape, taps):
    shape = replace(shape, taps=taps)
    check(shape, stall=0.3)
    assert check(shape).interval == max(shape.cycles, shape.image_words)


def test_a_window_a_cycle():
    """Every column under an output row is read once: two more than windows."""
    shape = WindowShape(6, 16, 2, (3, 3), padding=(1, 1, 1, 1), lanes=2, taps=Taps.ALL)
    assert (shape.beats, shape.cycles) == (6 * 16, 6 * 18)
    assert check(shape).interval == 6 * 18


def test_cycles_are_beats_where_every_read_is_one():
    for taps in (Taps.ONE, Taps.COLUMN):
        for shape in CASES.values():
            shape = replace(shape, taps=taps)
            assert shape.cycles == shape.beats == shape.output_type(INT8).beats


def test_the_reference_counts_by_hand():
    shape = WindowShape(2, 3, 4, (2, 2), (1, 2), padding=(1, 0, 0, 1), block=2, lanes=1, repeats=2)
    image, seen = np.arange(24).reshape(2, 3, 4), []
    for y in range(2):
        for x in (0, 2):
            for block in range(2):
                for _ in range(2):
                    for row in (y - 1, y):
                        for column in (x, x + 1):
                            inside = row >= 0 and column < 3
                            seen += list(image[row, column, 2 * block : 2 * block + 2]) if inside else [PAD, PAD]
    assert shape.windows(image, PAD).tolist() == [seen]
    assert shape.order().tolist() == list(range(8))


@settings(max_examples=60, deadline=None)
@given(
    shape=shapes_of(),
    stall=st.sampled_from([0.0, 0.3, 0.8]),
    resets=st.lists(st.integers(1, 80), max_size=3),
    seed=st.integers(0, 2**16),
)
def test_any_shape_with_stalls_and_resets(shape, stall, resets, seed):
    check(shape, stall=stall, seed=seed, resets=tuple(resets))


@settings(max_examples=40, deadline=None)
@given(shape=shapes_of(most_padding=0))
def test_no_cycle_more_than_the_busier_side(shape):
    """The first image comes a little later than those behind it, so that the mean can be below."""
    from_last_to_next = shape.height - (shape.out_height - 1) * shape.stride[0]
    more = shape.row_words if from_last_to_next < shape.stride[0] else 0
    assert check(shape).interval <= max(shape.cycles, shape.image_words) + more


@settings(max_examples=30, deadline=None)
@given(shape=shapes_of(largest=5), where=st.floats(0, 1))
def test_a_withheld_input_shows_which_beats_need_it(shape, where):
    """Of the second image too: what the first one leaves behind changes nothing."""
    build(shape)
    pins, needed = Pins(), shape.needed_beats()
    for image in range(2):
        given_beats = image * shape.image_words + round(where * (shape.image_words - 1))
        pins.run(2 * (shape.cycles + shape.image_words) + 20, left=given_beats, wants=(image + 1) * shape.beats)
        expected = np.searchsorted(needed, given_beats - image * shape.image_words, side="right")
        assert pins.given == image * shape.beats + expected


@settings(max_examples=30, deadline=None)
@given(shape=shapes_of(largest=5), where=st.floats(0, 1))
def test_a_withheld_consumer_shows_how_many_beats_are_accepted(shape, where):
    build(shape)
    pins, wants = Pins(), round(where * shape.beats)
    pins.run(2 * (shape.cycles + shape.image_words + shape.capacity) + 20, left=10**6, wants=wants)
    assert pins.given == wants
    assert pins.taken == shape.accepted_beats()[wants]


@pytest.mark.parametrize(("taps", "cycles"), [(Taps.ONE, [0, 1, 4, 5]), (Taps.COLUMN, [4, 5, 6, 7]), (Taps.ALL, [5])])
def test_the_latency_from_the_needed_beat_to_the_offered_one(taps, cycles):
    """The first window's last two taps are the fifth and the sixth beat, taken in cycles 4 and 5."""
    shape = WindowShape(4, 4, 1, (2, 2), taps=taps)
    build(shape)
    pins, seen = Pins(), []
    for cycle in range(60):
        before = pins.given
        pins.run(1, left=100, wants=100)
        if pins.given > before:
            seen.append(cycle)
    assert seen[: len(cycles)] == [cycle + shape.latency for cycle in cycles]


@pytest.mark.parametrize("taps", Taps)
def test_no_combinational_path(taps):
    build(replace(SAME, taps=taps))
    assert combinational_inputs() == set()


@pytest.mark.parametrize("element", [IntType(1, signed=False), IntType(4), IntType(8, signed=False), IntType(16)])
def test_any_element(element):
    shape = WindowShape(3, 3, 2, (2, 2), padding=(1, 1, 1, 1), lanes=2)
    value = element.maximum
    source, sink = build_between(
        shape.input_type(element), shape.output_type(element), lambda s, reset: window("window", s, shape, value, reset)
    )
    given_images = np.random.default_rng(0).integers(element.minimum, element.maximum, (2, 18), endpoint=True)
    run = run_checked(given_images, source, sink, stall=0.2)
    np.testing.assert_array_equal(run.tensors, shape.windows(given_images, value))


def test_memory_is_the_span_and_a_stride():
    assert WindowShape(32, 32, 16, (3, 3), padding=(1, 1, 1, 1), lanes=4).depth == 4 * 32 * 4
    assert WindowShape(96, 96, 3, (3, 3), (2, 2), padding=(0, 1, 0, 1)).depth == 2048
    assert WindowShape(1, 16000, 1, (1, 5)).depth == 16
    assert WindowShape(32, 32, 16, (3, 3), padding=(1, 1, 1, 1), lanes=4).memory_bits(INT8) == 512 * 32


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"kernel": (9, 3)}, "does not fit"),
        ({"stride": (0, 1)}, "size below 1"),
        ({"lanes": 3}, "do not divide"),
        ({"block": 3}, "do not divide"),
        ({"kernel": (1, 1), "stride": (99, 1), "padding": (1, 0, 0, 0)}, "every tap is padding"),
    ],
)
def test_shapes_that_make_no_sense(wrong, message):
    with pytest.raises(HardwareError, match=message):
        WindowShape(**{"height": 8, "width": 8, "channels": 4, "kernel": (3, 3), **wrong})


def test_what_does_not_fit_the_stream():
    with pytest.raises(HardwareError, match="padding with 128, which is no int8"):
        build_between(
            SAME.input_type(INT8), SAME.output_type(INT8), lambda s, reset: window("window", s, SAME, 128, reset)
        )
    with pytest.raises(HardwareError, match="the window takes 64x4 int8, 2 a beat, not 1x5 int8, 1 a beat"):
        build_between(StreamType(INT8, 5), SAME.output_type(INT8), lambda s, reset: window("window", s, SAME, 0, reset))


def test_orders_are_permutations():
    for taps in Taps:
        shape = WindowShape(5, 5, 8, (3, 2), block=4, lanes=2, taps=taps)
        assert sorted(shape.order().tolist()) == list(range(24))
    assert WindowShape(5, 5, 4, (2, 2), lanes=2, taps=Taps.COLUMN).order().tolist()[:6] == [0, 1, 8, 9, 2, 3]
    assert WindowShape(5, 5, 4, (2, 2), lanes=2, taps=Taps.ALL).order().tolist()[:8] == [0, 1, 4, 5, 8, 9, 12, 13]
