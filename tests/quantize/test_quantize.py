"""The whole quantizer: LiteRT on the exported file, circuits, and the float network judge what it makes."""

from __future__ import annotations

import numpy as np
import pytest
from float_networks import FloatNetwork, branches, small_cnn

import bitloom as bl
from bitloom.arith import IntType
from bitloom.errors import InputError, QuantizeError, UnsupportedError, UsageError
from bitloom.frontends import load_tflite
from bitloom.ir import FLOAT32
from bitloom.ir.float_graph import FloatGraph
from bitloom.quantize import Quantized, QuantizeOptions, Widths, quantize
from bitloom.quantize.compare import compare
from bitloom.quantize.options import RANGES
from bitloom.quantize.rules import RULES

NETWORKS = {"small_cnn": small_cnn, "branches": branches}


def quantized(net: FloatNetwork, **options: object) -> Quantized:
    return quantize(net.graph(), net.samples(60), QuantizeOptions(**options))  # type: ignore[arg-type]


def assert_exact(made: Quantized, executors: tuple[str, ...] = ("litert", "numpy"), count: int = 20) -> None:
    outcome = bl.verify(made.graph, bl.random_inputs(made.graph, count), executors)
    assert outcome.equal, [tensor for tensor in outcome.tensors if not tensor.equal]


def worst(made: Quantized) -> float:
    """Decibels of the output that is farthest from the float network's."""
    errors = {error.name: error for error in compare(made.state.graph, made.graph, made.state.inputs)}
    return min(errors[name].decibels for name in made.state.graph.outputs)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"per_channel": False},
        {"symmetric": True},
        {"power_of_two": True},
        {"float_io": True},
        {"widths": Widths(4, 8)},
        {"widths": Widths(3, 8)},
        {"widths": Widths(8, 16)},
        {"layers": {"x": Widths(8, 16)}},
        *({"ranges": ranges} for ranges in RANGES if ranges != "mse"),
    ],
    ids=str,
)
def test_litert_agrees_in_every_tensor(network, options) -> None:
    assert_exact(quantized(NETWORKS[network](), **options))


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("bits", ["8/8", "4/4", "3/6", "2/8", "8/3"])
def test_circuits_agree(network, bits) -> None:
    made = quantized(NETWORKS[network](), widths=Widths.parse(bits))
    assert_exact(made, ("numpy", "pyrtl"), 2)


@pytest.mark.parametrize(
    ("network", "options", "decibels"),
    [
        ("small_cnn", {}, 38),
        ("small_cnn", {"widths": Widths(8, 16)}, 43),
        ("small_cnn", {"per_channel": False}, 35),
        ("small_cnn", {"widths": Widths(12, 12)}, 45),
        ("branches", {}, 34),
        ("branches", {"ranges": "min-max"}, 33),
        ("branches", {"widths": Widths(16, 8)}, 34),
        ("branches", {"widths": Widths(8, 16)}, 41),
    ],
    ids=str,
)
def test_close_to_the_float_network(network, options, decibels) -> None:
    assert worst(quantized(NETWORKS[network](), **options)) > decibels


def test_more_bits_are_closer() -> None:
    found = [worst(quantized(branches(), widths=Widths(bits, bits))) for bits in (3, 4, 6, 8, 12)]
    assert found == sorted(found)


def test_float_edges() -> None:
    made = quantized(small_cnn(), float_io=True)
    graph = made.graph
    assert graph.type("x").element == FLOAT32
    assert graph.type(graph.outputs[0]).element == FLOAT32
    plain = quantized(small_cnn()).graph
    assert plain.type("x").element == IntType(8)
    assert plain.outputs == graph.outputs


def test_the_text_and_the_file_are_the_same_network() -> None:
    made = quantized(branches())
    assert bl.parse_graph(bl.print_graph(made.graph)) == made.graph
    from bitloom.export.tflite import graph_to_tflite

    again = load_tflite(graph_to_tflite(made.graph), made.graph.name).graph
    assert [node.operator for node in again.nodes] == [node.operator for node in made.graph.nodes]


