"""The node tests that come with the package onnx, of every quantized operator; and its reference evaluator."""

from __future__ import annotations

import importlib
import pkgutil
import re
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx")

import onnx
from onnx import numpy_helper
from onnx.backend.test.case import node as bundled
from onnx.reference import ReferenceEvaluator
from onnx_models import OnnxBuilder

from bitloom.errors import BitloomError
from bitloom.frontends import load_onnx
from bitloom.run.executor import create_executor
from bitloom.run.inputs import random_inputs

MODULES = (
    *("convinteger", "dequantizelinear", "dynamicquantizelinear", "matmulinteger"),
    *("qlinearconv", "qlinearmatmul", "quantizelinear"),
)
CLAIMED = ("ConvInteger", "DequantizeLinear", "MatMulInteger", "QLinearConv", "QLinearMatMul", "QuantizeLinear")

BLOCKED, FLOATS, PER_AXIS = "scales per block", "float8|float4|is float", "has 3 scales or zero points for"
EXCEPTIONS = {
    # Integers come from an arithmetic that hardware made beforehand does not have.
    "test_dequantizelinear_blocked": BLOCKED,
    "test_quantizelinear_blocked_asymmetric": BLOCKED,
    "test_quantizelinear_blocked_symmetric": BLOCKED,
    "test_dynamicquantizelinear": "finds scales in the data",
    "test_dynamicquantizelinear_max_adjusted": "finds scales in the data",
    "test_dynamicquantizelinear_min_adjusted": "finds scales in the data",
    "test_dynamicquantizelinear_expanded": "is not supported|in floating point|operand",
    "test_dynamicquantizelinear_max_adjusted_expanded": "is not supported|in floating point|operand",
    "test_dynamicquantizelinear_min_adjusted_expanded": "is not supported|in floating point|operand",
    # Floating-point elements are no integers.
    **dict.fromkeys(
        [
            f"test_dequantizelinear_{kind}"
            for kind in ("e4m3fn", "e4m3fn_float16", "e4m3fn_zero_point", "e5m2", "float4e2m1")
        ],
        FLOATS,
    ),
    **dict.fromkeys([f"test_quantizelinear_{kind}" for kind in ("e4m3fn", "e5m2", "float4e2m1")], FLOATS),
    # Activations have one scale; weights may have one for each output.
    "test_dequantizelinear_axis": PER_AXIS,
    **dict.fromkeys([f"test_quantizelinear_{kind}" for kind in ("axis", "int2", "int4", "uint2", "uint4")], PER_AXIS),
    "test_convinteger_with_padding": "zero points that differ",
}
"""Bundled tests that are refused, and how."""


def bundled_tests() -> dict[str, Any]:
    for module in MODULES:
        importlib.import_module(f"{bundled.__name__}.{module}")
    # Private, but what the public collect_testcases returns after seven seconds of importing every operator.
    cases = {case.name: case for case in vars(bundled)["_NodeTestCases"]}
    kinds = (*CLAIMED, "DynamicQuantizeLinear")
    return {name: case for name, case in cases.items() if any(node.op_type in kinds for node in case.model.graph.node)}


TESTS = bundled_tests()


def bound(case: Any) -> tuple[bytes, dict[str, np.ndarray], list[np.ndarray]]:
    """The model with all inputs but the first as constants, its input, its outputs.

    Tests of operators that never changed name operator sets as old as these; the same is true in the oldest read.
    """
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    ((given, expected),) = case.data_sets
    for entry, array in zip(list(model.graph.input)[1:], given[1:], strict=True):
        constant = array if isinstance(array, onnx.TensorProto) else numpy_helper.from_array(np.asarray(array))
        constant.name = entry.name
        model.graph.initializer.append(constant)
        model.graph.input.remove(entry)
    for entry in model.opset_import:
        entry.version = max(entry.version, 13)
    first = model.graph.input[0].name
    return model.SerializeToString(), {first: _array(given[0])}, [_array(array) for array in expected]


def _array(given: Any) -> np.ndarray:
    return numpy_helper.to_array(given) if isinstance(given, onnx.TensorProto) else np.asarray(given)


