"""Float ONNX models that are refused: one line that names the node and what to do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

import onnx
from onnx import helper
from onnx_models import OnnxBuilder

from bitloom.errors import BitloomError, ModelFormatError, UnsupportedError
from bitloom.frontends import load_float
from bitloom.frontends.float_onnx.importer import load_float_onnx
from data import test_data


def ones(*shape: int) -> np.ndarray:
    return np.ones(shape, np.float32)


def refused(builder: OnnxBuilder, kind: type[BitloomError] = UnsupportedError) -> str:
    with pytest.raises(kind) as caught:
        load_float_onnx(builder.content(), "net", "net.onnx")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def of(
    shape: tuple[int | str, ...], kind: str, *operands: np.ndarray, opset: int = 17, **attributes: object
) -> OnnxBuilder:
    builder = OnnxBuilder(shape, opset=opset)
    builder.node(kind, "x", *(builder.constant(each) for each in operands), **attributes)
    return builder


IMAGE = (1, 2, 6, 6)
REFUSALS = [
    (of(IMAGE, "ConvTranspose", ones(2, 3, 2, 2)), "resize by nearest pixels and convolve instead"),
    (of((1, 6), "LogSoftmax"), "leave it out"),
    (of((1, 6), "Elu"), "use LeakyRelu, Gelu or HardSwish"),
    (of(IMAGE, "InstanceNormalization", ones(2), ones(2)), "train with BatchNormalization"),
    (of((1, 6), "Erf"), "no part of GELU"),
    (of((1, 2, 6, 6, 6), "Conv", ones(3, 2, 3, 3, 3)), "convolves 3 dimensions"),
    (of(IMAGE, "MaxPool", kernel_shape=[2, 2], dilations=[2, 2]), "pools with dilations"),
    (of(IMAGE, "Conv", ones(3, 2, 3, 3), auto_pad="SAME"), "has the auto_pad 'SAME'; supported: NOTSET, SAME_UPPER"),
    (of(IMAGE, "MaxPool", kernel_shape=[2, 2], pads=[2, 2, 1, 1]), "put a Relu in front"),
    (of(IMAGE, "AveragePool", kernel_shape=[4, 4], strides=[4, 4], ceil_mode=1), "ceil_mode, with a last window"),
    (of(IMAGE, "Pad", np.array([0, 0, -1, 0, 0, 0, 0, 0])), "cut by Slice instead"),
    (of(IMAGE, "Resize", ones(0), np.float32([1, 1, 2, 2]), mode="linear"), "resizes by linear; supported: nearest"),
    (of(IMAGE, "ArgMax", axis=1, select_last_index=1), "supported: the first"),
    (of((1, 6), "Pow", np.float32(3)), "is the power 3"),
    (of((1, 6), "Div", ones(6) * 0), "divides by zero"),
    (of((1, 6), "Cast", to=10), "export the model in float32"),
    (of((1, 6), "Max", ones(6)), "supported: one number"),
    (of(IMAGE, "ReduceMax", axes=[1]), "supported: all pixels"),
]


@pytest.mark.parametrize("case", range(len(REFUSALS)))
def test_what_is_not_supported(case: int) -> None:
    builder, message = REFUSALS[case]
    found = refused(builder)
    assert message in found
    assert found.startswith(f"net.onnx: node 0 {builder.nodes[0].op_type} (output '{builder.last}'): ")


def test_products_of_two_computed_tensors() -> None:
    builder = OnnxBuilder((4, 4))
    builder.node("MatMul", "x", builder.node("Tanh", "x"))
    assert "attention is not supported" in refused(builder)


def test_weights_that_are_computed() -> None:
    builder = OnnxBuilder((1, 1, 6, 6))
    builder.node("Conv", "x", builder.node("Tanh", "x"))
    assert "has the computed operand 'tanh_0' where constants are needed" in refused(builder)


def test_numbers_divided_by_tensors() -> None:
    builder = OnnxBuilder((1, 6))
    builder.node("Div", builder.constant(ones(6)), "x")
    assert "only constants can divide" in refused(builder)


def test_a_quantized_model() -> None:
    builder = OnnxBuilder((1, 6))
    builder.through("x", 0.1, 0)
    assert refused(builder).endswith("is quantized already, and a float model is needed; read it with bitloom.load")


def test_a_qonnx_model() -> None:
    with pytest.raises(UnsupportedError, match=r"is quantized already, .*; read it with bitloom\.load"):
        load_float(test_data("onnx/TFC_2W2A.onnx"))


def test_dynamic_axes_are_named() -> None:
    assert "input 'x': has the dynamic axis 2 ('height')" in refused(of(("N", 3, "height", 4), "Relu"))


def test_weights_that_are_not_finite() -> None:
    found = refused(of((1, 6), "MatMul", np.full((6, 2), np.nan, np.float32)), ModelFormatError)
    assert "the constant 'c0' holds values that are not finite" in found


def test_variances_that_are_not_positive() -> None:
    found = refused(of(IMAGE, "BatchNormalization", ones(2), ones(2), ones(2), -ones(2)), ModelFormatError)
    assert "has a variance that is not positive" in found


def test_other_types() -> None:
    builder = OnnxBuilder((1, 6), "int8")
    builder.node("Cast", "x", to=1)
    assert "input 'x': is int8; supported: float32" in refused(builder)


def test_an_old_operator_set() -> None:
    assert "is of operator set 8, and 9 or newer is needed" in refused(of((1, 6), "Relu", opset=8))


def test_a_result_that_is_constant() -> None:
    builder = OnnxBuilder((1, 6))
    builder.node("Relu", "x")
    builder.node("Neg", builder.constant(ones(3)))
    assert "output 'neg_1': is a constant" in refused(builder, ModelFormatError)


def test_control_flow() -> None:
    condition = helper.make_tensor("t", onnx.TensorProto.BOOL, (), [True])
    branch = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["inner"])],
        "branch",
        [],
        [helper.make_tensor_value_info("inner", onnx.TensorProto.FLOAT, (1, 6))],
    )
    builder = OnnxBuilder((1, 6))
    builder.node("Relu", "x")
    builder.nodes.append(helper.make_node("Constant", [], ["c"], value=condition))
    builder.nodes.append(helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch))
    graph = helper.make_graph(
        builder.nodes, "g", builder.inputs, [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, (1, 6))]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    with pytest.raises(BitloomError, match=r"node 2 If .* is not supported.*; export the model without control flow"):
        load_float_onnx(model.SerializeToString(), "net", "net.onnx")


def test_files_are_told_by_content(tmp_path: Path) -> None:
    path = tmp_path / "net.bin"
    path.write_bytes(of((1, 6), "Relu").content())
    assert load_float(path).name == "net"
    path.write_bytes(of((1, 6), "Relu").content()[:30])
    with pytest.raises(ModelFormatError):
        load_float(path)


def test_damaged_files_are_refused_or_read(tmp_path: Path) -> None:
    """Whatever byte is wrong: an error of bitloom's, or a graph."""
    builder = OnnxBuilder((1, 2, 6, 6))
    x = builder.node("Conv", "x", builder.constant(ones(3, 2, 3, 3)), pads=[1, 1, 1, 1], strides=[2, 2])
    x = builder.node("MaxPool", builder.node("Clip", x, builder.constant(np.float32(0))), kernel_shape=[2, 2])
    builder.node("Gemm", builder.node("Flatten", x), builder.constant(ones(12, 5)))
    content = builder.content()
    rng = np.random.default_rng(1)
    outcomes = set()
    for position in range(0, len(content), 3):
        damaged = bytearray(content)
        damaged[position] ^= int(rng.integers(1, 256))
        try:
            load_float_onnx(bytes(damaged), "net")
            outcomes.add("read")
        except BitloomError:
            outcomes.add("refused")
    assert outcomes == {"read", "refused"}
