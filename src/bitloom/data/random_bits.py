"""Random numbers that are the same on every machine and in every NumPy release.

NumPy promises that a bit generator's raw stream never changes; it promises no such thing for the distributions and
the shuffling built on it (some also call the C library's logarithm). The few draws needed here are made from the
raw bits.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


class RandomBits:
    """A stream of random draws fixed by its seed.

    >>> RandomBits(7).permutation(5).tolist()
    [3, 4, 0, 2, 1]
    """

    def __init__(self, seed: int) -> None:
        self._bits = np.random.PCG64(seed)

    def permutation(self, count: int) -> npt.NDArray[np.int64]:
        """The numbers 0 to count - 1 in random order: the order that sorts as many random words."""
        return np.argsort(self._words(count), kind="stable")

    def uniform(self, shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
        """Numbers in [-1, 1), each a multiple of 2**-52 and equally likely."""
        words = self._words(int(np.prod(shape))) >> np.uint64(11)
        return (words.astype(np.float64) * 2.0**-52 - 1.0).reshape(shape)

    def _words(self, count: int) -> npt.NDArray[np.uint64]:
        return np.asarray(self._bits.random_raw(count), np.uint64)
