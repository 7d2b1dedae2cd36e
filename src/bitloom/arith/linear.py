"""Exact integer matrix products at the speed of floating-point libraries."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

# Multiply-accumulates of a product that OpenBLAS computes in one thread. Its threads spin while they wait for each
# other: on a busy machine a small product takes a thousand times as long in two threads as in one.
_ONE_THREAD = 1 << 18


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
    product = _in_one_thread(left.astype(kind, copy=False), right.astype(kind, copy=False))
    return product.astype(np.int64, copy=False)


def _in_one_thread(left: npt.NDArray[Any], right: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """``left @ right`` as a stack of products of a few rows, each small enough for one thread."""
    depth, columns = right.shape[-2:]
    rows = _ONE_THREAD // max(1, depth * columns)
    if right.ndim != 2 or rows < 2 or not depth or left.dtype.kind == "i":
        return left @ right
    flat = left.reshape(-1, depth)
    whole = len(flat) // rows * rows
    if len(flat) > 4 * rows:
        right = np.ascontiguousarray(right)  # the BLAS would turn a transposed matrix for each product
    product = np.empty((len(flat), columns), left.dtype)
    np.matmul(flat[:whole].reshape(-1, rows, depth), right, out=product[:whole].reshape(-1, rows, columns))
    np.matmul(flat[whole:], right, out=product[whole:])
    return product.reshape(*left.shape[:-1], columns)
