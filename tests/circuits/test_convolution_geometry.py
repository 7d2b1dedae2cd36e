"""Windows of convolutions against taps counted one by one."""

import numpy as np
import pytest
from convolutions import random_geometry, taps_inside

from bitloom.circuits.convolution_geometry import Axis, Geometry, patches
from bitloom.errors import GraphError, UnsupportedError


def test_axes_of_every_small_size() -> None:
    """SAME padding is the least that gives every output, with the odd element behind; live taps are those that meet.

    With large dilations there may be none: two taps, one on either side of a small image.
    """
    for size in range(1, 7):
        for taps in range(1, 7):
            for stride in range(1, 5):
                for dilation in range(1, 4):
                    axis = Axis.same(size, taps, stride, dilation)
                    assert axis.outputs == -(-size // stride)
                    assert axis.after - axis.before in (0, 1)
                    spare = size + axis.before + axis.after - (axis.outputs - 1) * stride - axis.extent
                    assert spare == 0 if axis.after else spare >= 0
                    met = {tap for window in taps_inside(axis) for tap, _ in window}
                    assert list(axis.live) == list(range(min(met, default=0), max(met, default=-1) + 1))


def test_a_window_of_padding_alone_has_no_live_taps() -> None:
    assert len(Axis(size=2, taps=2, stride=9, dilation=1, before=4, after=3).live) == 0


def test_patches_are_the_taps_one_by_one() -> None:
    rng = np.random.default_rng(1)
    for trial in range(200):
        option = ("SAME", "VALID")[trial % 2]
        image, geometry = random_geometry(rng, option)
        if trial % 3 == 0:
            geometry = Geometry(
                geometry.kernel, geometry.strides, geometry.dilations, tuple(rng.integers(12, 25, 4).tolist())
            )
        images = rng.integers(-128, 128, (2, *image, 3)).astype(np.int8)
        rows, columns = geometry.axes(image)
        expected = np.zeros((2, rows.outputs, columns.outputs, *geometry.kernel, 3))
        for y, window in enumerate(taps_inside(rows)):
            for x, other in enumerate(taps_inside(columns)):
                for down, row in window:
                    for across, column in other:
                        expected[:, y, x, down, across] = images[:, row, column].astype(float) + 7
        found = patches(images, geometry, -7, np.dtype(np.float32))
        complete = np.zeros_like(expected)
        complete[:, :, :, found.taps[0], found.taps[1]] = found.view
        assert np.array_equal(complete, expected)


def test_padding_that_no_tap_needs_is_not_stored() -> None:
    geometry = Geometry.of("SAME", (4, 4), (3, 3), (1, 1), (2**30, 2**30))
    found = patches(np.ones((1, 4, 4, 1), np.int8), geometry, 0, np.dtype(np.float32))
    assert found.view.shape == (1, 4, 4, 1, 1, 1)
    assert found.taps == (slice(1, 2), slice(1, 2))


def test_options_are_found_again() -> None:
    rng = np.random.default_rng(2)
    for trial in range(100):
        image, geometry = random_geometry(rng, ("SAME", "VALID")[trial % 2])
        found = geometry.option(image)
        assert Geometry.of(found, image, geometry.kernel, geometry.strides, geometry.dilations) == geometry


@pytest.mark.parametrize("padding", [(1, 0, 0, 0), (1, 1, 1, 0), (2, 2, 2, 2)])
def test_paddings_that_tflite_cannot_say(padding: tuple[int, int, int, int]) -> None:
    with pytest.raises(UnsupportedError, match="no padding"):
        Geometry((3, 3), (1, 1), (1, 1), padding).option((5, 5))


def test_geometries_that_make_no_sense() -> None:
    for kernel, strides, dilations in (((0, 1), (1, 1), (1, 1)), ((1, 1), (0, 1), (1, 1)), ((1, 1), (1, 1), (1, -1))):
        with pytest.raises(GraphError):
            Geometry.of("VALID", (5, 5), kernel, strides, dilations)
    with pytest.raises(GraphError, match="does not fit"):
        Geometry.of("VALID", (5, 2), (3, 3), (1, 1), (1, 1)).output((5, 2))
    with pytest.raises(UnsupportedError, match="EXPLICIT"):
        Geometry.of("EXPLICIT", (5, 5), (1, 1), (1, 1), (1, 1))
