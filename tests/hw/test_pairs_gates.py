"""Sums of tables and rescaled products after synthesis: no slice, and one slice a lane, exact in every cycle."""

from pathlib import Path

import numpy as np
import pyrtl
import pytest
from gate_stream import synthesized_stream

from bitloom.arith import Interval, IntType
from bitloom.hw.join import constant_terms, join, lookup_terms
from bitloom.hw.pairs import PRODUCT_LATENCY, SUM_LATENCY, ProductNumbers, clamped_sums, rescaled_products
from bitloom.hw.stream import Stream, StreamType

INT8, UINT8, PAIR = IntType(8), IntType(8, signed=False), IntType(16, signed=False)


def ports(row: int) -> tuple[Stream, Stream, pyrtl.WireVector]:
    """Pairs in, the first in the lower half; results out."""
    pyrtl.reset_working_block()
    source = Stream.input_ports("source", StreamType(PAIR, row))
    sink = Stream.output_ports("sink", StreamType(INT8, row))
    return source, sink, pyrtl.Input(1, "reset")


def random_pairs(tensors: int, row: int) -> tuple[np.ndarray, np.ndarray]:
    """Bit patterns, ends among them."""
    rng = np.random.default_rng(3)
    x, y = rng.integers(0, 256, (2, tensors, row))
    x[0, :4], y[0, :4] = [0, 255, 128, 127], [127, 128, 255, 0]
    return x, y


def signed(pattern: np.ndarray) -> np.ndarray:
    return np.where(pattern > 127, pattern - 256, pattern)


def test_sums_of_tables(tmp_path: Path) -> None:
    source, sink, reset = ports(16)
    rng = np.random.default_rng(2)
    left, right = rng.integers(-20_000, 20_000, 256), rng.integers(-9000, 9000, 256)

    def compute(data, taken):
        ones = lookup_terms("left", data[0][:8], INT8, left, 16)
        return clamped_sums(
            "sum", ones, lookup_terms("right", data[0][8:], INT8, right, 15), 7, Interval(-128, 90), INT8
        )

    join("add", [source], sink.type, SUM_LATENCY, compute, reset).feed(sink)
    x, y = random_pairs(12, 16)
    gates, tensors = synthesized_stream(x | y << 8, source, sink, tmp_path)
    expected = np.clip((left[signed(x) + 128] + right[signed(y) + 128]) >> 7, -128, 90)
    np.testing.assert_array_equal(tensors, expected)
    assert gates.cells["DSP48E1"] == 0


@pytest.mark.parametrize(
    ("element", "zero", "least", "straight", "by_position"),
    [
        (INT8, 5, 0, None, False),
        (INT8, -128, 1 << 16, None, False),
        (UINT8, 0, 0, 70_001, False),
        (INT8, 127, 0, 99_999, True),
        (UINT8, 130, 1 << 16, None, True),
    ],
)
def test_products(
    tmp_path: Path, element: IntType, zero: int, least: int, straight: int | None, by_position: bool
) -> None:
    """Weights that use all their bits, some only with the top one set, from a table or by position."""
    numbers = ProductNumbers(element, zero, 17, straight, 1 << 16, 70_000, 17, -7, Interval(-100, 127), INT8)
    source, sink, reset = ports(16)
    words = np.random.default_rng(4).integers(least, 1 << 17, 256) | np.arange(256) // 5 % 2 << 17

    def compute(data, taken):
        if by_position:
            weights = constant_terms("w", words[:16, None], 18, taken, reset)
        else:
            weights = lookup_terms("w", data[0][8:], UINT8, words, 18)
        return rescaled_products("product", [data[0][:8]], weights, numbers)

    join("mul", [source], sink.type, PRODUCT_LATENCY, compute, reset).feed(sink)
    x, y = random_pairs(12, 16)
    gates, tensors = synthesized_stream(x | y << 8, source, sink, tmp_path)
    difference = (signed(x) if element.signed else x) - zero
    word = words[np.arange(16)] if by_position else words[y]
    weights, minus = word & ((1 << 17) - 1), word >> 17 == 1
    if straight is None:
        negative = (difference < 0) ^ minus
    else:
        weights, negative = np.where(difference < 0, weights, straight), (difference < 0) & ~minus
    steps = (np.abs(difference) * weights + np.where(negative, 70_000, 1 << 16)) >> 17
    np.testing.assert_array_equal(tensors, np.clip(-7 + np.where(negative, -steps, steps), -100, 127))
    assert gates.cells["DSP48E1"] == 1
