"""Plan to circuit: every node's hardware, connected, with its bus."""

from bitloom.design.circuit import Circuit, Tap
from bitloom.design.dataflow import design

__all__ = ["Circuit", "Tap", "design"]
