"""A network in real numbers, before it is quantized: what float front ends make and the quantizer reads.

Its operators are spelled in TFLite's vocabulary and laid out as TFLite lays them out (channels last, convolution
weights of shape (outputs, height, width, inputs), depthwise weights (1, height, width, outputs), dense weights
(outputs, inputs)). So LiteRT computes a float graph as it is, and the integer operators of `bitloom.ops` are lowered
from its nodes once tensors have scales.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from bitloom.errors import GraphError

_DTYPES = ("float32", "int32", "bool")


@dataclass(frozen=True, eq=False)
class FloatTensor:
    """A named tensor of binary32 numbers; int32 ones are shapes, axes and paddings.

    Attributes:
        name: unique in its graph.
        shape: fixed; a batch is one inference.
        data: the elements of a constant (copied, read-only), else None.
        dtype: of the elements.

    Raises:
        GraphError: a dimension that is not positive, elements of another shape or type, or numbers that are not finite.
    """

    name: str
    shape: tuple[int, ...]
    data: npt.NDArray[Any] | None = None
    dtype: str = "float32"

    def __post_init__(self) -> None:
        where = f"tensor '{self.name}'"
        if any(dimension < 1 for dimension in self.shape):
            raise GraphError(f"shape {list(self.shape)} has a dimension that is not positive", where=where)
        if self.dtype not in _DTYPES:
            raise GraphError(f"is {self.dtype}; a float graph has {', '.join(_DTYPES)}", where=where)
        if self.data is None:
            return
        data = np.array(self.data, dtype=self.dtype, order="C")
        if data.shape != self.shape:
            raise GraphError(f"has elements of shape {list(data.shape)}, not {list(self.shape)}", where=where)
        if self.dtype == "float32" and not np.isfinite(data).all():
            at = tuple(int(index) for index in np.argwhere(~np.isfinite(data))[0])
            raise GraphError(f"holds {data[at]} at {list(at)}", where=where, remedy="train again, or repair the file")
        data.setflags(write=False)
        object.__setattr__(self, "data", data)

    @property
    def is_constant(self) -> bool:
        """Whether the elements are known."""
        return self.data is not None

    @property
    def constant(self) -> npt.NDArray[Any]:
        """The elements of a constant.

        Raises:
            GraphError: the tensor is computed.
        """
        if self.data is None:
            raise GraphError("a constant is needed here", where=f"tensor '{self.name}'")
        return self.data


@dataclass(frozen=True)
class FloatNode:
    """One operator applied to named tensors.

    Attributes:
        kind: as TFLite's schema spells it, such as ``CONV_2D``.
        inputs: names of operands; None where an optional one is absent.
        outputs: names of results.
        attributes: fields of the schema's options table (``fused_activation_function``, ``stride_w``); enumerations
            by name.
        source: where it comes from, for messages (not part of equality).
    """

    kind: str
    inputs: tuple[str | None, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    source: str = field(default="", compare=False)

    @property
    def where(self) -> str:
        """The place to name in an error."""
        return self.source or f"{self.kind} '{self.outputs[0]}'"

    @property
    def read(self) -> tuple[str, ...]:
        """Operands that are there."""
        return tuple(name for name in self.inputs if name is not None)


@dataclass(frozen=True)
class FloatGraph:
    """Nodes in an order in which they can be computed, and every tensor they name.

    Attributes:
        name: of the network.
        inputs: names of the tensors given from outside.
        outputs: names of the results.
        tensors: all of them, in any order.
        nodes: in an order of computation.

    Raises:
        GraphError: a name that is missing, made twice, or read before it is made.

    >>> relu = FloatNode("RELU", ("x",), ("y",))
    >>> graph = FloatGraph("net", ("x",), ("y",), (FloatTensor("x", (1, 4)), FloatTensor("y", (1, 4))), (relu,))
    >>> graph.producer("y") is relu, graph.readers("x") == (relu,)
    (True, True)
    """

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    tensors: tuple[FloatTensor, ...]
    nodes: tuple[FloatNode, ...]

    def __post_init__(self) -> None:
        if len(self._by_name) != len(self.tensors):
            raise GraphError("two tensors have one name", where=f"float graph '{self.name}'")
        known = {tensor.name for tensor in self.tensors if tensor.is_constant} | set(self.inputs)
        for node in self.nodes:
            for name in node.read:
                if name not in known:
                    raise GraphError(f"reads '{name}' before anything makes it", where=node.where)
            for name in node.outputs:
                if name in known:
                    raise GraphError(f"makes '{name}', which is there already", where=node.where)
                known.add(name)
        for name in (*self.inputs, *self.outputs, *(name for node in self.nodes for name in node.outputs)):
            if name not in self._by_name or name not in known:
                raise GraphError(f"has no tensor '{name}'", where=f"float graph '{self.name}'")

    @cached_property
    def _by_name(self) -> Mapping[str, FloatTensor]:
        return {tensor.name: tensor for tensor in self.tensors}

    @cached_property
    def _producers(self) -> Mapping[str, FloatNode]:
        return {name: node for node in self.nodes for name in node.outputs}

    def tensor(self, name: str) -> FloatTensor:
        """By its name."""
        return self._by_name[name]

    def producer(self, name: str) -> FloatNode | None:
        """The node that makes a tensor; None for inputs and constants."""
        return self._producers.get(name)

    def readers(self, name: str) -> tuple[FloatNode, ...]:
        """The nodes that read a tensor."""
        return tuple(node for node in self.nodes if name in node.inputs)

    @property
    def computed(self) -> Iterator[str]:
        """Names of inputs and of everything that nodes make, in order."""
        yield from self.inputs
        for node in self.nodes:
            yield from node.outputs
