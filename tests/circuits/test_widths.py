"""Weights, activations and results of any width through every layer of dot products, whatever they are made of."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from models import random_inputs
from stream_checks import build_between, run_checked

from bitloom.arith import Interval, IntType, Rescale, Rounding, dot_product_range
from bitloom.arith.rescale import EXACT
from bitloom.circuits.streaming import StreamingCircuit
from bitloom.errors import BitloomError, UnsupportedError
from bitloom.ir import Graph, Node, TensorType, Value
from bitloom.ops.conv_2d import Conv2d
from bitloom.ops.depthwise_conv_2d import DepthwiseConv2d
from bitloom.ops.fully_connected import FullyConnected

# Images, weights.
SHAPES = {
    FullyConnected: ((2, 7), (5, 7)),
    Conv2d: ((1, 4, 3, 3), (4, 2, 2, 3)),
    DepthwiseConv2d: ((1, 4, 3, 4), (1, 3, 2, 4)),
}
INT32 = 1 << 31
INT16 = IntType(16)


def values_of(element: IntType, kind: str) -> np.ndarray:
    """Weights to draw from: all, or of a kind that needs no multiplier."""
    if kind == "powers":
        powers = [0, *(sign << place for place in range(element.bits) for sign in (1, -1))]
        return np.array([value for value in powers if element.contains(value, value)])
    return np.array([element.minimum, -1 if element.signed else 1, 0, 1 if element.maximum else 0, element.maximum])


def layer(
    operator,
    x: IntType,
    w: IntType,
    y: IntType,
    rounding: Rounding,
    kind: str,
    seed: int,
    *,
    limit: int = INT32 // 2,
    powers: bool = False,
) -> Graph | None:
    """A network of one layer; none if its accumulators leave what the rounding is defined on."""
    random = np.random.default_rng(seed)
    shape, weight_shape = SHAPES[operator]
    if kind == "any":
        weights = random.integers(w.minimum, w.maximum, weight_shape, endpoint=True)
    else:
        weights = random.choice(values_of(w, kind), weight_shape)
    outputs = weight_shape[-1] if operator is DepthwiseConv2d else weight_shape[0]
    zero_point = int(random.integers(x.minimum, x.maximum, endpoint=True))
    rows = weights.reshape(-1, outputs).T if operator is DepthwiseConv2d else weights.reshape(outputs, -1)
    low, high = dot_product_range(
        np.abs(rows),
        np.zeros(outputs, np.int64),
        Interval(x.minimum - zero_point, x.maximum - zero_point),
    )
    farthest = int(np.abs([low, high]).max()) + 1
    if farthest >= limit:
        return None
    bias = random.integers(-farthest // 4, farthest // 4 + 1, outputs)
    span = max(1, min(y.maximum - y.minimum, INT32 // 4))
    scales = tuple(float(value) for value in span / farthest * random.uniform(0.2, 2, random.choice([1, outputs])))
    if powers:
        scales = tuple(2.0 ** round(math.log2(scale)) for scale in scales)
    if rounding is Rounding.REDUCED and max(scales) > 64:
        return None
    operation = operator(
        input_zero_point=zero_point,
        weight_zero_point=0,
        output_zero_point=int(random.integers(y.minimum, y.maximum, endpoint=True)),
        rescale=Rescale(scales, rounding),
        activation=Interval(y.minimum, y.maximum),
        output=y,
    )
    operands = (
        Value("x", TensorType(shape, x)),
        Value("w", TensorType(weight_shape, w), weights.astype(w.dtype)),
        Value("b", TensorType((outputs,), IntType(40)), bias),
    )
    ((made, element),) = operation.infer(operands)
    values = (*operands, Value("y", TensorType(made, element)))
    return Graph("layer", ("x",), ("y",), values, (Node("layer", operation, ("x", "w", "b"), ("y",)),))


def assert_circuit_is_numpy(graph: Graph, choice: float, stall: float, seed: int) -> StreamingCircuit:
    (node,) = graph.nodes
    circuit = node.operator.circuit(graph.operands(node), graph.results(node))
    foldings = list(circuit.foldings())
    folding = foldings[int(choice * len(foldings))]
    (given_type,) = circuit.input_types(folding)
    source, sink = build_between(
        given_type, circuit.output_type(folding), lambda stream, reset: circuit.build("layer", folding, [stream], reset)
    )
    inputs = random_inputs(graph, 3, seed)["x"]
    constants = [np.asarray(value.constant) for value in graph.operands(node)[1:]]
    (expected,) = node.operator.evaluate([inputs, *constants])
    run = run_checked(inputs.reshape(3, -1).astype(np.int64), source, sink, stall=stall, seed=seed)
    np.testing.assert_array_equal(run.tensors, expected.reshape(3, -1), err_msg=str(folding))
    return circuit


@settings(max_examples=20, deadline=None)
@given(
    operator=st.sampled_from(list(SHAPES)),
    x=st.builds(IntType, st.integers(1, 16), st.booleans()),
    w=st.builds(IntType, st.integers(1, 16), st.booleans()),
    y=st.builds(IntType, st.integers(1, 16), st.booleans()),
    rounding=st.sampled_from(list(Rounding)),
    kind=st.sampled_from(["any", "corners", "powers"]),
    choice=st.floats(0, 1, exclude_max=True),
    stall=st.sampled_from([0.0, 0.4]),
    seed=st.integers(0, 2**16),
)
def test_any_width_with_any_rounding(operator, x, w, y, rounding, kind, choice, stall, seed):
    if rounding not in EXACT and y.bits > 8:
        # Wider ones have accumulators on no line, which take long to find.
        y = IntType(y.bits - 8, signed=y.signed)
    graph = layer(operator, x, w, y, rounding, kind, seed)
    if graph is None:
        return
    try:
        assert_circuit_is_numpy(graph, choice, stall, seed)
    except UnsupportedError as error:
        # Multipliers are narrower than real numbers: where sums are wide, too many of them may be on no line.
        if x.bits + w.bits <= 16 or "accumulators differ" not in str(error):
            raise


def test_what_is_on_no_line_is_refused():
    graph = layer(Conv2d, IntType(11), IntType(8), INT16, Rounding.FLOAT32, "any", 1)
    (node,) = graph.nodes
    with pytest.raises(UnsupportedError, match=r"no multiply-add-shift rounds to int16 as float32 does: \d+ acc"):
        node.operator.circuit(graph.operands(node), graph.results(node))


@pytest.mark.parametrize("operator", SHAPES)
@pytest.mark.parametrize(("bits", "kind"), [(1, "any"), (2, "any"), (7, "powers")])
def test_narrow_weights_take_no_multiplier(operator, bits, kind):
    graph = layer(operator, IntType(8), IntType(bits), IntType(4), Rounding.HALF_EVEN, kind, 3)
    circuit = assert_circuit_is_numpy(graph, 0.5, 0.3, 3)
    assert all(circuit.estimate(folding).dsp == 0 for folding in circuit.foldings())


def test_weights_of_four_bits_may_take_multipliers_or_not():
    graph = layer(Conv2d, IntType(8), IntType(4), IntType(8), Rounding.DOUBLE, "any", 3)
    (node,) = graph.nodes
    circuit = node.operator.circuit(graph.operands(node), graph.results(node))
    assert {circuit.estimate(folding).multipliers > 0 for folding in circuit.foldings()} == {True, False}
    wide = layer(Conv2d, IntType(8), IntType(8), IntType(8), Rounding.DOUBLE, "any", 3)
    (node,) = wide.nodes
    circuit = node.operator.circuit(wide.operands(node), wide.results(node))
    assert not any(folding.products_in_logic for folding in circuit.foldings())


@pytest.mark.parametrize("operator", SHAPES)
@pytest.mark.parametrize("rounding", [Rounding.HALF_EVEN, Rounding.HALF_UP, Rounding.TRUNCATE])
def test_sums_of_int16_products_leave_int32(operator, rounding):
    """Scaled by powers of two, which is where formats without a kernel's int32 have them."""
    graph = layer(operator, INT16, INT16, INT16, rounding, "any", 5, limit=1 << 40, powers=True)
    circuit = assert_circuit_is_numpy(graph, 0.4, 0.3, 5)
    assert circuit.facts()["accumulator_bits"] > 32


def test_a_multiplier_too_wide_for_such_sums_is_refused():
    with pytest.raises(BitloomError, match="leave 62 bits"):
        layer(FullyConnected, INT16, INT16, INT16, Rounding.HALF_EVEN, "any", 5, limit=1 << 40)