def test_every_operator_of_the_rules() -> None:
    """One network with each operator that no other test network has."""
    net = FloatNetwork((1, 4, 4, 4), name="every")
    x = net.same("ABS", net.same("GELU", "x", approximate=False))
    x = net.add("PAD", (1, 6, 4, 4), x, np.array([(0, 0), (1, 1), (0, 0), (0, 0)]))
    x = net.add("PADV2", (1, 6, 6, 4), x, np.array([(0, 0), (0, 0), (1, 1), (0, 0)]), np.array(0.5))
    x = net.add("MIRROR_PAD", (1, 8, 6, 4), x, np.array([(0, 0), (1, 1), (0, 0), (0, 0)]), mode="REFLECT")
    x = net.add("RESIZE_NEAREST_NEIGHBOR", (1, 4, 4, 4), x, np.array([4, 4]))
    x = net.add("SPACE_TO_DEPTH", (1, 2, 2, 16), x, block_size=2)
    x = net.add("DEPTH_TO_SPACE", (1, 4, 4, 4), x, block_size=2)
    x = net.same("RELU_N1_TO_1", net.same("RELU6", net.same("RELU", x)))
    x = net.same("MINIMUM", net.same("MAXIMUM", x, np.array(0.1)), np.array(0.9))
    x = net.add("TRANSPOSE", (1, 4, 4, 4), x, np.array([0, 3, 1, 2]))
    x = net.add(
        "STRIDED_SLICE", (1, 2, 4, 4), x, *(np.array(each) for each in ([0, 0, 0, 0], [1, 4, 4, 4], [1, 2, 1, 1]))
    )
    x = net.add("SLICE", (1, 2, 3, 4), x, np.array([0, 0, 1, 0]), np.array([1, 2, 3, 4]))
    x = net.add("GATHER", (1, 2, 2, 4), x, np.array([2, 0]), axis=2, batch_dims=0)
    x = net.add("SQUEEZE", (2, 2, 4), x, squeeze_dims=(0,))
    x = net.add("EXPAND_DIMS", (1, 2, 2, 4), x, np.array(0))
    x = net.pair("SUB", net.pair("MUL", x, x), net.pair("ADD", x, np.array(0.2)))
    net.add("ARG_MAX", (1, 2, 2), x, np.array(3), output_type="INT32")
    net.tensors[net.nodes[-1].outputs[0]] = type(net.tensors["x"])(net.nodes[-1].outputs[0], (1, 2, 2), dtype="int32")
    made = quantized(net)
    assert_exact(made, ("litert", "numpy", "pyrtl"), 3)
    used = {node.kind for each in (net, small_cnn(), branches()) for node in each.nodes}
    # Those of several results are in a test of their own.
    assert used | {"SPLIT", "SPLIT_V", "UNPACK", "PACK"} == set(RULES) | {"SQUEEZE"}


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("kind", ["SPLIT", "SPLIT_V", "UNPACK"])
def test_several_results(kind, bits) -> None:
    net = FloatNetwork((1, 2, 6), name="several")
    names, rows = ("a", "b"), (1, 6) if kind == "UNPACK" else (1, 1, 6)
    for name in names:
        net.tensors[name] = type(net.tensors["x"])(name, rows)
    one, node = net.constant("one", np.array(1)), type(small_cnn().nodes[0])
    sizes = net.constant("sizes", np.array([1, 1]))
    made = {
        "SPLIT": node("SPLIT", (one, "x"), names, {"num_splits": 2}),
        "SPLIT_V": node("SPLIT_V", ("x", sizes, one), names, {"num_splits": 2}),
        "UNPACK": node("UNPACK", ("x",), names, {"num": 2, "axis": 1}),
    }
    net.nodes.append(made[kind])
    net.add("PACK", (1, 2, *rows[1:]), "b", net.same("RELU", "a"), axis=1, values_count=2)
    # Results of a width of their own have one scale, and the operand is converted to it.
    made = quantized(net, layers={"x": Widths(8, bits), "a": Widths(8, 8)})
    assert made.graph.type("a").quantization == made.graph.type("b").quantization
    assert_exact(made, ("litert", "numpy", "pyrtl") if bits == 8 else ("litert", "numpy"), 3)


def test_a_result_that_nothing_reads_is_not_computed() -> None:
    net = FloatNetwork((1, 6), name="half")
    for name in ("a", "b"):
        net.tensors[name] = type(net.tensors["x"])(name, (1, 3))
    net.constant("axis", np.array(1))
    net.nodes.append(type(small_cnn().nodes[0])("SPLIT", ("axis", "x"), ("a", "b"), {"num_splits": 2}))
    net.dense("b", 2)
    made = quantized(net)
    assert "a" not in made.graph.computed
    assert_exact(made, ("litert", "numpy", "pyrtl"), 3)


# ------------------------------------------------------------------------------------------------ types of tensors


def test_tensors_that_share_a_scale() -> None:
    made = quantized(branches())
    types = made.state.chosen.types
    for node in made.state.graph.nodes:
        if node.kind in ("MAX_POOL_2D", "RESHAPE"):
            assert types[node.outputs[0]].quantization == types[node.read[0]].quantization


