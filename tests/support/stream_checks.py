"""What every circuit between two streams must hold, checked while it runs and by following its wires."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyrtl

from bitloom.hw.simulate import StreamRun, simulate_stream
from bitloom.hw.stream import Stream, StreamType


class HoldsStill:
    """A simulation that fails when an offered beat changes or disappears before it is taken."""

    def __init__(self, sink: str = "sink", reset: str = "reset") -> None:
        self.simulation = pyrtl.FastSimulation(tracer=None)
        self.sink, self.reset = sink, reset
        self.waiting: tuple[int, int] | None = None

    def step(self, inputs: dict[str, int]) -> None:
        self.simulation.step(inputs)
        valid, data, last = (self.inspect(f"{self.sink}_{wire}") for wire in ("valid", "data", "last"))
        if self.waiting is not None:
            assert valid, "an offered beat disappeared"
            assert (data, last) == self.waiting, "an offered beat changed while it waited"
        waits = valid and not inputs[f"{self.sink}_ready"] and not inputs[self.reset]
        self.waiting = (data, last) if waits else None

    def inspect(self, name: str) -> int:
        return self.simulation.inspect(name)


def build_between(
    given: StreamType, made: StreamType, unit: Callable[[Stream, pyrtl.WireVector], Stream]
) -> tuple[Stream, Stream]:
    """A unit between ports ``source`` and ``sink`` in a new working block."""
    pyrtl.reset_working_block()
    source, sink = Stream.input_ports("source", given), Stream.output_ports("sink", made)
    unit(source, pyrtl.Input(1, "reset")).feed(sink)
    return source, sink


def run_checked(
    inputs: np.ndarray,
    source: Stream,
    sink: Stream,
    *,
    stall: float = 0.0,
    seed: int = 0,
    resets: tuple[int, ...] = (),
) -> StreamRun:
    """Simulate with stalls and resets, watching that offered beats hold still."""
    return simulate_stream(inputs, source, sink, stall=stall, seed=seed, reset_cycles=resets, simulation=HoldsStill())


def combinational_inputs(block: pyrtl.Block | None = None) -> set[tuple[str, str]]:
    """Pairs (output port, input port) with logic but no register between them."""
    block = block or pyrtl.working_block()
    drivers, _ = block.net_connections()
    pairs = set()
    for output in block.wirevector_subset(pyrtl.Output):
        seen, waiting = set(), [output]
        while waiting:
            wire = waiting.pop()
            if wire in seen:
                continue
            seen.add(wire)
            if isinstance(wire, pyrtl.Input):
                pairs.add((output.name, wire.name))
            net = drivers.get(wire)
            if net is not None and net.op != "r":
                waiting.extend(net.args)
    return pairs
