"""A float graph made node by node: tensors brought into the order that an operator needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from bitloom.errors import UnsupportedError
from bitloom.frontends.float_onnx.layout import Layout, Shape, channels_last
from bitloom.ir.float_graph import FloatGraph, FloatNode, FloatTensor

Array = npt.NDArray[Any]

_NEVER_NEGATIVE = ("RELU", "RELU6", "LOGISTIC", "SOFTMAX", "ABS")
_KEEPING_SIGNS = (
    *("MAX_POOL_2D", "AVERAGE_POOL_2D", "MEAN", "CONCATENATION", "RESHAPE", "TRANSPOSE", "STRIDED_SLICE", "GATHER"),
    *("PAD", "MIRROR_PAD", "RESIZE_NEAREST_NEIGHBOR", "DEPTH_TO_SPACE", "SPACE_TO_DEPTH"),
)


@dataclass(frozen=True)
class Real:
    """A tensor of the file that is computed.

    Attributes:
        name: of the graph's tensor with its elements.
        layout: how they lie there.
    """

    name: str
    layout: Layout

    @property
    def shape(self) -> Shape:
        """ONNX's."""
        return self.layout.shape


class FloatBuilder:
    """The tensors and nodes so far.

    Attributes:
        tensors: by name.
        nodes: in order; some that nothing reads any more.
        where: the place in the file that nodes come from.
    """

    def __init__(self, where: str) -> None:
        self.tensors: dict[str, FloatTensor] = {}
        self.nodes: list[FloatNode] = []
        self.where = where
        self._producers: dict[str, FloatNode] = {}
        self._moved: dict[tuple[str, Shape, Shape], str] = {}

    # ------------------------------------------------------------------------------------------ tensors and nodes

    def stored(self, name: str) -> Shape:
        """The shape of a tensor of the graph."""
        return self.tensors[name].shape

    def constant(self, name: str, data: Array, dtype: str = "float32") -> str:
        """A constant; its name, which is another one where that is taken."""
        return self._add(FloatTensor(self._free(name), data.shape, data.astype(dtype), dtype))

    def integers(self, name: str, data: Any) -> str:
        """A constant of int32: a shape, axes, paddings."""
        return self.constant(name, np.array(data, np.int32), "int32")

    def node(
        self, kind: str, inputs: Sequence[str], name: str, shape: Shape, dtype: str = "float32", **attributes: Any
    ) -> str:
        """A node; the name of its result."""
        made = self._add(FloatTensor(self._free(name), shape, dtype=dtype))
        self._append(FloatNode(kind, tuple(inputs), (made,), attributes, self.where))
        return made

    def _append(self, node: FloatNode) -> None:
        self.nodes.append(node)
        self._producers[node.outputs[0]] = node

    def _add(self, tensor: FloatTensor) -> str:
        self.tensors[tensor.name] = tensor
        return tensor.name

    def _free(self, name: str) -> str:
        while name in self.tensors:
            name += "_"
        return name

    def input(self, name: str, shape: Shape, *, last: bool) -> Real:
        """What comes from outside, with its channels last if wanted."""
        order = channels_last(len(shape)) if last else tuple(range(len(shape)))
        self._add(FloatTensor(name, tuple(shape[axis] for axis in order)))
        return Real(name, Layout.of(shape, order))

    # ------------------------------------------------------------------------------------------ orders of elements

    def arranged(self, real: Real, order: Shape, name: str | None = None) -> str:
        """The tensor whose shape is ONNX's with its axes in an order."""
        wanted = tuple(real.shape[axis] for axis in order)
        move = real.layout.move(order)
        if move is None:
            real = self.plain(real)
            move = real.layout.move(order)
            assert move is not None, "a plain layout has whole axes"
        if not move.moves:
            return self.reshape(real.name, wanted, name)
        axes = real.layout.axes
        if self.stored(real.name) == tuple(real.shape[axis] for axis in axes) and real.layout.lies(axes):
            permutation = tuple(axes.index(axis) for axis in order)
            return self._transposed(real.name, permutation, name)
        lying = self.reshape(real.name, move.shape)
        return self.reshape(self._transposed(lying, move.permutation), wanted, name)

    def plain(self, real: Real) -> Real:
        """With elements in ONNX's order, of ONNX's shape."""
        lying = tuple(real.layout.factors[axis] for axis in real.layout.order)
        made = self._transposed(self.reshape(real.name, lying), tuple(np.argsort(real.layout.order).tolist()))
        return replace(real, name=self.reshape(made, real.shape), layout=Layout.of(real.shape))

    def axiswise(self, real: Real) -> tuple[str, Shape]:
        """A tensor of ONNX's axes in the order in which they lie, and that order."""
        order = real.layout.axes
        return self.arranged(real, order), order

    def images(self, real: Real) -> str:
        """With channels last; images of one dimension get a height of 1.

        Raises:
            UnsupportedError: neither three nor four axes.
        """
        if len(real.shape) == 3:
            real = replace(real, layout=real.layout.reshaped((*real.shape[:2], 1, real.shape[2])))
        if len(real.shape) != 4:
            raise UnsupportedError(
                f"takes images, of three or four axes, and these have shape {list(real.shape)}", where=self.where
            )
        return self.arranged(real, channels_last(4))

    def made(self, name: str, shape: Shape, order: Shape | None = None) -> Real:
        """The meaning of a tensor made with ONNX's axes in an order."""
        return Real(name, Layout.of(shape, order))

    def reshape(self, name: str, shape: Shape, made: str | None = None) -> str:
        """RESHAPE, where the shape is another one."""
        if self.stored(name) == shape:
            return name
        key = (name, shape, ())
        if key not in self._moved:
            made = made or f"{name}_reshaped"
            operands = (name, self.integers(f"{made}_shape", shape))
            dtype = self.tensors[name].dtype
            self._moved[key] = self.node("RESHAPE", operands, made, shape, dtype, new_shape=shape)
        return self._moved[key]

    def _transposed(self, name: str, permutation: Shape, made: str | None = None) -> str:
        given = self.stored(name)
        shape = tuple(given[axis] for axis in permutation)
        moving = [axis for axis in permutation if given[axis] > 1]
        if moving == sorted(moving):
            return self.reshape(name, shape, made)
        key = (name, shape, permutation)
        if key not in self._moved:
            made = made or f"{name}_transposed"
            operands = (name, self.integers(f"{made}_axes", permutation))
            self._moved[key] = self.node("TRANSPOSE", operands, made, shape, self.tensors[name].dtype)
        return self._moved[key]

    def elementwise(self, kind: str, real: Real, name: str, *operands: str, **attributes: Any) -> Real:
        """A function of each element alone, wherever it lies."""
        made = self.node(kind, (real.name, *operands), name, self.stored(real.name), **attributes)
        return replace(real, name=made)

    def taken(self, name: str, axis: int, places: Array, made: str) -> str:
        """GATHER along one axis, where that changes anything."""
        shape = self.stored(name)
        if places.tolist() == list(range(shape[axis])):
            return name
        operands = (name, self.integers(f"{made}_indices", places))
        result = (*shape[:axis], len(places), *shape[axis + 1 :])
        return self.node("GATHER", operands, made, result, axis=axis, batch_dims=0)

    def is_never_negative(self, name: str) -> bool:
        """Whether rectifiers in front say so."""
        node = self._producers.get(name)
        if node is None:
            return False
        if node.kind in _NEVER_NEGATIVE:
            return True
        if node.kind not in _KEEPING_SIGNS:
            return False
        data = [operand for operand in node.read if self.tensors[operand].dtype == "float32"]
        return all(self.is_never_negative(operand) for operand in data)

    # ------------------------------------------------------------------------------------------------------ the graph

    def finish(self, name: str, inputs: Sequence[str], outputs: Sequence[str]) -> FloatGraph:
        """The graph, without what nothing reads."""
        read, kept = set(outputs), []
        for node in reversed(self.nodes):
            if read.intersection(node.outputs):
                kept.append(node)
                read.update(node.read)
        tensors = tuple(tensor for key, tensor in self.tensors.items() if key in read or key in inputs)
        return FloatGraph(name, tuple(inputs), tuple(outputs), tensors, tuple(reversed(kept)))

    def output(self, name: str, wanted: str, taken: Sequence[str]) -> Mapping[str, str]:
        """Give a result the name that it has in the file.

        Args:
            name: of the graph's tensor.
            wanted: the result's name.
            taken: tensors that cannot get another name: inputs, and results so far.

        Returns:
            The new names of tensors that have others now.
        """
        changes = {}
        if wanted in self.tensors and name != wanted:
            changes[wanted] = self._free(f"{wanted}_inside")
        if name not in taken:
            changes[name] = wanted
            self._rename(changes)
            return changes
        self._rename(changes)
        shape = self.stored(name)
        operands = (name, self.integers(f"{wanted}_shape", shape))
        self.node("RESHAPE", operands, wanted, shape, self.tensors[name].dtype, new_shape=shape)
        return changes

    def _rename(self, changes: Mapping[str, str]) -> None:
        self.tensors = {
            changes.get(key, key): replace(tensor, name=changes.get(key, key)) for key, tensor in self.tensors.items()
        }
        nodes = self.nodes
        self.nodes, self._producers = [], {}
        for node in nodes:
            names = tuple(name and changes.get(name, name) for name in node.inputs)
            self._append(replace(node, inputs=names, outputs=tuple(changes.get(name, name) for name in node.outputs)))
        self._moved = {}  # whose names may now be other tensors'
