"""What calibration remembers of a tensor: extremes and a histogram that widens as values come."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

Float64Array = npt.NDArray[np.float64]

# Bins are merged in pairs when there would be more: between half as many and so many remain.
_MOST_BINS = 4096
_FINEST_EXPONENT = -140


@dataclass(frozen=True, eq=False)
class Histogram:
    """How often values lie in ``[k * 2**exponent, (k + 1) * 2**exponent)`` for k from `first` on.

    Widths are powers of two and edges multiples of them, so that histograms of parts add up exactly, whatever the
    parts: bins only ever merge whole. Exact zeros are counted apart, as every quantization represents them exactly.

    Attributes:
        exponent: of the bins' width.
        first: position of the first bin.
        counts: values in each bin.
        sums: of these values.
        zeros: values that are exactly 0, which no bin counts.
    """

    exponent: int
    first: int
    counts: Float64Array
    sums: Float64Array
    zeros: int

    @classmethod
    def of(cls, values: npt.NDArray[np.float32]) -> Histogram:
        """Of values that are finite, any shape."""
        flat = values.reshape(-1)
        zeros = flat.size - int(np.count_nonzero(flat))
        if zeros == flat.size:
            return cls(_FINEST_EXPONENT, 0, np.zeros(0), np.zeros(0), zeros)
        low, high = min(float(flat.min()), 0.0), max(float(flat.max()), 0.0)
        exponent = _exponent(low, high)
        # In the precision of the values: a product with a power of two is exact.
        positions = np.floor(np.ldexp(flat, -exponent)).astype(np.int64)
        first = int(np.floor(np.ldexp(low, -exponent)))
        positions -= first
        counts = np.bincount(positions).astype(np.float64)
        if zeros:
            counts[-first] -= zeros
        return cls(exponent, first, counts, np.bincount(positions, flat).astype(np.float64, copy=False), zeros)

    def plus(self, other: Histogram) -> Histogram:
        """The histogram of both together."""
        zeros = self.zeros + other.zeros
        if not self.counts.size or not other.counts.size:
            kept = self if self.counts.size else other
            return replace(kept, zeros=zeros)
        exponent = max(self.exponent, other.exponent)
        while True:
            parts = [each._coarser(exponent) for each in (self, other)]
            first = min(part.first for part in parts)
            length = max(part.first + part.counts.size for part in parts) - first
            if length <= _MOST_BINS:
                break
            exponent += 1
        counts, sums = np.zeros(length), np.zeros(length)
        for part in parts:
            span = slice(part.first - first, part.first - first + part.counts.size)
            counts[span] += part.counts
            sums[span] += part.sums
        return Histogram(exponent, first, counts, sums, zeros)

    def _coarser(self, exponent: int) -> Histogram:
        """With wider bins."""
        if exponent == self.exponent:
            return self
        positions = (np.arange(self.counts.size) + self.first) >> (exponent - self.exponent)
        first = int(positions[0])
        counts, sums = (np.bincount(positions - first, each).astype(np.float64) for each in (self.counts, self.sums))
        return Histogram(exponent, first, counts, sums, self.zeros)

    @property
    def edges(self) -> Float64Array:
        """Of the bins: one more than there are bins."""
        return np.ldexp((np.arange(self.counts.size + 1) + self.first).astype(np.float64), self.exponent)

    @property
    def means(self) -> tuple[Float64Array, Float64Array]:
        """Counts of the bins that hold something, and the means of their values."""
        kept = self.counts > 0
        return self.counts[kept], self.sums[kept] / self.counts[kept]


def _exponent(low: float, high: float) -> int:
    """Of the narrowest bins of which no more than the limit cover the range."""
    spread = max(high - low, abs(low), abs(high)) / (_MOST_BINS - 2)
    return max(_FINEST_EXPONENT, int(np.ceil(np.log2(max(spread, 2.0**_FINEST_EXPONENT)))))


@dataclass(frozen=True, eq=False)
class TensorStatistics:
    """Of one tensor, over all samples.

    Attributes:
        low: its smallest value.
        high: its largest value.
        histogram: of all values; None where only extremes were asked for.
    """

    low: float
    high: float
    histogram: Histogram | None

    @classmethod
    def of(cls, values: npt.NDArray[np.float32], *, histogram: bool) -> TensorStatistics:
        """Of values that are finite, any shape.

        >>> TensorStatistics.of(np.array([-1.5, 0, 2], np.float32), histogram=True).histogram.zeros
        1
        """
        return cls(float(values.min()), float(values.max()), Histogram.of(values) if histogram else None)

    def plus(self, other: TensorStatistics) -> TensorStatistics:
        """Of the values of both."""
        histogram = self.histogram.plus(other.histogram) if self.histogram and other.histogram else None
        return TensorStatistics(min(self.low, other.low), max(self.high, other.high), histogram)
