"""Tensors joined along an axis: the circuit of CONCATENATION and PACK."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pyrtl import WireVector

from bitloom.arith import IntType
from bitloom.circuits.movement import dense_stream, lane_foldings
from bitloom.circuits.schedule import Schedule
from bitloom.circuits.streaming import Estimate, Folding, StreamingCircuit, fifo_logic
from bitloom.hw.memory import pack_words, rom_size, total_size
from bitloom.hw.slice import LATENCY, concatenate, constant_stream
from bitloom.hw.stream import Stream, StreamType
from bitloom.ir import Value


@dataclass(frozen=True)
class JoinCircuit(StreamingCircuit):
    """Operands that take turns; those that are constant come out of memories.

    Attributes:
        operands: in the order of their turns.
        made: shape of the result.
        turns: how often each has its turn: the indices of all axes outside the one they are joined along.
    """

    operands: tuple[Value, ...]
    made: tuple[int, ...]
    turns: int

    @property
    def element(self) -> IntType:
        """What moves."""
        return self.operands[0].type.integer

    def parts(self, lanes: int) -> list[int]:
        """Beats of each operand's turn."""
        return [value.type.size // self.turns // lanes for value in self.operands]

    def foldings(self) -> Iterable[Folding]:
        """Lanes that divide every operand's part."""
        return lane_foldings(math.gcd(*self.parts(1)))

    def estimate(self, folding: Folding) -> Estimate:
        """A beat in every cycle: a choice among the operands, counters, a FIFO."""
        bits = folding.simd * self.element.bits
        constants = [value.type.size // folding.simd for value in self.operands if value.is_constant]
        blocks, tables = total_size(rom_size(words, bits, folding.fabric) for words in constants)
        counters = max(self.parts(folding.simd)).bit_length() + self.turns.bit_length() + 2
        return Estimate(
            cycles=math.prod(self.made) // folding.simd,
            memory_bits=sum(words * bits for words in constants),
            ram_blocks=blocks,
            logic=tables
            + counters
            + (len(constants) + 1) * fifo_logic(bits)
            + bits * -(-(len(self.operands) - 1) // 3),
        )

    def input_types(self, folding: Folding) -> tuple[StreamType, ...]:
        """Rows of the operands' last axes."""
        return tuple(
            dense_stream(self.element, value.type.shape, folding.simd)
            for value in self.operands
            if not value.is_constant
        )

    def output_type(self, folding: Folding) -> StreamType:
        """Rows of the result's last axis."""
        return dense_stream(self.element, self.made, folding.simd)

    def schedule(self, folding: Folding) -> Schedule:
        """A beat waits for itself, and so for all that is before it; the first for a beat of the first stream."""
        source = np.tile(np.repeat(np.arange(len(self.operands)), self.parts(folding.simd)), self.turns)
        moving = [index for index, value in enumerate(self.operands) if not value.is_constant]
        needed = [np.cumsum(source == index, dtype=np.int64) for index in moving]
        return Schedule((np.maximum(needed[0], 1), *needed[1:]), LATENCY)

    def build(self, name: str, folding: Folding, streams: Sequence[Stream], reset: WireVector) -> Stream:
        """See `bitloom.hw.slice.concatenate`."""
        waiting, sources = list(streams), []
        for index, value in enumerate(self.operands):
            if value.data is None:
                sources.append(waiting.pop(0))
                continue
            stream_type = dense_stream(self.element, value.type.shape, folding.simd)
            words = _words(value.constant, folding.simd, self.element.bits)
            sources.append(constant_stream(f"{name}_constant{index}", words, stream_type, reset))
        starter = next(index for index, value in enumerate(self.operands) if not value.is_constant)
        return concatenate(name, sources, self.parts(folding.simd), self.output_type(folding), reset, starter)


def _words(data: npt.NDArray[np.int64], lanes: int, bits: int) -> list[int]:
    return [pack_words(beat, bits) for beat in data.reshape(-1, lanes).tolist()]


def with_inferences(arrays: Sequence[npt.NDArray[np.generic]]) -> list[npt.NDArray[np.generic]]:
    """Operands of a node, the constant ones, which have no axis of inferences, repeated along it."""
    rank = max(array.ndim for array in arrays)
    inferences = next(len(array) for array in arrays if array.ndim == rank)
    return [array if array.ndim == rank else np.broadcast_to(array, (inferences, *array.shape)) for array in arrays]
