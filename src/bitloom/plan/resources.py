"""Whether a design fits a board, as far as can be told before synthesis."""

from __future__ import annotations

from dataclasses import dataclass

from bitloom.plan.boards import Board
from bitloom.plan.plan import Plan


@dataclass(frozen=True)
class Shortage:
    """A resource of which a design needs more than a board has.

    Attributes:
        resource: in words.
        needed: by the design.
        available: on the board.
    """

    resource: str
    needed: int
    available: int

    def __str__(self) -> str:
        return f"{self.needed:,} {self.resource} where there are {self.available:,}"


def shortages(plan: Plan, board: Board | None, dsp: int | None = None) -> list[Shortage]:
    """What a plan needs too much of.

    Args:
        plan: of a design.
        board: it has to fit; None if any size will do.
        dsp: multiplier slices it may use; those of the board if None.
    """
    limits = [("multipliers", plan.dsp, board.dsp if dsp is None and board else dsp)]
    if board:
        limits.append(("block memories of 18 kbit", plan.ram_blocks, board.ram_blocks))
        limits.append(("look-up tables", plan.logic, board.lut))
    return [
        Shortage(resource, needed, available)
        for resource, needed, available in limits
        if available is not None and needed > available
    ]
