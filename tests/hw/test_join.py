"""Joins of streams that stall each in its own way, and the pipelines of pairs against their definitions."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyrtl
import pytest
from stream_checks import HoldsStill, combinational_inputs, run_checked

from bitloom.arith import Interval, IntType
from bitloom.hw.join import constant_terms, hold, join, join_latency, lookup_terms, period
from bitloom.hw.pairs import PRODUCT_LATENCY, SUM_LATENCY, ProductNumbers, clamped_sums, rescaled_products
from bitloom.hw.simulate import from_beats, to_beats
from bitloom.hw.stream import Stream, StreamType

INT8 = IntType(8)


@dataclass(frozen=True)
class PairRun:
    """What came out of a join of x and y, and when."""

    tensors: np.ndarray
    taken: tuple[list[int], list[int]]
    given: list[int]


def run_pair(
    x: np.ndarray, y: np.ndarray, sources: Sequence[Stream], sink: Stream, stalls: Sequence[float], seed: int = 0
) -> PairRun:
    """Send tensors of two operands, each with pauses of its own, as the consumer has."""
    beats = [
        [beat for tensor in tensors for beat in to_beats(tensor, source.type)]
        for tensors, source in zip((x, y), sources, strict=True)
    ]
    random, simulation = np.random.default_rng(seed), HoldsStill()
    positions, offered = [0, 0], [False, False]
    taken: tuple[list[int], list[int]] = ([], [])
    given, words = [], []
    for cycle in range(20_000):
        pauses = random.random(3) < stalls
        inputs = {"sink_ready": int(not pauses[2]), "reset": 0}
        valid = [positions[i] < len(beats[i]) and bool(offered[i] or not pauses[i]) for i in (0, 1)]
        for i, source in enumerate(sources):
            inputs[f"{source.name}_valid"] = int(valid[i])
            inputs[f"{source.name}_data"] = beats[i][positions[i]] if valid[i] else 0
            inputs[f"{source.name}_last"] = int((positions[i] + 1) % source.type.beats == 0 and valid[i])
        simulation.step(inputs)
        for i, source in enumerate(sources):
            if valid[i] and simulation.inspect(f"{source.name}_ready"):
                positions[i] += 1
                taken[i].append(cycle)
                offered[i] = False
            else:
                offered[i] = valid[i]
        if inputs["sink_ready"] and simulation.inspect("sink_valid"):
            words.append(simulation.inspect("sink_data"))
            given.append(cycle)
            assert simulation.inspect("sink_last") == (len(words) % sink.type.beats == 0)
        if len(words) == len(x) * sink.type.beats:
            break
    size = sink.type.beats
    tensors = [from_beats(words[start : start + size], sink.type) for start in range(0, len(words), size)]
    return PairRun(np.array(tensors), taken, given)


def sum_of_tables(lanes: int, row: int, rows: int) -> tuple[list[Stream], Stream, np.ndarray, np.ndarray]:
    """A join that adds random table entries."""
    pyrtl.reset_working_block()
    rng = np.random.default_rng(lanes)
    left, right = rng.integers(-3000, 3000, 256), rng.integers(-900, 900, 256)
    kind = StreamType(INT8, row, rows, lanes)
    sources, sink = [Stream.input_ports(name, kind) for name in ("x", "y")], Stream.output_ports("sink", kind)
    reset = pyrtl.Input(1, "reset")

    def compute(data, taken):
        ones, others = lookup_terms("left", data[0], INT8, left, 13), lookup_terms("right", data[1], INT8, right, 11)
        return clamped_sums("sum", ones, others, 4, Interval(-128, 120), INT8)

    join("add", sources, kind, SUM_LATENCY, compute, reset).feed(sink)
    return sources, sink, left, right


@pytest.mark.parametrize(("lanes", "row", "rows"), [(1, 7, 3), (4, 8, 2), (4, 6, 3)])
@pytest.mark.parametrize("stalls", [(0, 0, 0), (0.5, 0, 0), (0, 0.5, 0), (0, 0, 0.5), (0.4, 0.7, 0.3)])
def test_streams_that_stall_each_for_itself(lanes: int, row: int, rows: int, stalls: tuple[float, ...]) -> None:
    sources, sink, left, right = sum_of_tables(lanes, row, rows)
    rng = np.random.default_rng(5)
    x, y = rng.integers(-128, 128, (4, row * rows)), rng.integers(-128, 128, (4, row * rows))
    run = run_pair(x, y, sources, sink, stalls)
    expected = np.clip((left[x + 128] + right[y + 128]) >> 4, -128, 120)
    np.testing.assert_array_equal(run.tensors, expected)
    if not any(stalls):
        assert run.given[0] - run.taken[0][0] == join_latency(2, SUM_LATENCY)
        assert np.diff(run.given).tolist() == [1] * (len(run.given) - 1)


def test_no_way_from_an_input_to_an_output() -> None:
    sum_of_tables(2, 4, 1)
    assert combinational_inputs() == set()


def test_constants_come_with_their_beats_after_a_reset_too() -> None:
    pyrtl.reset_working_block()
    kind = StreamType(INT8, 6, 2, 4)
    source, sink = Stream.input_ports("source", kind), Stream.output_ports("sink", kind)
    reset = pyrtl.Input(1, "reset")
    values = np.array([[1, 2, 3, 4], [5, 6, 6, 6]] * 2)

    def compute(data, taken):
        identity = lookup_terms("x", data[0], INT8, np.arange(-128, 128), 8)
        return clamped_sums("sum", identity, constant_terms("c", values, 5, taken, reset), 0, Interval(-128, 127), INT8)

    join("add", [source], kind, SUM_LATENCY, compute, reset).feed(sink)
    inputs = np.random.default_rng(1).integers(-128, 128, (3, 12))
    expected = np.clip(inputs + np.tile([1, 2, 3, 4, 5, 6], 2), -128, 127)
    for stall in (0.0, 0.4):
        run = run_checked(inputs, source, sink, stall=stall, resets=(7, 20) if stall else ())
        np.testing.assert_array_equal(run.tensors, expected)
    assert combinational_inputs() == set()


def test_elements_are_held() -> None:
    pyrtl.reset_working_block()
    source = Stream.input_ports("source", StreamType(INT8, 1, 3))
    sink = Stream.output_ports("sink", StreamType(INT8, 5, 3, 2))
    hold("hold", source, sink.type, 3, pyrtl.Input(1, "reset")).feed(sink)
    run = run_checked(np.array([[1, -2, 3], [4, 5, -6]]), source, sink, stall=0.3)
    np.testing.assert_array_equal(run.tensors, np.repeat([[1, -2, 3], [4, 5, -6]], 5, axis=1))


@pytest.mark.parametrize(("rows", "expected"), [([[3]], 1), ([[3], [3]], 1), ([[1], [2], [1]], 3), ([[1], [2]] * 3, 2)])
def test_period(rows: list[list[int]], expected: int) -> None:
    assert period(np.array(rows)) == expected


@pytest.mark.parametrize("element", [INT8, IntType(8, signed=False)], ids=str)
@pytest.mark.parametrize("zero_point", ["lowest", "middle", "highest"])
@pytest.mark.parametrize("straight", [None, 37])
def test_every_product(element: IntType, zero_point: str, straight: int | None) -> None:
    """All elements with every weight and sign, beats back to back."""
    zero = {"lowest": element.minimum, "middle": element.minimum + 120, "highest": element.maximum}[zero_point]
    numbers = ProductNumbers(element, zero, 6, straight, 19, 12, 5, -7, Interval(-100, 127), INT8)
    pyrtl.reset_working_block()
    kind = StreamType(element, 256)
    source, sink = Stream.input_ports("source", kind), Stream.output_ports("sink", StreamType(INT8, 256))
    weights, signs = np.arange(256) * 41 % 64, np.arange(256) // 3 % 2
    reset = pyrtl.Input(1, "reset")

    def compute(data, taken):
        words = constant_terms("w", (weights | signs << 6)[:, None], 7, taken, reset)
        return rescaled_products("product", [data[0]], words, numbers)

    join("mul", [source], sink.type, PRODUCT_LATENCY, compute, reset).feed(sink)
    every = np.arange(element.minimum, element.maximum + 1)
    inputs = np.stack([np.roll(every, shift) for shift in (0, 51, 102, 153)])
    run = run_checked(inputs, source, sink, stall=0.1)
    difference = inputs - zero
    chosen = np.where((difference < 0) | (straight is None), weights, straight or 0)
    negative = (difference < 0) & (signs == 0) if straight is not None else (difference < 0) ^ (signs == 1)
    steps = (np.abs(difference) * chosen + np.where(negative, 12, 19)) >> 5
    np.testing.assert_array_equal(run.tensors, np.clip(-7 + np.where(negative, -steps, steps), -100, 127))
