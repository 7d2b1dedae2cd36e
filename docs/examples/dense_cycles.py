"""Build a small dense unit, run two vectors through it, and print what its signals did."""

from __future__ import annotations

import numpy as np
import pyrtl

from bitloom.arith import Interval, IntType, Rescale, Rounding, dot_product_range, narrow
from bitloom.hw.dense import DenseShape, dense
from bitloom.hw.rescale import RescaleConstants
from bitloom.hw.simulate import StreamRun, simulate_stream
from bitloom.hw.stream import Stream

INT8 = Interval(-128, 127)
WEIGHTS = np.array([[1, 2, 3, 4, 5, 6], [1, 1, 1, 1, 1, 1], [-1, 1, -1, 1, -1, 1], [0, 0, 7, 0, 0, 0]])
BIAS = np.array([0, 10, 20, 30])
RESCALE = Rescale((0.1,), Rounding.FLOAT64)
VECTORS = np.array([[10, 20, 30, 40, 50, 60], [1, -2, 3, -4, 5, -6]])

# Two of the four outputs and three of the six inputs at a time; one result rescaled per cycle.
SHAPE = DenseShape(depth=6, outputs=4, rows=1, pe=2, simd=3, results=1)


def simulate() -> tuple[StreamRun, pyrtl.SimulationTrace]:
    """Build the unit, send the vectors, collect the results."""
    low, high = dot_product_range(WEIGHTS, BIAS, INT8)
    constants = RescaleConstants(BIAS, narrow(RESCALE, low, high, 0, INT8), low, high)
    pyrtl.reset_working_block()
    source = Stream.input_ports("source", SHAPE.input_type(IntType(8)))
    sink = Stream.output_ports("sink", SHAPE.output_type(IntType(8)))
    dense("layer", source, SHAPE, WEIGHTS, constants, IntType(8), pyrtl.Input(1, "reset")).feed(sink)
    simulation = pyrtl.Simulation()
    return simulate_stream(VECTORS, source, sink, simulation=simulation), simulation.tracer


def cycle_table(tracer: pyrtl.SimulationTrace) -> str:
    """A line per cycle: a beat taken, the block started, the two sums, and a result leaving."""
    trace = tracer.trace

    def number(name: str, cycle: int) -> int:
        width = pyrtl.working_block().get_wirevector_by_name(name).bitwidth
        return int(pyrtl.val_to_signed_integer(trace[name][cycle], width))

    lines = ["cycle  in   beat fold     sum0  sum1         out"]
    for cycle in range(len(trace["source_valid"])):
        taken = trace["source_valid"][cycle] and trace["source_ready"][cycle]
        left = trace["sink_valid"][cycle] and trace["sink_ready"][cycle]
        counters = [trace[f"layer_{part}"][cycle] if trace["layer_issue"][cycle] else "." for part in ("beat", "fold")]
        sums = [number(f"layer_accumulator{pe}", cycle) for pe in range(SHAPE.pe)]
        done = "done" if trace["layer_done_d1"][cycle] else ""
        lines.append(
            f"{cycle:5}  {'x' if taken else '.'}    {counters[0]:>4}{counters[1]:>5}{sums[0]:9}{sums[1]:6}"
            f"  {done:4}{number('sink_data', cycle) if left else '':>6}"
        )
    return "\n".join(line.rstrip() for line in lines)


if __name__ == "__main__":
    print(cycle_table(simulate()[1]))
