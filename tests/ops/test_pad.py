"""PAD and PADV2: random widths and values as LiteRT and in hardware; what the kernel refuses is an error."""

from __future__ import annotations

import numpy as np
import pytest
from models import INT8, assert_litert_agrees, quantized, random_inputs
from moving import assert_moves, moving_graph

from bitloom.arith import IntType
from bitloom.errors import BitloomError
from bitloom.ir import Graph, Node, SourceNode, TensorType, Value
from bitloom.ops.pad import Pad
from bitloom.ops.shared.moving import index_value


def padded(shape, widths, value=None, element=INT8, quantization=None):
    constants = [index_value("paddings", widths)]
    if value is not None:
        zero_point = 0 if element.bits > 8 else 3
        value_type = quantization or quantized((), 0.1, zero_point, element)
        constants.append(Value("value", value_type, np.array(value, element.dtype)))
    return moving_graph("PAD" if value is None else "PADV2", [shape], constants, element=element)


@pytest.mark.parametrize("seed", range(16))
def test_random_widths(seed):
    rng = np.random.default_rng(seed)
    rank = int(rng.integers(1, 6))
    shape = tuple(rng.integers(1, 4, rank).tolist())
    widths = (rng.integers(0, 4, (rank, 2)) * (rng.random((rank, 1)) < 0.6)).tolist()
    value = int(rng.integers(-128, 128)) if seed % 2 else None
    assert_moves(padded(shape, widths, value), seed)


@pytest.mark.parametrize("value", [None, 5])
@pytest.mark.parametrize("element", [IntType(8, signed=False), IntType(16), IntType(32), IntType(64)])
def test_other_types(element, value):
    assert_moves(padded((2, 3), [(1, 0), (0, 2)], value, element))


@pytest.mark.parametrize("bits", [32, 64])
def test_wide_types_are_padded_with_0_whatever_their_zero_point(bits):
    x, y = (Value(name, quantized((size,), 0.1, 7, IntType(bits))) for name, size in (("x", 3), ("y", 5)))
    lowered = Pad.lower(SourceNode("PAD", {}, (x, index_value("paddings", [(1, 1)])), (y,), "here"))
    assert lowered.operator == Pad((1,), (1,), 0)
    graph = Graph("wide", ("x",), ("y",), (x, y), (Node("pad", lowered.operator, ("x",), ("y",)),))
    assert_litert_agrees(graph, random_inputs(graph, 2, 0))


@pytest.mark.parametrize(
    ("shape", "widths", "message"),
    [
        ((2, 3), [(0, -1), (0, 0)], "pad of shape"),
        ((2, 3), [(0, 1)], "2 values of paddings, not 4"),
        ((1, 1, 1, 1, 1, 2), [(0, 1)] * 6, "takes 1 to 5"),
    ],
)
def test_what_makes_no_sense(shape, widths, message):
    with pytest.raises(BitloomError, match=message):
        padded(shape, widths)


def test_a_value_of_another_scale_is_refused():
    with pytest.raises(BitloomError, match="takes only equal ones"):
        padded((2, 3), [(0, 1), (0, 0)], 4, quantization=quantized((), 0.2, 3))
    with pytest.raises(BitloomError, match="from int8 to int16"):
        padded((2, 3), [(0, 1), (0, 0)], 4, quantization=TensorType((), IntType(16)))
