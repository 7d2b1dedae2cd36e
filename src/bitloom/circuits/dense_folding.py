"""Which foldings of a multiply-accumulate unit are worth considering.

There are as many pairs (pe, simd) as outputs times inputs. Most do nothing that a smaller one would not do in the same
time, and are left out here before anybody estimates them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

from bitloom.hw.multiply_accumulate import CHAIN_LENGTH

MOST_MULTIPLIERS = 4096
"""Wider arrays are not offered."""
# Of pairs that are equal in cycles and multipliers, so many are left to choose from.
_MOST_EQUALS = 3
# A slower one has to save such a part of the multipliers, or waste no more of their time than the best.
_SAVING = 0.04
# Beyond this many lanes for one, serializing costs less than rescaling everything at once.
_MOST_EXTRA_RESULTS = 2


@dataclass(frozen=True)
class Pair:
    """A choice of outputs and inputs at the same time.

    Attributes:
        pe: outputs.
        simd: inputs of each.
        cycles: per tensor.
        multipliers: that it takes.
    """

    pe: int
    simd: int
    cycles: int
    multipliers: int


def useful_parts(total: int) -> list[int]:
    """The part sizes that cut `total` into each possible number of parts, the smallest for each number.

    >>> useful_parts(10)
    [1, 2, 3, 4, 5, 10]
    """
    return sorted({-(-total // parts) for parts in range(1, total + 1)})


def worthwhile(pairs: Iterable[Pair]) -> Iterator[Pair]:
    """Those that no other pair beats in cycles without more multipliers, or in multipliers without more cycles.

    Of equal ones, a few with the least logic around the multipliers; of many that are nearly equal, some.

    >>> [pair.pe for pair in worthwhile([Pair(1, 1, 8, 1), Pair(2, 2, 4, 2), Pair(3, 3, 4, 2), Pair(4, 4, 4, 3)])]
    [2, 3, 1]
    """
    fewest = kept = MOST_MULTIPLIERS + 1
    ordered = sorted(pairs, key=lambda pair: (pair.cycles, pair.multipliers))
    least = min((pair.cycles * pair.multipliers for pair in ordered), default=0)
    for (cycles, multipliers), equals in groupby(ordered, key=lambda pair: (pair.cycles, pair.multipliers)):
        if multipliers >= fewest:
            continue
        fewest = multipliers
        if multipliers <= kept * (1 - _SAVING) or cycles * multipliers <= least * (1 + _SAVING):
            kept = multipliers
            yield from sorted(equals, key=_logic)[:_MOST_EQUALS]


def _logic(pair: Pair) -> int:
    """A rough measure of what is around the multipliers: accumulators and sums of chains, and lanes that wait."""
    sums = -(-pair.simd // CHAIN_LENGTH) if pair.simd > 1 else 0
    return pair.pe * sums * 24 + pair.simd * 8


def worthwhile_results(sums: int, beats: int, unit: int) -> list[int]:
    """How many results at the same time: the fewest that keep up, and all if those are not many more.

    Args:
        sums: outputs of a fold.
        beats: cycles of a fold.
        unit: results divide this; 0 where any number will do.

    >>> worthwhile_results(16, 5, 16), worthwhile_results(5, 2, 0), worthwhile_results(16, 16, 16)
    ([4], [3, 5], [1])
    """
    for results in range(-(-sums // beats), sums + 1):
        if unit % results == 0:
            if results < sums <= _MOST_EXTRA_RESULTS * results and unit % sums == 0:
                return [results, sums]
            return [results]
    return []


def results_unit(pe: int, parallel: int, outputs: int, groups: int) -> int:
    """What the results per cycle must divide, so that only the last beat of a row is partly filled; 0 for anything.

    Args:
        pe: outputs of a group at the same time.
        parallel: groups at the same time.
        outputs: per group.
        groups: of channels.
    """
    if parallel < groups:
        return math.gcd(pe, outputs) * parallel if pe < outputs else pe * parallel
    return 0 if pe >= outputs else pe
