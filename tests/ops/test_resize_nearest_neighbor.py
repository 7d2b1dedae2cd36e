"""RESIZE_NEAREST_NEIGHBOR: every pair of small sizes and larger random ones, in each convention."""

from __future__ import annotations

import numpy as np
import pytest
from models import assert_litert_agrees, random_inputs
from moving import assert_moves, moving_graph

from bitloom.arith import IntType
from bitloom.errors import BitloomError
from bitloom.ops.shared.moving import index_value

CONVENTIONS = pytest.mark.parametrize("align", [False, True])
CENTERS = pytest.mark.parametrize("centers", [False, True])


def resized(shape, size, *, align=False, centers=False, element=None):
    attributes = {"align_corners": align, "half_pixel_centers": centers}
    return moving_graph(
        "RESIZE_NEAREST_NEIGHBOR", [shape], [index_value("size", size)], attributes, element or IntType(8)
    )


@CONVENTIONS
@CENTERS
def test_every_pair_of_sizes(align, centers):
    # Heights and widths are independent: each pair of heights with another pair of widths.
    sizes = [(given, made) for given in range(1, 13) for made in range(1, 13)]
    for (height, rows), (width, columns) in zip(sizes, sizes[5:] + sizes[:5], strict=True):
        graph = resized((1, height, width, 1), (rows, columns), align=align, centers=centers)
        assert_litert_agrees(graph, random_inputs(graph, 1, height))


@CONVENTIONS
@CENTERS
def test_large_sizes(align, centers):
    rng = np.random.default_rng(7)
    for _ in range(40):
        height, width, rows, columns = rng.integers(1, 400, 4).tolist()
        graph = resized((1, height, width, 1), (rows, columns), align=align, centers=centers)
        assert_litert_agrees(graph, random_inputs(graph, 1, height))


@CONVENTIONS
@CENTERS
@pytest.mark.parametrize("seed", range(6))
def test_circuits(align, centers, seed):
    rng = np.random.default_rng(seed)
    images, height, width, channels, rows, columns = rng.integers(1, [3, 6, 6, 5, 9, 9]).tolist()
    assert_moves(resized((images, height, width, channels), (rows, columns), align=align, centers=centers), seed)


@pytest.mark.parametrize("element", [IntType(8, signed=False), IntType(16), IntType(32)])
def test_other_types(element):
    assert_moves(resized((1, 2, 3, 2), (5, 2), element=element))


@pytest.mark.parametrize(("shape", "size"), [((2, 3, 4), (2, 2)), ((1, 2, 3, 4), (0, 2)), ((1, 2, 3, 4), (2, 2, 2))])
def test_what_makes_no_sense(shape, size):
    with pytest.raises(BitloomError, match=r"resize of shape|values of size"):
        resized(shape, size)
