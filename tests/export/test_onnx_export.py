"""Graphs written as QDQ ONNX files: ONNX Runtime makes the same of them but for its own rounding, and they read back.

This is the one place where a unit is allowed: ONNX defines the arithmetic between its quantizers in binary32, and
rounds halves to even where LiteRT's kernels round in fixed point.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

import onnx
from models import GraphBuilder, dense_network, quantized, random_inputs

import bitloom as bl
import bitloom.export.onnx_writer
from bitloom.arith import Interval, IntType
from bitloom.circuits.streaming import WiringOperator
from bitloom.data import SHIPPED_DIGITS
from bitloom.errors import MissingExtraError, UnsupportedError
from bitloom.export.onnx import _WRITERS, as_onnx_model, graph_to_onnx
from bitloom.frontends import load_onnx
from bitloom.ir import Example, Graph, Quantization, TensorType, Value, operators
from bitloom.ops.shared.moving import MovingOperator
from bitloom.run import create_executor
from data import test_data

EXAMPLES = {example.name: example for operator in operators().values() for example in operator.examples()}
# Tables whose functions are none of ONNX's, and operators with thresholds of their own.
REFUSED = ("lookup_", "multi_threshold_", "quantize_steps_", "dequantize_steps_")
# What bitloom's own reader of ONNX does not take.
NOT_READ = ("prelu_", "leaky_relu_int16", "add_number", "sub_number", "_int32", "concatenation_constant")
MOVES = ("concatenation", "pack", "pad", "max_pool_2d")


def both(graph: Graph, inferences: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Every computed tensor, of ONNX Runtime and of NumPy, in wide integers or reals."""
    model = as_onnx_model(graph)
    inputs = random_inputs(graph, inferences, 1)
    judged, ours = (create_executor(name, model).run(inputs).tensors for name in ("onnxruntime", "numpy"))
    assert set(judged) == set(graph.computed)
    return {name: array.astype(np.float64) for name, array in judged.items()}, {
        name: array.astype(np.float64) for name, array in ours.items()
    }


def is_exact(example: Example) -> bool:
    """Whether nothing is rounded."""
    operator = example.graph.nodes[-1].operator
    return isinstance(operator, (WiringOperator, MovingOperator)) or operator.name in MOVES


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_agrees_within_a_unit_or_is_refused(name: str) -> None:
    example = EXAMPLES[name]
    graph, kind = example.graph, example.graph.nodes[-1].operator.name
    if name.startswith(REFUSED) or not (kind in _WRITERS or is_exact(example) or kind in ("gelu", "logistic", "tanh")):
        with pytest.raises(UnsupportedError):
            graph_to_onnx(graph)
        return
    judged, ours = both(graph, 64)
    for tensor, array in judged.items():
        difference = np.abs(array - ours[tensor])
        assert difference.max() <= (0 if is_exact(example) else 1)
        # Where scales are powers of two, a quarter of all results may be halves.
        assert (difference > 0).mean() < 0.3


@pytest.mark.parametrize("name", [name for name in EXAMPLES if not name.startswith(REFUSED)])
def test_every_example_reads_back(name: str) -> None:
    graph = EXAMPLES[name].graph
    try:
        content = graph_to_onnx(graph)
    except UnsupportedError:
        return
    if any(part in name for part in NOT_READ):
        return
    model = load_onnx(content, "read")
    inputs = random_inputs(graph, 32, 1)
    judged = create_executor("onnxruntime", as_onnx_model(graph)).run(inputs).tensors[graph.outputs[0]]
    found = {**inputs, **create_executor("numpy", model).run(inputs).tensors}[model.graph.outputs[0]]
    assert found.shape == judged.shape
    assert np.abs(found.astype(np.float64) - judged).max() <= 1
    if name.startswith(("conv_2d_", "depthwise_", "fully_connected_")):
        one, other = (
            next((each, node) for node in each.nodes if hasattr(node.operator, "rescale"))
            for each in (graph, model.graph)
        )
        mine, theirs = (each.operands(node)[1].constant.reshape(-1) for each, node in (one, other))
        # Groups of one channel are read as a depthwise convolution, whose weights lie otherwise.
        assert np.array_equal(np.sort(mine), np.sort(theirs))
        multipliers = [node.operator.rescale.multipliers for _, node in (one, other)]
        assert np.allclose(*multipliers, rtol=1e-6, atol=0)


