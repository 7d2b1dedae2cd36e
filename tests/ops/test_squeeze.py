"""SQUEEZE and EXPAND_DIMS: every axis, from both ends, as LiteRT."""

from __future__ import annotations

import itertools

import pytest
from models import assert_litert_agrees, quantized, random_inputs
from moving import moving_graph

from bitloom.arith import IntType
from bitloom.errors import BitloomError
from bitloom.ir import SourceNode, Value
from bitloom.ops.expand_dims import ExpandDims
from bitloom.ops.shared.moving import index_value

SHAPE = (1, 3, 1, 1, 2)


def check(graph):
    assert_litert_agrees(graph, random_inputs(graph, 2, 0))


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_every_set_of_axes(count):
    for axes in itertools.combinations((0, 2, 3), count):
        for signed in (axes, tuple(axis - 5 for axis in axes), tuple(reversed(axes))):
            graph = moving_graph("SQUEEZE", [SHAPE], attributes={"squeeze_dims": signed})
            check(graph)
            ones = 0 if count == 0 else 3 - count
            assert graph.type("y").shape.count(1) == ones


@pytest.mark.parametrize("axis", range(-6, 6))
def test_every_new_axis(axis):
    graph = moving_graph("EXPAND_DIMS", [SHAPE], [index_value("axis", axis)])
    check(graph)
    assert graph.type("y").shape.count(1) == 4


@pytest.mark.parametrize("element", [IntType(8, signed=False), IntType(16), IntType(32)])
def test_other_types(element):
    check(moving_graph("SQUEEZE", [(1, 3)], element=element))
    check(moving_graph("EXPAND_DIMS", [(3,)], [index_value("axis", 0)], element=element))


@pytest.mark.parametrize("axes", [(1,), (5,), (-6,)])
def test_axes_that_are_not_of_length_1(axes):
    with pytest.raises(BitloomError, match="not all of length 1"):
        moving_graph("SQUEEZE", [SHAPE], attributes={"squeeze_dims": axes})


@pytest.mark.parametrize("axis", [6, -7])
def test_new_axes_that_are_nowhere(axis):
    with pytest.raises(BitloomError, match="expand_dims puts axis"):
        moving_graph("EXPAND_DIMS", [SHAPE], [index_value("axis", axis)])


def test_another_scale_is_refused():
    x, y = Value("x", quantized((3,), 0.1, 3)), Value("y", quantized((1, 3), 0.2, 3))
    with pytest.raises(BitloomError, match="takes only equal ones"):
        ExpandDims.lower(SourceNode("EXPAND_DIMS", {}, (x, index_value("axis", 0)), (y,), "here"))
