"""QONNX models, judged by ONNX's own reference evaluator in every tensor."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

pytest.importorskip("onnx")

from qonnx_models import QonnxBuilder, assert_hardware_equal, assert_judged_equal, operator_names

from bitloom.frontends.qonnx.rules import ROUNDINGS
from bitloom.ir import parse_graph, print_graph
from bitloom.passes import split_float_edges
from bitloom.plan import make_plan
from bitloom.run.executor import create_executor
from bitloom.run.inputs import random_inputs


def dense(
    bits: int = 2, scale: float = 1.0, *, opset: int = 13, width: int = 24, domain: str = "onnx.brevitas"
) -> QonnxBuilder:
    """Two layers with batch normalisation, as Brevitas exports them."""
    builder = QonnxBuilder((1, width), opset=opset, domain=domain)
    x = builder.quant("x", scale, bits, narrow=1)
    for outputs, inputs in ((7, width), (5, 7)):
        w = builder.node("Transpose", builder.weights((outputs, inputs), bits, scale), perm=[1, 0])
        x = builder.node("MatMul", x, w)
        x = builder.normalized(x, outputs, scale**2 * inputs**0.5 * 2.0 ** (2 * bits - 3))
        x = builder.quant(x, scale, bits, narrow=1)
    return builder


@pytest.mark.parametrize("domain", ["onnx.brevitas", "qonnx.custom_op.general", "finn.custom_op.general"])
@pytest.mark.parametrize("opset", [9, 11, 13, 17, 21])
def test_dense_layers_of_every_version(opset: int, domain: str) -> None:
    assert_judged_equal(dense(opset=opset, domain=domain).load())


@pytest.mark.parametrize("bits", [2, 3, 4, 5, 8])
@pytest.mark.parametrize("scale", [1.0, 0.125, 0.0123])
def test_widths_and_scales(bits: int, scale: float) -> None:
    model = dense(bits, scale).load()
    assert_judged_equal(model)
    assert operator_names(model)[:3] == ["quantize_steps", "fully_connected", "multi_threshold"]


def convolution(
    bits: int,
    *,
    depthwise: bool = False,
    per_channel: bool = False,
    scale: float = 0.25,
    bias: bool = False,
    pooled: bool = False,
    relu: bool = True,
) -> QonnxBuilder:
    builder = QonnxBuilder((1, 3, 8, 7))
    x = builder.quant("x", scale, 4, zero_point=0)
    outputs = 3 if depthwise else 6
    shape = (outputs, 1 if depthwise else 3, 3, 3)
    scales = 2.0 ** -np.arange(outputs).reshape(-1, 1, 1, 1) if per_channel else scale
    operands = [x, builder.weights(shape, bits, scales)]
    if bias:
        operands.append(builder.constant(builder.rng.normal(0, 1, outputs).astype(np.float32)))
    x = builder.node("Conv", *operands, pads=[1, 1, 1, 1], strides=[1, 2], group=3 if depthwise else 1)
    x = builder.normalized(x, outputs, 2.0 ** (bits + 1) * scale)
    if pooled:
        x = builder.node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    x = builder.node("Relu", x) if relu else x
    builder.quant(x, 0.25, bits, signed=int(not relu))
    return builder


CONVOLUTIONS = {
    "2_bits": {"bits": 2},
    "3_bits_signed": {"bits": 3, "relu": False},
    "bias": {"bits": 4, "bias": True},
    "depthwise": {"bits": 4, "depthwise": True},
    "per_channel": {"bits": 4, "per_channel": True},
    "depthwise_per_channel": {"bits": 5, "depthwise": True, "per_channel": True},
    "8_bits": {"bits": 8, "scale": 0.0331},
    "pooled_before_its_quantizer": {"bits": 3, "pooled": True},
}


@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_convolutions(case: str) -> None:
    assert_judged_equal(convolution(**CONVOLUTIONS[case]).load(), 20)


@pytest.mark.parametrize("case", ["2_bits", "depthwise", "pooled_before_its_quantizer", "per_channel"])
def test_convolutions_in_hardware(case: str) -> None:
    assert_hardware_equal(convolution(**CONVOLUTIONS[case]).load(), 2)


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_binary_network(scale: float) -> None:
    builder = QonnxBuilder((1, 2, 6, 6))
    x = builder.bipolar("x")
    x = builder.node("Conv", x, builder.bipolar_weights((4, 2, 3, 3), scale))
    x = builder.bipolar(builder.normalized(x, 4, 3.0), scale)
    x = builder.node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    x = builder.node("Flatten", x)
    x = builder.node("MatMul", x, builder.bipolar_weights((16, 5), scale))
    builder.bipolar(builder.normalized(x, 5, 3.0))
    model = builder.load()
    assert_judged_equal(model)
    assert_hardware_equal(model)


def test_signed_quantizers_of_one_bit_are_signs() -> None:
    builder = QonnxBuilder((1, 9))
    x = builder.quant("x", 0.5, 1)
    builder.quant(builder.node("MatMul", x, builder.weights((9, 4), 1)), 0.25, 1, signed=0)
    assert_judged_equal(builder.load())


@pytest.mark.parametrize("rounding", [*ROUNDINGS, "floor", "round"])
@pytest.mark.parametrize("zero_point", [0, 3, -2])
@pytest.mark.parametrize("flags", [{}, {"signed": 0}, {"signed": 0, "narrow": 1}, {"narrow": 1}], ids=str)
def test_roundings_zero_points_and_ranges(rounding: str, zero_point: int, flags: dict[str, int]) -> None:
    builder = QonnxBuilder((1, 40))
    # Halves of a step, on both sides of the ends.
    x = builder.quant("x", 0.125, 8)
    x = builder.quant(x, 0.25, 4, zero_point=zero_point, rounding=rounding, **flags)
    x = builder.node("Mul", x, builder.constant(np.float32(0.75)))
    builder.quant(x, 0.5, 3, kind="IntQuant", rounding=rounding, **flags)
    assert_judged_equal(builder.load())


def test_zero_points_reach_the_sums() -> None:
    builder = QonnxBuilder((1, 2, 5, 5))
    x = builder.quant("x", 0.25, 4, zero_point=5, signed=0)
    x = builder.node("Conv", x, builder.weights((3, 2, 3, 3), 3, 0.5), pads=[1, 1, 1, 1])
    x = builder.quant(x, 1.0, 4, zero_point=-3)
    x = builder.node("Conv", x, builder.weights((2, 3, 2, 2), 3, 0.5))
    builder.quant(x, 2.0, 5, zero_point=9, signed=0)
    model = builder.load()
    assert_judged_equal(model)
    assert_hardware_equal(model, 3)


@pytest.mark.parametrize("numbers", [(0.25, 0, 8, 6), (0.25, 0, 8, 0.5, 7), (0.25, 4, 8, 1.0, 4)], ids=str)
@pytest.mark.parametrize("mode", ["FLOOR", "ROUND", "ceil"])
def test_truncation_behind_averages(numbers: tuple[float, ...], mode: str) -> None:
    builder = QonnxBuilder((1, 3, 4, 4))
    x = builder.quant("x", 0.25, 4, signed=0)
    x = builder.node("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2])
    x = builder.node("Mul", x, builder.constant(np.float32(4)))
    x = builder.trunc(x, *numbers, rounding_mode=mode)
    x = builder.node("Flatten", builder.node("GlobalAveragePool", x))
    builder.quant(x, 0.125, 6)
    assert_judged_equal(builder.load())


@pytest.mark.parametrize("kind", ["Add", "Sub"])
@pytest.mark.parametrize("factor", [1.0, 2.0, 0.75])
def test_residuals(kind: str, factor: float) -> None:
    builder = QonnxBuilder((1, 4, 5, 5))
    x = builder.quant("x", 0.25, 4)
    y = builder.node("Conv", x, builder.weights((4, 4, 3, 3), 3, 0.25), pads=[1, 1, 1, 1])
    y = builder.quant(builder.normalized(y, 4, 4.0), 0.25 * factor, 4)
    z = builder.node("Relu", builder.node(kind, y, x))
    builder.quant(z, 0.25, 4, signed=0)
    model = builder.load()
    assert_judged_equal(model, 20)
    assert_hardware_equal(model, 2)


def test_concatenation_of_scales_of_their_own() -> None:
    builder = QonnxBuilder((1, 4, 5, 5))
    x = builder.quant("x", 0.25, 4)
    y = builder.quant(x, 0.5, 3, signed=0)
    z = builder.node("Concat", x, y, axis=1)
    z = builder.node("Conv", z, builder.weights((8, 1, 2, 2), 3, 0.25), group=8)
    builder.quant(z, 0.5, 4)
    assert_judged_equal(builder.load())


def test_functions_that_are_not_monotone_are_tables() -> None:
    builder = QonnxBuilder((1, 12))
    x = builder.quant("x", 0.25, 4)
    x = builder.node("MatMul", x, builder.weights((12, 6), 4, 0.25))
    x = builder.node("HardSwish" if builder.opset >= 14 else "Abs", x)
    x = builder.node("Clip", x, builder.constant(np.float32(-1)), builder.constant(np.float32(5)))
    builder.quant(x, 0.125, 6)
    model = builder.load()
    assert_judged_equal(model)
    assert_hardware_equal(model)


def test_wide_weights_and_sums_found_by_bisection() -> None:
    builder = QonnxBuilder((1, 30))
    x = builder.quant("x", 0.5, 8)
    x = builder.node("Gemm", x, builder.weights((4, 30), 12, 2.0**-10), transB=1)
    builder.quant(builder.normalized(x, 4, 200.0), 0.125, 5)
    model = builder.load()
    assert model.graph.type(model.graph.nodes[1].outputs[0]).integer.bits > 22
    assert_judged_equal(model)


def test_channels_follow_moves_of_sums() -> None:
    """Behind the layer whose channels differ: transposed, flattened, and only then quantized."""
    builder = QonnxBuilder((1, 2, 4, 3))
    x = builder.node("Conv", builder.quant("x", 0.25, 4), builder.weights((5, 2, 2, 2), 3, 0.25))
    x = builder.node("Transpose", builder.normalized(x, 5, 3.0), perm=[0, 2, 3, 1])
    x = builder.node("Add", x, builder.constant(np.linspace(-1, 1, 5).astype(np.float32)))
    x = builder.node("Reshape", x, builder.constant(np.array([1, -1])))
    x = builder.quant(x, 0.5, 4)
    x = builder.node("MatMul", x, builder.weights((30, 4), 3, 0.5))
    builder.quant(x, 1.0, 4)
    model = builder.load()
    assert_judged_equal(model)
    assert_hardware_equal(model, 3)


def test_flattened_images_need_no_transpose() -> None:
    builder = QonnxBuilder((1, 1, 6, 5))
    x = builder.node("Conv", builder.quant("x", 0.25, 4), builder.weights((4, 1, 3, 3), 3, 0.25))
    x = builder.quant(builder.normalized(x, 4, 3.0), 0.5, 4)
    x = builder.node("Reshape", x, _shape_of(builder, x))
    builder.quant(builder.node("Gemm", x, builder.weights((6, 48), 3, 0.5), transB=1), 0.5, 6)
    model = builder.load()
    assert "transpose" not in operator_names(model)
    assert_judged_equal(model)


def _shape_of(builder: QonnxBuilder, x: str) -> str:
    """[batch, -1] as exporters compute it."""
    batch = builder.node("Gather", builder.node("Shape", x), builder.constant(np.array(0)), axis=0)
    rows = builder.node("Unsqueeze", batch, builder.constant(np.array([0])))
    return builder.node("Concat", rows, builder.constant(np.array([-1])), axis=0)


def test_lines() -> None:
    builder = QonnxBuilder((1, 3, 12))
    x = builder.node("Conv", builder.quant("x", 0.25, 4), builder.weights((4, 3, 3), 3, 0.25), pads=[1, 1])
    x = builder.node("MaxPool", builder.quant(builder.normalized(x, 4, 3.0), 0.5, 3), kernel_shape=[2], strides=[2])
    builder.quant(builder.node("ReduceMean", x, axes=[2], keepdims=0), 0.25, 5)
    assert_judged_equal(builder.load())


def test_padding_rectifying_and_factors_keep_integers() -> None:
    builder = QonnxBuilder((1, 2, 4, 4))
    x = builder.node("Relu", builder.quant("x", 0.25, 4))
    x = builder.node(
        "Mul", builder.node("Pad", x, builder.constant(np.array([0, 0, 1, 0, 0, 0, 0, 1]))), _number(builder, 2)
    )
    x = builder.node("Conv", x, builder.weights((3, 2, 3, 3), 3, 0.25))
    builder.quant(builder.node("PRelu", x, _number(builder, 0.25)), 0.5, 5)
    model = builder.load()
    assert_judged_equal(model)
    assert_hardware_equal(model, 2)


def _number(builder: QonnxBuilder, number: float) -> str:
    return builder.constant(np.float32(number))


@pytest.mark.parametrize("constant", [np.eye(6, 4), np.sign(np.arange(24).reshape(6, 4) - 11.5) * 0.25])
def test_weights_that_are_integers_without_a_quantizer(constant: np.ndarray) -> None:
    builder = QonnxBuilder((1, 6))
    x = builder.node("MatMul", builder.quant("x", 0.25, 4), builder.constant(constant.astype(np.float32)))
    builder.quant(x, 0.25, 6)
    assert_judged_equal(builder.load())


def test_dead_channels_are_constants() -> None:
    builder = QonnxBuilder((1, 6))
    weights = np.zeros((6, 4), np.float32)
    x = builder.node("MatMul", builder.quant("x", 0.25, 4), builder.quant(builder.constant(weights), 0.5, 2))
    builder.quant(builder.normalized(x, 4, 1.0), 0.25, 3)
    model = builder.load()
    assert_judged_equal(model)
    assert_hardware_equal(model)


def test_the_text_form_holds_all() -> None:
    graph = convolution(4, per_channel=True).load().graph
    assert parse_graph(print_graph(graph)) == graph


@pytest.mark.parametrize("network", [dense, lambda: convolution(3, pooled=True)], ids=["dense", "convolution"])
def test_verilog(network: Callable[[], QonnxBuilder]) -> None:
    assert_hardware_equal(network().load(), 3, "verilog")


def test_two_bit_networks_plan_no_multiplier() -> None:
    for builder in (dense(), convolution(2)):
        plan = make_plan(split_float_edges(builder.load().graph).core)
        assert plan.dsp == 0


@pytest.mark.parametrize("scale", [0.25, 0.0317])
@pytest.mark.parametrize("kind", ["Gemm", "Conv"])
def test_sums_in_front_of_a_bias_are_judged(kind: str, scale: float) -> None:
    """And the reals at the end where binary32 has no choice in how to round them."""
    builder = QonnxBuilder((1, 6) if kind == "Gemm" else (1, 6, 3, 3))
    bias = builder.constant(builder.rng.normal(0, 1, 4).astype(np.float32))
    weights = builder.weights((4, 6) if kind == "Gemm" else (4, 6, 2, 2), 4, scale)
    builder.node(kind, builder.quant("x", scale, 4), weights, bias, **({"transB": 1} if kind == "Gemm" else {}))
    model = builder.load()
    assert_judged_equal(model)
    judged = set(create_executor("onnx-reference", model).run(random_inputs(model.graph, 1)).tensors)
    sums = model.graph.nodes[-2 if kind == "Gemm" else -3].outputs[0]
    assert model.graph.type(sums).integer.bits > 4
    assert judged >= {sums}
    assert (model.graph.outputs[0] in judged) == (scale == 0.25)


@pytest.mark.parametrize(("weights", "activations"), [(32, 4), (24, 8), (16, 16), (32, 16)])
def test_wide_numbers(weights: int, activations: int) -> None:
    """Sums of more than 32 bits, which binary32 cannot judge: against integers of any size."""
    builder = QonnxBuilder((1, 6), seed=weights)
    x = builder.quant("x", 0.25, activations)
    builder.quant(builder.node("MatMul", x, builder.weights((6, 4), weights, 2.0**-weights)), 2.0**-6, 12)
    model = builder.load()
    tensors = create_executor("numpy", model).run(random_inputs(model.graph, 20)).tensors
    matrix = model.graph.value(model.graph.nodes[1].inputs[1]).constant.astype(object)
    expected = tensors["quant_0"].reshape(20, 6).astype(object) @ matrix.T
    assert (expected == tensors["matmul_2"].reshape(20, 4)).all()
    assert model.graph.type("matmul_2").integer.bits > 32
    assert_judged_equal(model)
    assert_hardware_equal(model, 2)


def test_quantizers_that_change_nothing_cost_nothing() -> None:
    builder = QonnxBuilder((1, 2, 4, 4))
    x = builder.node("MaxPool", builder.quant("x", 0.25, 4), kernel_shape=[2, 2])
    x = builder.node("Flatten", builder.quant(x, 0.25, 4))
    x = builder.quant(builder.node("Mul", x, _number(builder, 2)), 0.5, 4)
    builder.quant(builder.node("MatMul", x, builder.weights((18, 3), 3, 0.5)), 0.5, 3)
    model = builder.load()
    assert operator_names(model)[2:] == ["max_pool_2d", "reshape", "fully_connected", "multi_threshold", "dequantize"]
    assert_judged_equal(model)
