"""Reading TFLite files: real ones, and everything that can be wrong with one."""

import re
from collections.abc import Callable
from typing import Any

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from models import assert_same_tensors, dense_network, random_inputs

from bitloom.errors import BitloomError, ModelFormatError, UnsupportedError
from bitloom.export.flatbuffer import ABSENT, OperatorSpec, TensorSpec, write_model
from bitloom.export.tflite import graph_to_tflite
from bitloom.frontends import Model, load, load_tflite
from bitloom.run import create_executor
from data import test_data

DENSE = graph_to_tflite(dense_network((12, 7, 5), seed=1, tail="softmax"))


def rewritten(change: Callable[[Any], None], content: bytes = DENSE) -> bytes:
    """The file after a change to its object form."""
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    change(model)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def changed(**fields: Any) -> Callable[[str], Callable[[Any], None]]:
    """A change of the fields of one tensor, found by its name."""

    def of(name: str) -> Callable[[Any], None]:
        def change(model: Any) -> None:
            tensor = next(tensor for tensor in model.subgraphs[0].tensors if tensor.name.decode() == name)
            for field, value in fields.items():
                owner, _, attribute = field.rpartition("__")
                setattr(getattr(tensor, owner) if owner else tensor, attribute, value)

        return change

    return of


def message(error: BitloomError) -> str:
    text = str(error)
    assert "\n" not in text
    return text


# ------------------------------------------------------------------------------------------------- real models


def test_ad01_is_litert_in_every_tensor() -> None:
    model = load(test_data("mlperf_tiny/ad01_int8.tflite"))
    assert [node.operator.name for node in model.graph.nodes] == ["fully_connected"] * 10
    assert model.graph.macs == 264_192
    assert model.name == model.graph.name == "ad01_int8"
    inputs = random_inputs(model.graph, 200, seed=0)
    numpy, litert = (create_executor(name, model).run(inputs) for name in ("numpy", "litert"))
    assert len(litert.tensors) == 10
    assert_same_tensors(numpy, litert)


# ------------------------------------------------------------------------------------------------------- names


def test_names_are_kept_and_map_to_the_file() -> None:
    model = load_tflite(DENSE, "dense")
    assert isinstance(model, Model)
    assert model.flatbuffer == DENSE
    assert set(model.tensor_indices) == {value.name for value in model.graph.values}
    tensors = schema.ModelT.InitFromPackedBuf(DENSE, 0).subgraphs[0].tensors
    assert all(tensors[index].name.decode() == name for name, index in model.tensor_indices.items())


def test_names_that_are_missing_or_double_become_unique() -> None:
    def change(model: Any) -> None:
        for tensor in model.subgraphs[0].tensors[1:4]:
            tensor.name = b"same"
        model.subgraphs[0].tensors[4].name = b""

    names = [value.name for value in load_tflite(rewritten(change), "dense").graph.values]
    assert len(names) == len(set(names)) == 8
    assert "same" in names
    assert "tensor_4" in names


def test_a_batch_that_may_change_is_read_as_one() -> None:
    def change(model: Any) -> None:
        for tensor in model.subgraphs[0].tensors:
            if len(tensor.shape) == 2 and tensor.shape[0] == 1:
                tensor.shapeSignature = np.array([-1, tensor.shape[1]], np.int32)

    assert load_tflite(rewritten(change), "dense_network").graph == load_tflite(DENSE, "dense_network").graph


def test_operators_without_bias_may_say_so_with_an_absent_operand() -> None:
    tensors = [
        TensorSpec("x", (1, 3), np.int8, (0.5,), (0,)),
        TensorSpec("w", (2, 3), np.int8, (0.5,), (0,), data=np.ones((2, 3), np.int8)),
        TensorSpec("y", (1, 2), np.int8, (0.5,), (0,)),
    ]
    content = write_model(tensors, [OperatorSpec("FULLY_CONNECTED", (0, 1, ABSENT), (2,))], (0,), (2,))
    assert load_tflite(content, "m").graph.nodes[0].inputs == ("x", "w")


