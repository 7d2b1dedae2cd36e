"""What a design is to reach."""

from __future__ import annotations

from dataclasses import dataclass

from bitloom.errors import PlanError
from bitloom.plan.boards import BOARDS, Board


@dataclass(frozen=True)
class Target:
    """At most so many cycles per inference, or as fast as so many multipliers allow.

    Attributes:
        interval: cycles between consecutive inferences, at most; the smallest design that reaches it is chosen.
        dsp: multiplier slices, at most; the fastest design within is chosen.
        board: whose multipliers, look-up tables and memories are the limit, beside the other goals; if none is given,
            the first of `BOARDS` says the family, and limits a design only where nothing else does.
    """

    interval: int | None = None
    dsp: int | None = None
    board: Board | None = None

    def __post_init__(self) -> None:
        if self.interval is not None and self.interval < 1:
            raise PlanError(f"an interval of {self.interval} cycles", remedy="ask for at least 1 cycle")
        if self.dsp is not None and self.dsp < 1:
            raise PlanError(f"a budget of {self.dsp} multipliers", remedy="allow at least 1")
        if self.interval is not None and self.dsp is not None:
            raise PlanError("an interval and a number of multipliers at once", remedy="give one of the two")

    @property
    def chip(self) -> Board:
        """The board it is made for."""
        return self.board or BOARDS[0]

    @property
    def limit(self) -> Board | None:
        """The board the design has to fit, None if any size will do."""
        return self.chip if self.board or (self.interval is None and self.dsp is None) else None

    @property
    def dsp_limit(self) -> int:
        """The multipliers that may be used where no interval is asked for."""
        if self.dsp is None:
            return self.chip.dsp
        return min(self.dsp, self.limit.dsp) if self.limit else self.dsp