def test_a_gate_in_a_concatenation_is_converted() -> None:
    net = FloatNetwork((1, 6))
    gate = net.same("LOGISTIC", "x")
    wide = net.dense("x", 6)
    net.add("CONCATENATION", (1, 12), gate, wide, axis=1, fused_activation_function="NONE")
    made = quantized(net)
    assert made.graph.type(gate).required_quantization.scale == 1 / 256
    assert [node.operator.name for node in made.graph.nodes].count("requantize") == 1
    assert_exact(made)


def test_gates_alone_keep_their_scale_in_a_concatenation() -> None:
    net = FloatNetwork((1, 6))
    gates = net.same("LOGISTIC", "x"), net.same("LOGISTIC", net.dense("x", 6))
    joined = net.add("CONCATENATION", (1, 12), *gates, axis=1, fused_activation_function="NONE")
    made = quantized(net)
    assert made.graph.type(joined).required_quantization.scale == 1 / 256
    assert_exact(made)


def test_a_small_operand_that_others_read_keeps_its_scale() -> None:
    net = FloatNetwork((1, 6))
    small = net.pair("MUL", net.same("TANH", "x"), np.array(0.01))
    large = net.pair("MUL", net.same("TANH", "x"), np.array(5.0))
    joined = net.add("CONCATENATION", (1, 12), small, large, axis=1, fused_activation_function="NONE")
    graph = net.graph(joined, small)
    made = quantize(graph, net.samples(50))
    assert made.graph.type(small).required_quantization.scale < 0.02 / 200
    assert made.graph.type(large).quantization == made.graph.type(joined).quantization
    assert_exact(made)


def test_operators_without_a_wide_kernel_get_narrow_operands() -> None:
    net = FloatNetwork((1, 6))
    net.dense(net.same("HARD_SWISH", net.dense("x", 6)), 3)
    made = quantized(net, widths=Widths(8, 16))
    types = [str(made.graph.type(name).element) for name in made.graph.computed]
    assert types == ["int16", "int8", "int8", "int16", "int16"]
    assert_exact(made)


def test_widths_of_single_layers() -> None:
    net = small_cnn()
    names = [node.outputs[0] for node in quantized(net).state.graph.nodes]
    dense = next(name for name in names if name.startswith("fully_connected"))
    made = quantized(net, widths=Widths(8, 8), layers={dense: Widths(5, 6), "x": Widths(8, 7)})
    assert str(made.graph.type(dense).element) == "int6"
    assert str(made.graph.type("x").element) == "int7"
    assert made.state.weights[dense].type.integer == IntType(5)
    assert_exact(made, ("numpy", "pyrtl"), 2)


def test_scales_are_single_precision() -> None:
    for value in quantized(branches()).graph.values:
        for scale in value.type.quantization.scales if value.type.quantization else ():
            assert float(np.float32(scale)) == scale


def test_powers_of_two_everywhere() -> None:
    made = quantized(small_cnn(), power_of_two=True)
    for value in made.graph.values:
        for scale in value.type.quantization.scales if value.type.quantization else ():
            assert float(np.log2(scale)).is_integer()


# ------------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (np.zeros((0, 1, 12, 12, 2)), "there are no samples"),
        (np.float32(1), "there are no samples"),
        (np.zeros((3, 5)), r"has shape \[3, 5\].*give shape \[n, 1, 12, 12, 2\]"),
        (np.full((2, 12, 12, 2), np.nan), r"sample 0 holds nan at \[0, 0, 0, 0\]"),
        (np.full((2, 288), 1e300), "sample 0 holds inf"),
        (np.array([["a"] * 288]), "real numbers are needed"),
        ({}, "data for the input 'x' is missing"),
        (None, "data of input 'x': is missing"),
        ({"x": np.zeros((1, 288)), "y": np.zeros(1)}, "'y' is no input"),
    ],
)
def test_bad_calibration_data(data, message) -> None:
    with pytest.raises(InputError, match=message):
        quantize(small_cnn().graph(), data)


def test_a_dead_channel() -> None:
    net = FloatNetwork((1, 4))
    weights = np.random.default_rng(0).normal(0, 1, (5, 4))
    weights[[1, 3]] = 0
    net.add("FULLY_CONNECTED", (1, 5), "x", weights, np.ones(5), name="dead")
    with pytest.raises(QuantizeError, match=r"'dead'.*output channels 1, 3 of 5 are 0.*--dead-channels keep"):
        quantized(net)
    made = quantized(net, dead_channels="keep")
    assert_exact(made)
    answers = made.graph.evaluate(bl.random_inputs(made.graph, 5))["dead"]
    quantization = made.graph.type("dead").required_quantization
    for channel in (1, 3):
        real = (answers[:, 0, channel].astype(float) - quantization.zero_point) * quantization.scale
        assert np.abs(real - 1).max() <= quantization.scale


