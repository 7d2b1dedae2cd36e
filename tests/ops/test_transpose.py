"""TRANSPOSE: every permutation of up to four axes, and random ones of more, as LiteRT and in hardware."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from models import INT8, quantized
from moving import assert_moves, moving_graph

from bitloom.errors import BitloomError, UnsupportedError
from bitloom.ir import SourceNode, TensorType, Value
from bitloom.ops.reshape import Reshape
from bitloom.ops.shared.moving import index_value
from bitloom.ops.transpose import Transpose


@pytest.mark.parametrize("rank", [1, 2, 3, 4])
def test_every_permutation(rank):
    rng = np.random.default_rng(rank)
    for seed, permutation in enumerate(itertools.permutations(range(rank))):
        shape = tuple(rng.integers(1, 5, rank).tolist())
        signed = [axis - rank * int(rng.integers(2)) for axis in permutation]
        assert_moves(moving_graph("TRANSPOSE", [shape], [index_value("perm", signed)]), seed)


@pytest.mark.parametrize("seed", range(12))
def test_many_axes(seed):
    rng = np.random.default_rng(seed)
    rank = int(rng.integers(5, 9))
    shape = tuple(rng.choice([1, 2, 3], rank, p=[0.4, 0.4, 0.2]).tolist())
    assert_moves(moving_graph("TRANSPOSE", [shape], [index_value("perm", rng.permutation(rank).tolist())]), seed)


@pytest.mark.parametrize(("shape", "permutation"), [((1, 4, 1, 3), (1, 0, 3, 2)), ((2, 3), (0, 1)), ((1, 1), (1, 0))])
def test_what_moves_nothing_is_a_reshape(shape, permutation):
    graph = moving_graph("TRANSPOSE", [shape], [index_value("perm", permutation)])
    assert graph.nodes[0].operator == Reshape(tuple(shape[axis] for axis in permutation))
    assert_moves(graph)


@pytest.mark.parametrize(
    ("shape", "perm", "message"),
    [
        ((2, 3), (0, 0), "transpose of shape"),
        ((2, 3), (0, 2), "along axis 2 of 2"),
        ((2, 3), (1,), "1 values of permutation, not 2"),
        ((1,) * 9, tuple(range(9)), "takes 0 to 8"),
    ],
)
def test_what_makes_no_sense(shape, perm, message):
    with pytest.raises(BitloomError, match=message):
        moving_graph("TRANSPOSE", [shape], [index_value("perm", perm)])


def test_a_computed_permutation_is_refused():
    x, y = (Value(name, quantized((2, 3), 0.1, 0, INT8)) for name in "xy")
    perm = Value("perm", TensorType((2,), index_value("perm", (1, 0)).type.element))
    with pytest.raises(UnsupportedError, match="computed permutation"):
        Transpose.lower(SourceNode("TRANSPOSE", {}, (x, perm), (y,), "here"))
