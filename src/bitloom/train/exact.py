"""Arithmetic for training that gives the same bits on every machine.

Retraining the shipped network must reproduce its file byte for byte, wherever it is done. NumPy's elementwise
``+ - * /``, square root, rounding and comparisons are IEEE operations and do; three things do not:

- **Sums.** A matrix product adds in an order that depends on the processor and on the BLAS library, and so rounds
  differently. Here the operands are first rounded to a grid: whole multiples of a power of two, at most 2**bits
  of them, with ``bits`` so small that ``2 * bits + log2(number of addends) <= 53``. Then every partial sum, in any
  order, fused or not, is a whole multiple of the product of the steps, at most 2**53 of them, which float64 holds
  exactly. Nothing is ever rounded, so nothing depends on the order. With 128 addends an operand keeps 23 bits of
  its matrix's largest element, about what float32 training has.
- **exp and cos.** C libraries and NumPy's vector code differ in the last bit; here they are polynomials.
- **Random numbers.** See `bitloom.data.random_bits`.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]

_MANTISSA_BITS = 53


def on_grid(values: Matrix, bits: int) -> Matrix:
    """Round to whole multiples of a power of two, at most ``2**bits`` of them in magnitude.

    >>> on_grid(np.array([1.0, 0.3, -0.26]), 2).tolist()
    [1.0, 0.5, -0.5]
    """
    largest = float(np.max(np.abs(values), initial=0.0))
    if not largest:
        return values
    step = math.ldexp(1.0, math.frexp(largest)[1] - bits)  # largest < 2**exponent = step * 2**bits
    return np.rint(values / step) * step


def exact_matmul(a: Matrix, b: Matrix) -> Matrix:
    """``a @ b`` of the operands rounded to a grid on which the sums are exact.

    Args:
        a: (rows, inner) finite.
        b: (inner, columns) finite.

    >>> exact_matmul(np.array([[1.0, 2.0]]), np.array([[3.0], [4.0]])).tolist()
    [[11.0]]
    """
    bits = (_MANTISSA_BITS - _log2_ceiling(a.shape[1])) // 2
    product: Matrix = on_grid(a, bits) @ on_grid(b, bits)
    return product


def exact_column_sums(values: Matrix) -> Matrix:
    """Sums over the rows of (rows, columns), rounded to a grid on which they are exact."""
    sums: Matrix = on_grid(values, _MANTISSA_BITS - _log2_ceiling(len(values))).sum(axis=0)
    return sums


def softmax(logits: Matrix) -> Matrix:
    """Class probabilities of each row of (rows, classes), with sums that do not depend on their order."""
    exponentials = exp_of_negative(logits - logits.max(axis=1, keepdims=True))
    bits = _MANTISSA_BITS - 1 - _log2_ceiling(logits.shape[1])  # the largest is 1, so the grid is fixed
    exponentials = on_grid(exponentials, bits)
    return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True))


# log(2) in two parts; the first has 32 significant bits, so that its product with a small whole number is exact.
_LOG2_E = 1.4426950408889634
_LN_2_HIGH = 0.6931471803691238
_LN_2_LOW = 1.9082149292705877e-10
_TAYLOR = [1.0 / math.factorial(k) for k in range(14)]  # the next term is below 1e-17 for |r| <= log(2) / 2
_LOWEST_EXPONENT = -700.0  # exp of it is still a normal number


def exp_of_negative(x: Matrix) -> Matrix:
    """``exp(x)`` for x <= 0, within 1e-15 of its value, from IEEE operations only.

    ``exp(x) = 2**n * exp(r)`` with ``n = round(x / log(2))``, and Taylor's series for the small rest r.
    """
    x = np.maximum(x, _LOWEST_EXPONENT)
    n = np.rint(x * _LOG2_E)
    r = (x - n * _LN_2_HIGH) - n * _LN_2_LOW
    series = np.full_like(r, _TAYLOR[-1])
    for coefficient in reversed(_TAYLOR[:-1]):
        series = series * r + coefficient
    return np.ldexp(series, n.astype(np.int32))


def cosine_decay(progress: float) -> float:
    """``(1 + cos(pi * progress)) / 2``: from 1 at progress 0 smoothly to 0 at progress 1.

    >>> cosine_decay(0.0), round(cosine_decay(0.5), 12), round(cosine_decay(1.0), 12)
    (1.0, 0.5, 0.0)
    """
    angle = math.pi * progress
    term = total = 1.0
    for k in range(2, 36, 2):  # Taylor's series; pi**36 / 36! is below 1e-22
        term *= -angle * angle / (k * (k - 1))
        total += term
    return max(0.0, (1.0 + total) / 2.0)


def _log2_ceiling(count: int) -> int:
    return max(count - 1, 0).bit_length()
