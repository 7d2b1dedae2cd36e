"""Passes over float graphs: fewer nodes, the same numbers."""

from __future__ import annotations

import numpy as np
import pytest
from float_networks import FloatNetwork, branches, small_cnn

from bitloom.ir.float_graph import FloatGraph
from bitloom.quantize.prepare import PASSES, prepare
from bitloom.run.float_litert import evaluate_float


def kinds(graph: FloatGraph) -> list[str]:
    return [node.kind for node in graph.nodes]


def assert_same(net: FloatNetwork, graph: FloatGraph, made: FloatGraph) -> None:
    assert made.inputs == graph.inputs
    assert made.outputs == graph.outputs
    samples = {"x": net.samples(5)}
    before, after = evaluate_float(graph, samples), evaluate_float(made, samples)
    for name in after:
        np.testing.assert_allclose(after[name], before[name], rtol=1e-4, atol=1e-5)


def prepared(net: FloatNetwork, *outputs: str) -> FloatGraph:
    graph = net.graph(*outputs)
    made = prepare(graph)
    assert_same(net, graph, made)
    return made


@pytest.mark.parametrize("make", [small_cnn, branches])
def test_whole_networks(make) -> None:
    net = make()
    made = prepared(net)
    assert prepare(made) is made
    assert len(made.nodes) < len(net.nodes) or make is branches


def test_normalization_and_rectifier_go_into_the_convolution() -> None:
    made = prepared(small_cnn())
    assert kinds(made)[:2] == ["CONV_2D", "MAX_POOL_2D"]
    assert made.nodes[0].attributes["fused_activation_function"] == "RELU"


@pytest.mark.parametrize("layer", ["conv", "depthwise", "dense"])
@pytest.mark.parametrize("bias", [True, False])
def test_factors_and_terms_of_channels(layer, bias) -> None:
    net = FloatNetwork((1, 5, 5, 3))
    more = {} if bias else {"bias": None}
    if layer == "dense":
        made = net.dense("x", 4)
    else:
        made = net.conv("x", 4, **more) if layer == "conv" else net.depthwise("x", **more)
    channels = net.shape(made)[-1]
    made = net.pair("MUL", made, net.rng.uniform(-2, 2, channels))
    made = net.pair("SUB", net.rng.normal(0, 1, channels), made)
    made = net.pair("ADD", made, np.array(0.25))
    made = net.pair("SUB", made, net.rng.normal(0, 1, (1,) * (len(net.shape(made)) - 1) + (channels,)))
    net.pair("MUL", np.array([3.0]), made, activation="RELU6")
    graph = prepared(net)
    assert len(graph.nodes) == 1
    assert graph.nodes[0].attributes["fused_activation_function"] == "RELU6"


def test_shapes_of_a_batch_that_could_change() -> None:
    """What Keras makes of Flatten: the shape is computed from the input's."""
    net = FloatNetwork((1, 3, 4))
    tensor, node = type(net.tensors["x"]), type(small_cnn().nodes[0])
    for name, shape in (("shape", (3,)), ("batch", ()), ("wanted", (2,))):
        net.tensors[name] = tensor(name, shape, dtype="int32")
    ends = [net.constant(name, np.array([number])) for name, number in (("begin", 0), ("end", 1), ("step", 1))]
    minus_one = net.constant("rest", np.array(-1))
    masks = {"begin_mask": 0, "end_mask": 0, "ellipsis_mask": 0, "new_axis_mask": 0, "shrink_axis_mask": 1}
    net.nodes += [
        node("SHAPE", ("x",), ("shape",), {"out_type": "INT32"}),
        node("STRIDED_SLICE", ("shape", *ends), ("batch",), masks),
        node("PACK", ("batch", minus_one), ("wanted",), {"values_count": 2, "axis": 0}),
    ]
    net.dense(net.add("RESHAPE", (1, 12), "x", "wanted"), 2)
    made = prepared(net)
    assert kinds(made) == ["RESHAPE", "FULLY_CONNECTED"]
    assert made.tensor("wanted").constant.tolist() == [1, -1]


def test_quotients() -> None:
    net = FloatNetwork((1, 4, 4, 3))
    centred = net.pair("SUB", "x", np.array([0.4, 0.5, 0.6]))
    net.conv(net.pair("DIV", centred, np.array([0.2, 0.25, -0.3])), 2)
    assert kinds(prepared(net)) == ["DEPTHWISE_CONV_2D", "CONV_2D"]


def test_quotients_of_rows() -> None:
    net = FloatNetwork((1, 3))
    net.dense(net.pair("DIV", "x", np.array([0.2, 0.25, -0.3])), 2)
    assert kinds(prepared(net)) == ["MUL", "FULLY_CONNECTED"]


def test_quotients_by_zero_or_of_constants_stay() -> None:
    net = FloatNetwork((1, 3))
    net.pair("DIV", net.pair("DIV", "x", np.array([1.0, 0.0, 2.0])), "x")
    assert [node.kind for node in prepare(net.graph()).nodes] == ["DIV", "DIV"]


def test_what_nothing_reads_goes() -> None:
    net = FloatNetwork((1, 4))
    kept = net.dense("x", 3)
    net.same("TANH", net.dense(kept, 2))
    assert kinds(prepared(net, kept)) == ["FULLY_CONNECTED"]


def test_what_others_read_stays() -> None:
    net = FloatNetwork((1, 4, 4, 2))
    conv = net.conv("x", 2)
    normal = net.pair("MUL", conv, np.array([2.0, 3.0]))
    net.pair("ADD", conv, net.same("RELU", normal))
    assert kinds(prepared(net)) == ["CONV_2D", "MUL", "ADD"]


