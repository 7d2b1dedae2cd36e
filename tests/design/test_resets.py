"""Reset in any cycle of anything: what was under way is gone, and the next inferences are right."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pyrtl
import pytest
from models import dense_network, random_inputs
from networks import BRANCHING, builder

from bitloom.design import Circuit, design
from bitloom.ir import Graph
from bitloom.ops.concatenation import Concatenation
from bitloom.plan import Bus, Target, make_plan
from bitloom.run.circuit import port_elements, port_words

STALL = 0.3
# The least that `Circuit` asks for, and more.
RESET_CYCLES = (2, 5)
INFERENCES = 2


class Bench:
    """A circuit's streams, driven and watched cycle by cycle."""

    def __init__(self, circuit: Circuit, seed: int) -> None:
        self.circuit = circuit
        self.random = np.random.default_rng(seed)
        self.simulation = pyrtl.FastSimulation(block=circuit.block, tracer=None)
        self.idle = {wire.name: 0 for wire in circuit.block.wirevector_subset(pyrtl.Input)}

    def reset(self) -> None:
        """Reset while both sides do as they like."""
        for _ in range(self.random.integers(*RESET_CYCLES, endpoint=True)):
            wild = {name: int(self.random.integers(2)) for name in self.idle if name.startswith(("s_axis", "m_axis"))}
            self.simulation.step({**self.idle, **wild, "reset": 1})

    def run(
        self, words: Mapping[str, npt.NDArray[np.uint8]], wanted: Mapping[str, int], cycles: int = 1_000_000
    ) -> dict[str, list[int]]:
        """Send words and collect as many beats as wanted, or as come in so many cycles; both sides stall."""
        waiting = {name: [int.from_bytes(word, "little") for word in beats] for name, beats in words.items()}
        offered = dict.fromkeys(words, False)
        seen: dict[str, list[int]] = {name: [] for name in wanted}
        for _ in range(cycles):
            if all(len(seen[name]) == wanted[name] for name in wanted):
                break
            inputs = dict(self.idle)
            for port in self.circuit.inputs:
                queue = waiting[port.name]
                offered[port.name] = bool(queue) and (offered[port.name] or self.random.random() > STALL)
                if offered[port.name]:
                    last = (len(words[port.name]) - len(queue) + 1) % port.type.beats == 0
                    signals = {"tdata": queue[0], "tvalid": 1, "tlast": int(last)}
                    inputs |= {f"{port.name}_{signal}": value for signal, value in signals.items()}
            ready = {name: int(self.random.random() > STALL) for name in wanted}
            self.simulation.step({**inputs, **{f"{name}_tready": value for name, value in ready.items()}})
            for name in words:
                if offered[name] and self.simulation.inspect(f"{name}_tready"):
                    waiting[name].pop(0)
                    offered[name] = False
            for name, beats in seen.items():
                if ready[name] and self.simulation.inspect(f"{name}_tvalid"):
                    beats.append(self.simulation.inspect(f"{name}_tdata"))
        return seen


def table_network() -> Graph:
    """Two tables around a dense layer."""
    network = builder("tables", 1, 6)
    network.tanh()
    network.dense(5, np.random.default_rng(1))
    network.tanh()
    return network.graph()


def constant_first() -> Graph:
    """A unit that begins by itself, with a constant, before anything has come in."""
    return next(example.graph for example in Concatenation.examples() if "constant_first" in example.name)


# Network, target, and how often it is stopped in the middle.
CASES = {
    "chain": (dense_network([11, 7, 9, 3], 1), Target(interval=30), 20),
    "wide chain": (dense_network([9, 8, 5, 4], 2, per_channel=True), Target(interval=5), 20),
    "argmax": (dense_network([8, 6, 5], 3, tail="arg_max"), Target(interval=20), 20),
    "tables": (table_network(), Target(interval=40), 20),
    "softmax": (dense_network([5, 4], 5, tail="softmax"), Target(interval=200), 8),
    "rows": (BRANCHING["reshaped_between"](), Target(interval=40), 10),
    "branches": (BRANCHING["shared_value"](), Target(interval=30), 10),
    "constant first": (constant_first(), Target(interval=60), 20),
}


@pytest.mark.parametrize("bus", Bus)
@pytest.mark.parametrize("case", CASES)
def test_reset_in_any_cycle_leaves_a_working_circuit(case: str, bus: Bus) -> None:
    graph, target, trials = CASES[case]
    circuit = design(make_plan(graph, target, bus))
    bench = Bench(circuit, seed=7)
    bench.reset()
    longest = 4 * circuit.plan.interval + 60
    partial = 0
    for trial in range(trials):
        arrays = random_inputs(graph, INFERENCES, seed=trial)
        words = {port.name: port_words(arrays[port.value], port) for port in circuit.inputs}
        wanted = {port.name: port.type.beats * INFERENCES for port in circuit.outputs}
        seen = bench.run(words, wanted, cycles=int(bench.random.integers(longest)))
        partial += any(len(seen[name]) < wanted[name] for name in wanted)
        bench.reset()
        seen = bench.run(words, wanted)
        expected = graph.evaluate(arrays)
        for port in circuit.outputs:
            found = port_elements(seen[port.name], port, INFERENCES)
            np.testing.assert_array_equal(found, expected[port.value].reshape(INFERENCES, -1), err_msg=f"{trial}")
    assert partial > trials // 4, "too few of the resets came in the middle of something"


def test_a_register_that_is_not_reset_would_be_found() -> None:
    """The bench sees a counter that keeps its value: the test above can fail."""
    graph, target, _ = CASES["chain"]
    circuit = design(make_plan(graph, target, Bus.STREAM))
    block = circuit.block
    beat = block.get_wirevector_by_name("fully_connected_0_beat")
    net = next(net for net in block.logic_subset("r") if net.dests[0] is beat)
    with pyrtl.set_working_block(block, no_sanity_check=True):
        kept = pyrtl.select(block.get_wirevector_by_name("fully_connected_0_reset"), beat, net.args[0])
    block.logic.remove(net)
    block.add_net(net._replace(args=(kept,)))
    bench = Bench(circuit, seed=7)
    bench.reset()
    wrong = 0
    for trial in range(12):
        arrays = random_inputs(graph, 1, seed=trial)
        words = {"s_axis": port_words(arrays["x"], circuit.inputs[0])}
        wanted = {"m_axis": circuit.outputs[0].type.beats}
        bench.run(words, wanted, cycles=int(bench.random.integers(60)))
        bench.reset()
        seen = bench.run(words, wanted, cycles=2000)["m_axis"]
        expected = graph.evaluate(arrays)[graph.outputs[0]].reshape(1, -1)
        wrong += len(seen) < wanted["m_axis"] or (port_elements(seen, circuit.outputs[0], 1) != expected).any()
    assert wrong
