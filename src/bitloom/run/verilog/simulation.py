"""One interface to both simulators: beats in as files, beats and cycle numbers out as files."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bitloom.design import Circuit, Tap
from bitloom.errors import ExecutionError
from bitloom.hw.stream import StreamType
from bitloom.run.circuit import CircuitRun
from bitloom.run.verilog.toolchain import Workspace, run_tool

Bytes = npt.NDArray[np.uint8]

# Streams are written in whole words of so many bits.
WORD_BITS = 32
# Probabilities are given to the simulators in units of 2^-32.
_PROBABILITY_BITS = 32
# Nothing moves for so long, or for so many inferences, only if something is wrong.
_PATIENCE_CYCLES = 100_000
_PATIENCE_INFERENCES = 4


@dataclass(frozen=True)
class Job:
    """What one run is to do.

    Attributes:
        inferences: sent back to back after one reset.
        stall: probability, in units of 2^-32, with which each producer and consumer pauses in a cycle.
        seed: of the pauses.
        patience: cycles without any beat after which the run fails.
    """

    inferences: int
    stall: int
    seed: int
    patience: int


@dataclass(frozen=True)
class Recorded:
    """A stream whose beats were written to a file.

    Attributes:
        name: of the stream.
        type: what moves.
        pitch: bits from one lane to the next.
        file: stem of the file's name.
    """

    name: str
    type: StreamType
    pitch: int
    file: str

    @property
    def bits(self) -> int:
        """Of a beat."""
        return self.type.lanes * self.pitch

    @property
    def significant(self) -> npt.NDArray[np.bool_]:
        """Which bits of a tensor's beats carry elements, shape (beats, bits): not those of empty lanes."""
        lanes = np.arange(self.type.row_beats * self.type.lanes) < self.type.row
        bits = np.repeat(lanes.reshape(self.type.row_beats, self.type.lanes), self.pitch, axis=1)
        return np.tile(bits, (self.type.rows, 1))


class Simulation(ABC):
    """A design compiled for one simulator; runs as often as wanted.

    A run reads ``source<i>.words``, and writes ``sink<i>.words``, ``tap<i>.words`` (whole 32-bit words, the beat's
    lowest bits first) and ``source<i>.cycles``, ``sink<i>.cycles`` (64 bits per tensor: the cycle of its first or
    last beat). It writes one line on standard error and exits with a status other than 0 if something is wrong.
    """

    @abstractmethod
    def command(self, job: Job) -> Sequence[str]:
        """The program and its arguments; it runs in the folder of the files."""

    @abstractmethod
    def recorded(self, path: Path, stream: Recorded) -> Bytes:
        """The beats in a file, uint8, shape (beats, bytes)."""


def inner_streams(circuit: Circuit) -> tuple[Tap, ...]:
    """One tap per stream: values computed by wiring alone share theirs with their operand."""
    return tuple({tap.stream: tap for tap in circuit.taps}.values())


def simulate(
    simulation: Simulation, circuit: Circuit, words: Mapping[str, Bytes], inferences: int, stall: float, seed: int
) -> CircuitRun:
    """Send beats through a compiled design.

    Args:
        simulation: of the design.
        circuit: what it was made from.
        words: for each input port its beats, uint8, shape (beats, bytes), little-endian.
        inferences: how many tensors that is.
        stall: probability with which each producer and consumer pauses in a cycle.
        seed: of the pauses.

    Raises:
        ExecutionError: beats stop moving, are too few or too many, or `last` is misplaced; the message says where.
    """
    where = f"circuit '{circuit.name}'"
    workspace = Workspace("run")
    for index, port in enumerate(circuit.inputs):
        _write_beats(workspace.path / f"source{index}.words", words[port.name])
    patience = max(_PATIENCE_CYCLES, _PATIENCE_INFERENCES * circuit.plan.interval)
    job = Job(inferences, round(stall * (1 << _PROBABILITY_BITS)), seed, patience)
    run_tool(simulation.command(job), "Verilog simulation", where=where, folder=workspace.path)
    beats: dict[str, Bytes] = {}
    for stream in _recorded_streams(circuit):
        seen = simulation.recorded(workspace.path / f"{stream.file}.words", stream)
        wanted = stream.type.beats * inferences
        if len(seen) != wanted:
            raise ExecutionError(f"{len(seen)} of {wanted} beats moved on '{stream.name}'", where=where)
        beats[stream.name] = seen
    first = _cycles(workspace.path, "source", len(circuit.inputs), inferences, where).min(axis=0)
    last = _cycles(workspace.path, "sink", len(circuit.outputs), inferences, where).max(axis=0)
    return CircuitRun(beats, first.tolist(), last.tolist())


def stored_words(bits: int) -> int:
    """32-bit words that hold a beat."""
    return -(-bits // WORD_BITS)


def beats_of(stored: Bytes, bits: int) -> Bytes:
    """Beats of so many bits out of stored words (shape (..., bytes)), without the padding."""
    per_beat = stored_words(bits) * WORD_BITS // 8
    return stored[: len(stored) // per_beat * per_beat].reshape(-1, per_beat)[:, : -(-bits // 8)]


def _recorded_streams(circuit: Circuit) -> list[Recorded]:
    sinks = [
        Recorded(port.name, port.type, port.container, f"sink{index}") for index, port in enumerate(circuit.outputs)
    ]
    taps = [
        Recorded(tap.stream, tap.type, tap.type.element.bits, f"tap{index}")
        for index, tap in enumerate(inner_streams(circuit))
    ]
    return [*sinks, *taps]


def _write_beats(path: Path, beats: Bytes) -> None:
    width = beats.shape[1]
    padded = np.zeros((len(beats), stored_words(8 * width) * WORD_BITS // 8), np.uint8)
    padded[:, :width] = beats
    padded.tofile(path)


def _cycles(folder: Path, kind: str, ports: int, inferences: int, where: str) -> npt.NDArray[np.int64]:
    """Cycle numbers, shape (ports, inferences)."""
    cycles = [np.fromfile(folder / f"{kind}{index}.cycles", "<i8") for index in range(ports)]
    if any(len(numbers) != inferences for numbers in cycles):
        raise ExecutionError(f"a {kind} has not seen all {inferences} inferences", where=where)
    return np.stack(cycles)