def test_an_output_stays() -> None:
    net = FloatNetwork((1, 4, 4, 2))
    conv = net.conv("x", 2)
    relu = net.same("RELU", conv)
    assert kinds(prepared(net, conv, relu)) == ["CONV_2D", "RELU"]


def test_factors_of_pixels_stay() -> None:
    net = FloatNetwork((1, 2, 2, 3))
    net.pair("MUL", net.conv("x", 3), net.rng.uniform(1, 2, (1, 2, 1, 1)))
    assert kinds(prepared(net)) == ["CONV_2D", "MUL"]


def test_normalization_without_a_layer_becomes_one() -> None:
    net = FloatNetwork((1, 4, 4, 3))
    scaled = net.pair("MUL", "x", net.rng.uniform(0.5, 2, 3))
    shifted = net.pair("ADD", scaled, net.rng.normal(0, 1, 3), activation="RELU")
    net.conv(shifted, 2)
    made = prepared(net)
    assert kinds(made) == ["DEPTHWISE_CONV_2D", "CONV_2D"]


@pytest.mark.parametrize(("stride", "size", "around"), [(1, 6, (1, 1)), (2, 6, (0, 1)), (2, 7, (1, 1))])
def test_padding_as_same(stride, size, around) -> None:
    net = FloatNetwork((1, size, size, 2))
    padded = size + sum(around)
    paddings = np.array([(0, 0), around, around, (0, 0)])
    net.conv(net.add("PAD", (1, padded, padded, 2), "x", paddings), 3, stride=stride, padding="VALID")
    made = prepared(net)
    assert kinds(made) == ["CONV_2D"]
    assert made.nodes[0].attributes["padding"] == "SAME"


def test_other_padding_stays() -> None:
    net = FloatNetwork((1, 6, 6, 2))
    net.conv(net.add("PAD", (1, 8, 8, 2), "x", np.array([(0, 0), (1, 1), (1, 1), (0, 0)])), 3, 3, 2, "VALID")
    assert kinds(prepared(net)) == ["PAD", "CONV_2D"]


def test_identities_go() -> None:
    net = FloatNetwork((1, 4, 6))
    reshaped = net.add("RESHAPE", (1, 4, 6), "x", np.array([1, 4, 6]), new_shape=(1, 4, 6))
    turned = net.same("TRANSPOSE", reshaped, np.array([0, 1, 2]))
    one = net.pair("MUL", turned, np.ones(6))
    zero = net.pair("SUB", net.same("TANH", one), np.array(0.0))
    last = net.add("CONCATENATION", (1, 4, 6), zero, axis=1, fused_activation_function="NONE")
    made = prepared(net)
    assert kinds(made) == ["TANH"]
    assert made.outputs == (last,)


def test_real_moves_stay() -> None:
    net = FloatNetwork((1, 3, 3))
    net.pair("SUB", np.array(0.0), net.same("TRANSPOSE", "x", np.array([0, 2, 1])))
    assert kinds(prepared(net)) == ["TRANSPOSE", "SUB"]


def test_an_identity_between_input_and_output_stays() -> None:
    net = FloatNetwork((1, 3))
    net.add("RESHAPE", (1, 3), "x", np.array([1, 3]), new_shape=(1, 3))
    assert kinds(prepare(net.graph())) == ["RESHAPE"]


def test_bounds_become_activations() -> None:
    net = FloatNetwork((1, 9))
    first = net.same("MINIMUM", net.same("MAXIMUM", "x", np.array(0.0)), np.array(6.0))
    second = net.same("MINIMUM", net.same("RELU", net.dense(first, 9)), np.array(6.0))
    third = net.same("MINIMUM", net.same("MAXIMUM", net.dense(second, 9), np.array(-1.0)), np.array(1.0))
    net.same("MAXIMUM", net.dense(third, 9), np.array(0.5))
    made = prepared(net)
    assert kinds(made) == ["RELU6", "FULLY_CONNECTED", "FULLY_CONNECTED", "FULLY_CONNECTED", "MAXIMUM"]
    assert [node.attributes.get("fused_activation_function") for node in made.nodes[1:3]] == ["RELU6", "RELU_N1_TO_1"]


def test_constants_are_computed() -> None:
    net = FloatNetwork((1, 4))
    net.constant("a", np.array([1.0, 2.0, 3.0, 4.0]))
    doubled = net.pair("ADD", "a", "a")
    net.tensors["shape"] = net.tensors["x"].__class__("shape", (2,), dtype="int32")
    net.nodes.append(net.nodes[0].__class__("SHAPE", ("x",), ("shape",), {"out_type": "INT32"}))
    net.add("RESHAPE", (1, 4), net.pair("MUL", "x", doubled), "shape")
    made = prepared(net)
    assert kinds(made) == ["MUL"]
    constant = made.tensor(made.nodes[0].read[1])
    assert constant.constant.tolist() == [2, 4, 6, 8]


@pytest.mark.parametrize("index", range(len(PASSES)))
def test_each_pass_alone_computes_the_same(index) -> None:
    for net in (small_cnn(), branches()):
        graph = net.graph()
        assert_same(net, graph, PASSES[index][1](graph))


def test_many_layers_do_not_exhaust_the_stack() -> None:
    net = FloatNetwork((1, 2))
    name = "x"
    for _ in range(150):
        name = net.same("RELU", net.pair("ADD", net.pair("MUL", net.dense(name, 2), np.array(1.1)), np.array(0.1)))
    assert len(prepare(net.graph()).nodes) == 150
