"""The tests that come with the package onnx, of every operator of float models: single nodes, and whole networks."""

from __future__ import annotations

import importlib
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx")

import onnx
from onnx import numpy_helper
from onnx.backend.test.case import node as bundled

from bitloom.errors import UnsupportedError
from bitloom.frontends.float_onnx.importer import OLDEST_FLOAT_OPSET, load_float_onnx
from bitloom.run.float_litert import evaluate_float

# For each module of tests how many are computed, expansions into other operators not counted.
COMPUTED = {
    **{
        "abs": 1,
        "add": 2,
        "argmax": 8,
        "averagepool": 12,
        "batch_normalization": 2,
        "clip": 6,
        "concat": 12,
        "conv": 4,
    },
    **{"depthtospace": 2, "div": 3, "dropout": 4, "expand": 2, "flatten": 9, "gather": 4, "gelu": 4, "gemm": 11},
    **{"globalaveragepool": 2, "globalmaxpool": 2, "hardsigmoid": 3, "hardswish": 1, "identity": 1, "leakyrelu": 3},
    **{"matmul": 1, "maxpool": 10, "mul": 3, "neg": 2, "pad": 3, "prelu": 2, "reducemean": 8, "reducesum": 7},
    **{"relu": 1, "reshape": 9, "resize": 11, "sigmoid": 2, "slice": 7, "softmax": 7, "spacetodepth": 3, "split": 14},
    **{"squeeze": 2, "sub": 3, "sum": 3, "tanh": 2, "tile": 2, "transpose": 7, "unsqueeze": 7, "upsample": 1},
}
NETWORKS = ("inception_v2", "resnet50", "shufflenet", "squeezenet")
_DATA = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"


def bundled_of(module: str) -> list[Any]:
    """Tests of one operator."""
    importlib.import_module(f"{bundled.__name__}.{module}")
    known = vars(bundled)["_NodeTestCases"]  # private, but collecting all tests in public takes many seconds
    return [
        case
        for case in known
        if str(case.model.graph.node[0].op_type).lower() == module.replace("_", "")
        and not any(word in case.name for word in ("expanded", "training", "mask"))
    ]


def computes(model: Any, inputs: list[Any], outputs: list[Any]) -> bool:
    """Whether the model is supported; then its results, with all inputs but the first as constants, must be right."""
    bound = onnx.ModelProto()
    bound.CopyFrom(model)
    for entry, array in list(zip(list(bound.graph.input), inputs, strict=False))[1:]:
        bound.graph.initializer.append(numpy_helper.from_array(np.asarray(array), entry.name))
        bound.graph.input.remove(entry)
    for entry in bound.opset_import:
        entry.version = max(entry.version, OLDEST_FLOAT_OPSET)
    try:
        graph = load_float_onnx(bound.SerializeToString(), "test")
    except UnsupportedError:
        return False
    found = evaluate_float(graph, {graph.inputs[0]: np.asarray(inputs[0])[None]})
    for name, wanted in zip(graph.outputs, outputs, strict=True):
        np.testing.assert_allclose(found[name][0], wanted, rtol=1e-3, atol=1e-5)
    return True


@pytest.mark.parametrize("module", COMPUTED)
def test_nodes(module: str) -> None:
    computed = 0
    for case in bundled_of(module):
        inputs, outputs = case.data_sets[0]
        if inputs and np.asarray(inputs[0]).dtype == np.float32 and np.asarray(inputs[0]).size:
            computed += computes(case.model, list(inputs), list(outputs))
    assert computed >= COMPUTED[module]


@pytest.mark.parametrize("name", NETWORKS)
def test_networks(name: str) -> None:
    model = onnx.load(_DATA / f"light_{name}.onnx")
    constants = {constant.name for constant in model.graph.initializer}
    (entry,) = (entry for entry in model.graph.input if entry.name not in constants)
    shape = [dimension.dim_value for dimension in entry.type.tensor_type.shape.dim]
    x = (np.arange(math.prod(shape)).reshape(shape) / math.prod(shape)).astype(np.float32)
    wanted = numpy_helper.to_array(onnx.load_tensor(_DATA / f"light_{name}_output_0.pb"))
    assert computes(model, [x], [wanted])
