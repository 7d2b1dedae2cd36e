"""GATHER, MIRROR_PAD, SPACE_TO_DEPTH and DEPTH_TO_SPACE: random parameters as LiteRT and in hardware."""

from __future__ import annotations

import numpy as np
import pytest
from moving import assert_moves, moving_graph

from bitloom.arith import IntType
from bitloom.errors import BitloomError
from bitloom.ops.reshape import Reshape
from bitloom.ops.shared.moving import index_value


@pytest.mark.parametrize("seed", range(12))
def test_random_indices(seed):
    rng = np.random.default_rng(seed)
    rank = int(rng.integers(1, 5))
    shape = tuple(rng.integers(1, 6, rank).tolist())
    axis = int(rng.integers(rank))
    count = [int(size) for size in rng.integers(1, 4, int(rng.integers(0, 3)))]
    indices = rng.integers(0, shape[axis], count)
    if seed % 3 == 0:
        indices = np.sort(indices.reshape(-1)).reshape(count)
    attributes = {"axis": axis - rank * int(rng.integers(2))}
    assert_moves(moving_graph("GATHER", [shape], [index_value("indices", indices.tolist())], attributes), seed)


@pytest.mark.parametrize("mode", ["REFLECT", "SYMMETRIC"])
@pytest.mark.parametrize("seed", range(6))
def test_random_mirrors(seed, mode):
    rng = np.random.default_rng(seed)
    rank = int(rng.integers(1, 5))
    shape = rng.integers(1, 5, rank)
    widths = rng.integers(0, (shape + (mode == "SYMMETRIC"))[:, None], (rank, 2)).tolist()
    paddings = index_value("paddings", widths)
    assert_moves(moving_graph("MIRROR_PAD", [tuple(shape.tolist())], [paddings], {"mode": mode}), seed)


@pytest.mark.parametrize("block", [1, 2, 3])
@pytest.mark.parametrize("seed", range(3))
def test_squares_of_pixels(block, seed):
    images, height, width, channels = np.random.default_rng(seed).integers(1, 4, 4).tolist()
    attributes = {"block_size": block}
    given = (images, height * block, width * block, channels)
    assert_moves(moving_graph("SPACE_TO_DEPTH", [given], attributes=attributes), seed)
    given = (images, height, width, channels * block**2)
    assert_moves(moving_graph("DEPTH_TO_SPACE", [given], attributes=attributes), seed)


def test_other_types():
    for element in (IntType(8, signed=False), IntType(16), IntType(32), IntType(64)):
        assert_moves(moving_graph("GATHER", [(4, 2)], [index_value("indices", [3, 1])], {"axis": 0}, element=element))
        mirrored = [index_value("paddings", [(1, 2)])]
        assert_moves(moving_graph("MIRROR_PAD", [(4,)], mirrored, {"mode": "REFLECT"}, element))
        if element.bits != 16:
            assert_moves(moving_graph("SPACE_TO_DEPTH", [(1, 2, 4, 1)], (), {"block_size": 2}, element))


def test_what_moves_nothing_is_a_reshape():
    graphs = [
        moving_graph("GATHER", [(3, 2)], [index_value("indices", [0, 1, 2])], {"axis": 0}),
        moving_graph("MIRROR_PAD", [(3, 2)], [index_value("paddings", [(0, 0), (0, 0)])], {"mode": "REFLECT"}),
        moving_graph("DEPTH_TO_SPACE", [(1, 3, 1, 4)], (), {"block_size": 1}),
    ]
    for graph in graphs:
        assert isinstance(graph.nodes[0].operator, Reshape)
        assert_moves(graph)


@pytest.mark.parametrize(
    ("kind", "shape", "constants", "attributes", "message"),
    [
        ("GATHER", (3, 2), [[0, 3]], {"axis": 0}, "gather of indices"),
        ("GATHER", (3, 2), [[-1]], {"axis": 0}, "gather of indices"),
        ("GATHER", (3, 2), [[0]], {"axis": 2}, "along axis 2 of 2"),
        ("GATHER", (3, 2), [[[0], [1], [0]]], {"axis": 1, "batch_dims": 1}, "batch dimensions"),
        ("MIRROR_PAD", (3,), [[[3, 0]]], {"mode": "REFLECT"}, "mirror_pad of shape"),
        ("MIRROR_PAD", (3,), [[[0, 4]]], {"mode": "SYMMETRIC"}, "mirror_pad of shape"),
        ("MIRROR_PAD", (3,), [[[0, -1]]], {"mode": "SYMMETRIC"}, "mirror_pad of shape"),
        ("MIRROR_PAD", (3,), [[[0, 1]]], {"mode": "number 7"}, "the mode number 7"),
        ("SPACE_TO_DEPTH", (1, 3, 4, 1), [], {"block_size": 2}, "space_to_depth of shape"),
        ("SPACE_TO_DEPTH", (1, 3, 4, 1), [], {}, "space_to_depth of shape"),
        ("DEPTH_TO_SPACE", (1, 3, 4, 6), [], {"block_size": 2}, "depth_to_space of shape"),
    ],
)
def test_what_makes_no_sense(kind, shape, constants, attributes, message):
    operands = [index_value(f"c{index}", values) for index, values in enumerate(constants)]
    with pytest.raises(BitloomError, match=message):
        moving_graph(kind, [shape], operands, attributes)
