"""MAXIMUM and MINIMUM with one number; what else they can be is refused."""

from dataclasses import replace

import numpy as np
import pytest
from models import GraphBuilder, assert_litert_agrees, quantized

from bitloom.arith import IntType
from bitloom.errors import UnsupportedError
from bitloom.ir import Value

INT8 = IntType(8)
KINDS = ("MAXIMUM", "MINIMUM")


def bounded(kind, x, number, shape=None):
    builder = GraphBuilder(kind, x)
    bound = Value("bound", replace(x, shape=np.shape(number)), np.array(number))
    builder.add(kind, replace(x, shape=shape or x.shape), [bound])
    return builder.graph()


@pytest.mark.parametrize("kind", KINDS)
def test_every_value_and_bound(kind):
    values = np.arange(-128, 128).astype(np.int8)
    for number in range(-128, 128, 5):
        assert_litert_agrees(bounded(kind, quantized((256,), 0.1, 3), number), {"x": values[None]})


@pytest.mark.parametrize("kind", KINDS)
def test_sixteen_bits(kind):
    graph = bounded(kind, quantized((256,), 0.1, 0, IntType(16)), -1234)
    assert_litert_agrees(graph, {"x": np.linspace(-32768, 32767, 256).astype(np.int16)[None]})


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_refused(kind):
    x = quantized((1, 4), 0.1, 3)
    with pytest.raises(UnsupportedError, match="one number"):
        bounded(kind, x, [1, 2, 3, 4])
    with pytest.raises(UnsupportedError, match="larger than the tensor"):
        bounded(kind, x, np.full((3, 4), 7), (3, 4))
    builder = GraphBuilder(kind, x)
    with pytest.raises(UnsupportedError, match="two tensors"):
        builder.add(kind, x, [Value("other", x)])
    with pytest.raises(UnsupportedError, match="int32"):
        bounded(kind, quantized((1, 4), 0.1, 0, IntType(32)), 1)
