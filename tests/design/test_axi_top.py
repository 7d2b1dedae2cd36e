"""The AXI wrapper of a whole network, by a third party's bus models."""

from __future__ import annotations

import numpy as np
from cocotb_run import run_cocotb
from models import dense_network

from bitloom.design import design
from bitloom.export.verilog import to_verilog
from bitloom.plan import Bus, Target, make_plan


def test_network_between_bus_models(tmp_path):
    graph = dense_network((9, 7, 5), seed=3)
    rng = np.random.default_rng(4)
    (name,) = graph.inputs
    inputs = rng.integers(-128, 128, (8, *graph.type(name).shape)).astype(np.int8)
    inputs[0], inputs[1] = -128, 127
    outputs = graph.evaluate({name: inputs})[graph.outputs[0]].astype(np.int8)
    # Whole beats go in: the rest of the last one belongs to no element.
    padded = np.zeros((len(inputs), 12), np.int8)
    padded[:, :9] = inputs.reshape(len(inputs), -1)
    vectors = tmp_path / "vectors.npz"
    np.savez(vectors, inputs=padded, outputs=outputs.reshape(len(inputs), -1))
    module = to_verilog(design(make_plan(graph, Target(interval=14), Bus.AXI)))
    run_cocotb(
        module.text,
        top=module.top,
        module="cocotb_network",
        folder=tmp_path,
        environment={"VECTORS": str(vectors)},
    )
