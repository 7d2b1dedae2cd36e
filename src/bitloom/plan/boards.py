"""What boards offer. A new board is a new line."""

from __future__ import annotations

from dataclasses import dataclass

from bitloom.errors import PlanError
from bitloom.hw.fabric import Fabric, fabric_named

# Block memories of 18 kbit in one of the family's own.
_RAM_BLOCKS = {"xc7": 2, "ecp5": 1}


@dataclass(frozen=True)
class Board:
    """An FPGA board's resources.

    Attributes:
        name: as given to ``--board``.
        family: the synthesis family, ``xc7`` or ``ecp5``.
        lut: look-up tables.
        ff: flip-flops.
        dsp: multiplier slices (DSP48E1, MULT18X18D).
        bram: block memories (RAMB36, DP16KD).
    """

    name: str
    family: str
    lut: int
    ff: int
    dsp: int
    bram: int

    @property
    def fabric(self) -> Fabric:
        """Of the family."""
        return fabric_named(self.family)

    @property
    def ram_blocks(self) -> int:
        """Block memories of 18 kbit."""
        return self.bram * _RAM_BLOCKS[self.family]


BOARDS = (
    Board("pynq-z2", "xc7", lut=53_200, ff=106_400, dsp=220, bram=140),
    Board("arty-a7-100", "xc7", lut=63_400, ff=126_800, dsp=240, bram=135),
    Board("ulx3s-85f", "ecp5", lut=83_640, ff=83_640, dsp=156, bram=208),
)


def board_named(name: str) -> Board:
    """The board of that name.

    Raises:
        PlanError: there is none; the message lists those there are.
    """
    for board in BOARDS:
        if board.name == name:
            return board
    raise PlanError(f"no board is named '{name}'", remedy=f"choose one of {', '.join(b.name for b in BOARDS)}")