def test_tensors_that_nothing_uses_may_be_anything() -> None:
    def change(model: Any) -> None:
        model.subgraphs[0].tensors.append(schema.TensorT(name="spare", shape=[0, -5], type=schema.TensorType.STRING))

    assert load_tflite(rewritten(change), "dense_network").graph == load_tflite(DENSE, "dense_network").graph


# ------------------------------------------------------------------------------------------------- not a model


def test_files_that_are_not_models(tmp_path: Any) -> None:
    empty, other = tmp_path / "empty.tflite", tmp_path / "other.tflite"
    empty.write_bytes(b"")
    other.write_bytes(b"PK\x03\x04 a zip archive, perhaps")
    for path, said in (
        (tmp_path / "missing.tflite", "no such file"),
        (tmp_path, "is a folder"),
        (empty, "is empty"),
        (other, "known formats: TFLite"),
        (tmp_path / "a\0b", "cannot be read"),
        (other / "below.tflite", "cannot be read"),
    ):
        with pytest.raises(ModelFormatError, match=said) as error:
            load(path)
        assert message(error.value).startswith(str(path))


def test_load_names_the_model_after_the_file(tmp_path: Any) -> None:
    path = tmp_path / "digits.v2.tflite"
    path.write_bytes(DENSE)
    assert load(str(path)).name == "digits.v2"


# ---------------------------------------------------------------------------------------------- corrupt content


@pytest.mark.parametrize(
    ("tensor", "fields", "said"),
    [
        ("w0", {"shape": [7, 13]}, "84 bytes"),
        ("w0", {"type": schema.TensorType.INT16}, "84 bytes"),
        ("w0", {"buffer": 99}, "buffer 99"),
        ("w0", {"type": 77}, "type 77"),
        ("w0", {"quantization__scale": [0.5, 0.5]}, "2 scales and 1 zero points"),
        ("w0", {"quantization__scale": [0.5] * 3, "quantization__zeroPoint": [0] * 3}, "3 quantization scales for 7"),
        ("w0", {"quantization__scale": [-0.5]}, "not a positive finite number"),
        ("w0", {"quantization__scale": [float("nan")]}, "not a positive finite number"),
        ("w0", {"quantization__zeroPoint": [1 << 40]}, "zero point 1099511627776"),
        ("x", {"quantization__zeroPoint": [-129]}, "zero point -129"),
        ("x", {"quantization": None}, "no quantization"),
        ("x", {"shape": [1, 13]}, "does not fit"),
        ("x", {"shape": [1] * 33}, "33 dimensions"),
        ("t0", {"shape": [1, 8]}, "the graph says"),
    ],
)
def test_tensors_that_contradict_themselves(tensor: str, fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ModelFormatError, match=said) as error:
        load_tflite(rewritten(changed(**fields)(tensor)), "bad", "folder/bad.tflite")
    assert message(error.value).startswith("folder/bad.tflite: ")


def operator_change(index: int, **fields: Any) -> Callable[[Any], None]:
    def change(model: Any) -> None:
        for field, value in fields.items():
            setattr(model.subgraphs[0].operators[index], field, value)

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (operator_change(0, inputs=[0, 1, 99]), "does not exist"),
        (operator_change(0, inputs=[0, 1, -2]), "does not exist"),
        (operator_change(0, inputs=[]), "."),
        (operator_change(0, inputs=[0]), "lacks its operand 1"),
        (operator_change(0, inputs=[-1, 3, 2]), "lacks its operand 0"),
        (operator_change(0, outputs=[]), "has no output"),
        (operator_change(0, outputs=[-1]), "does not exist"),
        (operator_change(0, outputs=[1]), "made already"),
        (operator_change(0, opcodeIndex=9), "unknown code 9"),
        (operator_change(2, inputs=[7]), "before anything makes it"),
        (lambda model: model.subgraphs[0].operators.reverse(), "before anything makes it"),
        (lambda model: setattr(model.subgraphs[0], "inputs", [77]), "does not exist"),
        (lambda model: setattr(model.subgraphs[0], "inputs", [0, 0]), "two inputs"),
        (lambda model: setattr(model.subgraphs[0], "inputs", [0, 1]), "is a constant"),
        (lambda model: setattr(model, "version", 2), "version 2"),
        (lambda model: setattr(model, "subgraphs", []), "no subgraph"),
    ],
)
def test_operators_that_make_no_sense(change: Callable[[Any], None], said: str) -> None:
    with pytest.raises((ModelFormatError, UnsupportedError), match=said) as error:
        load_tflite(rewritten(change), "bad", "bad.tflite")
    assert message(error.value).startswith("bad.tflite")


