"""Drive AXI ports of a PyRTL simulation: a manager of AXI4-Lite, and both ends of AXI4-Stream, for demos and doctests.

The tests proper use a third party's bus models on the exported Verilog; these are for looking at a circuit step by
step, in the process, with every wire visible.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pyrtl

from bitloom.errors import ExecutionError

# A correct bus answers within a few cycles; this many without an answer mean it never will.
_PATIENCE = 1000


@dataclass
class BusBench:
    """All input ports of a simulation, each holding its value until it is changed.

    Attributes:
        simulation: any PyRTL simulation of the working block.
        inputs: value of every input port; zero at first.
        cycle: cycles simulated so far.
    """

    simulation: Any
    inputs: dict[str, int] = field(default_factory=dict)
    cycle: int = 0

    def __post_init__(self) -> None:
        ports = pyrtl.working_block().wirevector_subset(pyrtl.Input)
        self.inputs = dict.fromkeys(sorted(port.name for port in ports), 0) | self.inputs

    def step(self, **changes: int) -> None:
        """Change inputs and simulate one cycle."""
        self.inputs |= changes
        self.simulation.step(self.inputs)
        self.cycle += 1

    def see(self, name: str) -> int:
        """The value of a port or named wire in the cycle just simulated."""
        return int(self.simulation.inspect(name))


@dataclass
class LiteManager:
    """Reads and writes registers, one at a time.

    Attributes:
        bench: the simulation.
        name: of the bus.
    """

    bench: BusBench
    name: str = "s_axi"

    def write(self, address: int, data: int, strobes: int = 0b1111) -> int:
        """Write a word; returns the response code.

        Raises:
            ExecutionError: the subordinate does not answer.
        """
        payload = {"awaddr": address, "wdata": data, "wstrb": strobes}
        self._set(awvalid=1, wvalid=1, bready=1, **payload)
        self._until("awvalid", "wvalid", answer="bvalid")
        response = self.bench.see(f"{self.name}_bresp")
        self._set(bready=0)
        return response

    def read(self, address: int) -> tuple[int, int]:
        """Read a word: the data and the response code.

        Raises:
            ExecutionError: the subordinate does not answer.
        """
        self._set(arvalid=1, rready=1, araddr=address)
        self._until("arvalid", answer="rvalid")
        answer = self.bench.see(f"{self.name}_rdata"), self.bench.see(f"{self.name}_rresp")
        self._set(rready=0)
        return answer

    def _set(self, **signals: int) -> None:
        self.bench.inputs |= {f"{self.name}_{signal}": value for signal, value in signals.items()}

    def _until(self, *requests: str, answer: str) -> None:
        """Step, taking back each request once it is accepted, until the answer is there."""
        for _ in range(_PATIENCE):
            pending = [signal for signal in requests if self.bench.inputs[f"{self.name}_{signal}"]]
            self.bench.step()
            for signal in pending:
                if self.bench.see(f"{self.name}_{signal.replace('valid', 'ready')}"):
                    self._set(**{signal: 0})
            if self.bench.see(f"{self.name}_{answer}"):
                return
        raise ExecutionError(f"no answer in {_PATIENCE} cycles", where=f"bus {self.name}")


def send_packet(
    bench: BusBench, values: Sequence[int], *, name: str = "s_axis", pauses: Sequence[int] = ()
) -> list[int]:
    """Send the beats of one packet; TLAST goes with the last.

    Args:
        bench: the simulation.
        values: TDATA of each beat.
        name: of the bus.
        pauses: cycles to wait before each beat; missing ones are 0.

    Returns:
        The cycle in which each beat moved.

    Raises:
        ExecutionError: the subordinate takes no beat.
    """
    moved = []
    for position, value in enumerate(values):
        for _ in range(pauses[position] if position < len(pauses) else 0):
            bench.step(**{f"{name}_tvalid": 0})
        last = int(position == len(values) - 1)
        for _ in range(_PATIENCE):
            bench.step(**{f"{name}_tvalid": 1, f"{name}_tdata": value, f"{name}_tlast": last})
            if bench.see(f"{name}_tready"):
                break
        else:
            raise ExecutionError(f"beat {position} not taken in {_PATIENCE} cycles", where=f"bus {name}")
        moved.append(bench.cycle - 1)
    bench.inputs |= {f"{name}_tvalid": 0, f"{name}_tlast": 0}
    return moved
