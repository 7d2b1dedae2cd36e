"""Sums and products of any width: every pair of narrow types, random ones of wide types, as gates, and in Verilog."""

from __future__ import annotations

from fractions import Fraction
from math import ceil, floor
from pathlib import Path

import numpy as np
import pyrtl
import pytest
from gate_stream import synthesized_stream

from bitloom.arith import Interval, IntType, Rounding
from bitloom.arith.rescale import EXACT
from bitloom.errors import HardwareError
from bitloom.hw.exact_pairs import ExactProduct, ExactResult, ExactSum, finished
from bitloom.hw.fabric import XC7
from bitloom.hw.join import join
from bitloom.hw.registers import delayed
from bitloom.hw.simulate import simulate_stream
from bitloom.hw.stream import Stream, StreamType

ROUNDINGS = sorted(EXACT, key=str)
HALF = Fraction(1, 2)
ROUNDED = {
    Rounding.HALF_AWAY: lambda value: floor(value + HALF) if value >= 0 else ceil(value - HALF),
    Rounding.HALF_UP: lambda value: floor(value + HALF),
    Rounding.HALF_EVEN: round,
    Rounding.TRUNCATE: floor,
}


def ports(numbers: ExactSum | ExactProduct, row: int) -> tuple[Stream, Stream]:
    """Pairs in, the left one in the lower bits; results out."""
    pyrtl.reset_working_block()
    pair = IntType(numbers.left.bits + numbers.right.bits, signed=False)
    source = Stream.input_ports("source", StreamType(pair, row))
    sink = Stream.output_ports("sink", StreamType(numbers.result.output, row))

    def compute(data, taken):
        beat = delayed(data[0], 1, "pair")
        return numbers.compute("unit", [beat[: numbers.left.bits]], [beat[numbers.left.bits :]], XC7)

    join("exact", [source], sink.type, 1 + numbers.latency, compute, pyrtl.Input(1, "reset")).feed(sink)
    return source, sink


def patterns(numbers: ExactSum | ExactProduct, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    low = (1 << numbers.left.bits) - 1
    return (x & low) | ((y & ((1 << numbers.right.bits) - 1)) << numbers.left.bits)


def expected(numbers: ExactSum | ExactProduct, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    result = numbers.result
    if isinstance(numbers, ExactSum):
        totals = [
            int(a) * numbers.left_factor + int(b) * numbers.right_factor + numbers.constant
            for a, b in zip(x, y, strict=True)
        ]
    else:
        totals = [int(a) * int(b) * numbers.factor for a, b in zip(x, y, strict=True)]
    assert all(numbers.total.low <= total <= numbers.total.high for total in totals)
    rounded = [ROUNDED[result.rounding](Fraction(total, 2**result.shift)) + result.zero_point for total in totals]
    return np.clip(np.array(rounded, object), result.bounds.low, result.bounds.high).astype(np.int64)


def some(kind: IntType, count: int, seed: int) -> np.ndarray:
    values = np.random.default_rng(seed).integers(kind.minimum, kind.maximum, count, endpoint=True)
    values[:4] = [kind.minimum, kind.maximum, kind.maximum, kind.minimum]
    return values


def kind(text: str) -> IntType:
    return IntType.parse(text)


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize(
    ("left", "right", "factors", "shift"),
    [
        ("int4", "uint3", (1, 1), 1),
        ("uint4", "int4", (3, -5), 3),
        ("int3", "int4", (0, -1), 0),
        ("int4", "int4", (7, 2), 9),
    ],
)
def test_every_sum_of_narrow_types(left, right, factors, shift, rounding):
    result = ExactResult(shift, rounding, 1, Interval(-6, 7), kind("int4"))
    numbers = ExactSum(kind(left), kind(right), *factors, -3, result)
    assert_every_pair(numbers)


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize(
    ("left", "right", "factor", "shift"),
    [
        ("int4", "uint3", 1, 1),
        ("uint4", "int4", 5, 4),
        ("int1", "int1", 1, 1),
        ("uint3", "uint3", 3, 0),
        ("int4", "int4", 1, 9),
    ],
)
def test_every_product_of_narrow_types(left, right, factor, shift, rounding):
    result = ExactResult(shift, rounding, -1, Interval(-8, 6), kind("int4"))
    assert_every_pair(ExactProduct(kind(left), kind(right), factor, result))


def assert_every_pair(numbers: ExactSum | ExactProduct) -> None:
    axes = (np.arange(each.minimum, each.maximum + 1) for each in (numbers.left, numbers.right))
    x, y = (each.reshape(-1) for each in np.meshgrid(*axes))
    source, sink = ports(numbers, len(x))
    found = simulate_stream([patterns(numbers, x, y)], source, sink).tensors
    assert np.array_equal(found.reshape(-1), expected(numbers, x, y))


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize(("left", "right"), [("int16", "int16"), ("uint24", "int9"), ("int32", "uint24")])
def test_wide_types(left, right, rounding):
    one, other, output = kind(left), kind(right), kind("int20")
    wide = Interval(output.minimum, output.maximum)
    for numbers in (
        ExactSum(one, other, 181, -77, 12345, ExactResult(16, rounding, 0, wide, output)),
        ExactProduct(one, other, 11, ExactResult(one.bits + 2, rounding, 0, wide, output)),
    ):
        x, y = some(one, 200, 1), some(other, 200, 2)
        source, sink = ports(numbers, 20)
        found = simulate_stream(patterns(numbers, x, y).reshape(10, 20), source, sink).tensors
        assert np.array_equal(found.reshape(-1), expected(numbers, x, y))


@pytest.mark.parametrize(
    ("numbers", "slices"),
    [
        (
            ExactSum(
                kind("int12"),
                kind("uint9"),
                5,
                -3,
                7,
                ExactResult(4, Rounding.HALF_AWAY, 2, Interval(-100, 127), kind("int8")),
            ),
            0,
        ),
        (
            ExactSum(
                kind("uint16"),
                kind("int16"),
                1,
                1,
                0,
                ExactResult(1, Rounding.HALF_EVEN, 0, Interval(-(2**15), 2**15 - 1), kind("int16")),
            ),
            0,
        ),
        (
            ExactProduct(
                kind("int16"),
                kind("int16"),
                1,
                ExactResult(15, Rounding.HALF_AWAY, 0, Interval(-(2**15), 2**15 - 1), kind("int16")),
            ),
            1,
        ),
        (
            ExactProduct(
                kind("uint12"),
                kind("int10"),
                5,
                ExactResult(8, Rounding.HALF_EVEN, 0, Interval(-(2**15), 2**15 - 1), kind("int16")),
            ),
            1,
        ),
    ],
)
def test_as_gates(tmp_path: Path, numbers: ExactSum | ExactProduct, slices: int) -> None:
    x, y = some(numbers.left, 160, 3), some(numbers.right, 160, 4)
    source, sink = ports(numbers, 16)
    gates, tensors = synthesized_stream(patterns(numbers, x, y).reshape(10, 16), source, sink, tmp_path)
    assert np.array_equal(tensors.reshape(-1), expected(numbers, x, y))
    assert gates.cells["DSP48E1"] == slices


def test_other_roundings_are_refused() -> None:
    pyrtl.reset_working_block()
    result = ExactResult(3, Rounding.DOUBLE, 0, Interval(-8, 7), kind("int4"))
    with pytest.raises(HardwareError, match="no exact rounding"):
        finished("unit", pyrtl.Input(6, "total"), result)
