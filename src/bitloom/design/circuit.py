"""A finished circuit: a PyRTL block, what its ports mean, and where its inner tensors can be seen."""

from __future__ import annotations

from dataclasses import dataclass

import pyrtl

from bitloom.hw.stream import StreamType
from bitloom.plan import Plan, Port


@dataclass(frozen=True)
class Tap:
    """An inner stream to look at.

    Signals ``{stream}_data``, ``{stream}_valid`` and ``{stream}_ready``: a beat moves where both are high.

    Attributes:
        value: the graph value.
        stream: prefix of the signals.
        type: how the tensor moves there.
    """

    value: str
    stream: str
    type: StreamType


@dataclass(frozen=True, eq=False)
class Circuit:
    """A network as logic.

    Ports: ``reset`` (synchronous, active high, for two cycles at least, because it is registered before it is used),
    and for each input and output of the plan an AXI4-Stream, elements in containers of 8, 16, 32 or 64 bits, the
    first lowest. With an AXI bus also ``s_axi_*`` registers.

    Attributes:
        name: a Verilog identifier.
        plan: what was built.
        block: the PyRTL block.
        taps: one per computed value that travels as a stream.
    """

    name: str
    plan: Plan
    block: pyrtl.Block
    taps: tuple[Tap, ...]

    @property
    def inputs(self) -> tuple[Port, ...]:
        """Where tensors enter."""
        return self.plan.inputs

    @property
    def outputs(self) -> tuple[Port, ...]:
        """Where tensors leave."""
        return self.plan.outputs
