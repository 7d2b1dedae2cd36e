"""Exact integer matrix products at the speed of floating-point libraries."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def exact_type(magnitude: int) -> np.dtype[Any]:
    """The fastest type in which sums of products are exact, in any order.

    Args:
        magnitude: a bound on every partial sum of absolute products.

    >>> exact_type(2**24 - 1), exact_type(2**24), exact_type(2**53)
    (dtype('float32'), dtype('float64'), dtype('int64'))
    """
    if magnitude < 2**24:
        return np.dtype(np.float32)
    return np.dtype(np.float64) if magnitude < 2**53 else np.dtype(np.int64)


def exact_matmul(left: npt.NDArray[Any], right: npt.NDArray[Any], magnitude: int) -> npt.NDArray[np.int64]:
    """``left @ right`` of integers, exactly.

    Floating-point sums of integers are exact, in any order, while every partial sum stays below 2**24 (binary32)
    or 2**53 (binary64); beyond that the product is taken in int64.

    Args:
        left: integers, shape (..., m, k), of any type; those of `exact_type` need no conversion.
        right: integers, shape (..., k, n), likewise.
        magnitude: a bound on every partial sum of absolute products.
    """
    kind = exact_type(magnitude)
    product = left.astype(kind, copy=False) @ right.astype(kind, copy=False)
    return product.astype(np.int64, copy=False)
