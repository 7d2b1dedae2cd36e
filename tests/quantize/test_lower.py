"""From types to the graph: names, ends, and what an operator of any width is."""

from __future__ import annotations

import numpy as np
import pytest
from float_networks import FloatNetwork, small_cnn

import bitloom as bl
from bitloom.errors import UnsupportedError
from bitloom.ir import operators
from bitloom.ir.float_graph import FloatGraph
from bitloom.quantize import QuantizeOptions, Widths, quantize
from bitloom.quantize.rules import RULES


def test_tensors_keep_their_names() -> None:
    net = small_cnn()
    made = quantize(net.graph(), net.samples(10))
    reference = made.state.graph
    assert made.graph.inputs == reference.inputs
    assert made.graph.outputs == reference.outputs
    assert set(made.graph.computed) == {name for node in reference.nodes for name in node.outputs}


def test_ends_of_real_numbers() -> None:
    net = FloatNetwork((1, 4))
    hidden = net.dense("x", 5)
    last = net.dense(net.same("RELU", hidden), 2)
    made = quantize(net.graph(hidden, last), net.samples(30), QuantizeOptions(float_io=True))
    assert made.graph.outputs == (hidden, last)
    assert made.graph.computed == (
        *("x/int8", f"{hidden}/int8", "relu_1", f"{last}/int8"),
        *(hidden, last),
    )
    real = net.samples(9, seed=5)
    answers = bl.run(made.graph, {"x": real}).tensors
    assert answers[last].dtype == np.float32
    assert bl.verify(made.graph, {"x": real}, ["litert", "numpy", "pyrtl"]).equal


def test_a_position_is_an_integer_even_between_real_ends() -> None:
    net = FloatNetwork((1, 6))
    name = net.add("ARG_MAX", (1,), net.dense("x", 5), np.array(-1), output_type="INT32")
    net.tensors[name] = type(net.tensors["x"])(name, (1,), dtype="int32")
    made = quantize(net.graph(), net.samples(20), QuantizeOptions(float_io=True))
    assert str(made.graph.type(name).element) == "int32"
    assert bl.verify(made.graph, {"x": net.samples(5)}, ["litert", "numpy"]).equal


def test_an_input_that_is_an_output() -> None:
    net = FloatNetwork((1, 4))
    graph = net.dense("x", 2)
    both = FloatGraph("both", ("x",), ("x", graph), net.graph().tensors, net.graph().nodes)
    with pytest.raises(UnsupportedError, match="the output 'x' is an input: nothing is computed"):
        quantize(both, net.samples(3))


def test_an_output_that_is_a_constant() -> None:
    net = FloatNetwork((1, 4))
    made = net.pair("ADD", net.constant("a", np.ones(3)), np.ones(3))
    net.dense("x", 2)
    with pytest.raises(UnsupportedError, match=f"the output '{made}' is a constant"):
        quantize(net.graph(made, net.nodes[-1].outputs[0]), net.samples(3))


@pytest.mark.parametrize("float_io", [False, True])
def test_an_output_named_twice(float_io) -> None:
    net = FloatNetwork((1, 4))
    name = net.dense("x", 2)
    made = quantize(net.graph(name, name), net.samples(3), QuantizeOptions(float_io=float_io))
    assert made.graph.outputs == (name, name)


def test_every_operator_of_tflite_has_a_rule() -> None:
    spellings = {spelling for operator in operators().values() for spelling in operator.tflite}
    assert set(RULES) == spellings - {"QUANTIZE", "DEQUANTIZE"}


@pytest.mark.parametrize("bits", [2, 3, 5, 7])
def test_narrow_results_are_the_wide_ones_cut_off(bits) -> None:
    """A layer of narrow results computes as the kernel of int8 does with the same scales, then clamps."""
    net = FloatNetwork((1, 8))
    net.dense("x", 6, fused_activation_function="RELU")
    made = quantize(net.graph(), net.samples(40), QuantizeOptions(widths=Widths(8, bits))).graph
    (node,) = made.nodes
    operator = node.operator
    element = made.type(node.outputs[0]).integer
    wide = operator.__class__(
        **{
            **{name: getattr(operator, name) for name in operator.__dataclass_fields__},  # type: ignore[attr-defined]
            "activation": operator.activation.__class__(
                made.type(node.outputs[0]).required_quantization.zero_point, 127
            ),  # type: ignore[attr-defined]
        }
    )
    x = bl.random_inputs(made, 50)["x"]
    constants = [made.value(name).data for name in node.inputs[1:]]
    (narrow,), (whole,) = (each.evaluate([x, *constants]) for each in (operator, wide))  # type: ignore[list-item]
    np.testing.assert_array_equal(narrow, np.minimum(whole, element.maximum))
    assert element.contains(int(narrow.min()), int(narrow.max()))


@pytest.mark.parametrize("kind", ["ADD", "SUB", "MUL", "PRELU"])
@pytest.mark.parametrize("bits", [3, 8, 16])
def test_constant_operands(kind, bits) -> None:
    if kind == "PRELU" and bits == 16:
        bits = 12  # an int16 result becomes int8: there is no other kernel
    net = FloatNetwork((1, 2, 2, 3))
    constant = np.array([0.1, 0.5, 0.25])
    net.same(kind, "x", constant, fused_activation_function="NONE") if kind != "PRELU" else net.same(
        kind, "x", constant
    )
    made = quantize(net.graph(), net.samples(40), QuantizeOptions(widths=Widths(8, bits)))
    name = f"{made.graph.outputs[0]}/1"
    stored = made.graph.value(name)
    quantization = stored.type.required_quantization
    real = (stored.constant - quantization.zero_point) * quantization.scale
    np.testing.assert_allclose(real.reshape(-1), constant, atol=0.51 * quantization.scale)
    executors = ["litert", "numpy"] if bits in (8, 16) else ["numpy", "pyrtl"] if bits < 8 else None
    if executors:
        assert bl.verify(made.graph, bl.random_inputs(made.graph, 10), executors).equal


def test_a_constant_of_zeros() -> None:
    net = FloatNetwork((1, 3))
    net.pair("MUL", net.same("TANH", "x"), np.zeros(3))
    made = quantize(net.graph(), net.samples(10), QuantizeOptions(dead_channels="keep"))
    assert bl.verify(made.graph, bl.random_inputs(made.graph, 10), ["litert", "numpy"]).equal
