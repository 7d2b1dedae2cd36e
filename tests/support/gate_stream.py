"""A streaming circuit after synthesis against its simulation, cycle by cycle, under stalls."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyrtl
from gate_level import GateLevel, synthesize_gates

from bitloom.hw.simulate import simulate_stream
from bitloom.hw.stream import Stream


class Recorder:
    """A simulation of the working block that keeps what went in and what came out."""

    def __init__(self, outputs: dict[str, int]) -> None:
        self.outputs = outputs
        self.simulation = pyrtl.FastSimulation(tracer=None)
        self.steps: list[dict[str, int]] = []
        self.seen: list[dict[str, int]] = []

    def step(self, inputs: dict[str, int]) -> None:
        self.simulation.step(inputs)
        self.steps.append(dict(inputs))
        self.seen.append(_only_valid({name: self.inspect(name) for name in self.outputs}))

    def inspect(self, name: str) -> int:
        return int(self.simulation.inspect(name))


def synthesized_stream(
    inputs: npt.ArrayLike, source: Stream, sink: Stream, folder: Path, *, stall: float = 0.2
) -> tuple[GateLevel, npt.NDArray[np.int64]]:
    """Synthesise the working block and check that it does in every cycle what the block does in simulation.

    Args:
        inputs: tensors to send, shape (tensors, elements).
        source: input ports named ``source``.
        sink: output ports named ``sink``; the reset input is ``reset``.
        folder: to work in.
        stall: see `simulate_stream`.

    Returns:
        The netlist, and the tensors that came out.
    """
    text = io.StringIO()
    pyrtl.output_to_verilog(text, add_reset=True)
    gates = synthesize_gates(text.getvalue(), "toplevel", folder)
    recorder = Recorder({"source_ready": 1, "sink_valid": 1, "sink_last": 1, "sink_data": len(sink.data)})
    run = simulate_stream(inputs, source, sink, stall=stall, simulation=recorder)
    driven = {"source_data": len(source.data), "source_valid": 1, "source_last": 1, "sink_ready": 1, "reset": 1}
    seen = [_only_valid(outputs) for outputs in gates.run(driven, recorder.outputs, recorder.steps)]
    different = [
        cycle for cycle, (gate, simulated) in enumerate(zip(seen, recorder.seen, strict=True)) if gate != simulated
    ]
    assert not different, (
        f"{len(different)} of {len(seen)} cycles differ after synthesis, the first is {different[0]}: "
        f"{seen[different[0]]}, simulated {recorder.seen[different[0]]}"
    )
    return gates, run.tensors


def _only_valid(outputs: dict[str, int]) -> dict[str, int]:
    """Payloads count only where they are valid."""
    return outputs if outputs["sink_valid"] else {**outputs, "sink_data": 0, "sink_last": 0}
