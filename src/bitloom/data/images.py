"""Shrinking images, in whole-number arithmetic, so that every machine gets the same pixels."""

from __future__ import annotations

from math import gcd
from typing import Literal

import numpy as np
import numpy.typing as npt

from bitloom.errors import DataError

Method = Literal["area", "bilinear"]

_BLOCK = 256  # images


def downscale(images: npt.NDArray[np.uint8], size: tuple[int, int], method: Method = "area") -> npt.NDArray[np.float32]:
    """Shrink 8-bit grey images and scale them to [0, 1].

    ``area`` averages all the source area an output pixel covers: with 28 -> 12, 7/3 x 7/3 pixels, those on its
    edge by the part of them that is inside. ``bilinear`` interpolates between the two source pixels next to the
    output pixel's centre in each direction, as ``tf.image.resize`` does by default (half-pixel centres, no
    antialiasing): it ignores the pixels between, but it is what networks trained that way expect.

    Both are ``A @ image @ B.T`` with matrices of small fractions. Brought to a common denominator they are whole
    numbers, so the sums are exact; the only rounding is the final division, in float64 and then to float32.

    Args:
        images: uint8 (images, rows, columns).
        size: the new (rows, columns), not larger than the old.
        method: ``area`` or ``bilinear``.

    Returns:
        float32 (images, *size) in [0, 1]; 1 is white (255) all over the pixel's area.

    >>> downscale(np.array([[[0, 255, 255], [0, 255, 255], [0, 0, 0]]], np.uint8), (1, 3)).tolist()
    [[[0.0, 0.6666666865348816, 0.6666666865348816]]]
    """
    if images.dtype != np.uint8 or images.ndim != 3:
        raise DataError(f"images are uint8 (images, rows, columns), not {images.dtype}{list(images.shape)}")
    if method not in _MATRICES:
        raise DataError(f"there is no way of downscaling called '{method}'", remedy="use area or bilinear")
    for new, old in zip(size, images.shape[1:], strict=True):
        if not 1 <= new <= old:
            raise DataError(f"{list(images.shape[1:])} images cannot be downscaled to {list(size)}")
    by_row, row_denominator = _MATRICES[method](images.shape[1], size[0])
    by_column, column_denominator = _MATRICES[method](images.shape[2], size[1])
    white = 255 * row_denominator * column_denominator
    result = np.empty((len(images), *size), np.float32)
    for start in range(0, len(images), _BLOCK):  # in blocks that stay in the processor's cache
        block = images[start : start + _BLOCK].astype(np.float64)
        # Whole numbers below 2**53 in float64: exact in any order, and products of float matrices are fast.
        result[start : start + _BLOCK] = (by_row @ block @ by_column.T) / white
    return result


def _area_matrix(old: int, new: int) -> tuple[npt.NDArray[np.float64], int]:
    """Overlaps of output and source pixels, (new, old), in units of which an output pixel has the second result.

    Cut the line into ``old * new`` units: a source pixel is `new` of them, an output pixel `old`.
    """
    common = gcd(old, new)
    source, output = new // common, old // common  # lengths in units
    source_edges = np.arange(old + 1) * source
    output_edges = np.arange(new + 1) * output
    overlap = np.minimum(output_edges[1:, None], source_edges[None, 1:]) - np.maximum(
        output_edges[:-1, None], source_edges[None, :-1]
    )
    return np.maximum(overlap, 0).astype(np.float64), output


def _bilinear_matrix(old: int, new: int) -> tuple[npt.NDArray[np.float64], int]:
    """Weights of the two source pixels around each output centre, (new, old), times the second result.

    Output pixel i's centre is at source coordinate ``(i + 1/2) * old / new - 1/2``, a multiple of 1 / (2 * new).
    """
    position = (2 * np.arange(new) + 1) * old - new
    lower, part = position // (2 * new), position % (2 * new)
    upper = np.minimum(lower + 1, old - 1)
    weights = np.zeros((new, old))
    np.add.at(weights, (np.arange(new), lower), 2 * new - part)
    np.add.at(weights, (np.arange(new), upper), part)
    return weights, 2 * new


_MATRICES = {"area": _area_matrix, "bilinear": _bilinear_matrix}
