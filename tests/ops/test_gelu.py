"""GELU: every entry of tables at any scales is that of LiteRT, in both forms."""

import numpy as np
import pytest
from models import assert_litert_agrees, elementwise_graph, quantized

from bitloom.arith import IntType
from bitloom.errors import UnsupportedError
from bitloom.ops.gelu import Gelu

INT8, UINT8 = IntType(8), IntType(8, signed=False)


@pytest.mark.parametrize("approximate", [False, True], ids=["", "approximate"])
def test_tables(approximate):
    rng = np.random.default_rng(int(approximate))
    for trial in range(300):
        element = UINT8 if trial % 4 == 0 else INT8
        values = np.arange(element.minimum, element.maximum + 1).astype(element.dtype)
        x, y = (
            quantized((256,), 10 ** rng.uniform(*scales), int(rng.choice(values)), element)
            for scales in ((-5, 0.5), (-4, 0))
        )
        graph = elementwise_graph("GELU", x, y, approximate=approximate)
        assert_litert_agrees(graph, {"x": values[None]})


def test_forms_differ():
    exact, approximate = (Gelu(INT8, INT8, 0.02, 0, 0.002, 0, approximate=form).table() for form in (False, True))
    assert 0 < np.count_nonzero(exact != approximate) < 128


def test_wider_types_are_refused():
    wide = quantized((4,), 0.01, 0, IntType(16))
    with pytest.raises(UnsupportedError, match="int16 to int16"):
        elementwise_graph("GELU", wide, wide)
