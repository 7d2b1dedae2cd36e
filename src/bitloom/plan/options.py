"""The foldings of one node, with what they cost, less those that another one beats in everything."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from bitloom.circuits.streaming import Estimate, Folding, StreamingCircuit
from bitloom.hw.fabric import Fabric
from bitloom.hw.stream import StreamType

LOGIC_PER_DSP = 240
"""Look-up tables that one multiplier slice is worth: their ratio on a Zynq-7020."""
LOGIC_PER_RAM_BLOCK = 190
"""Look-up tables that a block memory of 18 kbit is worth: their ratio on a Zynq-7020."""


@dataclass(frozen=True)
class Prices:
    """What resources are worth, in look-up tables.

    Attributes:
        dsp: of a multiplier slice.
        ram_block: of a block memory of 18 kbit.
    """

    dsp: int = LOGIC_PER_DSP
    ram_block: int = LOGIC_PER_RAM_BLOCK

    def cost(self, estimate: Estimate) -> int:
        """Of a circuit."""
        return estimate.dsp * self.dsp + estimate.ram_blocks * self.ram_block + estimate.logic


@dataclass(frozen=True)
class Option:
    """One folding of one node.

    Attributes:
        folding: offered by the node's circuit.
        estimate: its cost.
        input_types: what the circuit takes then.
        output_type: what it gives then.
    """

    folding: Folding
    estimate: Estimate
    input_types: tuple[StreamType, ...]
    output_type: StreamType

    @property
    def _figures(self) -> tuple[int, int, int, int]:
        estimate = self.estimate
        return estimate.cycles, estimate.dsp, estimate.ram_blocks, estimate.logic

    def beats(self, other: Option) -> bool:
        """Whether it is at least as good in everything."""
        return all(mine <= theirs for mine, theirs in zip(self._figures, other._figures, strict=True))


def node_options(circuit: StreamingCircuit, fabric: Fabric) -> list[Option]:
    """The foldings of a circuit worth considering on a fabric."""
    offered = (
        replace(folding, fabric=fabric) for folding in circuit.foldings() if fabric.packs_products or not folding.packed
    )
    by_types: dict[tuple[tuple[StreamType, ...], StreamType], list[Option]] = {}
    for folding in offered:
        types = circuit.input_types(folding), circuit.output_type(folding)
        by_types.setdefault(types, []).append(Option(folding, circuit.estimate(folding), *types))
    return [option for options in by_types.values() for option in _undominated(options)]


def _undominated(options: Iterable[Option]) -> Sequence[Option]:
    kept: list[Option] = []
    for option in sorted(options, key=lambda option: option._figures):
        if not any(other.beats(option) for other in kept):
            kept.append(option)
    return kept
