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
        board: the board it is meant for; without `interval` and `dsp` its multipliers are the limit.
    """

    interval: int | None = None
    dsp: int | None = None
    board: Board = BOARDS[0]

    def __post_init__(self) -> None:
        if self.interval is not None and self.interval < 1:
            raise PlanError(f"an interval of {self.interval} cycles", remedy="ask for at least 1 cycle")
        if self.dsp is not None and self.dsp < 1:
            raise PlanError(f"a budget of {self.dsp} multipliers", remedy="allow at least 1")
        if self.interval is not None and self.dsp is not None:
            raise PlanError("an interval and a number of multipliers at once", remedy="give one of the two")

    @property
    def dsp_limit(self) -> int:
        """The multipliers that may be used."""
        return self.board.dsp if self.dsp is None else self.dsp