def test_all_weights_zero() -> None:
    net = FloatNetwork((1, 4))
    net.add("FULLY_CONNECTED", (1, 2), "x", np.zeros((2, 4)), np.ones(2), name="dead")
    assert_exact(quantized(net, dead_channels="keep", per_channel=False))


def test_a_tensor_that_is_always_zero() -> None:
    net = FloatNetwork((1, 4))
    net.dense(net.same("RELU", net.pair("SUB", net.same("LOGISTIC", "x"), np.array(2.0)), **{}), 3)
    with pytest.raises(QuantizeError, match="is 0 in every calibration sample"):
        quantized(net)
    assert_exact(quantized(net, dead_channels="keep"))


def test_tiny_weights_with_a_large_bias() -> None:
    net = FloatNetwork((1, 4))
    weights = np.random.default_rng(0).normal(0, 1, (3, 4)) * np.array([[1], [1e-9], [1e-30]])
    net.add("FULLY_CONNECTED", (1, 3), "x", weights, np.array([0, 2.0, -1.5]), name="y")
    made = quantized(net)
    assert_exact(made)
    assert worst(made) > 35


def test_numbers_that_overflow_in_the_network() -> None:
    net = FloatNetwork((1, 4))
    net.pair("MUL", net.pair("MUL", "x", np.array(1e30)), np.array(1e30))
    with pytest.raises(QuantizeError, match=r"not finite in 'mul_\d'"):
        quantized(net)


def test_an_unsupported_operator() -> None:
    net = FloatNetwork((1, 4))
    net.same("EXP", net.same("SQRT", net.same("ABS", "x")))
    with pytest.raises(UnsupportedError, match="SQRT 'sqrt_1': SQRT cannot be quantized, nor is EXP; what can: ABS,"):
        quantized(net)


def test_weights_that_are_computed() -> None:
    net = FloatNetwork((1, 4))
    net.add("FULLY_CONNECTED", (1, 1), "x", net.same("TANH", "x"), name="y")
    with pytest.raises(UnsupportedError, match="'y': has weights or a bias that are computed"):
        quantized(net)


@pytest.mark.parametrize("text", ["0/8", "33/8", "8/64", "8/-1", "", "8/8/8", "eight", "8/1", "17"])
def test_bad_widths(text) -> None:
    with pytest.raises(UsageError):
        Widths.parse(text)


@pytest.mark.parametrize(
    "options", [{"ranges": "all"}, {"percentile": 101.0}, {"weight_ranges": "x"}, {"dead_channels": "x"}]
)
def test_bad_options(options) -> None:
    with pytest.raises(UsageError):
        QuantizeOptions(**options)


def test_an_unknown_layer() -> None:
    with pytest.raises(UsageError, match="there is no layer 'nobody' to give widths to; name one of x, "):
        quantized(small_cnn(), layers={"nobody": Widths()})


def test_two_inputs() -> None:
    net = FloatNetwork((1, 4))
    net.tensors["z"] = type(net.tensors["x"])("z", (1, 4))
    made = net.dense(net.pair("MUL", "x", "z"), 3)
    graph = FloatGraph("two", ("x", "z"), (made,), tuple(net.tensors.values()), tuple(net.nodes))
    samples = {"x": net.samples(30), "z": 100 * net.samples(30, seed=2)}
    both = quantize(graph, samples)
    assert both.graph.type("z").required_quantization.scale > 20 * both.graph.type("x").required_quantization.scale
    assert_exact(both, ("litert", "numpy", "pyrtl"), 3)
    with pytest.raises(InputError, match="has 2 inputs and one array was given"):
        quantize(graph, net.samples(3))
    with pytest.raises(InputError, match="different numbers of samples: 'x' has 30, 'z' has 3"):
        quantize(graph, {"x": samples["x"], "z": samples["z"][:3]})


def test_the_same_again() -> None:
    first, second = (bl.print_graph(quantized(branches(), widths=Widths(4, 8)).graph) for _ in range(2))
    assert first == second


def test_progress() -> None:
    net, seen = small_cnn(), []
    quantize(net.graph(), net.samples(300), progress=lambda step, done, total: seen.append((step, done, total)))
    assert ("calibrating", 300, 300) in seen
    assert {step for step, _, _ in seen} >= {"preparing", "calibrating", "choosing ranges", "lowering"}
