"""The TFLite writer, judged by LiteRT: what is written loads, and computes what the specification says."""

from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from bitloom.errors import ExportError
from bitloom.export.flatbuffer import ABSENT, OperatorSpec, TensorSpec, options_table, write_model


def interpreter(model: bytes) -> Any:
    return Interpreter(
        model_content=model,
        experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
        experimental_preserve_all_tensors=True,
        num_threads=1,
    )


def run(model: bytes, *inputs: np.ndarray) -> Any:
    """Feed the inputs and return the interpreter after inference."""
    litert = interpreter(model)
    for details, value in zip(litert.get_input_details(), inputs, strict=True):
        litert.resize_tensor_input(details["index"], value.shape)
    litert.allocate_tensors()
    for details, value in zip(litert.get_input_details(), inputs, strict=True):
        litert.set_tensor(details["index"], value)
    litert.invoke()
    return litert


def rounded_half_away(values: np.ndarray) -> np.ndarray:
    return np.copysign(np.floor(np.abs(values) + 0.5), values).astype(np.int64)


INPUT_SCALE, INPUT_ZERO, OUTPUT_SCALE, OUTPUT_ZERO = 0.05, -7, 0.6, 11


def fully_connected(
    weight_scales: tuple[float, ...], bias: np.ndarray | None, weights: np.ndarray, activation: str = "NONE"
) -> bytes:
    rows, columns = weights.shape
    tensors = [
        TensorSpec("x", (1, columns), np.int8, (INPUT_SCALE,), (INPUT_ZERO,), shape_signature=(-1, columns)),
        TensorSpec("w", weights.shape, np.int8, weight_scales, data=weights),
        TensorSpec("y", (1, rows), np.int8, (OUTPUT_SCALE,), (OUTPUT_ZERO,), shape_signature=(-1, rows)),
    ]
    inputs = (0, 1)
    if bias is not None:
        scales = tuple(INPUT_SCALE * scale for scale in weight_scales)
        tensors.append(TensorSpec("b", (rows,), np.int32, scales, data=bias))
        inputs = (0, 1, 3)
    operator = OperatorSpec("FULLY_CONNECTED", inputs, (2,), {"fused_activation_function": activation})
    return write_model(tensors, [operator], (0,), (2,), "test")


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("with_bias", [False, True])
@pytest.mark.parametrize("activation", ["NONE", "RELU", "RELU6"])
def test_int8_fully_connected_computes_the_specification(per_channel: bool, with_bias: bool, activation: str) -> None:
    random = np.random.default_rng(5)
    weights = random.integers(-127, 128, (5, 9), np.int8)
    bias = random.integers(-3000, 3000, 5, np.int32) if with_bias else None
    scales = tuple(0.001 * (channel + 1) for channel in range(5)) if per_channel else (0.004,)
    x = random.integers(-128, 128, (200, 9), np.int8)

    y = run(fully_connected(scales, bias, weights, activation), x).get_tensor(2)

    accumulator = (x.astype(np.int64) - INPUT_ZERO) @ weights.T.astype(np.int64) + (0 if bias is None else bias)
    factors = np.float64(np.float32(INPUT_SCALE)) * np.array(scales, np.float32).astype(np.float64)
    expected = rounded_half_away(accumulator * (factors / np.float64(np.float32(OUTPUT_SCALE)))) + OUTPUT_ZERO
    low = -128 if activation == "NONE" else OUTPUT_ZERO
    high = OUTPUT_ZERO + round(6 / OUTPUT_SCALE) if activation == "RELU6" else 127
    np.testing.assert_array_equal(y, np.clip(expected, low, high))
    assert len(np.unique(y)) > 8  # the comparison is not about saturated values only


def test_an_absent_bias_is_the_same_as_two_inputs() -> None:
    weights = np.arange(-6, 6, dtype=np.int8).reshape(3, 4)
    x = np.arange(8, dtype=np.int8).reshape(2, 4)
    without = fully_connected((0.004,), None, weights)
    tensors = [
        TensorSpec("x", (1, 4), np.int8, (INPUT_SCALE,), (INPUT_ZERO,)),
        TensorSpec("w", (3, 4), np.int8, (0.004,), data=weights),
        TensorSpec("y", (1, 3), np.int8, (OUTPUT_SCALE,), (OUTPUT_ZERO,)),
    ]
    absent = write_model(tensors, [OperatorSpec("FULLY_CONNECTED", (0, 1, ABSENT), (2,))], (0,), (2,))
    np.testing.assert_array_equal(run(without, x).get_tensor(2), run(absent, x).get_tensor(2))


