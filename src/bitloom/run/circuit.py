"""What executors of circuits share: float edges in software, the core planned and designed once, beats and tensors."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bitloom.design import Circuit, design
from bitloom.frontends import Model
from bitloom.hw.stream import StreamType
from bitloom.ir import Graph
from bitloom.ir.operator import Array
from bitloom.passes import split_float_edges
from bitloom.plan import Plan, Port, make_plan
from bitloom.run.executor import ExecutorOptions, check_inputs
from bitloom.run.result import Cycles, RunResult

# Probability with which each side of each port pauses in a cycle when stalls are asked for.
STALL_PROBABILITY = 0.3


@dataclass(frozen=True)
class CircuitRun:
    """What a simulator saw.

    Attributes:
        beats: data words by stream, integers in order: ports by name, taps by stream name.
        first_input: cycle of each inference's first input beat.
        last_output: cycle of each inference's last output beat.
    """

    beats: Mapping[str, Sequence[int] | npt.NDArray[np.uint8]]
    first_input: Sequence[int]
    last_output: Sequence[int]

    @property
    def cycles(self) -> Cycles:
        """Latency of the first inference; median distance of consecutive ends."""
        latency = int(self.last_output[0]) - int(self.first_input[0]) + 1
        if len(self.last_output) < 2:
            return Cycles(latency, None)
        return Cycles(latency, int(np.median(np.diff(np.asarray(self.last_output)))))


class CircuitExecutor(ABC):
    """Builds the circuit of a model once and runs it as often as wanted.

    Float edges (QUANTIZE in front, DEQUANTIZE behind) are computed by their NumPy semantics; everything between is
    what the circuit did: each tensor is what was seen on the stream that carries it.
    """

    name: str

    def __init__(self, model: Model, options: ExecutorOptions, plan: Plan | None = None) -> None:
        """Plan the circuit of a model, unless that has been done, and design it."""
        start = time.perf_counter()
        self.graph: Graph = model.graph
        self.options = options
        self.split = split_float_edges(model.graph)
        self.circuit: Circuit = design(plan or make_plan(self.split.core, options.target, options.bus))
        self.prepare()
        self.setup_seconds = time.perf_counter() - start

    @abstractmethod
    def prepare(self) -> None:
        """Make the simulator, once."""

    @abstractmethod
    def simulate(self, words: Mapping[str, npt.NDArray[np.uint8]], inferences: int) -> CircuitRun:
        """Send all beats in, back to back, and collect what comes out.

        Args:
            words: for each input port its beats, uint8, shape (beats, bytes), little-endian.
            inferences: how many tensors that is.
        """

    def run(self, inputs: Mapping[str, Array]) -> RunResult:
        """Compute every tensor; see `Executor.run`."""
        arrays = check_inputs(self.graph, inputs)
        inferences = len(next(iter(arrays.values())))
        start = time.perf_counter()
        tensors: dict[str, Array] = dict(self.split.prologue.evaluate(arrays) if self.split.prologue else arrays)
        words = {port.name: port_words(tensors[port.value], port) for port in self.circuit.inputs}
        seen = self.simulate(words, inferences)
        for tap in self.circuit.taps:
            tensors[tap.value] = self._shaped(tap.value, elements_of(seen.beats[tap.stream], tap.type, inferences))
        for port in self.circuit.outputs:
            tensors[port.value] = self._shaped(port.value, port_elements(seen.beats[port.name], port, inferences))
        if self.split.epilogue:
            tensors.update(self.split.epilogue.evaluate(tensors))
        computed = {name: tensors[name] for name in self.graph.computed}
        return RunResult(self.name, computed, time.perf_counter() - start, self.setup_seconds, seen.cycles)

    def _shaped(self, name: str, elements: npt.NDArray[np.int64]) -> Array:
        tensor = self.graph.type(name)
        return elements.reshape(-1, *tensor.shape).astype(tensor.element.dtype)


def port_words(tensor: Array, port: Port) -> npt.NDArray[np.uint8]:
    """The beats that carry tensors over a port: uint8, shape (tensors * beats, bytes), little-endian."""
    inferences = len(tensor)
    container = np.dtype(f"<i{port.container // 8}")
    padded = np.zeros((inferences, port.type.beats * port.type.lanes), container)
    padded[:, : port.type.size] = tensor.reshape(inferences, -1)
    return padded.view(np.uint8).reshape(inferences * port.type.beats, -1)


def port_elements(beats: Sequence[int] | npt.NDArray[np.uint8], port: Port, inferences: int) -> npt.NDArray[np.int64]:
    """The elements of tensors that left through a port, int64, shape (tensors, size)."""
    raw = _as_bytes(beats, port.bus_bits)
    elements = np.ascontiguousarray(raw).view(f"<i{port.container // 8}").astype(np.int64)
    flat = elements.reshape(inferences, -1)[:, : port.type.size]
    return flat & ((1 << port.type.element.bits) - 1) if not port.type.element.signed else flat


def elements_of(
    beats: Sequence[int] | npt.NDArray[np.uint8], stream_type: StreamType, inferences: int
) -> npt.NDArray[np.int64]:
    """The elements of tensors seen on a stream, int64, shape (tensors, size); padding of row ends dropped."""
    raw = _as_bytes(beats, stream_type.bits)
    rows = _lanes(raw, stream_type).reshape(inferences, stream_type.rows, -1)
    return rows[:, :, : stream_type.row].reshape(inferences, -1)


def _lanes(raw: npt.NDArray[np.uint8], stream_type: StreamType) -> npt.NDArray[np.int64]:
    """The elements of beats, int64, shape (beats, lanes)."""
    bits, element = stream_type.element.bits, stream_type.element
    if bits in (8, 16, 32, 64):
        whole = np.ascontiguousarray(raw[:, : stream_type.bits // 8])
        return whole.view(f"<{'i' if element.signed else 'u'}{bits // 8}").astype(np.int64)
    unpacked = np.unpackbits(raw, axis=1, bitorder="little")[:, : stream_type.bits]
    lanes = unpacked.reshape(len(raw), stream_type.lanes, bits).astype(np.int64)
    weights = np.array([1 << bit for bit in range(bits)], np.uint64).astype(np.int64)
    if element.signed:
        weights[-1] = element.minimum
    return lanes @ weights


def _as_bytes(beats: Sequence[int] | npt.NDArray[np.uint8], bits: int) -> npt.NDArray[np.uint8]:
    """Beats as little-endian bytes, shape (beats, bytes)."""
    if isinstance(beats, np.ndarray):
        return beats
    width = -(-bits // 8)
    return np.frombuffer(b"".join(int(beat).to_bytes(width, "little") for beat in beats), np.uint8).reshape(-1, width)
