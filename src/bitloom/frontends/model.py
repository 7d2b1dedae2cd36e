"""What loading a model file gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from bitloom.ir import Graph


@dataclass(frozen=True)
class TensorView:
    """Where the elements of a value are in a tensor of an ONNX file.

    ``elements of the value = tensor.reshape(factors).transpose(order)``, in the value's own shape.

    Attributes:
        tensor: its name in the file.
        shape: its shape there.
        factors: a shape of as many elements.
        order: axes of `factors`.
        offsets: what the file's tensor has on top of the value's reals, along an axis; nothing if empty.
        offset_axis: of its shape.
    """

    tensor: str
    shape: tuple[int, ...]
    factors: tuple[int, ...]
    order: tuple[int, ...]
    offsets: tuple[float, ...] = ()
    offset_axis: int = 0


@dataclass(frozen=True)
class OnnxSource:
    """The ONNX file of a graph.

    Attributes:
        content: its bytes.
        views: for each value of the graph that is a tensor of the file, which, and how.
        judge: the executor that says what the file means.
    """

    content: bytes = field(repr=False)
    views: Mapping[str, TensorView] = field(repr=False)
    judge: str = "onnxruntime"


@dataclass(frozen=True)
class Model:
    """A graph, and the file it came from, which LiteRT or ONNX Runtime judges it by.

    Attributes:
        graph: the integer graph.
        name: of the model, for reports.
        flatbuffer: the bytes of the TFLite file, or None if the graph came from elsewhere.
        tensor_indices: for each tensor of the graph its index in that file; empty without a file.
        onnx: the ONNX file, or None if the graph came from elsewhere.
    """

    graph: Graph
    name: str
    flatbuffer: bytes | None = field(default=None, repr=False)
    tensor_indices: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}), repr=False)
    onnx: OnnxSource | None = field(default=None, repr=False)