def test_float_fully_connected_then_softmax() -> None:
    random = np.random.default_rng(6)
    weights, bias = random.normal(size=(3, 4)).astype(np.float32), random.normal(size=3).astype(np.float32)
    tensors = [
        TensorSpec("x", (1, 4), np.float32, shape_signature=(-1, 4)),
        TensorSpec("w", (3, 4), np.float32, data=weights),
        TensorSpec("b", (3,), np.float32, data=bias),
        TensorSpec("logits", (1, 3), np.float32),
        TensorSpec("probabilities", (1, 3), np.float32),
    ]
    operators = [
        OperatorSpec("FULLY_CONNECTED", (0, 1, 2), (3,), {"fusedActivationFunction": "RELU"}),
        OperatorSpec("SOFTMAX", (3,), (4,), {"beta": 1.0}),
    ]
    x = random.normal(size=(7, 4)).astype(np.float32)
    litert = run(write_model(tensors, operators, (0,), (4,)), x)
    logits = np.maximum(x @ weights.T + bias, 0)
    np.testing.assert_allclose(litert.get_tensor(3), logits, rtol=1e-5, atol=1e-6)
    exponentials = np.exp(logits)
    np.testing.assert_allclose(litert.get_tensor(4), exponentials / exponentials.sum(1, keepdims=True), rtol=1e-5)


def test_int8_softmax_has_the_options_given() -> None:
    tensors = [
        TensorSpec("x", (1, 4), np.int8, (0.1,), (0,)),
        TensorSpec("y", (1, 4), np.int8, (1 / 256,), (-128,)),
    ]

    def softmax(beta: float) -> np.ndarray:
        model = write_model(tensors, [OperatorSpec("SOFTMAX", (0,), (1,), {"beta": beta})], (0,), (1,))
        return (run(model, np.array([[1, 20, 30, 40]], np.int8)).get_tensor(1) + 128.0) / 256

    for beta in (0.5, 1.0):
        exponentials = np.exp(beta * np.array([[0.1, 2.0, 3.0, 4.0]]))
        np.testing.assert_allclose(softmax(beta), exponentials / exponentials.sum(), atol=1 / 256)


def test_operators_of_the_second_options_union() -> None:
    tensors = [
        TensorSpec("x", (3,), np.int32),
        TensorSpec("initial", (), np.int32, data=np.array(0, np.int32)),
        TensorSpec("window", (1,), np.int64, data=np.array([2])),
        TensorSpec("strides", (1,), np.int64, data=np.array([1])),
        TensorSpec("dilations", (1,), np.int64, data=np.array([1])),
        TensorSpec("y", (2,), np.int32),
    ]
    operator = OperatorSpec("REDUCE_WINDOW", (0, 1, 2, 3, 4), (5,), {"reduce_function": "ADD"})
    model = write_model(tensors, [operator], (0,), (5,))
    assert run(model, np.array([1, 2, 40], np.int32)).get_tensor(5).tolist() == [3, 42]


def test_list_options_and_two_operators_sharing_a_code() -> None:
    tensors = [TensorSpec(name, shape, np.int8) for name, shape in (("x", (2, 6)), ("y", (3, 4)), ("z", (12,)))]
    operators = [
        OperatorSpec("RESHAPE", (0,), (1,), {"new_shape": [3, 4]}),
        OperatorSpec("RESHAPE", (1,), (2,), {"new_shape": (12,)}),
    ]
    model = write_model(tensors, operators, (0,), (2,))
    assert len(schema.ModelT.InitFromPackedBuf(model).operatorCodes) == 1
    x = np.arange(12, dtype=np.int8)
    np.testing.assert_array_equal(run(model, x.reshape(2, 6)).get_tensor(2), x)


EVERY_OPERATOR = sorted(
    name for name in vars(schema.BuiltinOperator) if name.isupper() and name not in ("CUSTOM", "DELEGATE")
)


@pytest.mark.parametrize("dtype", ["float32", "int8", "int16"])
def test_every_builtin_operator_is_written_in_a_version_that_litert_has(dtype: str) -> None:
    """LiteRT may have no kernel at all, or miss an option, but never refuses the version written."""
    loaded, refused_version = [], []
    for name in EVERY_OPERATOR:
        tensors = [TensorSpec("x", (1, 2), dtype), TensorSpec("y", (1, 2), dtype)]
        model = write_model(tensors, [OperatorSpec(name, (0, 0, 0), (1,))], (0,), (1,))
        code = schema.ModelT.InitFromPackedBuf(model).operatorCodes[0]
        assert code.builtinCode == getattr(schema.BuiltinOperator, name)
        try:
            interpreter(model)
            loaded.append(name)
        except ValueError as error:
            if code.version > 1 and "Didn't find op" in str(error):
                refused_version.append((name, code.version))
    assert refused_version == []
    assert {"FULLY_CONNECTED", "CONV_2D", "SOFTMAX", "BROADCAST_TO", "GELU", "DILATE"} <= set(loaded)


