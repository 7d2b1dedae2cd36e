"""Hundreds of random scales and shapes per operator, all inputs at once where there are 256: NumPy is LiteRT."""

from collections.abc import Iterator

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from models import (
    GraphBuilder,
    assert_litert_agrees,
    corner_inputs,
    elementwise_graph,
    joined,
    quantized,
    random_inputs,
    single,
)

from bitloom.arith import IntType
from bitloom.errors import UnsupportedError
from bitloom.export.flatbuffer import OperatorSpec, TensorSpec, write_model
from bitloom.ir import FLOAT32, Graph, Quantization, TensorType, Value

INT8, UINT8, INT16, INT32 = IntType(8), IntType(8, signed=False), IntType(16), IntType(32)


def every_value(graph: Graph) -> dict[str, np.ndarray]:
    """One inference of all 256 values, for graphs whose input has 256 elements of 8 bits."""
    element = graph.type(graph.inputs[0]).integer
    values = np.arange(element.minimum, element.maximum + 1).astype(element.dtype)
    return {graph.inputs[0]: values.reshape(1, *graph.type(graph.inputs[0]).shape)}


def zero_point(rng: np.random.Generator, element: IntType) -> int:
    """Anything 8 bits hold; wider types are symmetric, as the format's specification has them."""
    return int(rng.integers(element.minimum, element.maximum, endpoint=True)) if element.bits == 8 else 0


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(10 ** rng.uniform(np.log10(low), np.log10(high)))


def test_logistic_tables() -> None:
    rng = np.random.default_rng(1)
    for trial in range(400):
        element = UINT8 if trial % 4 == 0 else INT8
        x = quantized((256,), log_uniform(rng, 1e-5, 3), zero_point(rng, element), element)
        graph = elementwise_graph("LOGISTIC", x, quantized((256,), 1 / 256, zero_point(rng, element), element))
        assert_litert_agrees(graph, every_value(graph))


def test_tanh_tables() -> None:
    rng = np.random.default_rng(2)
    for trial in range(400):
        element = UINT8 if trial % 4 == 0 else INT8
        x = quantized((256,), log_uniform(rng, 1e-5, 3), zero_point(rng, element), element)
        scale = 1 / 128 if trial % 2 else log_uniform(rng, 1e-4, 1)
        graph = elementwise_graph("TANH", x, quantized((256,), scale, zero_point(rng, element), element))
        assert_litert_agrees(graph, every_value(graph))


def test_logistic_tables_near_ties() -> None:
    """Input scales that bring an entry to within a few units in the last place of a half."""
    rng = np.random.default_rng(11)
    for _ in range(400):
        value, step = int(rng.integers(1, 128)), int(rng.integers(129, 255)) + 0.5
        scale = single(np.log(step / (256 - step)) / value)
        x = quantized((256,), scale, 0)
        graph = elementwise_graph("LOGISTIC", x, quantized((256,), 1 / 256, -128))
        assert_litert_agrees(graph, every_value(graph))


def litert_tanh(values: np.ndarray) -> np.ndarray:
    """The float32 tanh that LiteRT takes from the C library."""
    tensors = [TensorSpec(name, values.shape, np.float32) for name in "xy"]
    content = write_model(tensors, [OperatorSpec("TANH", (0,), (1,))], (0,), (1,))
    interpreter = Interpreter(
        model_content=content, experimental_op_resolver_type=OpResolverType.BUILTIN_REF, num_threads=1
    )
    interpreter.allocate_tensors()
    interpreter.set_tensor(0, values)
    interpreter.invoke()
    return np.array(interpreter.get_tensor(1))


def test_tanh_tables_near_ties() -> None:
    """Output scales that bring an entry to within a few units in the last place of a half.

    So near a tie the last bit of tanh decides, and C libraries differ in it: entries where the library at hand does
    not round correctly are left out, here, where they are looked for.
    """
    rng = np.random.default_rng(12)
    compared = 0
    for _ in range(400):
        x_scale, value, step = (
            single(rng.uniform(0.005, 0.05)),
            int(rng.integers(5, 120)),
            int(rng.integers(2, 120)) + 0.5,
        )
        argument = np.float32(x_scale) * np.float32(value)
        y_scale = single(float(np.tanh(np.float64(argument))) / step)
        graph = elementwise_graph("TANH", quantized((256,), x_scale, 0), quantized((256,), y_scale, 0))
        arguments = np.float32(x_scale) * np.arange(-128, 128).astype(np.float32)
        exact = litert_tanh(arguments) == np.tanh(arguments.astype(np.float64)).astype(np.float32)
        values = np.arange(-128, 128).astype(np.int8)[exact]
        compared += value in values
        inputs = np.resize(values, 256).reshape(1, 256)
        assert_litert_agrees(graph, {"x": inputs})
    assert compared > 200


