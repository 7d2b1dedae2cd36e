"""A function of two small integers as the sum of two tables: no multiplier at all.

Rescaling two operands to a common scale, adding them and rescaling the sum is a staircase over the sum of two real
numbers, one known for each value of each operand. So a circuit

    output(x, y) = clamp((left[x] + right[y]) >> shift)

can be equal to it. With K the output wanted, equality on every pair is a set of conditions

    K(x, y) * 2**shift <= left[x] + right[y] <= (K(x, y) + 1) * 2**shift - 1

of which the first falls away where K is the lowest output, and the second where it is the highest. Each bounds the
difference of two unknowns, ``left[x]`` and ``-right[y]``. Such systems are solved exactly by shortest paths (Cormen et
al., "Introduction to Algorithms", section on difference constraints): relaxing every condition from any start either
comes to rest at a solution, or there is none. The solution found is the greatest below the start, so that tables that
start at the real values stay near them.

A shift of 8 always suffices for tables of up to 256 entries. There is no solution only where conditions around a cycle
contradict each other. On a cycle of real numbers that meet the conditions the outputs times ``2**shift`` leave a
multiple of ``2**shift`` of room, at least one, and each of the at most 256 upper conditions takes 1 of it away. Real
numbers that meet them exist: halves rounded away from zero could only contradict each other on a cycle of positive
halves on one side and negative ones on the other, and their sums differ.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bitloom.arith.ranges import Interval
from bitloom.errors import ArithmeticDomainError

Int64Array = npt.NDArray[np.int64]
Float64Array = npt.NDArray[np.float64]

LARGEST_SHIFT = 8
_UNBOUNDED = 1 << 60
# A path passes each of 512 unknowns once; tables that exist at a small shift are found in far fewer rounds, as a rule.
_ROUNDS = {False: 160, True: 1024}


@dataclass(frozen=True, eq=False)
class TableSum:
    """``clamp((left[x] + right[y]) >> shift)``.

    Attributes:
        left: a term for each value of the left operand, int64.
        right: a term for each value of the right operand, int64.
        shift: the arithmetic right shift.
        output: the clamp.
    """

    left: Int64Array
    right: Int64Array
    shift: int
    output: Interval

    def results(self) -> Int64Array:
        """The output for every pair, shape (left values, right values)."""
        total = (self.left[:, None] + self.right) >> self.shift
        return np.clip(total, self.output.low, self.output.high)


def table_sum(wanted: Int64Array, output: Interval, left: Float64Array, right: Float64Array) -> TableSum:
    """The tables with the smallest shift.

    Args:
        wanted: the outputs, within `output`, int64, shape (left values, right values).
        output: the clamp that the outputs have been through.
        left: real left terms in units of one output step, float64; where the search starts.
        right: real right terms, with what is added to every output and the half that rounds.

    Raises:
        ArithmeticDomainError: there are none.

    >>> values = np.arange(-8, 8)
    >>> wanted = np.clip(np.floor(0.3 * values[:, None] + 0.55 * values + 0.5), -4, 3).astype(np.int64)
    >>> tables = table_sum(wanted, Interval(-4, 3), 0.3 * values, 0.55 * values + 0.5)
    >>> tables.shift, bool((tables.results() == wanted).all())
    (4, True)
    """
    lowest, highest = -1, LARGEST_SHIFT
    best = _solve(wanted, output, left, right, highest, thorough=True)
    if best is None:
        raise ArithmeticDomainError("no sum of two tables gives these outputs: report it")
    while lowest + 1 < highest:
        middle = (lowest + highest) // 2
        found = _solve(wanted, output, left, right, middle, thorough=False)
        if found is None:
            lowest = middle
        else:
            best, highest = found, middle
    if not (best.results() == wanted).all():
        raise ArithmeticDomainError("a sum of tables failed its proof: this is an error in bitloom, report it")
    return best


def _solve(
    wanted: Int64Array, output: Interval, left: Float64Array, right: Float64Array, shift: int, *, thorough: bool
) -> TableSum | None:
    """Tables of one shift, or None."""
    least = np.where(wanted > output.low, wanted << shift, -_UNBOUNDED)
    most = np.where(wanted < output.high, ((wanted + 1) << shift) - 1, _UNBOUNDED)
    ones = np.floor(left * 2.0**shift).astype(np.int64)
    negated_others = -np.floor(right * 2.0**shift).astype(np.int64)
    for _ in range(_ROUNDS[thorough]):
        lowered = np.minimum(ones, (most + negated_others).min(axis=1))
        negated_lowered = np.minimum(negated_others, (lowered[:, None] - least).min(axis=0))
        if (lowered == ones).all() and (negated_lowered == negated_others).all():
            return TableSum(ones, -negated_others, shift, output)
        ones, negated_others = lowered, negated_lowered
    return None
