"""Drive matrix channels in PyRTL: matrices in and out with random pauses on every port."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pyrtl

from bitloom.hw.matrix.channel import MatrixChannel


@dataclass
class ChannelBench:
    """Sends matrices into input channels and collects what leaves an output channel.

    Attributes:
        inputs: channels made by `MatrixChannel.input`, by port name.
        output: the channel made visible under the name ``out``.
        pause: the probability of every port to pause in a cycle (an offered matrix stays offered).
    """

    inputs: dict[str, MatrixChannel]
    output: MatrixChannel
    pause: float = 0.0
    seed: int = 0
    cycles: list[int] = field(default_factory=list)

    def run(self, matrices: dict[str, list], count: int, limit: int = 5000) -> list[np.ndarray]:
        """Collect `count` results; `cycles` then holds the cycle in which each was taken."""
        random = np.random.default_rng(self.seed)
        simulation = pyrtl.FastSimulation()
        sent, offered = dict.fromkeys(self.inputs, 0), dict.fromkeys(self.inputs, False)
        results: list[np.ndarray] = []
        for cycle in range(limit):
            step = {"out_ready": int(random.random() >= self.pause)}
            for name, channel in self.inputs.items():
                left = sent[name] < len(matrices[name])
                offered[name] = left and (offered[name] or random.random() >= self.pause)
                values = matrices[name][sent[name]] if offered[name] else np.zeros(channel.matrix.shape, int)
                step |= channel.matrix.stimulus(values) | {f"{name}_valid": int(offered[name])}
            simulation.step(step)
            for name in self.inputs:
                if offered[name] and simulation.inspect(f"{name}_ready"):
                    sent[name], offered[name] = sent[name] + 1, False
            if step["out_ready"] and simulation.inspect("out_valid"):
                matrix = self.output.matrix
                results.append(type(matrix).read_named(simulation, "out", matrix.shape, matrix.element))
                self.cycles.append(cycle)
                if len(results) == count:
                    return results
        raise AssertionError(f"only {len(results)} of {count} results in {limit} cycles")
