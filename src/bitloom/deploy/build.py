"""A model as a folder that stands alone: Verilog, a testbench with real vectors, a report, a README, a Makefile."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from bitloom.deploy.folder import PAGE, REPORT, WRITTEN_BY, check_replaceable, report_text, write_folder
from bitloom.deploy.makefile import synthesis_targets
from bitloom.deploy.readme import readme
from bitloom.design import Circuit, design
from bitloom.errors import ExecutionError, UsageError
from bitloom.export.testbench import write_testbench
from bitloom.export.verilog import to_verilog
from bitloom.frontends import Model
from bitloom.ir.operator import Array
from bitloom.passes import split_float_edges
from bitloom.plan import Bus, Target, make_plan
from bitloom.report import design_report, report_page
from bitloom.run import Cycles, ExecutorOptions
from bitloom.run.inputs import arrange_inputs, random_inputs
from bitloom.run.pyrtl_executor import PyrtlExecutor

Progress = Callable[[str], None]
"""Told in a few words what is being done now."""

README = "README.md"

# Inferences simulated to measure: the first shows the latency, the ends of the others their distance. Buffers between
# circuits let the first few pass at another pace, so there are more where that takes no time.
_FEWEST_MEASURED, _MOST_MEASURED, _MEASURED_CYCLES = 3, 12, 20_000
# Cycles times look-up tables of an inference that is still simulated while building: half a minute's work.
_MOST_MEASURED_WORK = 50_000_000


@dataclass(frozen=True, eq=False)
class Build:
    """What was built.

    Attributes:
        folder: with everything in it.
        files: what it holds.
        circuit: the design.
        report: as in report.json, see `bitloom.report.design`.
    """

    folder: Path
    files: tuple[Path, ...]
    circuit: Circuit
    report: Mapping[str, Any]


def build(
    model: Model,
    folder: str | Path,
    *,
    target: Target | None = None,
    bus: Bus = Bus.AXI,
    vectors: int = 16,
    inputs: Array | Mapping[str, Array] | None = None,
    seed: int = 0,
    page: bool = False,
    progress: Progress | None = None,
) -> Build:
    """Plan and design a model's circuit and write a folder that stands alone.

    The folder holds ``<name>.v``, the testbench ``<name>_tb.v`` and its vectors ``*.hex``, ``report.json``,
    ``README.md`` and ``Makefile``. The testbench's expected words are the NumPy executor's. Latency and interval of
    designs of moderate size are measured by simulating a few of the vectors in PyRTL, where every tensor is compared
    too, so that the folder is only written for a circuit that was right; larger ones are for `bitloom verify` with
    the verilog executor, which is faster there, and their report says that its cycles are planned ones.

    Args:
        model: to build; float edges stay in software.
        folder: to write. What is there already is replaced only if bitloom wrote all of it.
        target: what the design is to reach; the multipliers of the default board if None.
        bus: how the design meets the world.
        vectors: number of random inferences in the testbench; not used with `inputs`.
        inputs: the inferences of the testbench, see `bitloom.run.inputs.arrange_inputs`.
        seed: of random inferences.
        page: whether to write the report as ``report.html``, too.
        progress: told what is being done.

    Raises:
        ExportError: the folder holds something else or cannot be written; nothing is left behind.
        UnsupportedError: an operator has no hardware.
        PlanError: nothing reaches the target.
        InputError: the inputs do not fit.
        UsageError: no vectors.
    """
    place = Path(folder)
    check_replaceable(place)
    if inputs is None and vectors < 1:
        raise UsageError(f"{vectors} vectors were asked for", remedy="ask for at least 1")
    say = progress or _silent
    arrays = random_inputs(model.graph, vectors, seed) if inputs is None else arrange_inputs(model.graph, inputs)
    say("planning and designing")
    goal = target or Target()
    plan = make_plan(split_float_edges(model.graph).core, goal, bus)
    say("computing expected words")
    tensors = model.graph.evaluate(arrays)
    cycles = None
    if plan.interval * plan.logic <= _MOST_MEASURED_WORK:
        say("measuring cycles")
        executor = PyrtlExecutor(model, ExecutorOptions(), plan)
        circuit, cycles = executor.circuit, _measure(executor, arrays, tensors)
    else:
        circuit = design(plan)
    say("writing Verilog")
    module = to_verilog(circuit)
    files = {f"{module.top}.v": module.text, **write_testbench(circuit, module, tensors)}
    files["Makefile"] += synthesis_targets(module.top)
    report = {
        WRITTEN_BY: f"bitloom {version('bitloom')}",
        "files": [*files, README, REPORT, *([PAGE] if page else [])],
        **design_report(circuit, goal, cycles),
    }
    files[README] = readme(circuit, report, len(next(iter(arrays.values()))))
    files[REPORT] = report_text(report)
    if page:
        files[PAGE] = report_page(report)
    return Build(place, write_folder(place, files), circuit, report)


def _measure(executor: PyrtlExecutor, arrays: Mapping[str, Array], expected: Mapping[str, Array]) -> Cycles:
    """Simulate a few inferences back to back.

    Raises:
        ExecutionError: a tensor is not what NumPy computes.
    """
    enough = _MEASURED_CYCLES // executor.circuit.plan.interval
    count = min(max(enough, _FEWEST_MEASURED), _MOST_MEASURED)
    few = {name: np.resize(array, (count, *array.shape[1:])) for name, array in arrays.items()}
    result = executor.run(few)
    for name, tensor in result.tensors.items():
        if not np.array_equal(tensor, np.resize(expected[name], tensor.shape)):
            raise ExecutionError(
                f"the circuit and its software disagree about the tensor '{name}'",
                where=f"network '{executor.graph.name}'",
                remedy="report this as a bug in bitloom, with the model",
            )
    assert result.cycles is not None, "circuits count cycles"
    return result.cycles


def _silent(what: str) -> None:
    """Progress nobody sees."""
