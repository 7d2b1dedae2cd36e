"""A whole design with AXI buses under a third party's bus models, as exported, in Icarus Verilog."""

import json

import numpy as np
import pytest
from cocotb_run import run_cocotb
from models import dense_network, random_inputs

from bitloom.design import design
from bitloom.design.axi import register_map
from bitloom.export.verilog import to_verilog
from bitloom.frontends import Model
from bitloom.plan import Target, make_plan
from bitloom.run import ExecutorOptions, create_executor


@pytest.mark.parametrize("interval", [5, 14])
def test_bus_models_agree_with_numpy(tmp_path, interval):
    graph, target = dense_network([9, 7, 5], 1), Target(interval=interval)
    circuit = design(make_plan(graph, target))
    inputs = random_inputs(graph, 2000, seed=interval)
    results = graph.evaluate(inputs)[graph.outputs[0]].reshape(-1, 5)
    # Inferences of which the largest element comes several times, at different places.
    ties = np.flatnonzero((results == results.max(axis=1, keepdims=True)).sum(axis=1) > 1)
    chosen = np.r_[np.arange(40), ties[:6]]
    inputs = {name: array[chosen] for name, array in inputs.items()}
    vectors = tmp_path / "vectors.npz"
    np.savez(vectors, inputs=inputs["x"].reshape(-1, 9), results=results[chosen], ties=40 + np.arange(len(ties[:6])))
    # The same cycles as in PyRTL.
    options = ExecutorOptions(target=target)
    cycles = create_executor("pyrtl", Model(graph, graph.name), options).run(inputs).cycles
    registers = {one.name: (one.offset, one.access.value) for one in register_map(circuit.plan).registers}
    environment = {
        "REGISTERS": json.dumps(registers),
        "VECTORS": str(vectors),
        "INTERVAL": str(circuit.plan.interval),
        "LATENCY": str(cycles.latency),
    }
    module = to_verilog(circuit)
    run_cocotb(module.text, top=module.top, module="cocotb_design", folder=tmp_path, environment=environment)


def test_register_map_grows_with_the_result():
    words = {}
    for size in (1, 4, 5, 64, 65):
        names = [register.name for register in register_map(make_plan(dense_network([3, size], 0))).registers]
        words[size] = [name for name in names if name.startswith("output")]
    assert {size: len(names) for size, names in words.items()} == {1: 1, 4: 1, 5: 2, 64: 16, 65: 0}
    assert words[5] == ["output0", "output1"]
