"""A unit of dot products alone: ports, beats to send, and what they should give."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyrtl

from bitloom.arith import IntType
from bitloom.hw.multiply_accumulate import accumulator, dot_products
from bitloom.hw.packed_products import packed_products

# Holds every sum that the tests make.
SUM_BITS = 32


class ProductUnit:
    """Dot products in the working block; a sum for each beat, one cycle after the unit's own latency.

    Args:
        weights: int64, shape (words, pe, simd).
        element: the activations' type.
        groups: parts of the processing elements with activations of their own.
        packed: whether two share a multiplier.
    """

    def __init__(
        self, weights: npt.NDArray[np.int64], element: IntType, groups: int = 1, *, packed: bool = True
    ) -> None:
        self.weights, self.element, self.groups = weights, element, groups
        words, self.elements, self.simd = weights.shape
        self.inputs = {"address": max(1, (words - 1).bit_length()), "first": 1}
        self.inputs |= {f"x{index}": element.bits for index in range(self.simd * groups)}
        self.outputs = {f"sum{index}": SUM_BITS for index in range(self.elements)}
        pyrtl.reset_working_block()
        ports = {name: pyrtl.Input(bits, name) for name, bits in self.inputs.items()}
        activations = [ports[f"x{index}"] for index in range(self.simd * groups)]
        build = packed_products if packed else dot_products
        sums, latency = build("unit", activations, element, weights, ports["address"], groups=groups)
        for index, term in enumerate(sums):
            output = pyrtl.Output(SUM_BITS, f"sum{index}")
            output <<= accumulator(f"accumulator{index}", term, pyrtl.Const(1, 1), ports["first"], SUM_BITS)
        self.latency = latency + 1

    def steps(self, addresses: npt.NDArray[np.int64], beats: npt.NDArray[np.int64]) -> list[dict[str, int]]:
        """Inputs in each cycle: a beat each, then nothing until the last sum is out."""
        mask = (1 << self.element.bits) - 1
        sent = [
            {"address": int(address), "first": 1} | {f"x{index}": int(value) & mask for index, value in enumerate(beat)}
            for address, beat in zip(addresses, beats, strict=True)
        ]
        return sent + [dict.fromkeys(self.inputs, 0) | {"first": 1}] * (self.latency + 1)

    def expected(self, addresses: npt.NDArray[np.int64], beats: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The sums of each beat, shape (beats, pe)."""
        lanes = beats.reshape(len(beats), self.simd, self.groups)
        own = np.repeat(lanes, self.elements // self.groups, axis=2)
        return np.einsum("bps,bsp->bp", self.weights[addresses], own)

    def sums(self, seen: list[dict[str, int]], beats: int) -> npt.NDArray[np.int64]:
        """The sums among the outputs seen in each cycle, shape (beats, pe)."""
        rows = seen[self.latency : self.latency + beats]
        unsigned = np.array([[row[name] for name in self.outputs] for row in rows], np.int64)
        return np.where(unsigned >= 1 << (SUM_BITS - 1), unsigned - (1 << SUM_BITS), unsigned)

    def simulated(self, addresses: npt.NDArray[np.int64], beats: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """What PyRTL's simulation gives."""
        simulation, seen = pyrtl.FastSimulation(tracer=None), []
        for step in self.steps(addresses, beats):
            simulation.step(step)
            seen.append({name: int(simulation.inspect(name)) for name in self.outputs})
        return self.sums(seen, len(beats))
