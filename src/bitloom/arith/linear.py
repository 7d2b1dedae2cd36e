"""Exact integer matrix products at the speed of floating-point libraries."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def exact_matmul(left: npt.NDArray[Any], right: npt.NDArray[Any], magnitude: int) -> npt.NDArray[np.int64]:
    """``left @ right`` of integers, exactly.

    Floating-point sums of integers are exact, in any order, while every partial sum stays below 2**24 (binary32)
    or 2**53 (binary64); beyond that the product is taken in int64.

    Args:
        left: integers, shape (..., m, k).
        right: integers, shape (k, n).
        magnitude: a bound on every partial sum of absolute products.
    """
    if magnitude < 2**24:
        return (left.astype(np.float32) @ right.astype(np.float32)).astype(np.int64)
    if magnitude < 2**53:
        return (left.astype(np.float64) @ right.astype(np.float64)).astype(np.int64)
    product: npt.NDArray[np.int64] = left.astype(np.int64) @ right.astype(np.int64)
    return product