def test_every_options_table_belongs_to_an_operator() -> None:
    """The names are matched by spelling, so a new schema with a new exception must be noticed."""
    tables = {options_table(name) for name in EVERY_OPERATOR}
    unions = {*vars(schema.BuiltinOptions), *vars(schema.BuiltinOptions2)}
    assert {name for name in unions if name.endswith("Options")} - tables == set()


def test_the_same_model_has_the_same_bytes_and_aligned_constants() -> None:
    weights = np.arange(12, dtype=np.int8).reshape(3, 4)
    model = fully_connected((0.004,), np.array([123456789, 2, 3], np.int32), weights)
    assert model == fully_connected((0.004,), np.array([123456789, 2, 3], np.int32), weights)
    assert model[4:8] == b"TFL3"
    assert model.index(weights.tobytes()) % 16 == 0
    assert model.index(np.int32(123456789).tobytes()) % 16 == 0


def test_what_is_written_is_what_is_read() -> None:
    model = fully_connected((0.25, 0.5, 0.125), None, np.ones((3, 4), np.int8))
    read = schema.ModelT.InitFromPackedBuf(model)
    graph = read.subgraphs[0]
    assert (read.version, read.description) == (3, b"test")
    assert [tensor.name for tensor in graph.tensors] == [b"x", b"w", b"y"]
    assert graph.tensors[0].shapeSignature.tolist() == [-1, 4]
    assert graph.tensors[1].quantization.scale.tolist() == [0.25, 0.5, 0.125]
    assert graph.tensors[1].quantization.zeroPoint.tolist() == [0, 0, 0]
    assert (graph.inputs.tolist(), graph.outputs.tolist()) == ([0], [2])
    assert not graph.tensors[0].buffer
    assert read.buffers[0].data is None


X, Y = TensorSpec("x", (1, 2), np.int8), TensorSpec("y", (1, 2), np.int8)


@pytest.mark.parametrize(
    ("tensors", "operator", "inputs", "message"),
    [
        ([X, Y], OperatorSpec("FULLY_CONECTED", (0,), (1,)), (0,), "'FULLY_CONECTED' is not a builtin operator"),
        ([X, Y], OperatorSpec("RELU", (2,), (1,)), (0,), "there is no tensor 2, only 0 to 1"),
        ([X, Y], OperatorSpec("RELU", (0,), (ABSENT,)), (0,), "operator RELU, outputs: there is no tensor -1"),
        ([X, Y], OperatorSpec("RELU", (0,), (1,)), (7,), "inputs of the model: there is no tensor 7"),
        ([X, Y], OperatorSpec("RELU", (0,), (1,), {"beta": 1}), (0,), "operator RELU: this operator has no options"),
        ([X, Y], OperatorSpec("SOFTMAX", (0,), (1,), {"gamma": 1}), (0,), r"no option 'gamma'; it has \['beta'\]"),
        (
            [X, Y],
            OperatorSpec("ADD", (0, 0), (1,), {"fused_activation_function": "GELU"}),
            (0,),
            "option 'fused_activation_function' is one of .*'RELU'.* not 'GELU'",
        ),
        ([TensorSpec("x", (1,), "M8[s]"), Y], OperatorSpec("RELU", (0,), (1,)), (0,), "no tensor type datetime64"),
        ([TensorSpec("x", (2,), np.int8, data=np.zeros(3, np.int8)), Y], OperatorSpec("RELU", (0,), (1,)), (0,),
         r"tensor 'x': its data is int8\[3\], not int8\[2\]"),
        ([TensorSpec("x", (2,), np.int8, data=np.zeros(2, np.uint8)), Y], OperatorSpec("RELU", (0,), (1,)), (0,),
         r"its data is uint8\[2\], not int8\[2\]"),
        ([TensorSpec("x", (2,), np.int8, (0.5,), (1, 2)), Y], OperatorSpec("RELU", (0,), (1,)), (0,),
         "it has 1 scales and 2 zero points"),
        ([TensorSpec("x", (2,), np.int8, (0.5, 1, 2)), Y], OperatorSpec("RELU", (0,), (1,)), (0,),
         r"3 scales do not fit axis 0 of shape \[2\]"),
    ],
)  # fmt: skip
def test_what_cannot_be_written_is_an_error_that_says_why(
    tensors: list[TensorSpec], operator: OperatorSpec, inputs: tuple[int, ...], message: str
) -> None:
    with pytest.raises(ExportError, match=message):
        write_model(tensors, [operator], inputs, (1,))
