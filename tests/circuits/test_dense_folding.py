"""Which foldings are offered: nothing useful is missing, nothing offered is useless, and all of them can be built."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitloom.circuits.dense_folding import (
    MOST_MULTIPLIERS,
    Pair,
    results_unit,
    useful_parts,
    worthwhile,
    worthwhile_results,
)
from bitloom.hw.dense_shape import DenseShape


def pairs_of(outputs: int, depth: int) -> list[Pair]:
    return [
        Pair(pe, simd, -(-outputs // pe) * -(-depth // simd), pe * simd)
        for pe in range(1, outputs + 1)
        for simd in range(1, depth + 1)
    ]


@given(st.integers(1, 300))
def test_useful_parts_are_the_smallest_for_their_number(total: int) -> None:
    parts = useful_parts(total)
    assert {-(-total // part) for part in parts} == {-(-total // part) for part in range(1, total + 1)}
    assert all(part == 1 or -(-total // (part - 1)) > -(-total // part) for part in parts)


@given(st.integers(1, 24), st.integers(1, 40))
def test_no_pair_offered_is_beaten_and_none_far_better_is_missing(outputs: int, depth: int) -> None:
    every = pairs_of(outputs, depth)
    offered = list(worthwhile(every))
    for pair in offered:
        assert not any(
            (other.cycles, other.multipliers) != (pair.cycles, pair.multipliers)
            and other.cycles <= pair.cycles
            and other.multipliers <= pair.multipliers
            for other in every
        )
    for pair in every:
        assert any(other.cycles <= pair.cycles and other.multipliers * 0.95 <= pair.multipliers for other in offered), (
            f"nothing like {pair}"
        )


def test_the_widest_arrays_are_left_out() -> None:
    offered = list(worthwhile([Pair(64, 128, 1, 8192), Pair(64, 64, 2, 4096)]))
    assert [pair.multipliers for pair in offered] == [MOST_MULTIPLIERS]


@pytest.mark.parametrize("parallel", [1, 3])
@given(
    outputs=st.integers(1, 12),
    depth=st.integers(1, 20),
    blocks=st.integers(1, 4),
    pe=st.integers(1, 12),
    data=st.data(),
)
def test_results_offered_can_be_built(parallel, outputs, depth, blocks, pe, data) -> None:
    pe = outputs if parallel > 1 else min(pe, outputs)
    simd = data.draw(st.integers(1, depth))
    beats, groups = -(-depth // simd), blocks * parallel
    for results in worthwhile_results(pe * parallel, beats, results_unit(pe, parallel, outputs, groups)):
        shape = DenseShape(depth, outputs, 2, pe, simd, results, groups=groups, parallel=parallel)
        assert shape.serial_beats <= beats
