"""The systolic array and the multiplier around it, against NumPy, under pauses and without gaps."""

from __future__ import annotations

import numpy as np
import pyrtl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matrix_bench import ChannelBench

from bitloom.arith import Interval, IntType
from bitloom.errors import HardwareError
from bitloom.hw.matrix.channel import MatrixChannel
from bitloom.hw.matrix.multiply import systolic_cycles, systolic_interval, systolic_multiply
from bitloom.hw.matrix.systolic import Beat, accumulator_interval, bias_cycles, make_systolic_array
from bitloom.hw.matrix.wire_matrix import WireMatrix

INT8 = IntType(8)
TYPES = st.builds(IntType, st.integers(1, 32), st.booleans())


def draw(random, element, shape):
    """Random values with the extremes of the type well represented."""
    values = random.integers(element.minimum, element.maximum, shape, endpoint=True)
    extreme = random.choice([element.minimum, element.maximum], shape)
    return np.where(random.random(shape) < 0.4, extreme, values).astype(object)


@settings(max_examples=100, deadline=None)
@given(
    m=st.integers(1, 3),
    k=st.integers(1, 4),
    n=st.integers(1, 3),
    a_type=TYPES,
    b_type=TYPES,
    zeros=st.tuples(st.integers(0, 1), st.integers(0, 1)),
    bias=st.sampled_from([None, "constant", "channel"]),
    pause=st.sampled_from([0.0, 0.4]),
    seed=st.integers(0, 2**32 - 1),
)
def test_product_of_any_shape_and_type_is_exact(m, k, n, a_type, b_type, zeros, bias, pause, seed):
    pyrtl.reset_working_block()
    random = np.random.default_rng(seed)
    a_zero, b_zero = (int(draw(random, t, ())) * used for t, used in zip((a_type, b_type), zeros, strict=True))
    inputs = {"a": MatrixChannel.input("a", (m, k), a_type), "b": MatrixChannel.input("b", (k, n), b_type)}
    biases = [draw(random, IntType(20), (n,)) for _ in range(3)]
    given_bias = None
    if bias == "channel":
        given_bias = inputs["bias"] = MatrixChannel.input("bias", (n,), IntType(20))
    elif bias == "constant":
        given_bias, biases = biases[0], [biases[0]] * 3
    else:
        biases = [0] * 3
    built = systolic_multiply("mm", inputs["a"], inputs["b"], a_zero=a_zero, b_zero=b_zero, bias=given_bias)
    if built.product.matrix.bits > 64:
        return  # read back in test_sums_beyond_64_bits
    built.product.output("out")
    matrices = {
        "a": [draw(random, a_type, (m, k)) for _ in range(3)],
        "b": [draw(random, b_type, (k, n)) for _ in range(3)],
        "bias": biases,
    }
    results = ChannelBench(inputs, built.product, pause, seed).run(matrices, 3)
    for result, left, right, offset in zip(results, matrices["a"], matrices["b"], biases, strict=True):
        assert (result == (left - a_zero) @ (right - b_zero) + offset).all()


def test_sums_beyond_64_bits_are_exact():
    pyrtl.reset_working_block()
    uint32 = IntType(32, signed=False)
    a, b = MatrixChannel.input("a", (1, 5), uint32), MatrixChannel.input("b", (5, 2), uint32)
    product = systolic_multiply("mm", a, b).product
    assert product.matrix.type_name == "uint67"
    product.output("out")
    left, right = np.full((1, 5), 2**32 - 1, object), np.full((5, 2), 2**32 - 1, object)
    simulation = pyrtl.Simulation()
    for cycle in range(1 + systolic_cycles(1, 5, 2)):
        valid = int(cycle == 0)
        inputs = a.matrix.stimulus(left) | b.matrix.stimulus(right)
        simulation.step(inputs | {"a_valid": valid, "b_valid": valid, "out_ready": 0})
    assert simulation.inspect("out_valid")
    assert product.matrix.read(simulation).tolist() == (left @ right).tolist()


@pytest.mark.parametrize(("m", "k", "n"), [(1, 1, 1), (2, 3, 2), (3, 20, 4), (4, 2, 1)])
def test_latency_and_interval_are_what_the_formulas_say(m, k, n):
    pyrtl.reset_working_block()
    inputs = {"a": MatrixChannel.input("a", (m, k), INT8), "b": MatrixChannel.input("b", (k, n), INT8)}
    built = systolic_multiply("mm", inputs["a"], inputs["b"])
    built.product.output("out")
    bench = ChannelBench(inputs, built.product)
    bench.run({"a": [np.ones((m, k), int)] * 4, "b": [np.ones((k, n), int)] * 4}, 4)
    assert bench.cycles[0] == systolic_cycles(m, k, n)
    assert set(np.diff(bench.cycles)) == {systolic_interval(m, k, n)}


