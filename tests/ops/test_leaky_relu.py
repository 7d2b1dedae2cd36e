"""LEAKY_RELU and HARD_SWISH: every value at many scales is LiteRT's; what overflows the kernels is refused."""

import numpy as np
import pytest
from models import assert_litert_agrees, elementwise_graph, quantized
from pairs import INT8, UINT8, log_uniform, random_zero_points

from bitloom.arith import IntType
from bitloom.errors import UnsupportedError
from bitloom.ir import Graph


def assert_every_value_agrees(graph: Graph) -> None:
    element = graph.type("x").integer
    values = np.arange(element.minimum, element.maximum + 1).astype(element.dtype)
    assert_litert_agrees(graph, {"x": values.reshape(1, *graph.type("x").shape)})


@pytest.mark.parametrize("spread", [0.5, 2.0, 4.0], ids=["alike", "apart", "extreme"])
def test_leaky_relu_of_every_value(spread: float) -> None:
    rng = np.random.default_rng(int(spread))
    done = 0
    while done < 60:
        element = UINT8 if done % 5 == 0 else INT8
        given, made, alpha = (0.05 * log_uniform(rng, 10**-spread, 10**spread) for _ in range(3))
        before, after, _ = random_zero_points(rng, element)
        x, y = quantized((256,), given, before, element), quantized((256,), made, after, element)
        try:
            graph = elementwise_graph("LEAKY_RELU", x, y, alpha=float(rng.choice([-1, 1])) * 4 * alpha)
        except UnsupportedError:
            assert spread == 4.0
            continue
        assert_every_value_agrees(graph)
        done += 1


def test_leaky_relu_of_int16() -> None:
    int16 = IntType(16)
    graph = elementwise_graph(
        "LEAKY_RELU", quantized((65536,), 3e-4, 0, int16), quantized((65536,), 2.9e-4, 0, int16), alpha=0.11
    )
    assert_every_value_agrees(graph)
    with pytest.raises(UnsupportedError, match="zero point"):
        elementwise_graph("LEAKY_RELU", quantized((4,), 3e-4, 1, int16), quantized((4,), 2.9e-4, 0, int16), alpha=0.11)


@pytest.mark.parametrize("spread", [0.5, 2.0, 6.0], ids=["alike", "apart", "extreme"])
def test_hard_swish_of_every_value(spread: float) -> None:
    rng = np.random.default_rng(int(spread))
    done = 0
    while done < 80:
        element = UINT8 if done % 5 == 0 else INT8
        given, quotient = 0.05 * log_uniform(rng, 10**-spread, 10**spread), log_uniform(rng, 0.01, 50)
        before, after, _ = random_zero_points(rng, element)
        try:
            graph = elementwise_graph(
                "HARD_SWISH",
                quantized((256,), given, before, element),
                quantized((256,), given * quotient, after, element),
            )
        except UnsupportedError:
            assert spread == 6.0
            continue
        assert_every_value_agrees(graph)
        done += 1


@pytest.mark.parametrize("given", [1e-9, 1e12])
def test_hard_swish_beyond_the_kernel_is_refused(given: float) -> None:
    with pytest.raises(UnsupportedError, match="overflows the reference kernel"):
        elementwise_graph("HARD_SWISH", quantized((256,), given, 0), quantized((256,), given, 0))


@pytest.mark.parametrize("quotient", [1e-3, 1e3])
def test_hard_swish_of_very_unequal_scales_is_refused(quotient: float) -> None:
    with pytest.raises(UnsupportedError, match="quotients"):
        elementwise_graph("HARD_SWISH", quantized((256,), 0.1, 0), quantized((256,), 0.1 * quotient, 0))