@pytest.mark.parametrize("kind", ["RELU", "RELU6", "RELU_N1_TO_1"])
def test_rectifiers(kind: str) -> None:
    rng = np.random.default_rng(3)
    for trial in range(300):
        element = UINT8 if trial % 4 == 0 else INT8
        scale = log_uniform(rng, 1e-3, 1)
        # A third has multipliers of 1.5 * 2**n or so, which are exact ties in binary32 and not in binary64.
        ratio = 2.0 ** rng.integers(-4, 5) / rng.choice([1, 1.5, 1.25]) if trial % 3 else log_uniform(rng, 0.02, 50)
        x = quantized((256,), scale, zero_point(rng, element), element)
        y = quantized((256,), single(scale) * ratio, zero_point(rng, element), element)
        graph = elementwise_graph(kind, x, y)
        assert_litert_agrees(graph, every_value(graph))


def requantizations() -> Iterator[tuple[IntType, IntType]]:
    yield from ((given, made) for given in (INT8, UINT8) for made in (INT8, UINT8, INT16))
    yield from ((INT16, made) for made in (INT8, INT16, INT32))
    yield from ((INT32, made) for made in (INT8, INT16))


@pytest.mark.parametrize(("given", "made"), list(requantizations()), ids=str)
def test_requantizations(given: IntType, made: IntType) -> None:
    """Powers of two and small fractions make exact ties, on both sides of zero."""
    rng = np.random.default_rng(given.bits * 100 + made.bits)
    agreed = 0
    for trial in range(60):
        scale = log_uniform(rng, 1e-4, 1)
        ratio = (1, 2, 4, 0.5, 0.25, 1.5, 0.75, 3)[trial % 8] if trial % 2 else log_uniform(rng, 1e-3, 1e3)
        if given.bits == 32:
            ratio *= 2.0**20
        x = quantized((1, 16), scale, zero_point(rng, given), given)
        y = quantized((1, 16), single(scale) * ratio, zero_point(rng, made), made)
        try:
            graph = elementwise_graph("QUANTIZE", x, y)
        except UnsupportedError:  # some leave int32, where the kernel is undefined
            continue
        assert_litert_agrees(graph, joined(corner_inputs(graph), random_inputs(graph, 10, trial)))
        agreed += 1
    assert agreed >= 30


@pytest.mark.parametrize("made", [INT8, UINT8, INT16], ids=str)
def test_quantizations_of_floats(made: IntType) -> None:
    rng = np.random.default_rng(5)
    for trial in range(60):
        scale = 2.0 ** rng.integers(-12, 3) if trial % 2 else log_uniform(rng, 1e-6, 1e3)
        graph = elementwise_graph(
            "QUANTIZE", TensorType((1, 64), FLOAT32), quantized((1, 64), scale, zero_point(rng, made), made)
        )
        inputs = joined(corner_inputs(graph), random_inputs(graph, 10, trial))
        inputs["x"][0, 0, :6] = np.array([0, -0.0, 1e9, -1e9, 1e8, -1e8]) * single(scale)
        inputs["x"][0, 0, 6:8] = 1e-45, -1e-45
        assert_litert_agrees(graph, inputs)


@pytest.mark.parametrize("given", [INT8, UINT8, INT16], ids=str)
def test_dequantizations(given: IntType) -> None:
    rng = np.random.default_rng(6)
    for trial in range(60):
        x = quantized((1, 64), log_uniform(rng, 1e-30, 1e30), zero_point(rng, given), given)
        graph = elementwise_graph("DEQUANTIZE", x, TensorType((1, 64), FLOAT32))
        assert_litert_agrees(graph, joined(corner_inputs(graph), random_inputs(graph, 10, trial)))


def test_softmaxes() -> None:
    rng = np.random.default_rng(7)
    for trial in range(300):
        given = UINT8 if trial % 5 == 0 else INT8
        made = INT16 if trial % 7 == 0 else given
        depth = int(rng.integers(1, 40)) if trial % 10 else int(rng.integers(40, 512))
        shape = (int(rng.integers(1, 5)), depth)
        scale = log_uniform(rng, 1e-7, 1e4) if trial % 3 else log_uniform(rng, 0.01, 1)
        x = quantized(shape, scale, zero_point(rng, given), given)
        y = quantized(shape, 2.0**-made.bits, made.minimum, made)
        graph = elementwise_graph("SOFTMAX", x, y, beta=1.0 if trial % 2 else single(log_uniform(rng, 0.1, 10)))
        inputs = random_inputs(graph, 12, trial)
        # Near ties, all equal, one hot, and a narrow band: sums of every size.
        x_values = inputs["x"].astype(np.int64)
        x_values[0] = given.minimum + 3
        x_values[1] = given.maximum
        x_values[2, :, 1:] = given.minimum
        x_values[3:7] = given.minimum + x_values[3:7] % 7
        inputs["x"] = x_values.astype(given.dtype)
        assert_litert_agrees(graph, inputs)


