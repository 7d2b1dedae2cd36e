"""ADD and SUB: every pair of 8-bit values at many scales is LiteRT's; what the kernels abort on is refused."""

import numpy as np
import pytest
from pairs import INT8, UINT8, assert_every_pair_agrees, log_uniform, pair_graph, random_zero_points

from bitloom.arith import IntType
from bitloom.errors import ArithmeticDomainError, GraphError, UnsupportedError

KINDS = ("ADD", "SUB")
ACTIVATIONS = ("NONE", "RELU", "RELU6", "RELU_N1_TO_1")
by_kind = pytest.mark.parametrize("kind", KINDS)


@by_kind
@pytest.mark.parametrize("spread", [0.5, 2.0, 8.0], ids=["alike", "apart", "extreme"])
def test_every_pair(kind: str, spread: float) -> None:
    rng = np.random.default_rng(int(spread * 2) + len(kind))
    done = 0
    while done < 25:
        element = UINT8 if done % 5 == 0 else INT8
        one, two, three = (log_uniform(rng, 10**-spread, 10**spread) for _ in range(3))
        scales = (one, two, 0.5 * three * max(one, two) if spread < 8 else three)
        options = {"fused_activation_function": str(rng.choice(ACTIVATIONS))}
        try:
            graph = pair_graph(kind, scales, random_zero_points(rng, element), element, **options)
        except (UnsupportedError, ArithmeticDomainError):
            assert spread == 8.0
            continue
        assert_every_pair_agrees(graph)
        done += 1


@by_kind
@pytest.mark.parametrize("scales", [(1, 1, 1), (0.5, 0.5, 1), (0.25, 0.5, 1), (1, 3, 4), (0.75, 0.125, 2), (1, 1, 256)])
def test_every_pair_at_exact_halves(kind: str, scales: tuple[float, float, float]) -> None:
    for zero_points in ((0, 0, 0), (5, -9, 3), (-128, 127, -128)):
        assert_every_pair_agrees(pair_graph(kind, scales, zero_points))


@by_kind
@pytest.mark.parametrize(
    ("scales", "element"),
    [
        ((1.0, 1.0, 2.0**-20), INT8),
        ((1.0, 2.0, 2.0**-18), INT8),
        ((3e38, 1.0, 1.0), INT8),
        ((1.0, 1.0, 3e38), INT8),
        ((0.5, 0.25, 0.5), IntType(16)),
    ],
)
def test_what_the_kernel_cannot_do_is_refused(kind: str, scales: tuple[float, float, float], element: IntType) -> None:
    with pytest.raises(UnsupportedError, match=kind):
        pair_graph(kind, scales, (0, 0, 0), element, pot_scale_int16=True)


@by_kind
def test_types_and_shapes_that_do_not_fit_are_refused(kind: str) -> None:
    with pytest.raises(UnsupportedError, match="activation TANH"):
        pair_graph(kind, (1, 1, 1), (0, 0, 0), fused_activation_function="TANH")
    graph = pair_graph(kind, (1, 1, 1), (0, 0, 0))
    x, y, _ = graph.values
    operator = graph.nodes[0].operator
    narrow = type(y)("y", type(y.type)((1, 200), y.type.element, y.type.quantization))
    with pytest.raises(GraphError, match=r"\[256, 1\] and \[255, 7\] do not broadcast"):
        operator.infer([x, type(y)("y", type(y.type)((255, 7), y.type.element, y.type.quantization))])
    assert operator.infer([x, narrow])[0][0] == (256, 200)
    with pytest.raises(GraphError, match="made for constant operands None"):
        operator.infer([x, type(y)("y", y.type, np.zeros((1, 256), np.int8))])