# --------------------------------------------------------------------------------------------------- unsupported


def test_a_float_model_says_to_quantize_it() -> None:
    tensors = [
        TensorSpec("x", (1, 3), np.float32),
        TensorSpec("w", (2, 3), np.float32, data=np.ones((2, 3), np.float32)),
        TensorSpec("y", (1, 2), np.float32),
        TensorSpec("z", (1, 2), np.float32),
    ]
    # Its unsupported operator is not what is told: quantizing comes first.
    operators = [OperatorSpec("FULLY_CONNECTED", (0, 1), (2,)), OperatorSpec("ELU", (2,), (3,))]
    with pytest.raises(UnsupportedError, match=r"m\.tflite: is a float model.*quantize it"):
        load_tflite(write_model(tensors, operators, (0,), (3,)), "m", "m.tflite")


def test_a_model_quantized_in_its_weights_only_is_a_float_model() -> None:
    tensors = [
        TensorSpec("x", (1, 3), np.float32),
        TensorSpec("w", (2, 3), np.int8, (0.5,), (0,), data=np.ones((2, 3), np.int8)),
        TensorSpec("y", (1, 2), np.float32),
    ]
    content = write_model(tensors, [OperatorSpec("FULLY_CONNECTED", (0, 1), (2,))], (0,), (2,))
    with pytest.raises(UnsupportedError, match="is a float model"):
        load_tflite(content, "m")


def test_float_in_the_middle_is_told_with_its_node() -> None:
    tensors = [
        TensorSpec("x", (1, 3), np.int8, (0.5,), (0,)),
        TensorSpec("real", (1, 3), np.float32),
        TensorSpec("bent", (1, 3), np.float32),
    ]
    operators = [OperatorSpec("DEQUANTIZE", (0,), (1,)), OperatorSpec("TANH", (1,), (2,))]
    with pytest.raises(UnsupportedError, match=r"operator 1 TANH \(output 'bent'\): computes in floating point"):
        load_tflite(write_model(tensors, operators, (0,), (2,)), "m")


def test_a_constant_that_the_model_computes_is_told() -> None:
    tensors = [
        TensorSpec("x", (1, 3), np.int8, (0.5,), (0,)),
        TensorSpec("c", (1, 3), np.int8, (0.5,), (0,), data=np.ones((1, 3), np.int8)),
        TensorSpec("y", (1, 3), np.int8, (1 / 128,), (0,)),
    ]
    with pytest.raises(UnsupportedError, match="computes a constant"):
        load_tflite(write_model(tensors, [OperatorSpec("TANH", (1,), (2,))], (0,), (2,)), "m")


def second_subgraph(model: Any) -> None:
    model.subgraphs.append(model.subgraphs[0])


def custom_operator(model: Any) -> None:
    model.operatorCodes[0] = schema.OperatorCodeT(builtinCode=schema.BuiltinOperator.CUSTOM, customCode="my_own")


def dense_without_bias_to_tiny_scale(model: Any) -> None:
    model.subgraphs[0].operators[0].inputs = [0, 1]
    changed(quantization__scale=[1e-12])("t0")(model)