def test_argmax_of_many_ties() -> None:
    rng = np.random.default_rng(8)
    for trial in range(150):
        shape = tuple(int(d) for d in rng.integers(1, 20, rng.integers(1, 4)))
        given, made = (INT8, UINT8, INT32)[trial % 3], (INT32, IntType(64))[trial % 2]
        axis = int(rng.integers(-len(shape), len(shape)))
        builder = GraphBuilder("argmax", TensorType(shape, given, Quantization((1.0,), (0,))))
        result = TensorType(tuple(np.delete(shape, axis).tolist()), made)
        axis_value = Value("axis", TensorType((), INT32), np.array(axis))
        builder.add("ARG_MAX", result, [axis_value], output_type=str(made).upper())
        graph = builder.graph()
        values = rng.integers(0, 3, (20, *shape)) + (given.maximum - 2 if trial % 4 else given.minimum)
        assert_litert_agrees(graph, {"x": values.astype(given.dtype)})


def test_reshapes() -> None:
    rng = np.random.default_rng(9)
    for trial in range(40):
        shape = rng.integers(1, 5, 4)
        made = tuple(int(d) for d in rng.permutation([*shape, 1, 1]))
        builder = GraphBuilder("reshape", quantized(shape.tolist(), 0.1, 3))
        option = tuple(-1 if position == trial % 6 else d for position, d in enumerate(made))
        builder.add("RESHAPE", quantized(made, 0.1, 3), new_shape=option)
        assert_litert_agrees(builder.graph(), random_inputs(builder.graph(), 3, trial))


def dense_case(rng: np.random.Generator, trial: int) -> Graph:
    """A dense layer with scales that make ties, saturation, or neither."""
    given, made = [(INT8, INT8), (UINT8, UINT8), (INT16, INT16), (INT8, INT8)][trial % 4]
    depth, outputs = int(rng.integers(1, 70)), int(rng.integers(1, 20))
    per_channel = given is not UINT8 and trial % 3 == 0
    ties = trial % 5 == 0
    x_scale = 2.0**-6 if ties else log_uniform(rng, 1e-4, 1)
    scales = [2.0**-5] * outputs if ties else [log_uniform(rng, 1e-4, 1) for _ in range(outputs)]
    scales = [single(scale) for scale in (scales if per_channel else scales[:1])]
    weight_element = {UINT8: UINT8, INT16: INT8, INT8: IntType(4) if trial % 8 == 7 else INT8}[given]
    low, high = (0, 255) if given is UINT8 else (-weight_element.maximum, weight_element.maximum)
    weight_type = TensorType(
        (outputs, depth),
        weight_element,
        Quantization(tuple(scales), (131 if given is UINT8 else 0,) * len(scales), 0 if per_channel else None),
    )
    operands = [Value("w", weight_type, rng.integers(low, high, (outputs, depth), endpoint=True))]
    x = quantized((int(rng.integers(1, 3)), depth), x_scale, zero_point(rng, given), given)
    if trial % 4 != 3:
        bias_quantization = Quantization(
            tuple(single(single(x_scale) * scale) for scale in scales), (0,) * len(scales), 0 if per_channel else None
        )
        element = IntType(64) if given is INT16 and trial % 8 == 2 else INT32
        bias = rng.integers(-(2**20), 2**20, outputs) if trial % 2 else rng.integers(-100, 100, outputs)
        operands.append(Value("b", TensorType((outputs,), element, bias_quantization), bias))
    wide = 2.0 ** rng.integers(2, 9) if ties else log_uniform(rng, 10, 3000) * (256 if given is INT16 else 1)
    y = quantized((x.shape[0], outputs), x_scale * max(scales) * wide, zero_point(rng, made), made)
    builder = GraphBuilder("dense", x)
    narrow_bias = len(operands) > 1 and operands[1].type.element == INT32 and given is INT16
    builder.add(
        "FULLY_CONNECTED",
        y,
        operands,
        fused_activation_function=("NONE", "RELU", "RELU6", "RELU_N1_TO_1")[trial % 7 % 4],
        **({"quantized_bias_type": "INT32"} if narrow_bias else {}),
    )
    return builder.graph()


def test_dense_layers() -> None:
    rng = np.random.default_rng(10)
    for trial in range(300):
        graph = dense_case(rng, trial)
        assert_litert_agrees(graph, joined(random_inputs(graph, 12, trial)))
