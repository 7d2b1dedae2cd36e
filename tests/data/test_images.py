"""Downscaling: exact averages, compared with rational arithmetic."""

from fractions import Fraction

import numpy as np
import pytest

from bitloom.data import downscale
from bitloom.errors import DataError

IMAGES = np.random.default_rng(1).integers(0, 256, (3, 28, 28), np.uint8)


def area_by_hand(image: np.ndarray, size: tuple[int, int], row: int, column: int) -> Fraction:
    """The mean over the output pixel's area, by intersecting intervals."""

    def overlap(old: int, new: int, source: int, output: int) -> Fraction:
        step = Fraction(old, new)
        return max(Fraction(0), min((output + 1) * step, Fraction(source + 1)) - max(output * step, Fraction(source)))

    total = area = Fraction(0)
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            part = overlap(image.shape[0], size[0], y, row) * overlap(image.shape[1], size[1], x, column)
            total += part * int(image[y, x])
            area += part
    return total / area / 255


def bilinear_by_hand(image: np.ndarray, size: tuple[int, int], row: int, column: int) -> Fraction:
    """Interpolation at the output pixel's centre, half-pixel centres, edges repeated."""

    def around(old: int, new: int, output: int) -> list[tuple[int, Fraction]]:
        centre = (output + Fraction(1, 2)) * Fraction(old, new) - Fraction(1, 2)
        lower = int(centre // 1)
        return [(lower, 1 - (centre - lower)), (min(lower + 1, old - 1), centre - lower)]

    return sum(
        (wy * wx * int(image[y, x])
         for y, wy in around(image.shape[0], size[0], row)
         for x, wx in around(image.shape[1], size[1], column)),
        Fraction(0),
    ) / 255  # fmt: skip


@pytest.mark.parametrize("size", [(12, 12), (7, 28), (5, 11), (1, 1)])
@pytest.mark.parametrize("method", ["area", "bilinear"])
def test_pixels_are_the_exact_averages(method: str, size: tuple[int, int]) -> None:
    small = downscale(IMAGES, size, method)  # type: ignore[arg-type]
    by_hand = area_by_hand if method == "area" else bilinear_by_hand
    assert small.shape == (3, *size)
    assert small.dtype == np.float32
    for row, column in {(0, 0), (size[0] - 1, size[1] - 1), (size[0] // 2, size[1] // 3)}:
        assert small[1, row, column] == np.float32(float(by_hand(IMAGES[1], size, row, column)))


@pytest.mark.parametrize("method", ["area", "bilinear"])
def test_black_stays_black_white_stays_white_and_same_size_changes_nothing(method: str) -> None:
    for level, value in ((0, 0.0), (255, 1.0)):
        flat = np.full((1, 28, 28), level, np.uint8)
        assert (downscale(flat, (12, 12), method) == value).all()  # type: ignore[arg-type]
    np.testing.assert_array_equal(
        downscale(IMAGES, (28, 28), method),  # type: ignore[arg-type]
        (IMAGES / 255).astype(np.float32),
    )


def test_more_images_than_one_block() -> None:
    many = np.random.default_rng(2).integers(0, 256, (600, 4, 4), np.uint8)
    np.testing.assert_array_equal(downscale(many, (2, 2))[599], downscale(many[599:], (2, 2))[0])


@pytest.mark.parametrize(
    ("images", "size", "method", "message"),
    [
        (IMAGES.astype(np.float32), (12, 12), "area", "not float32"),
        (IMAGES[0], (12, 12), "area", r"not uint8\[28, 28\]"),
        (IMAGES, (29, 12), "area", r"cannot be downscaled to \[29, 12\]"),
        (IMAGES, (12, 0), "area", r"cannot be downscaled to \[12, 0\]"),
        (IMAGES, (12, 12), "cubic", "called 'cubic'; use area or bilinear"),
    ],
)
def test_what_cannot_be_done_is_refused(images: np.ndarray, size: tuple[int, int], method: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        downscale(images, size, method)  # type: ignore[arg-type]
