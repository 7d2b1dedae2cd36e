"""Small quantized ONNX models written by the tests, and their judge."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from bitloom.frontends import Model, load_onnx
from bitloom.run.executor import create_executor
from bitloom.run.inputs import random_inputs

Array = np.ndarray
TYPES = {
    "float32": TensorProto.FLOAT,
    **{name: getattr(TensorProto, name.upper()) for name in ("int4", "uint4", "int8", "uint8", "int16", "uint16")},
}


def array_type(element: str) -> Any:
    """The NumPy type of elements of a name."""
    return helper.tensor_dtype_to_np_dtype(TYPES[element]) if element in TYPES else np.dtype(element)


class OnnxBuilder:
    """A model of one input and one output, node by node; `last` is the tensor made last."""

    def __init__(self, shape: Sequence[int | str], element: str = "float32", *, opset: int = 17) -> None:
        self.inputs = [helper.make_tensor_value_info("x", TYPES[element], shape)]
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.opset = opset
        self.last = "x"

    def constant(self, array: Any) -> str:
        """Its name."""
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def node(self, kind: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """The name of its result."""
        made = f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [made], domain=domain, **attributes))
        self.last = made
        return made

    def quantize(self, x: str, scale: float, zero_point: int, element: str = "int8") -> str:
        """QuantizeLinear."""
        return self.node("QuantizeLinear", x, *self.triple(scale, zero_point, element))

    def dequantize(self, x: str, scale: Any, zero_point: Any, element: str = "int8", axis: int | None = None) -> str:
        """DequantizeLinear."""
        options = {} if axis is None else {"axis": axis}
        return self.node("DequantizeLinear", x, *self.triple(scale, zero_point, element), **options)

    def through(self, x: str, scale: float, zero_point: int, element: str = "int8") -> str:
        """Both, one behind the other."""
        return self.dequantize(self.quantize(x, scale, zero_point, element), scale, zero_point, element)

    def weights(self, array: Array, scale: Any, zero_point: Any = 0, axis: int | None = None) -> str:
        """A dequantized constant."""
        return self.dequantize(self.constant(array), scale, zero_point, str(array.dtype), axis)

    def triple(self, scale: Any, zero_point: Any, element: str = "int8") -> tuple[str, str]:
        """Scale and zero point as operands."""
        return self.constant(np.array(scale, np.float32)), self.constant(np.array(zero_point, array_type(element)))

    def content(self, *outputs: str) -> bytes:
        """The file, whose output is what was made last."""
        ends = [onnx.ValueInfoProto(name=name) for name in outputs or (self.last,)]
        graph = helper.make_graph(self.nodes, "test", self.inputs, ends, self.constants)
        domains = [helper.make_opsetid("", self.opset), helper.make_opsetid("com.microsoft", 1)]
        # The oldest version of the format that knows 4-bit integers, and the one that ONNX Runtime still reads.
        model = helper.make_model(graph, opset_imports=domains, ir_version=8 if self.opset < 21 else 10)
        # Outputs need types, which inference finds.
        inferred = onnx.shape_inference.infer_shapes(model)
        known = {entry.name: entry for entry in inferred.graph.value_info}
        for end in model.graph.output:
            end.CopyFrom(known.get(end.name, end))
            if not end.type.tensor_type.elem_type:
                end.type.tensor_type.elem_type = TensorProto.INT8
            if not end.type.tensor_type.HasField("shape"):
                end.type.tensor_type.shape.SetInParent()
        return bytes(model.SerializeToString())

    def load(self) -> Model:
        """Through the front end."""
        return load_onnx(self.content(), "test", "test.onnx")


def differences(model: Model, inferences: int = 60, seed: int = 5) -> tuple[int, int, int]:
    """Elements that ONNX Runtime and NumPy both show, those that differ, and by how much at most, in integers."""
    inputs = random_inputs(model.graph, inferences, seed)
    judged, found = (create_executor(name, model).run(inputs).tensors for name in ("onnxruntime", "numpy"))
    shown = [name for name in judged if judged[name].dtype.kind in "iu"]
    assert shown, "nothing is compared"
    apart = [np.abs(judged[name].astype(np.int64) - found[name].astype(np.int64)) for name in shown]
    return (
        sum(each.size for each in apart),
        sum(int((each > 0).sum()) for each in apart),
        max(int(each.max()) for each in apart),
    )


def assert_equal(model: Model) -> None:
    """Every element that both show is equal."""
    assert differences(model)[1:] == (0, 0)


def assert_near(model: Model) -> None:
    """At most one unit on at most 0.1 % of elements: what is rounded once here and in binary32 there."""
    elements, apart, largest = differences(model)
    assert apart <= elements / 1000
    assert largest <= 1
