"""Run a circuit with one stream in and one stream out in PyRTL, with stalls if wanted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyrtl

from bitloom.errors import ExecutionError
from bitloom.hw.stream import Stream, StreamType


@dataclass(frozen=True)
class StreamRun:
    """What came out, and when.

    Attributes:
        tensors: int64, shape (tensors, elements).
        first_beats: cycle of the first input beat of each tensor.
        last_beats: cycle of the last output beat of each tensor.
    """

    tensors: npt.NDArray[np.int64]
    first_beats: tuple[int, ...]
    last_beats: tuple[int, ...]

    @property
    def latency(self) -> int:
        """Cycles from the first input beat to the last output beat of the first tensor, both counted."""
        return self.last_beats[0] - self.first_beats[0] + 1

    @property
    def interval(self) -> float:
        """Mean cycles between the last output beats of consecutive tensors after the first."""
        if len(self.last_beats) < 2:
            return float(self.latency)
        return (self.last_beats[-1] - self.last_beats[0]) / (len(self.last_beats) - 1)


def to_beats(tensor: npt.ArrayLike, stream_type: StreamType) -> list[int]:
    """The data words of one tensor, as non-negative integers; empty lanes are zero."""
    rows = np.asarray(tensor, np.int64).reshape(stream_type.rows, stream_type.row)
    mask = (1 << stream_type.element.bits) - 1
    beats = []
    for row in rows.tolist():
        for start in range(0, stream_type.row, stream_type.lanes):
            word = 0
            for lane, value in enumerate(row[start : start + stream_type.lanes]):
                word |= (value & mask) << (lane * stream_type.element.bits)
            beats.append(word)
    return beats


def from_beats(beats: Sequence[int], stream_type: StreamType) -> npt.NDArray[np.int64]:
    """The elements of one tensor from its data words, int64, shape (elements,)."""
    bits, element = stream_type.element.bits, stream_type.element
    mask = (1 << bits) - 1
    values = []
    for index, word in enumerate(beats):
        filled = min(stream_type.lanes, stream_type.row - (index % stream_type.row_beats) * stream_type.lanes)
        for lane in range(filled):
            value = (word >> (lane * bits)) & mask
            values.append(value - (1 << bits) if element.signed and value > element.maximum else value)
    return np.array(values, np.int64)


def simulate_stream(
    tensors: npt.ArrayLike,
    source: Stream,
    sink: Stream,
    *,
    stall: float = 0.0,
    seed: int = 0,
    reset: str = "reset",
    reset_cycles: Sequence[int] = (),
    simulation: Any = None,
) -> StreamRun:
    """Send tensors in back to back and collect as many.

    Args:
        tensors: integers, shape (tensors, elements).
        source: the circuit's input ports.
        sink: the circuit's output ports.
        stall: probability with which the producer and the consumer, each for itself, pause in a cycle. A producer
            that has offered a beat keeps offering it.
        seed: of the stalls.
        reset: name of the reset input.
        reset_cycles: cycles in which reset is high; the tensors are then sent from the first again.
        simulation: a PyRTL simulation to use; the working block's FastSimulation if None.

    Raises:
        ExecutionError: nothing moves for a long time.
    """
    inputs = np.asarray(tensors, np.int64)
    inputs = inputs.reshape(len(inputs), -1)
    words = [
        (word, beat == 0, beat == source.type.beats - 1)
        for tensor in inputs
        for beat, word in enumerate(to_beats(tensor, source.type))
    ]
    simulator = simulation or pyrtl.FastSimulation(tracer=None)
    random = np.random.Generator(np.random.PCG64(seed))
    resets = set(reset_cycles)
    position, offered, idle, cycle = 0, False, 0, 0
    collected: list[int] = []
    first: list[int] = []
    last: list[int] = []
    wanted = len(inputs) * sink.type.beats
    while len(collected) < wanted:
        word, starts, ends = words[position] if position < len(words) else (0, False, False)
        pause_in, pause_out = (random.random(2) < stall) if stall else (False, False)
        valid = position < len(words) and (offered or not pause_in)
        ready = not pause_out
        in_reset = cycle in resets
        simulator.step(
            {
                f"{source.name}_data": word if valid else 0,
                f"{source.name}_valid": int(valid),
                f"{source.name}_last": int(ends),
                f"{sink.name}_ready": int(ready),
                reset: int(in_reset),
            }
        )
        moved = False
        if in_reset:
            position, collected, first, last, offered = 0, [], [], [], False
        else:
            if valid and simulator.inspect(f"{source.name}_ready"):
                if starts:
                    first.append(cycle)
                position, offered, moved = position + 1, False, True
            else:
                offered = valid
            if ready and simulator.inspect(f"{sink.name}_valid"):
                collected.append(simulator.inspect(f"{sink.name}_data"))
                moved = True
                if len(collected) % sink.type.beats == 0:
                    last.append(cycle)
                    if not simulator.inspect(f"{sink.name}_last"):
                        raise ExecutionError("the final beat of a tensor lacks 'last'", where=sink.name)
        idle = 0 if moved or in_reset else idle + 1
        if idle > 100_000:
            raise ExecutionError(f"no beat moved for {idle} cycles", where=f"{source.name} to {sink.name}")
        cycle += 1
    return StreamRun(
        np.array([from_beats(beats, sink.type) for beats in _chunks(collected, sink.type.beats)], np.int64),
        tuple(first),
        tuple(last),
    )


def _chunks(values: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    for start in range(0, len(values), size):
        yield values[start : start + size]