def test_every_module_of_quantized_operators_is_looked_at() -> None:
    found = {module.name for module in pkgutil.iter_modules(bundled.__path__)}
    assert set(MODULES) == {name for name in found if re.search("quantize|qlinear|integer", name)}


def test_exceptions_are_tests() -> None:
    assert set(EXCEPTIONS) <= set(TESTS)
    assert len(TESTS) - len(EXCEPTIONS) >= 20


@pytest.mark.parametrize("name", TESTS)
def test_bundled(name: str) -> None:
    content, inputs, expected = bound(TESTS[name])
    if name in EXCEPTIONS:
        with pytest.raises(BitloomError, match=EXCEPTIONS[name]):
            load_onnx(content, name)
        return
    model = load_onnx(content, name)
    held = {key: array.astype(model.graph.type(key).element.dtype)[None] for key, array in inputs.items()}
    found = create_executor("numpy", model).run(held).tensors
    for output, array in zip(model.graph.outputs, expected, strict=True):
        np.testing.assert_array_equal(found[output][0], array.astype(found[output].dtype))


def reference_agrees(builder: OnnxBuilder) -> None:
    content = builder.content()
    model = load_onnx(content, "test")
    evaluator = ReferenceEvaluator(content)
    inputs = random_inputs(model.graph, 20, 6)
    found = create_executor("numpy", model).run(inputs).tensors[model.graph.outputs[0]]
    for inference, result in enumerate(found):
        (expected,) = evaluator.run(None, {name: array[inference] for name, array in inputs.items()})
        np.testing.assert_array_equal(result, expected)


RNG = np.random.default_rng(3)


def integers(*shape: int, element: str = "int8") -> np.ndarray:
    limits = np.iinfo(element)
    return RNG.integers(limits.min, limits.max, shape, element, endpoint=True)


@pytest.mark.parametrize("element", ["int8", "uint8", "int16", "uint16"])
def test_reference_evaluator_quantizes(element: str) -> None:
    builder = OnnxBuilder((3, 40), opset=21)
    builder.through("x", 3 / 2 ** np.iinfo(element).bits, 7, element)
    reference_agrees(builder)


@pytest.mark.parametrize("element", ["int8", "uint8"])
def test_reference_evaluator_multiplies_integers(element: str) -> None:
    builder = OnnxBuilder((3, 12), element)
    points = (builder.constant(np.array(5, element)), builder.constant(np.array(3, element)))
    builder.node("MatMulInteger", "x", builder.constant(integers(12, 5, element=element)), *points)
    reference_agrees(builder)


@pytest.mark.parametrize("element", ["int8", "uint8"])
def test_reference_evaluator_convolves_integers(element: str) -> None:
    builder = OnnxBuilder((1, 3, 6, 5), element)
    points = (builder.constant(np.array(5, element)), builder.constant(np.array(3, element)))
    builder.node(
        "ConvInteger", "x", builder.constant(integers(4, 3, 3, 2, element=element)), *points, pads=[1, 0, 1, 1]
    )
    reference_agrees(builder)


def test_reference_evaluator_convolves() -> None:
    builder = OnnxBuilder((1, 3, 6, 5), "int8", opset=21)
    node = builder.node(
        "QLinearConv",
        "x",
        *builder.triple(0.031, 5),
        builder.constant(integers(4, 3, 3, 2)),
        *builder.triple(0.0043, 0),
        *builder.triple(0.0571, 5),
        builder.constant(RNG.integers(-3000, 3000, 4).astype(np.int32)),
        strides=[2, 1],
    )
    builder.dequantize(node, 0.0571, 5)
    reference_agrees(builder)


def test_reference_evaluator_multiplies() -> None:
    builder = OnnxBuilder((3, 12), "uint8", opset=21)
    weights = (builder.constant(integers(12, 5)), *builder.triple(0.0043, 3))
    node = builder.node(
        "QLinearMatMul", "x", *builder.triple(0.031, 50, "uint8"), *weights, *builder.triple(0.3, 99, "uint8")
    )
    builder.dequantize(node, 0.3, 99, "uint8")
    reference_agrees(builder)
