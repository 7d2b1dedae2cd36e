"""The exported Verilog in a Verilog simulator."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from bitloom.design import Circuit
from bitloom.export.verilog import VerilogModule, to_verilog
from bitloom.ir import Graph
from bitloom.plan import Bus, Target
from bitloom.run.circuit import STALL_PROBABILITY, CircuitExecutor, CircuitRun
from bitloom.run.verilog.icarus import compile_with_icarus
from bitloom.run.verilog.simulation import Simulation, Simulator
from bitloom.run.verilog.verilator import compile_with_verilator

_SIMULATORS: Mapping[str, Callable[[Circuit, VerilogModule], Simulation]] = {
    "verilator": compile_with_verilator,
    "icarus": compile_with_icarus,
}

# Compiling takes seconds, and the same network is often run with other options.
_compiled: dict[tuple[Graph, Target | None, Bus, str], tuple[VerilogModule, Simulation]] = {}


class VerilogExecutor(CircuitExecutor):
    """Runs the text that `to_verilog` gives, unchanged, in Verilator or Icarus Verilog.

    The design is compiled once per process, for a graph, a target, a bus and a simulator. Each executor has its own
    simulator process, which resets the design once: runs follow each other without a reset. `module` is the text that
    was compiled.

    ```
                 ┌─ harness ──────────────────────────────────────────────────┐
     words  ──▶  │ producer ─▶ s_axis │ top ─▶ core │ m_axis ─▶ consumer      │ ──▶  words, cycles
                 │   pauses              inner streams          pauses       │
                 └──────────────────────────────│────────────────────────────┘
                                                └──▶ words of every tensor
    ```
    """

    name = "verilog"

    def prepare(self) -> None:
        """Write the Verilog and compile it.

        Raises:
            MissingToolError: the simulator, or the compiler it needs, is not installed.
            ExecutionError: one of them fails.
        """
        key = (self.split.core, self.options.target, self.options.bus, self.options.simulator)
        if key not in _compiled:
            module = to_verilog(self.circuit)
            _compiled[key] = module, _SIMULATORS[self.options.simulator](self.circuit, module)
        self.module, simulation = _compiled[key]
        stall = STALL_PROBABILITY if self.options.stalls else 0.0
        self.simulator = Simulator(simulation, self.circuit, stall, self.options.seed)

    def simulate(self, words: Mapping[str, npt.NDArray[np.uint8]], inferences: int) -> CircuitRun:
        """Send all beats, collect all beats; see `CircuitExecutor.simulate`."""
        return self.simulator.run(words, inferences)
