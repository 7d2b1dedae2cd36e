"""What loading a model file gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from bitloom.ir import Graph


@dataclass(frozen=True)
class Model:
    """A graph, and the file it came from, which LiteRT judges it by.

    Attributes:
        graph: the integer graph.
        name: of the model, for reports.
        flatbuffer: the bytes of the TFLite file, or None if the graph came from elsewhere.
        tensor_indices: for each tensor of the graph its index in that file; empty without a file.
    """

    graph: Graph
    name: str
    flatbuffer: bytes | None = field(default=None, repr=False)
    tensor_indices: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}), repr=False)