def sparse_weights(model: Any) -> None:
    model.subgraphs[0].tensors[1].sparsity = schema.SparsityParametersT(traversalOrder=[0, 1])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (second_subgraph, "2 subgraphs"),
        (custom_operator, "CUSTOM 'my_own' is not supported"),
        (sparse_weights, "stored sparsely"),
        (changed(isVariable=True)("t0"), "is a variable"),
        (changed(type=schema.TensorType.FLOAT64)("b0"), "tensors of float64"),
        (changed(type=schema.TensorType.STRING)("b0"), "tensors of string"),
        (changed(shapeSignature=[1, -1])("x"), "is dynamic"),
        (changed(shape=[0, 12])("x"), "is dynamic"),
        (changed(quantization__zeroPoint=[3] * 7, quantization__scale=[0.5] * 7)("w0"), "zero point that is not 0"),
        (changed(quantization__scale=[0.7])("b0"), "bias of scale 0.7"),
        (dense_without_bias_to_tiny_scale, "leaves int32"),
        (changed(quantization__scale=[0.01])("t2"), "1/256"),
        (lambda model: setattr(model.subgraphs[0], "operators", []), "nothing to compute"),
        (lambda model: setattr(model.subgraphs[0], "outputs", []), "nothing to compute"),
        (lambda model: setattr(model.subgraphs[0].operators[2].builtinOptions, "beta", -1.0), "beta -1"),
        (
            lambda model: setattr(
                model.subgraphs[0].operators[0].builtinOptions,
                "fusedActivationFunction",
                schema.ActivationFunctionType.SIGN_BIT,
            ),
            "fused activation SIGN_BIT",
        ),
    ],
)
def test_what_is_not_supported_is_told_with_its_place(change: Callable[[Any], None], said: str) -> None:
    with pytest.raises(UnsupportedError, match=said) as error:
        load_tflite(rewritten(change), "odd", "odd.tflite")
    assert message(error.value).startswith("odd.tflite")


def chain(*kinds: str, subgraphs: int = 1) -> bytes:
    """Operators without options, each reading the last one's result, perhaps with more subgraphs."""
    tensors = [TensorSpec(f"t{index}", (1, 3), np.int8, (0.5,), (0,)) for index in range(len(kinds) + 1)]
    operators = [OperatorSpec(kind, (index,), (index + 1,)) for index, kind in enumerate(kinds)]

    def change(model: Any) -> None:
        model.subgraphs += [model.subgraphs[0]] * (subgraphs - 1)

    return rewritten(change, write_model(tensors, operators, (0,), (len(kinds),)))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (chain("TANH", "WHILE", subgraphs=3), r"operator 1 WHILE \(output 't2'\): WHILE is control flow"),
        (chain("TANH", "IF", subgraphs=3), "operator 1 IF .*control flow"),
        (chain("CALL_ONCE", "TANH", subgraphs=2), "operator 0 CALL_ONCE .*control flow"),
        (chain("TANH", "VAR_HANDLE"), "operator 1 VAR_HANDLE .*keeps state between inferences"),
        (chain("TANH", "READ_VARIABLE"), "operator 1 READ_VARIABLE .*keeps state"),
        (chain("ASSIGN_VARIABLE", "WHILE"), "operator 0 ASSIGN_VARIABLE .*keeps state"),
        (chain("TANH", subgraphs=2), r"m\.tflite: has 2 subgraphs"),
        (
            chain("TANH", "MULTINOMIAL", "WHERE"),
            "operator 1 MULTINOMIAL .*MULTINOMIAL is not supported, nor is WHERE; supported: ",
        ),
        (chain("RELU", "BUCKETIZE", "WHERE", "RFFT2D"), "BUCKETIZE is not supported, nor are RFFT2D, WHERE"),
    ],
)
def test_control_flow_state_and_unknown_operators_are_named(content: bytes, said: str) -> None:
    with pytest.raises(UnsupportedError, match=said) as error:
        load_tflite(content, "m", "m.tflite")
    assert message(error.value).startswith("m.tflite: ")


