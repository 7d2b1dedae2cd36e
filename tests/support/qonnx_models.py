"""Small QONNX models written by the tests, and their judge."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper
from onnx_models import OnnxBuilder

from bitloom.frontends import load_onnx
from bitloom.frontends.model import Model
from bitloom.plan import Bus
from bitloom.run.executor import ExecutorOptions, create_executor
from bitloom.run.inputs import random_inputs

DOMAIN = "qonnx.custom_op.general"


class QonnxBuilder(OnnxBuilder):
    """A model of one input and one output, node by node; `last` is the tensor made last."""

    def __init__(
        self,
        shape: Sequence[int | str],
        element: str = "float32",
        *,
        opset: int = 13,
        domain: str = DOMAIN,
        seed: int = 7,
    ) -> None:
        super().__init__(shape, element, opset=opset)
        self.domain = domain
        self.domain_version = 1
        self.rng = np.random.default_rng(seed)

    def quant(
        self,
        x: str,
        scale: Any,
        bits: Any,
        *,
        zero_point: Any = 0,
        kind: str = "Quant",
        rounding: str = "ROUND",
        **flags: int,
    ) -> str:
        """Quant; `flags` are signed (1) and narrow (0)."""
        operands = [self.constant(np.array(each, np.float32)) for each in (scale, zero_point, bits)]
        attributes = {"signed": 1, "narrow": 0, **flags}
        return self.node(kind, x, *operands, domain=self.domain, rounding_mode=rounding, **attributes)

    def bipolar(self, x: str, scale: Any = 1.0) -> str:
        """BipolarQuant."""
        return self.node("BipolarQuant", x, self.constant(np.array(scale, np.float32)), domain=self.domain)

    def trunc(self, x: str, *numbers: float, **attributes: Any) -> str:
        """Trunc: scale, zero point and widths (version 1), or with the scale of the result before the last (2)."""
        operands = [self.constant(np.array(number, np.float32)) for number in numbers]
        self.domain_version = max(self.domain_version, len(numbers) - 3)
        return self.node("Trunc", x, *operands, domain=self.domain, **attributes)

    def weights(self, shape: Sequence[int], bits: int, scale: Any = 1.0, **flags: int) -> str:  # type: ignore[override]
        """Quantized random constants, over the whole range of the bits."""
        reals = self.rng.standard_normal(shape) * 2.0 ** (bits - 2) * np.asarray(scale)
        return self.quant(self.constant(reals.astype(np.float32)), scale, bits, narrow=1, **flags)

    def bipolar_weights(self, shape: Sequence[int], scale: Any = 1.0) -> str:
        """Constants -1 and 1."""
        return self.bipolar(self.constant(self.rng.standard_normal(shape).astype(np.float32)), scale)

    def normalized(self, x: str, channels: int, spread: float, *, positive: bool = False) -> str:
        """BatchNormalization, some channels of which have negative factors."""
        rng = self.rng
        factors = rng.uniform(0.5, 2.0, channels) * (1 if positive else rng.choice([-1, 1], channels))
        mean, bias = rng.normal(0, spread / 4, channels), rng.normal(0, 0.5, channels)
        variance = rng.uniform(0.2, 1.0, channels) * spread**2
        constants = [self.constant(each.astype(np.float32)) for each in (factors, bias, mean, variance)]
        return self.node("BatchNormalization", x, *constants)

    def content(self, *outputs: str) -> bytes:
        """The file, whose outputs have no declared types."""
        ends = [onnx.ValueInfoProto(name=name) for name in outputs or (self.last,)]
        graph = helper.make_graph(self.nodes, "test", self.inputs, ends, self.constants)
        domains = [helper.make_opsetid("", self.opset), helper.make_opsetid(self.domain, self.domain_version)]
        return bytes(helper.make_model(graph, opset_imports=domains, ir_version=8).SerializeToString())

    def load(self) -> Model:
        """Through the front end."""
        return load_onnx(self.content(), "test", "test.onnx")


def judged_differences(model: Model, inferences: int = 40, seed: int = 5) -> dict[str, int]:
    """For each tensor that the reference evaluator shows, elements that NumPy computes otherwise."""
    inputs = random_inputs(model.graph, inferences, seed)
    judged, found = (create_executor(name, model).run(inputs).tensors for name in ("onnx-reference", "numpy"))
    assert judged, "nothing is compared"
    return {name: int((judged[name] != found[name]).sum()) for name in judged}


def assert_judged_equal(model: Model, inferences: int = 40) -> None:
    """Every element of every tensor, integers and the reals at the end."""
    differences = judged_differences(model, inferences)
    assert not any(differences.values()), differences


def assert_hardware_equal(model: Model, inferences: int = 6, executor: str = "pyrtl") -> None:
    """The circuit, under stalls, against NumPy, in every tensor."""
    inputs = random_inputs(model.graph, inferences, 11)
    expected = create_executor("numpy", model).run(inputs).tensors
    options = ExecutorOptions(stalls=True, seed=2, bus=Bus.STREAM, simulator="icarus")
    seen = create_executor(executor, model, options).run(inputs).tensors
    for name, tensor in expected.items():
        np.testing.assert_array_equal(seen[name], tensor, err_msg=name)


def operator_names(model: Model) -> list[str]:
    """Of the graph's nodes, in order."""
    return [node.operator.name for node in model.graph.nodes]
