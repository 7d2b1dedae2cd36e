"""Ranges of activations: what to cut off so that the rest is finer."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bitloom.quantize.statistics import Float64Array, Histogram, TensorStatistics

Range = tuple[float, float]
"""Lowest and highest real number, with 0 between them."""

# Candidates of a search: shares of the whole range.
_SHARES = np.linspace(1.0, 0.02, 99)
_COARSE_SHARES = np.linspace(1.0, 0.05, 20)
_ROUNDS = 3
_ENTROPY_LEVELS = 128
_ENTROPY_CANDIDATES = 128
# A bin is a spike if it holds this share of everything, and so many times as much as those a few bins away.
_SPIKE_SHARE, _SPIKE_HEIGHT, _NEIGHBOURHOOD = 0.01, 8, 4


@dataclass(frozen=True)
class Grid:
    """Which integers a range becomes.

    Attributes:
        bits: of the integers.
        symmetric: whether they are ``-(2**(bits - 1) - 1)`` to ``2**(bits - 1) - 1`` with the zero point 0.
        power_of_two: whether the scale is rounded up to a power of two.
    """

    bits: int
    symmetric: bool = False
    power_of_two: bool = False


def activation_range(statistics: TensorStatistics, method: str, grid: Grid, *, percentile: float) -> Range:
    """The range of a tensor.

    Args:
        statistics: of its values, with a histogram unless the method is ``min-max``.
        method: one of `bitloom.quantize.options.RANGES`.
        grid: the integers.
        percentile: see `bitloom.quantize.options.QuantizeOptions`.
    """
    low, high = min(statistics.low, 0.0), max(statistics.high, 0.0)
    histogram = statistics.histogram
    if histogram is None or not histogram.counts.size or method == "min-max":
        return low, high
    if method == "percentile":
        return _percentile(histogram, (low, high), percentile)
    if method == "entropy":
        return _entropy(histogram, (low, high))
    return _least_error(histogram, (low, high), grid)


def _percentile(histogram: Histogram, whole: Range, percentile: float) -> Range:
    """Ends beyond which no more than a share of all values lies on either side."""
    total = histogram.counts.sum() + histogram.zeros
    outside = (1.0 - percentile / 100.0) * total
    edges = histogram.edges
    below, above = np.cumsum(histogram.counts), np.cumsum(histogram.counts[::-1])[::-1]
    first = int(np.argmax(below > outside)) if (below > outside).any() else 0
    last = int(np.flatnonzero(above > outside)[-1]) if (above > outside).any() else len(above) - 1
    return min(0.0, max(whole[0], float(edges[first]))), max(0.0, min(whole[1], float(edges[last + 1])))


def _least_error(histogram: Histogram, whole: Range, grid: Grid) -> Range:
    """The range whose integers represent all values with the least sum of squared errors: both ends in turn."""
    counts, means = histogram.means

    def error(low: float, high: float) -> float:
        return squared_error(counts, means, (low, high), grid)

    if grid.symmetric:
        farthest = max(-whole[0], whole[1])
        share = min(_SHARES, key=lambda part: error(-farthest * part, farthest * part))
        return max(whole[0], -farthest * share), min(whole[1], farthest * share)
    # One end after the other alone can end at a range that is best only for the other end it started from.
    starts = ((low, high) for low in _ends(whole[0], _COARSE_SHARES) for high in _ends(whole[1], _COARSE_SHARES))
    low, high = min(starts, key=lambda bounds: error(*bounds))
    for _ in range(_ROUNDS):
        before = (low, high)
        high = _best_end(lambda end: error(low, end), whole[1])  # noqa: B023 - called at once
        low = _best_end(lambda end: error(end, high), whole[0])  # noqa: B023
        if (low, high) == before:
            break
    return low, high


def _ends(end: float, shares: Float64Array) -> list[float]:
    """Candidates for an end of a range."""
    candidates: list[float] = (shares * end).tolist()
    return candidates if end else [0.0]


def _best_end(error: Callable[[float], float], end: float) -> float:
    return min(_ends(end, _SHARES), key=error)


def squared_error(counts: Float64Array, values: Float64Array, bounds: Range, grid: Grid) -> float:
    """The sum of squared errors of values that occur so often, in integers of a range.

    Args:
        counts: how often, any shape.
        values: real numbers of that shape.
        bounds: the range.
        grid: the integers.
    """
    low, high = bounds
    if high <= low:
        return float((counts * values * values).sum())
    limit = 2 ** (grid.bits - 1) - 1
    steps = limit if grid.symmetric else 2**grid.bits - 1
    scale = (max(-low, high) if grid.symmetric else high - low) / steps
    if grid.power_of_two:
        scale = power_of_two_above(scale)
    least = -limit if grid.symmetric else round(low / scale)
    most = limit if grid.symmetric else least + steps
    represented = np.clip(np.rint(values / scale), least, most) * scale
    difference = values - represented
    return float((counts * difference * difference).sum())


def power_of_two_above(scale: float) -> float:
    """The smallest power of two that is no smaller.

    >>> power_of_two_above(0.3), power_of_two_above(0.25)
    (0.5, 0.25)
    """
    return math.ldexp(1.0, math.ceil(math.log2(scale)))


def _entropy(histogram: Histogram, whole: Range) -> Range:
    """The threshold on magnitudes that loses the least information.

    The clipped distribution is compared with itself in `_ENTROPY_LEVELS` levels, by the Kullback-Leibler divergence.
    Source: Migacz, "8-bit inference with TensorRT", 2017.

    Values that are there over and over, such as what a filter makes of a black background, are not cut off and not
    compared: wide levels represent each as well as narrow ones, but a bin that stands out from its neighbours would
    make every level that holds more than it look bad.
    """
    every = _magnitudes(histogram)
    neighbours = _neighbours(every)
    spikes = (every > _SPIKE_SHARE * every.sum()) & (every > _SPIKE_HEIGHT * neighbours)
    magnitudes = np.where(spikes, neighbours, every)
    size = magnitudes.size
    least = max(_ENTROPY_LEVELS, int(np.flatnonzero(spikes).max(initial=0)) + 1)
    if size <= least:
        return whole
    thresholds = np.unique(np.linspace(least, size, _ENTROPY_CANDIDATES).astype(np.int64))
    best = min(thresholds.tolist(), key=lambda threshold: _divergence(magnitudes, threshold))
    limit = float(np.ldexp(float(best), histogram.exponent))
    return max(whole[0], -limit), min(whole[1], limit)


def _neighbours(counts: Float64Array) -> Float64Array:
    """The larger of the counts some bins before and behind."""
    padded = np.pad(counts, _NEIGHBOURHOOD)
    return np.maximum(padded[: counts.size], padded[2 * _NEIGHBOURHOOD :])


def _magnitudes(histogram: Histogram) -> Float64Array:
    """Counts by magnitude, in the bins of the histogram."""
    negative = max(0, -histogram.first)
    below = histogram.counts[:negative][::-1]
    offset = max(0, -histogram.first - histogram.counts.size)
    above = histogram.counts[negative:]
    start = max(0, histogram.first)
    made = np.zeros(max(offset + below.size, start + above.size))
    made[offset : offset + below.size] += below
    made[start : start + above.size] += above
    return made


def _divergence(magnitudes: Float64Array, threshold: int) -> float:
    reference = magnitudes[:threshold].copy()
    occupied = reference > 0
    # Levels are of the unclipped part; what is cut off counts at the end.
    positions = np.arange(threshold) * _ENTROPY_LEVELS // threshold
    sums, filled = np.bincount(positions, reference), np.bincount(positions, occupied)
    spread = np.divide(sums, filled, out=np.zeros_like(sums), where=filled > 0)
    candidate = np.where(occupied, spread[positions], 0.0)
    reference[-1] += magnitudes[threshold:].sum()
    total, found = reference.sum(), candidate.sum()
    if not found:
        return float("inf")
    p, q = reference / total, candidate / found
    smallest = 1e-10
    used = p > 0
    return float((p[used] * np.log(p[used] / np.maximum(q[used], smallest))).sum())