def image_network(seed: int = 0) -> Graph:
    """Convolution, pool, convolution, flattened, dense."""
    rng = np.random.default_rng(seed)
    builder = GraphBuilder("images", quantized((1, 6, 5, 3), 0.02, 3))
    convolve(builder, rng, "first", 4, (1, 6, 5, 4))
    options = {"filter_height": 2, "filter_width": 2, "stride_h": 2, "stride_w": 1, "padding": "VALID"}
    builder.add("MAX_POOL_2D", quantized((1, 3, 4, 4), 0.05, -9), **options)
    convolve(builder, rng, "second", 5, (1, 3, 4, 5))
    builder.add("RESHAPE", quantized((1, 60), 0.05, -9), new_shape=(1, 60))
    builder.dense(7, rng, per_channel=True)
    return builder.graph()


def convolve(builder: GraphBuilder, rng: np.random.Generator, name: str, outputs: int, made: tuple[int, ...]) -> None:
    depth = builder.last.type.shape[-1]
    scales = tuple(float(np.float32(scale)) for scale in rng.uniform(0.002, 0.004, outputs))
    weights = rng.integers(-127, 128, (outputs, 3, 3, depth))
    products = tuple(float(np.float32(builder.last.type.required_quantization.scale * scale)) for scale in scales)
    points = (0,) * outputs
    kernel = Value(f"{name}_w", TensorType(weights.shape, IntType(8), Quantization(scales, points, 0)), weights)
    bias_type = TensorType((outputs,), IntType(32), Quantization(products, points, 0))
    bias = Value(f"{name}_b", bias_type, rng.integers(-900, 900, outputs))
    options = {"padding": "SAME", "stride_h": 1, "stride_w": 1, "dilation_h_factor": 1, "dilation_w_factor": 1}
    builder.add("CONV_2D", quantized(made, 0.05, -9), [kernel, bias], fused_activation_function="RELU", **options)


def test_channels_are_turned_once() -> None:
    graph = image_network()
    nodes = onnx.load_model_from_string(graph_to_onnx(graph)).graph.node
    assert [list(node.input) for node in nodes if node.op_type == "Transpose"] == [["x"]]
    read = load_onnx(graph_to_onnx(graph), "read").graph
    assert [node.operator.name for node in read.nodes] == [node.operator.name for node in graph.nodes]
    judged, ours = both(graph, 30)
    assert max(np.abs(judged[name] - ours[name]).max() for name in judged) <= 3


def test_outputs_have_the_graphs_shapes_and_names() -> None:
    graph = image_network()
    names = [node.outputs[0] for node in graph.nodes]
    graph = replace(graph, outputs=(names[0], names[2], names[4]))
    model = onnx.load_model_from_string(graph_to_onnx(graph))
    onnx.checker.check_model(model, full_check=True)
    for end, name in zip(model.graph.output, graph.outputs, strict=True):
        assert end.name == name
        assert tuple(each.dim_value for each in end.type.tensor_type.shape.dim) == graph.type(name).shape
    both(graph, 2)


def test_files_are_well_formed_and_the_same_each_time() -> None:
    content = graph_to_onnx(image_network())
    model = onnx.load_model_from_string(content)
    onnx.checker.check_model(model, full_check=True)
    assert [(each.domain, each.version) for each in model.opset_import] == [("", 21)]
    assert content == graph_to_onnx(image_network())


def test_weights_of_4_bits_stay_so() -> None:
    (graph,) = (EXAMPLES[name].graph for name in ("conv_2d_int4",))
    kinds = {each.name: each.data_type for each in onnx.load_model_from_string(graph_to_onnx(graph)).graph.initializer}
    assert kinds["weights"] == onnx.TensorProto.INT4


def test_digits_are_equal() -> None:
    model = bl.load(SHIPPED_DIGITS)
    judged, ours = both(model.graph, 300)
    assert all(np.array_equal(judged[name], ours[name]) for name in judged)
    samples = bl.dataset_samples(model, "digits")
    exported = as_onnx_model(model.graph)
    assert bl.verify(exported, samples.inputs, ["onnxruntime", "numpy"]).equal


@pytest.mark.parametrize("file", ["ad01_int8", "pretrainedResnet_quant", "kws_ref_model", "vww_96_int8"])
def test_mlperf_tiny_operator_by_operator(file: str) -> None:
    """Every operator on the integers that ONNX Runtime gave it: at most a unit, on at most 1 % of its results."""
    graph = bl.load(test_data(f"mlperf_tiny/{file}.tflite")).graph
    model, inputs = as_onnx_model(graph), random_inputs(graph, 3, 2)
    judged = create_executor("onnxruntime", model).run(inputs).tensors
    for node in graph.nodes:
        operands = [
            value.data if value.is_constant else {**inputs, **judged}[value.name] for value in graph.operands(node)
        ]
        (ours,) = node.operator.evaluate(operands)
        difference = np.abs(ours.astype(np.int64) - judged[node.outputs[0]])
        assert difference.max() <= 1
        if difference.size > 1000:
            assert (difference > 0).mean() < 0.01


