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
from bitloom.run.verilog.session import Session

Bytes = npt.NDArray[np.uint8]

# Streams are written in whole words of so many bits.
WORD_BITS = 32
# Probabilities are given to the simulators in units of 2^-32.
_PROBABILITY_BITS = 32
# Nothing moves for so long, or for so many inferences, only if something is wrong.
_PATIENCE_CYCLES = 100_000
_PATIENCE_INFERENCES = 4


@dataclass(frozen=True)
class Pauses:
    """How a simulator treats the design.

    Attributes:
        stall: probability, in units of 2^-32, with which each producer and consumer pauses in a cycle.
        seed: of the pauses.
        patience: cycles without any beat after which a job fails.
    """

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
    """A design compiled for one simulator.

    A simulator resets the design once. A job (see `Session`) reads ``source<i>.words``, and writes ``sink<i>.words``,
    ``tap<i>.words`` (whole 32-bit words, the beat's lowest bits first) and ``source<i>.cycles``, ``sink<i>.cycles``
    (64 bits per tensor: the cycle of its first or last beat).
    """

    @abstractmethod
    def command(self, pauses: Pauses) -> Sequence[str]:
        """The simulator and its arguments; it runs in the folder of the files."""

    @abstractmethod
    def recorded(self, path: Path, stream: Recorded) -> Bytes:
        """The beats in a file, uint8, shape (beats, bytes)."""


def inner_streams(circuit: Circuit) -> tuple[Tap, ...]:
    """One tap per stream: values computed by wiring alone share theirs with their operand."""
    return tuple({tap.stream: tap for tap in circuit.taps}.values())


class Simulator:
    """A compiled design, running.

    Args:
        simulation: of the design.
        circuit: what it was made from.
        stall: probability with which each producer and consumer pauses in a cycle.
        seed: of the pauses.
    """

    def __init__(self, simulation: Simulation, circuit: Circuit, stall: float, seed: int) -> None:
        patience = max(_PATIENCE_CYCLES, _PATIENCE_INFERENCES * circuit.plan.interval)
        pauses = Pauses(round(stall * (1 << _PROBABILITY_BITS)), seed, patience)
        self.simulation = simulation
        self.circuit = circuit
        self.where = f"circuit '{circuit.name}'"
        self.session = Session(simulation.command(pauses), self.where)

    def run(self, words: Mapping[str, Bytes], inferences: int) -> CircuitRun:
        """Send beats through the design, back to back, and collect what moves inside it and comes out.

        Args:
            words: for each input port its beats, uint8, shape (beats, bytes), little-endian.
            inferences: how many tensors that is.

        Raises:
            ExecutionError: beats stop moving, are too few or too many, or `last` is misplaced; the message says
                where.
        """
        folder = self.session.folder
        for index, port in enumerate(self.circuit.inputs):
            _write_beats(folder / f"source{index}.words", words[port.name])
        self.session.run(inferences)
        beats: dict[str, Bytes] = {}
        for stream in _recorded_streams(self.circuit):
            seen = self.simulation.recorded(folder / f"{stream.file}.words", stream)
            wanted = stream.type.beats * inferences
            if len(seen) != wanted:
                raise ExecutionError(f"{len(seen)} of {wanted} beats moved on '{stream.name}'", where=self.where)
            beats[stream.name] = seen
        first = self._cycles("source", len(self.circuit.inputs), inferences).min(axis=0)
        last = self._cycles("sink", len(self.circuit.outputs), inferences).max(axis=0)
        return CircuitRun(beats, first.tolist(), last.tolist())

    def _cycles(self, kind: str, ports: int, inferences: int) -> npt.NDArray[np.int64]:
        """Cycle numbers, shape (ports, inferences)."""
        cycles = [np.fromfile(self.session.folder / f"{kind}{index}.cycles", "<i8") for index in range(ports)]
        if any(len(numbers) != inferences for numbers in cycles):
            raise ExecutionError(f"a {kind} has not seen all {inferences} inferences", where=self.where)
        return np.stack(cycles)


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
    # In the order in which tensors are computed, so that the first to be wrong is named.
    return [*taps, *sinks]


def _write_beats(path: Path, beats: Bytes) -> None:
    width = beats.shape[1]
    padded = np.zeros((len(beats), stored_words(8 * width) * WORD_BITS // 8), np.uint8)
    padded[:, :width] = beats
    padded.tofile(path)