def images(*, weights: np.ndarray | None, shape: tuple[int, ...] = (1, 4, 4, 2), **options: Any) -> bytes:
    """A CONV_2D of images, 2 x 2 with two channels in and out; its weights an input if they are not given."""
    tensors = [
        TensorSpec("x", shape, np.int8, (0.5,), (0,)),
        TensorSpec("w", (2, 2, 2, 2) if weights is None else weights.shape, np.int8, (0.5,), (0,), data=weights),
        TensorSpec("b", (2,), np.int32, (0.25,), (0,), data=np.zeros(2, np.int32)),
        TensorSpec("y", (*shape[:-1], 2), np.int8, (0.5,), (0,)),
    ]
    attributes = {"stride_h": 1, "stride_w": 1, "dilation_h_factor": 1, "dilation_w_factor": 1} | options
    inputs = (0,) if weights is not None else (0, 1)
    return write_model(tensors, [OperatorSpec("CONV_2D", (0, 1, 2), (3,), attributes)], inputs, (3,))


SQUARE = np.ones((2, 2, 2, 2), np.int8)
HUGE = (1, 1 << 15, 1 << 15, 2)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (images(weights=None), "weights or bias that are computed"),
        (images(weights=np.ones((2, 2, 2), np.int8)), r"weights have shape \[2, 2, 2\], and four dimensions"),
        (images(weights=SQUARE, shape=(4, 4, 2)), r"images have shape \[4, 4, 2\], and four dimensions"),
        (images(weights=np.ones((3, 2, 2, 2), np.int8)), "2 biases for 3 output channels"),
        (images(weights=np.ones((2, 2, 2, 3), np.int8)), "images of 2 channels do not fit"),
        (images(weights=SQUARE, padding="VALID"), r"makes int8\[1, 3, 3, 2\], the graph says int8\[1, 4, 4, 2\]"),
        (images(weights=SQUARE, stride_w=0), "strides .*LiteRT's reference kernel rejects"),
        (images(weights=SQUARE, dilation_w_factor=1 << 20), "dilations .*LiteRT's reference kernel rejects"),
        (images(weights=SQUARE, shape=HUGE), r"tensor 0 'x': the shape \[1, 32768, 32768, 2\] has 2147483648 elements"),
    ],
)
def test_convolutions_that_are_refused(content: bytes, said: str) -> None:
    with pytest.raises((UnsupportedError, ModelFormatError), match=said) as error:
        load_tflite(content, "m", "m.tflite")
    assert re.search(r"m\.tflite: (operator 0 CONV_2D \(output 'y'\)|node 'conv_2d_0')", message(error.value))


def test_a_dilation_past_the_image_costs_no_memory() -> None:
    """Taps that lie in the padding everywhere are not computed, and the padding is not stored."""
    model = load_tflite(images(weights=SQUARE, dilation_h_factor=(1 << 15) - 1), "m")
    inputs = random_inputs(model.graph, 3, seed=1)
    assert_same_tensors(*(create_executor(name, model).run(inputs) for name in ("numpy", "litert")))


def test_operands_that_an_operator_does_not_read_are_refused() -> None:
    tensors = [TensorSpec(name, (1, 3), np.int8, (0.5,), (0,)) for name in "xyz"]
    content = write_model(tensors, [OperatorSpec("TANH", (0, 1), (2,))], (0, 1), (2,))
    with pytest.raises(ModelFormatError, match=r"operator 0 TANH \(output 'z'\): TANH takes no operand 'y'"):
        load_tflite(content, "m")


def test_a_dynamic_shape_is_told_with_the_operator_that_needs_it() -> None:
    change = changed(shapeSignature=[-1, -1])("t0")
    with pytest.raises(UnsupportedError, match=r"operator 0 FULLY_CONNECTED .*tensor \d+ 't0': the shape .*dynamic"):
        load_tflite(rewritten(change), "m")
