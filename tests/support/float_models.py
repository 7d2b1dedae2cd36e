"""Float ONNX models against ONNX Runtime: every tensor of the file that the float graph has, as LiteRT computes it."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
from onnx_models import OnnxBuilder

from bitloom.frontends.float_onnx.importer import import_float_onnx
from bitloom.frontends.float_onnx.layout import Layout
from bitloom.ir.float_graph import FloatGraph
from bitloom.run.float_litert import evaluate_float

Array = np.ndarray


def original(elements: Array, layout: Layout) -> Array:
    """Samples of a graph's tensor as samples of the file's."""
    lying = [layout.factors[axis] for axis in layout.order]
    back = np.argsort(layout.order) + 1
    return elements.reshape(-1, *lying).transpose(0, *back).reshape(-1, *layout.shape)


def judged(content: bytes, names: list[str], inputs: dict[str, Array]) -> dict[str, list[Array]]:
    """What ONNX Runtime computes, tensor by tensor, for samples of inputs in the file's order."""
    model = onnx.load_model_from_string(content)
    shown = {end.name for end in model.graph.output}
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in shown)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    found: dict[str, list[Array]] = {name: [] for name in names}
    for sample in range(len(next(iter(inputs.values())))):
        results = session.run(names, {name: array[sample] for name, array in inputs.items()})
        for name, result in zip(names, results, strict=True):
            found[name].append(result)
    return found


def assert_agrees(
    content: bytes, *, inputs_last: bool = False, scale: float = 2.0, tolerance: float = 1e-5
) -> FloatGraph:
    """LiteRT on the float graph, ONNX Runtime on the file: close in every tensor that both have; the graph."""
    graph, views = import_float_onnx(content, "net", "net.onnx", inputs_last=inputs_last)
    rng = np.random.default_rng(7)
    inputs = {
        name: (scale * rng.standard_normal((3, *views[name][1].shape))).astype(np.float32) for name in graph.inputs
    }
    stored = {
        name: array.transpose(0, *(np.array(views[name][1].order) + 1)) if array.ndim > 1 else array
        for name, array in inputs.items()
    }
    made = evaluate_float(graph, stored)
    made_there = {name for node in onnx.load_model_from_string(content).graph.node for name in node.output}
    names = [name for name in views if name in made_there]
    assert set(graph.outputs) <= set(names)
    for name, wanted in judged(content, names, inputs).items():
        tensor, layout = views[name]
        assert wanted[0].shape == layout.shape, name
        found = original(made[tensor], layout)
        largest = max(1.0, float(np.abs(wanted).max()))
        np.testing.assert_allclose(found, np.stack(wanted), rtol=tolerance, atol=tolerance * largest, err_msg=name)
    return graph


def kinds(graph: FloatGraph) -> list[str]:
    """Operators in order."""
    return [node.kind for node in graph.nodes]


def agrees(builder: OnnxBuilder, **options: bool | float) -> FloatGraph:
    """`assert_agrees` of a model that a test writes."""
    return assert_agrees(builder.content(), **options)
