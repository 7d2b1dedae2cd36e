"""ABS: every entry of tables at any scales is that of LiteRT."""

import numpy as np
import pytest
from models import assert_litert_agrees, elementwise_graph, quantized

from bitloom.arith import IntType
from bitloom.errors import UnsupportedError


def test_tables():
    rng = np.random.default_rng(4)
    values = np.arange(-128, 128).astype(np.int8)
    for trial in range(400):
        scale = 10 ** rng.uniform(-4, 0)
        # Powers of two and their like make exact halves; equal scales are not rescaled.
        ratio = (1, 2.0 ** rng.integers(-4, 5) / 1.5, 2.0 ** rng.integers(-4, 5), 10 ** rng.uniform(-2, 2))[trial % 4]
        x, y = (quantized((256,), each, int(rng.choice(values))) for each in (scale, scale * ratio))
        assert_litert_agrees(elementwise_graph("ABS", x, y), {"x": values[None]})


def test_other_types_are_refused():
    for element in (IntType(8, signed=False), IntType(16), IntType(32)):
        with pytest.raises(UnsupportedError, match=f"ABS from {element} to {element}; supported: int8 to int8"):
            elementwise_graph("ABS", quantized((4,), 0.1, 0, element), quantized((4,), 0.1, 0, element))