def test_an_index_reads_back_in_its_type() -> None:
    graph = dense_network((12, 9, 5), seed=1, tail="arg_max")
    model = load_onnx(graph_to_onnx(graph), "index")
    assert model.graph.nodes[-1].operator == graph.nodes[-1].operator
    assert bl.verify(model, random_inputs(model.graph, 50, 1), ["onnxruntime", "numpy"]).equal


@pytest.mark.parametrize("bits", ["4/8", "6/5", "8/16"])
def test_networks_of_other_widths(bits: str) -> None:
    """Types that ONNX lacks are held in wider ones, and clipped."""
    network = bl.load_float(test_data("onnx/micro_kws_m_static_fp32.onnx"))
    samples = np.random.default_rng(0).normal(0, 1, (8, *network.tensor(network.inputs[0]).shape)).astype(np.float32)
    graph = bl.quantize(network, samples, bits)
    model, inputs = as_onnx_model(graph), random_inputs(graph, 4, 1)
    judged = create_executor("onnxruntime", model).run(inputs).tensors
    for node in graph.nodes:
        found = {**inputs, **judged}
        (ours,) = node.operator.evaluate(
            [each.data if each.is_constant else found[each.name] for each in graph.operands(node)]
        )
        assert np.abs(ours.astype(np.int64) - judged[node.outputs[0]]).max() <= 1
    assert load_onnx(graph_to_onnx(graph), "widths").graph.macs == graph.macs


def test_graphs_without_scales_are_refused() -> None:
    x = bl.define.placeholder((1, 4), "int8", "x")
    w = bl.define.variable((3, 4), "int8", "w", value=np.ones((3, 4), int))
    with pytest.raises(UnsupportedError, match=r"matmul|fully_connected_0.*tensor 'x' has no scale"):
        graph_to_onnx(bl.define.graph(bl.define.matmul(x, w, shift=3)))
    # What only moves needs none.
    moved = bl.define.graph(bl.define.transpose(x, (1, 0)), name="moved")
    judged, ours = both(moved, 4)
    assert all(np.array_equal(judged[name], ours[name]) for name in judged)


@pytest.mark.parametrize("change", ["scale", "zero_point", "clamp"])
def test_parameters_and_scales_that_disagree(change: str) -> None:
    graph = EXAMPLES["add"].graph
    operator = graph.nodes[0].operator
    changed = {
        "scale": {"rescale": replace(operator.rescale, multipliers=(operator.rescale.multipliers[0] * 1.01,))},
        "zero_point": {"output_zero_point": operator.output_zero_point + 1},
        "clamp": {"activation": Interval(-100, 101)},
    }[change]
    made = replace(graph, nodes=(replace(graph.nodes[0], operator=replace(operator, **changed)),))
    if change == "clamp":
        # Which ONNX can say.
        judged, ours = both(made, 200)
        assert np.abs(judged["z"] - ours["z"]).max() <= 1
        assert (judged["z"].min(), judged["z"].max()) == (-100, 101)
        return
    with pytest.raises(UnsupportedError, match=r"add_0.*(say|states)"):
        graph_to_onnx(made)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.sampled_from(["x", "y/real", "y/scale", "y", "y/channels_first", "w/scale"]), unique=True, min_size=4)
)
def test_names_never_collide(names: list[str]) -> None:
    builder = GraphBuilder("names", quantized((1, 5), 0.04, 3))
    builder.dense(4, np.random.default_rng(0))
    builder.add("TANH", quantized((1, 4), 1 / 128, 0))
    graph = builder.graph()
    old = [value.name for value in graph.values]
    new = dict(zip(old, [*names, *(f"other{index}" for index in range(len(old)))], strict=False))
    renamed = Graph(
        "names",
        tuple(new[name] for name in graph.inputs),
        tuple(new[name] for name in graph.outputs),
        tuple(replace(value, name=new[value.name]) for value in graph.values),
        tuple(
            replace(node, inputs=tuple(new[i] for i in node.inputs), outputs=tuple(new[o] for o in node.outputs))
            for node in graph.nodes
        ),
    )
    judged, ours = both(renamed, 5)
    assert all(np.abs(judged[name] - ours[name]).max() <= 1 for name in judged)


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(bitloom.export.onnx_writer.importlib, "import_module", missing)
    with pytest.raises(MissingExtraError, match=r"bitloom\[onnx\]"):
        graph_to_onnx(image_network())
