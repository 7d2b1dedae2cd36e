"""The circuit in PyRTL's own simulators."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyrtl

from bitloom.errors import ExecutionError, MissingToolError
from bitloom.hw.registers import connect
from bitloom.plan import Port
from bitloom.run.circuit import STALL_PROBABILITY, CircuitExecutor, CircuitRun

_SIMULATIONS = {
    "interpreted": pyrtl.Simulation,
    "fast": pyrtl.FastSimulation,
    "compiled": pyrtl.CompiledSimulation,
}
# Cycles between two looks at the trace: bounds its memory.
_CHUNK = 2048
# Nothing moves for so long only if something is wrong.
_PATIENCE = 100_000


class PyrtlExecutor(CircuitExecutor):
    """Steps the circuit cycle by cycle; the circuit and its simulator are made once and reused."""

    name = "pyrtl"

    def prepare(self) -> None:
        """Make the simulator, tracing only the ports and taps."""
        block = self.circuit.block
        self.tapped = {
            stream: [f"{stream}_{wire}" for wire in ("data", "valid", "ready")]
            for stream in dict.fromkeys(tap.stream for tap in self.circuit.taps)
        }
        if self.options.simulation == "compiled":
            self.tapped = {stream: _as_outputs(block, names) for stream, names in self.tapped.items()}
        watched = [name for names in self.tapped.values() for name in names]
        watched += [f"{port.name}_{wire}" for port in self.circuit.outputs for wire in ("tdata", "tvalid", "tlast")]
        watched += [f"{port.name}_tready" for port in self.circuit.inputs]
        with pyrtl.set_working_block(block, no_sanity_check=True):
            trace = pyrtl.SimulationTrace(wires_to_track=[block.get_wirevector_by_name(name) for name in watched])
            try:
                self.simulation: Any = _SIMULATIONS[self.options.simulation](tracer=trace, block=block)
            except FileNotFoundError as error:
                raise MissingToolError(
                    "compiled simulation needs a C compiler", remedy="install gcc, or simulate interpreted or fast"
                ) from error
        self.trace: Mapping[str, list[int]] = trace.trace
        self.idle_inputs = {wire.name: 0 for wire in block.wirevector_subset(pyrtl.Input)}
        self.random = np.random.Generator(np.random.PCG64(self.options.seed))
        for _ in range(2):
            self.simulation.step({**self.idle_inputs, "reset": 1})
        self.simulation.step(self.idle_inputs)
        self._forget()

    def simulate(self, words: Mapping[str, npt.NDArray[np.uint8]], inferences: int) -> CircuitRun:
        """Send all beats, collect all beats; see `CircuitExecutor.simulate`."""
        sources = [_Source(port, words[port.name]) for port in self.circuit.inputs]
        sinks = [_Sink(port, inferences) for port in self.circuit.outputs]
        seen: dict[str, list[int]] = {tap.stream: [] for tap in self.circuit.taps}
        cycle, last_move = 0, 0
        while not self._finished(sources, sinks, seen, inferences):
            inputs = dict(self.idle_inputs)
            for source in sources:
                source.offer(inputs, pause=self._pause())
            for sink in sinks:
                inputs[f"{sink.port.name}_tready"] = sink.ready = int(not self._pause())
            self.simulation.step(inputs)
            moved = [source.observe(self.trace, cycle) for source in sources]
            moved += [sink.observe(self.trace, cycle) for sink in sinks]
            last_move = cycle if any(moved) else last_move
            if cycle - last_move > _PATIENCE:
                raise ExecutionError(f"no beat moved for {_PATIENCE} cycles", where=f"circuit '{self.circuit.name}'")
            cycle += 1
            if cycle % _CHUNK == 0:
                self._collect(seen)
        beats: dict[str, Any] = {**seen, **{sink.port.name: sink.beats for sink in sinks}}
        first_input = [min(cycles) for cycles in zip(*(source.first_cycles for source in sources), strict=True)]
        last_output = [max(cycles) for cycles in zip(*(sink.last_cycles for sink in sinks), strict=True)]
        return CircuitRun(beats, first_input, last_output)

    def _pause(self) -> bool:
        return self.options.stalls and bool(self.random.random() < STALL_PROBABILITY)

    def _finished(
        self, sources: list[_Source], sinks: list[_Sink], seen: Mapping[str, list[int]], inferences: int
    ) -> bool:
        """Whether every stream is through: beats that no output depends on may come after the last output."""
        if not (all(sink.finished for sink in sinks) and all(source.finished for source in sources)):
            return False
        self._collect(seen)
        return all(len(seen[tap.stream]) >= tap.type.beats * inferences for tap in self.circuit.taps)

    def _collect(self, seen: Mapping[str, list[int]]) -> None:
        """Take the tapped beats out of the trace."""
        for stream, beats in seen.items():
            columns = (self.trace[name] for name in self.tapped[stream])
            beats.extend(data for data, valid, ready in zip(*columns, strict=True) if valid and ready)
        self._forget()

    def _forget(self) -> None:
        for values in self.trace.values():
            values.clear()


def _as_outputs(block: pyrtl.Block, names: list[str]) -> list[str]:
    """Output ports that show inner wires: a compiled simulation traces nothing else."""
    ports = [f"seen_{name}" for name in names]
    with pyrtl.set_working_block(block, no_sanity_check=True):
        for name, port in zip(names, ports, strict=True):
            shown = block.get_wirevector_by_name(name)
            connect(pyrtl.Output(shown.bitwidth, port), shown)
    return ports


class _Source:
    """Offers a port's beats in order; an offered beat stays until it is taken."""

    def __init__(self, port: Port, words: npt.NDArray[np.uint8]) -> None:
        self.port = port
        self.words = [int.from_bytes(word, "little") for word in words]
        self.position = 0
        self.offered = False
        self.first_cycles: list[int] = []

    @property
    def finished(self) -> bool:
        return self.position == len(self.words)

    def offer(self, inputs: dict[str, int], *, pause: bool) -> None:
        self.offered = self.position < len(self.words) and (self.offered or not pause)
        if self.offered:
            inputs[f"{self.port.name}_tdata"] = self.words[self.position]
            inputs[f"{self.port.name}_tvalid"] = 1
            inputs[f"{self.port.name}_tlast"] = int((self.position + 1) % self.port.type.beats == 0)

    def observe(self, trace: Mapping[str, list[int]], cycle: int) -> bool:
        """Whether the beat was taken in the cycle just simulated."""
        if not (self.offered and trace[f"{self.port.name}_tready"][-1]):
            return False
        if self.position % self.port.type.beats == 0:
            self.first_cycles.append(cycle)
        self.position, self.offered = self.position + 1, False
        return True


class _Sink:
    """Takes a port's beats."""

    def __init__(self, port: Port, inferences: int) -> None:
        self.port = port
        self.wanted = port.type.beats * inferences
        self.ready = 0
        self.beats: list[int] = []
        self.last_cycles: list[int] = []

    @property
    def finished(self) -> bool:
        return len(self.beats) == self.wanted

    def observe(self, trace: Mapping[str, list[int]], cycle: int) -> bool:
        """Whether a beat was taken in the cycle just simulated."""
        if not (self.ready and trace[f"{self.port.name}_tvalid"][-1]):
            return False
        if self.finished:
            raise ExecutionError("more beats came out than the tensors have", where=f"port '{self.port.name}'")
        self.beats.append(trace[f"{self.port.name}_tdata"][-1])
        ends = len(self.beats) % self.port.type.beats == 0
        if bool(trace[f"{self.port.name}_tlast"][-1]) != ends:
            raise ExecutionError("tlast is not on the last beat of a tensor", where=f"port '{self.port.name}'")
        if ends:
            self.last_cycles.append(cycle)
        return True