def test_operands_may_arrive_in_any_order():
    for first, second in (("a", "b"), ("b", "a")):
        pyrtl.reset_working_block()
        inputs = {"a": MatrixChannel.input("a", (2, 2), INT8), "b": MatrixChannel.input("b", (2, 2), INT8)}
        built = systolic_multiply("mm", inputs["a"], inputs["b"])
        built.product.output("out")
        simulation = pyrtl.Simulation()
        values = inputs["a"].matrix.stimulus([[1, 2], [3, 4]]) | inputs["b"].matrix.stimulus([[5, 6], [7, 8]])
        for cycle in range(20):
            valid = {f"{first}_valid": int(cycle == 1), f"{second}_valid": int(cycle == 6)}
            simulation.step(values | valid | {"out_ready": 0})
            assert simulation.inspect(f"{first}_ready") == (cycle <= 1 or cycle >= 8)
        assert simulation.inspect("out_valid")
        assert built.product.matrix.read(simulation).tolist() == [[19, 22], [43, 50]]


def test_ready_does_not_depend_on_inputs_of_the_same_cycle():
    pyrtl.reset_working_block()
    inputs = {"a": MatrixChannel.input("a", (2, 2), INT8), "b": MatrixChannel.input("b", (2, 2), INT8)}
    systolic_multiply("mm", inputs["a"], inputs["b"]).product.output("out")
    sources, _ = pyrtl.working_block().net_connections()
    for port in pyrtl.working_block().wirevector_subset(pyrtl.Output):
        pending, seen = [port], set()
        while pending:
            wire = pending.pop()
            assert not isinstance(wire, pyrtl.Input), f"{wire.name} reaches {port.name} without a register"
            if wire in sources and wire not in seen and not isinstance(wire, pyrtl.Register):
                pending.extend(sources[wire].args)
            seen.add(wire)


def test_accumulator_range_is_attained_and_no_wider():
    interval = accumulator_interval(Interval(-8, 7), Interval(-8, 7), 5, Interval(-3, 3))
    assert (interval.low, interval.high) == (5 * -56 - 3, 5 * 64 + 3)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda a, b: systolic_multiply("mm", a, a), "cannot multiply shapes"),
        (lambda a, b: systolic_multiply("mm", a, b, bias=np.zeros((3, 2), int)), "broadcast"),
        (lambda a, b: make_systolic_array("mm", a.matrix, b.matrix, _beat(), terms=3), "one dimension"),
        (lambda a, b: make_systolic_array("mm", a.matrix[0], b.matrix[0], _beat(), terms=0), "0 terms"),
        (
            lambda a, b: make_systolic_array("mm", a.matrix[0], b.matrix[0], _beat(), terms=3, bias=a.matrix),
            "bias has shape",
        ),
    ],
)
def test_misuse_is_named(build, message):
    pyrtl.reset_working_block()
    a, b = MatrixChannel.input("a", (2, 3), INT8), MatrixChannel.input("b", (3, 2), INT8)
    with pytest.raises(HardwareError, match=message):
        build(a, b)


def _beat():
    return Beat(*(pyrtl.Input(1) for _ in range(3)))


def test_bias_wires_of_the_bare_array_need_hold_only_as_documented():
    pyrtl.reset_working_block()
    left, top = WireMatrix.input("l", (2,), INT8), WireMatrix.input("t", (3,), INT8)
    bias = WireMatrix.input("bias", (2, 3), INT8)
    beat = Beat(*(pyrtl.Input(1, bit) for bit in ("valid", "first", "last")))
    array = make_systolic_array("mm", left, top, beat, terms=1, bias=bias)
    simulation = pyrtl.Simulation()
    wanted = np.arange(6).reshape(2, 3)
    for cycle in range(array.latency + 1):
        held = wanted if 0 <= cycle < bias_cycles(2, 3) else np.full((2, 3), -99)
        control = dict.fromkeys(("valid", "first", "last"), int(cycle == 0))
        simulation.step(left.stimulus([2, 3]) | top.stimulus([4, 5, 6]) | bias.stimulus(held) | control)
    assert (array.result.read(simulation) == np.outer([2, 3], [4, 5, 6]) + wanted).all()
