"""Which foldings of a multiply-accumulate unit are worth considering.

There are as many pairs (pe, simd) as outputs times inputs. Most do nothing that a smaller one would not do in the same
time, and are left out here before anybody estimates them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

# Multipliers that no chip in reach has: wider arrays are not offered.
_MOST_MULTIPLIERS = 8192
# Beyond this many lanes for one, serializing costs less than rescaling everything at once.
_MOST_EXTRA_RESULTS = 4


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

    >>> [pair.pe for pair in worthwhile([Pair(1, 1, 8, 1), Pair(2, 2, 4, 2), Pair(3, 3, 4, 2), Pair(4, 4, 4, 3)])]
    [2, 3, 1]
    """
    fewest = _MOST_MULTIPLIERS + 1
    level = (0, 0)
    for pair in sorted(pairs, key=lambda pair: (pair.cycles, pair.multipliers)):
        if (pair.cycles, pair.multipliers) == level:
            yield pair
        elif pair.multipliers < fewest:
            fewest, level = pair.multipliers, (pair.cycles, pair.multipliers)
            yield pair


def worthwhile_results(sums: int, beats: int, unit: int) -> list[int]:
    """How many results at the same time: the fewest that keep up, and all if those are not many more.

    Args:
        sums: outputs of a fold.
        beats: cycles of a fold.
        unit: results divide this; 0 where any number will do.

    >>> worthwhile_results(16, 5, 16), worthwhile_results(7, 3, 0), worthwhile_results(16, 16, 16)
    ([4, 16], [3, 7], [1])
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
