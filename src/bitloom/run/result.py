"""What a run gives, whichever executor ran."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bitloom.ir.operator import Array


@dataclass(frozen=True)
class Cycles:
    """Clock cycles of a circuit.

    Attributes:
        latency: from an inference's first input beat to its last output beat.
        interval: between consecutive inferences, back to back; None if only one was run.
    """

    latency: int
    interval: int | None


@dataclass(frozen=True, eq=False)
class RunResult:
    """Every tensor of every inference.

    Attributes:
        executor: which computed it.
        tensors: the values nodes make, by name, each of shape (inferences, *shape) and its type's dtype.
        seconds: spent computing, without setup.
        setup_seconds: spent once per model: building, compiling, loading.
        cycles: of a circuit; None for software.
    """

    executor: str
    tensors: Mapping[str, Array]
    seconds: float
    setup_seconds: float = 0.0
    cycles: Cycles | None = None

    @property
    def inferences(self) -> int:
        """How many were computed."""
        return next((len(tensor) for tensor in self.tensors.values()), 0)

    @property
    def inferences_per_second(self) -> float:
        """Of the computing alone; 0 if it took no measurable time."""
        return self.inferences / self.seconds if self.seconds else 0.0
